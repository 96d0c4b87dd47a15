/* thread.c - POSIX's threads, unless there is another habitat. */
#include "core/base/thread.h"

#include <sched.h>

#include "core/base/err.h"
#include "core/base/habitat.h"

int thread_start(struct thread *t, void *(*run)(void *), void *context)
{
    if (habitat)
        return habitat->start(t, run, context);
    return pthread_create(&t->id, NULL, run, context) == 0
               ? 0
               : err(ERR_FAILED, "the system starts no thread");
}

void thread_join(struct thread *t)
{
    if (habitat)
        habitat->join(t);
    else
        pthread_join(t->id, NULL);
}

void thread_yield(void)
{
    if (habitat)
        habitat->yield();
    else
        sched_yield();
}

void condition_init(struct condition *c)
{
    pthread_cond_init(&c->cond, NULL);
    c->waiting = NULL;
}

void condition_release(struct condition *c)
{
    pthread_cond_destroy(&c->cond);
}

void condition_wait(struct condition *c, pthread_mutex_t *mutex)
{
    if (habitat)
        habitat->wait(c, mutex);
    else
        pthread_cond_wait(&c->cond, mutex);
}

void condition_wake(struct condition *c)
{
    if (habitat)
        habitat->wake(c, false);
    else
        pthread_cond_signal(&c->cond);
}

void condition_wake_all(struct condition *c)
{
    if (habitat)
        habitat->wake(c, true);
    else
        pthread_cond_broadcast(&c->cond);
}
