/* episode.h - the samples of a task, which a method works on. */
#ifndef WORKER_INNER_EPISODE_H
#define WORKER_INNER_EPISODE_H

#include "core/base/arena.h"
#include "core/data/augment.h"
#include "core/data/data.h"
#include "core/math/loss.h"
#include "core/plan/scale.h"
#include "core/plan/task.h"

struct episode {
    uint64_t seed;
    uint32_t round, slot, pass;    /* of the task; the step of a task of several */
    struct batch support, query;   /* a few-shot task's; point into the buffers below */
    struct batch source, target;   /* a batch task's: target has no labels */
    real *x[4], *goal[3];          /* support, query, source, target; regression targets */
    real *weight[3];               /* of samples, if the data have weights */
    int *label[3];                 /* none for the target */
    const struct augment *augment; /* borrowed; what is read is changed so; NULL: it is not */
    real *room;                    /* (shape) of a sample that is changed */
};

/* Takes room for few-shot tasks up to the given size, and for batches of size.source and
 * size.targets; if `augments`, for changing samples. */
void episode_init(struct episode *e, const struct data *d, struct task_size size, bool augments,
                  struct arena *a);

/* Reads every sample of a few-shot task; class k of the task has label k. ERR_DATA. Not
 * collective. */
int episode_read(struct episode *e, const struct data *d, const struct task *t);

/* Reads step `step` of a batch task: its next n_source samples with classes or targets, its next
 * n_target samples, whose labels are never read. data: the data sections, by index. ERR_DATA.
 * Not collective. */
int episode_read_batch(struct episode *e, const struct data *data, const struct task *t,
                       uint32_t step, uint32_t n_source, uint32_t n_target);

/* Whether the network's loss can be of the targets that were read, holes apart. ERR_DATA. */
int episode_check(const struct episode *e, const struct net *net);

/* Normalises the regression targets of what was read. */
void episode_scale(struct episode *e, struct target_scale scale);

#endif
