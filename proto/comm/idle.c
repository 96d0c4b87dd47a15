/* idle.c - the back-off. */
#include "proto/comm/idle.h"

#include <sched.h>
#include <sys/prctl.h>
#include <time.h>

enum { YIELDS = 8, SLEEP_FIRST = 10000, SLEEP_MOST = 1000000 }; /* nanoseconds */

void backoff_init(struct backoff *b)
{
    *b = (struct backoff){.sleep = SLEEP_FIRST};
}

long backoff_step(struct backoff *b)
{
    long now = b->sleep;

    if (b->yields++ < YIELDS)
        return 0;
    b->sleep += b->sleep / 20;
    b->sleep = b->sleep > SLEEP_MOST ? SLEEP_MOST : b->sleep;
    return now;
}

void backoff_busy(struct backoff *b)
{
    backoff_init(b);
}

void backoff_soon(struct backoff *b)
{
    b->sleep = SLEEP_FIRST;
}

void idle_init(struct idle *i)
{
    pthread_condattr_t clock;

    *i = (struct idle){0};
    backoff_init(&i->backoff);
    prctl(PR_SET_TIMERSLACK, 2000UL); /* the kernel's 50 us would more than double a short sleep */
    pthread_mutex_init(&i->mutex, NULL);
    pthread_condattr_init(&clock);
    pthread_condattr_setclock(&clock, CLOCK_MONOTONIC);
    pthread_cond_init(&i->wake, &clock);
    pthread_condattr_destroy(&clock);
}

void idle_release(struct idle *i)
{
    pthread_cond_destroy(&i->wake);
    pthread_mutex_destroy(&i->mutex);
}

static struct timespec time_in(long ns)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    t.tv_nsec += ns;
    t.tv_sec += t.tv_nsec / 1000000000;
    t.tv_nsec %= 1000000000;
    return t;
}

void idle_wait(struct idle *i)
{
    long ns = backoff_step(&i->backoff);
    struct timespec until;

    if (ns == 0) {
        sched_yield();
        return;
    }
    until = time_in(ns);
    pthread_mutex_lock(&i->mutex);
    while (!i->poked && pthread_cond_timedwait(&i->wake, &i->mutex, &until) == 0)
        ;
    if (i->poked)
        backoff_soon(&i->backoff);
    i->poked = false;
    pthread_mutex_unlock(&i->mutex);
}

void idle_poke(struct idle *i)
{
    pthread_mutex_lock(&i->mutex);
    i->poked = true;
    pthread_cond_signal(&i->wake);
    pthread_mutex_unlock(&i->mutex);
}
