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

void idle_init(struct idle *i);
void idle_release(struct idle *i);
void idle_wait(struct idle *i); /* one step of the back-off; returns at once when poked */
void idle_poke(struct idle *i); /* from any thread */
void idle_busy(struct idle *i); /* something came: start the back-off anew */
void idle_soon(
    struct idle *i); /* something is on its way: sleep the shortest, but do not yield again */

#endif
