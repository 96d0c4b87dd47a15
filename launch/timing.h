/* timing.h - how long tasks take: whole ones, one after the other, on one thread. */
#ifndef LAUNCH_TIMING_H
#define LAUNCH_TIMING_H

#include "worker/engine.h"

struct timing {
    const struct stage *stage; /* borrowed, as its setup is */
    struct engine engine;
    struct arena arena;
    struct task task;
    real *theta, *anchor; /* parameters */
    real *state;          /* of a task, if it has one; theta is its first part */
};

/* Takes the memory and draws the parameters. ERR_MEMORY, errors of solo_draw; timing_close also
 * then. */
int timing_open(struct timing *t, const struct setup *s, const struct stage *stage);

/* Draws, reads, adapts, adds: all that a worker does for a task, for at least so many seconds.
 * *each: seconds for a task. ERR_DATA. */
int timing_tasks(struct timing *t, double seconds, double *each);
void timing_close(struct timing *t); /* also of one of zeros */

#endif
