/* thread.h - threads and what they wait for: POSIX's, or those of a simulation (habitat.h). Mutexes
 * are POSIX's in both: nobody holds one while it waits for anything but a condition. */
#ifndef CORE_BASE_THREAD_H
#define CORE_BASE_THREAD_H

#include <pthread.h>

struct thread {
    pthread_t id;
    void *fiber; /* of a simulation */
};

struct condition {
    pthread_cond_t cond;
    void *waiting; /* of a simulation: the first that waits */
};

/* Runs run(context) in a thread of its own, to be joined. ERR_FAILED, ERR_MEMORY. */
int thread_start(struct thread *t, void *(*run)(void *), void *context);
void thread_join(struct thread *t); /* waits for its end */
void thread_yield(void);            /* lets others run */

void condition_init(struct condition *c);    /* nobody waits */
void condition_release(struct condition *c); /* nobody waits any more */

/* Gives the mutex back until the condition is woken, or without a reason. */
void condition_wait(struct condition *c, pthread_mutex_t *mutex);
void condition_wake(struct condition *c);     /* one of those that wait */
void condition_wake_all(struct condition *c); /* all of them */

#endif
