/* idle.h - waiting without burning a core: yield a few times, then sleep 10 us, a fifth longer
 * each time up to 1 ms: a short wait ends soon, a long one costs next to nothing. */
#ifndef PROTO_COMM_IDLE_H
#define PROTO_COMM_IDLE_H

#include <pthread.h>
#include <stdbool.h>

struct idle {
    pthread_mutex_t mutex;
    pthread_cond_t wake;
    bool poked;
    int yields;
    long sleep_ns;
};

/* Not poked, and the back-off at its start. Lets the calling thread sleep for less than the
 * kernel's usual 50 us: it is the one that waits. */
void idle_init(struct idle *i);

/* Nobody waits or pokes any more. */
void idle_release(struct idle *i);

/* One step of the back-off: a yield or a sleep. Returns at once if it would sleep and was poked. */
void idle_wait(struct idle *i);

/* Ends the sleep that is under way, or the next one. From any thread; never blocks. */
void idle_poke(struct idle *i);

/* Something came: the back-off starts again. */
void idle_busy(struct idle *i);

/* Something is on its way: the next sleep is the shortest, without yielding again. */
void idle_soon(struct idle *i);

#endif
