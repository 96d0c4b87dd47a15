/* engine.h - one compute thread's private work space: a task in, its contribution added to a total. */
#ifndef WORKER_ENGINE_H
#define WORKER_ENGINE_H

#include "core/setup.h"
#include "core/total.h"
#include "worker/method.h"

struct engine {
    const struct setup *setup; /* borrowed */
    const struct stage *stage; /* the one it is laid out for; NULL before engine_stage */
    struct arena arena;
    struct episode episode;
    struct method method;
    struct total total;
    struct tally tally;
    bool failed;    /* the last task was set aside */
    int64_t *words; /* of total */
    real *gradient; /* (P) */
};

/* Bytes of work space that any stage of the configuration needs, per thread. */
size_t engine_size(const struct setup *s);

/* Allocates it. ERR_MEMORY, ERR_CONFIG for an unknown method. */
int engine_open(struct engine *e, const struct setup *s);
void engine_close(struct engine *e);

/* Lays the work space out for a stage and clears the total: once per round, before its tasks. */
void engine_begin(struct engine *e, const struct stage *stage, bool evaluate);

/* Checks that the task fits the stage and the data, reads its samples, and adds its contribution at
 * theta (training) or its curve (evaluation) to e->total. A task that is not finite or beyond the sum's grid
 * counts as failed, is told by e->failed, and is no error. ERR_DATA for a task that cannot be read. */
int engine_run(struct engine *e, const struct task *t, const real *theta, bool evaluate);

/* The size of the largest task of a stage. */
struct task_size engine_task_size(const struct stage *stage);

#endif
