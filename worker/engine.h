/* engine.h - one compute thread's private work space: a task in, its contribution added to a total. */
#ifndef WORKER_ENGINE_H
#define WORKER_ENGINE_H

#include <stdatomic.h>

#include "core/plan/round_sum.h"
#include "core/plan/setup.h"
#include "worker/method.h"

struct engine {
    const struct setup *setup; /* borrowed */
    const struct stage *stage; /* the one it is laid out for; NULL before engine_begin */
    bool evaluates;            /* it is laid out for evaluation, which overlays training */
    struct arena arena;
    struct episode episode;
    struct method method;
    struct round_sum total;
    struct task_metrics metrics;
    bool failed;                  /* the last task was set aside */
    const atomic_bool *abandoned; /* borrowed; NULL: never: ends a task of several steps */
    int64_t *words;               /* of total */
    real *gradient;               /* (P of a model) */
};

/* The work space of a method for tasks of that stage, in training or in evaluation. */
struct method_spec engine_spec(const struct setup *s, const struct stage *stage, bool evaluates);

/* Bytes of work space that any stage of the configuration needs, per thread. */
size_t engine_size(const struct setup *s);

/* Allocates it. ERR_MEMORY. */
int engine_open(struct engine *e, const struct setup *s);
void engine_close(struct engine *e);

/* Lays the work space out for a stage and purpose and clears the total: once per round, before its tasks. anchor: the parameters
 * of the stage's anchor, borrowed; NULL where it has none. */
void engine_begin(struct engine *e, const struct stage *stage, enum purpose purpose,
                  const real *anchor);

/* Checks that the task fits the stage and the data, reads its samples, and adds its contribution at
 * theta (training) or what it measures (theta is one model) to e->total. A task that is not finite or beyond the
 * sum's grid counts as failed, is told by e->failed, and is no error. ERR_DATA for a task that cannot be read. */
int engine_run(struct engine *e, const struct task *t, const real *theta, enum purpose purpose);

/* The same for a task that takes its model's own steps: state is the model (P) and its optimizer's vectors (n_state P),
 * which are stepped in place; of a task that fails they are undefined. ERR_STOPPED where it was abandoned. The metrics are the mean over its steps. */
int engine_run_steps(struct engine *e, const struct task *t, real *state);

/* Reals of such a state; 0 where the coordinator steps. */
size_t engine_state_size(const struct stage *stage);

/* The size of the largest task of a stage. */
struct task_size engine_task_size(const struct stage *stage);

#endif
