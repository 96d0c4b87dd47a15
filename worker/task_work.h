/* task_work.h - what a worker does with a task of each kind: worker/kind/, one file for each file
 * of core/plan/kind/. core/plan/task_kind.h has the rest of a kind; core knows no engine. */
#ifndef WORKER_TASK_WORK_H
#define WORKER_TASK_WORK_H

#include "core/base/real.h"
#include "core/plan/task_kind.h"

struct batch;  /* core/math/loss.h */
struct engine; /* worker/engine.h */
struct trace;  /* worker/trace.h */

struct task_work {
    const struct task_kind *kind;

    /* Reads the samples of t, which passed kind->check, into e->episode. ERR_DATA, ERR_IO. */
    int (*read)(struct engine *e, const struct task *t);
    /* Computes what `read` has read: adds to e->metrics and overwrites e->gradient if the kind
     * gives one.
     *   theta  (P of a model) read only; not read by kinds that give a state
     *   state  (task_state_size) stepped in place, for kinds that give a state; NULL for others
     * Nothing else outlives the call. ERR_NONFINITE: the task has failed. ERR_STOPPED: it was
     * abandoned. */
    int (*run)(struct engine *e, const struct task *t, const real *theta, real *state);
    /* Finds where the last task, which failed at theta (P of a model: of a state what it had
     * become), left the finite numbers. ERR_MEMORY, ERR_DATA. */
    int (*trace)(struct engine *e, const struct task *t, const real *theta, struct trace *out);
};

extern const struct task_work work_episode, work_batch, work_domain, work_watch,
    work_evaluation_episode, work_whole_set;

extern const struct task_work *const task_works[]; /* one for each of task_kinds, ended by NULL */

/* What is done with tasks of that kind; every kind of task_kinds has an entry. */
const struct task_work *task_work_of(const struct task_kind *kind);

/* ---- kind/batch.c: what several kinds share ---- */

/* The method's contribution at theta to a task that is read, into e->gradient. As `run`. */
int work_outer(struct engine *e, const real *theta);

/* Counts a task of whose samples no loss is known: it weighs nothing in the means. */
void work_note_empty(struct engine *e, const struct batch *measured);

/* `read` and `trace` of kinds on batches. */
int work_read_batch(struct engine *e, const struct task *t);
int work_trace_batch(struct engine *e, const struct task *t, const real *theta, struct trace *out);

#endif
