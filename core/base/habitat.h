/* habitat.h - what a rank takes from the machine that it runs on: time, threads, a host's name, a
 * place for its error sentence. A simulation (core/sim/fiber.h) gives its ranks these itself. */
#ifndef CORE_BASE_HABITAT_H
#define CORE_BASE_HABITAT_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>

struct condition; /* core/base/thread.h */
struct thread;

struct habitat {
    double (*seconds)(void);            /* clock_seconds */
    void (*host)(char *name, size_t n); /* machine_host */
    char *(*sentence)(void);            /* err: ERR_SENTENCE bytes; NULL: the thread's */
    int (*start)(struct thread *t, void *(*run)(void *), void *context); /* thread_start */
    void (*join)(struct thread *t);                                      /* thread_join */
    void (*wait)(struct condition *c, pthread_mutex_t *mutex);           /* condition_wait */
    void (*wake)(struct condition *c, bool all); /* condition_wake, condition_wake_all */
    void (*yield)(void);                         /* thread_yield */
};

/* NULL: the machine's own. It changes only while no other thread runs. */
extern const struct habitat *habitat;

#endif
