/* episode.h - a task's samples, read: what a method works on. */
#ifndef WORKER_EPISODE_H
#define WORKER_EPISODE_H

#include "core/arena.h"
#include "core/data.h"
#include "core/loss.h"
#include "core/task.h"

struct episode {
    struct batch support, query; /* point into the buffers below */
    real *x[2], *target[2];      /* support, query */
    int *label[2];
};

/* Takes room for tasks up to the given size from the arena. */
void episode_init(struct episode *e, const struct data *d, struct task_size size, struct arena *a);

/* Reads every sample the task names; class k of the task has label k. ERR_DATA. Not collective. */
int episode_read(struct episode *e, const struct data *d, const struct task *t);

#endif
