/* errand.c - a thread whose caller waits in small steps. */
#include "coordinator/run/errand.h"

#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <time.h>

#include "core/base/err.h"

enum { STEP = 5000000 }; /* nanoseconds */

struct errand {
    int (*work)(void *context);
    void *context;
    int code;
    char text[1024];
};

static void *errand_thread(void *argument)
{
    struct errand *e = argument;

    e->code = e->work(e->context);
    snprintf(e->text, sizeof e->text, "%s", err_text());
    return NULL;
}

/* The thread blocks the program's signals. */
static int start(pthread_t *thread, struct errand *e)
{
    sigset_t all, before;
    int error;

    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, &before);
    error = pthread_create(thread, NULL, errand_thread, e);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return error;
}

static struct timespec soon(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t); /* not affected by changes of the time of day */
    t.tv_nsec += STEP;
    t.tv_sec += t.tv_nsec / 1000000000;
    t.tv_nsec %= 1000000000;
    return t;
}

int errand_run(struct crew *c, int (*work)(void *context), void *context)
{
    struct errand e = {.work = work, .context = context};
    struct timespec until = soon();
    pthread_t thread;

    if (start(&thread, &e) != 0)
        return work(context);
    while (pthread_clockjoin_np(thread, NULL, CLOCK_MONOTONIC, &until) != 0) {
        crew_reassure(c);
        until = soon();
    }
    return e.code < 0 ? err(e.code, "%s", e.text) : e.code;
}
