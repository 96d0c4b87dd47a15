/* idle.h - waiting without burning a core: yield a few times, then sleep 10 us, a twentieth longer
 * each time up to 1 ms: a short wait ends soon, a long one costs next to nothing. */
#ifndef PROTO_COMM_IDLE_H
#define PROTO_COMM_IDLE_H

#include <pthread.h>
#include <stdbool.h>

struct backoff { /* the rule, without the waiting */
    int yields;
    long sleep; /* nanoseconds, the next one */
};

/* At its start. */
void backoff_init(struct backoff *b);

/* The next step: nanoseconds to sleep; 0: yield. */
long backoff_step(struct backoff *b);

/* Something came: from the start again. */
void backoff_busy(struct backoff *b);

/* Something is on its way: the next sleep is the shortest, without yielding again. */
void backoff_soon(struct backoff *b);

struct idle {
    pthread_mutex_t mutex;
    pthread_cond_t wake;
    bool poked;
    struct backoff backoff;
};

/* Not poked; its user tells the backoff what comes. Lets the calling thread sleep for less than the
 * kernel's usual 50 us: it is the one that waits. */
void idle_init(struct idle *i);

/* Nobody waits or pokes any more. */
void idle_release(struct idle *i);

/* One step of the back-off: a yield or a sleep. Returns at once if it would sleep and was poked;
 * the next sleep is then the shortest again, because whoever poked expects something to be done. */
void idle_wait(struct idle *i);

/* Ends the sleep that is under way, or the next one. From any thread; never blocks. */
void idle_poke(struct idle *i);

#endif
