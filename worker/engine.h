/* engine.h - one compute thread's private work space: a task in, its contribution added to a
 * total. */
#ifndef WORKER_ENGINE_H
#define WORKER_ENGINE_H

#include <stdatomic.h>

#include "core/plan/round_sum.h"
#include "core/plan/setup.h"
#include "worker/contract/method.h"

struct trace; /* worker/trace.h */

struct engine {
    const struct setup *setup; /* borrowed */
    const struct stage *stage; /* the one it is laid out for; NULL before engine_begin */
    bool evaluates;            /* it is laid out for evaluation, which overlays training */
    struct arena arena;
    struct episode episode;
    struct method method;
    struct round_sum total;       /* of the round; undefined while it is empty */
    bool empty;                   /* no task has been run in this round */
    struct task_metrics metrics;  /* of the task at hand */
    struct task_metrics step;     /* of one step of a task that takes several */
    enum purpose purpose;         /* of the round */
    bool apart;                   /* what a task gives is not added to the total: ... */
    uint64_t checksum;            /* ... round_sum_checksum of what would have been */
    bool failed;                  /* the last task was set aside */
    const atomic_bool *abandoned; /* borrowed; NULL: never: ends a task of several steps */
    int64_t *words;               /* of total */
    real *gradient;               /* (P of a model) */
};
_Static_assert(sizeof(struct engine) < 4096, "lists and buffers belong into the arena");

/* Bytes of work space that any stage of the configuration needs, per thread. */
size_t engine_size(const struct setup *s);

/* Allocates it. ERR_MEMORY. */
int engine_open(struct engine *e, const struct setup *s);
void engine_close(struct engine *e);

/* Lays the work space out for a stage and purpose and empties the total: once per round, before its
 * tasks. The first task clears the words, in the thread that runs it. anchor: the parameters of the
 * stage's anchor, borrowed; NULL if it has none. */
void engine_begin(struct engine *e, const struct stage *stage, enum purpose purpose,
                  const real *anchor);

/* Checks that t is a task of this round, reads its samples, and adds what its kind gives to
 * e->total.
 *   theta  (P of a model) the round's parameters, read only
 *   state  (task_state_size) of a kind that gives a state: the model (P), then its optimizer's
 *          vectors,
 *          stepped in place, undefined if the task fails; NULL for other kinds
 * If e->apart, e->total stays as it is and e->checksum becomes that of what would have been added.
 * A task that is not finite or beyond the sum's grid counts as failed: e->failed says so, and it is
 * no error. ERR_DATA for a task that does not fit or cannot be read; ERR_STOPPED if *abandoned was
 * set. Not collective. */
int engine_run(struct engine *e, const struct task *t, const real *theta, real *state);

/* Adds e->gradient and e->metrics of a computed task, or a failed one (code ERR_NONFINITE), to the
 * total; if e->apart, to the checksum alone. Other codes are returned. For those who replace
 * engine_run. */
int engine_add(struct engine *e, int code);

/* Before the first task that is added. */
void engine_clear(struct engine *e);

/* What compute threads do, and with which engines: compute_tasks, or a simulation of it. */
struct compute {
    int (*open)(struct engine *e, const struct setup *s);
    void (*close)(struct engine *e);
    void (*begin)(struct engine *e, const struct stage *stage, enum purpose purpose,
                  const real *anchor);
    int (*run)(struct engine *e, const struct task *t, const real *theta, real *state);
};

extern const struct compute compute_tasks; /* engine_open, _close, _begin and _run */

/* Finds where the task that engine_run has just failed left the finite numbers; theta: the
 * parameters that it failed at, of a state its model. ERR_MEMORY, ERR_DATA. */
int engine_trace(struct engine *e, const struct task *t, const real *theta, struct trace *out);

/* The size of the largest task of a stage. */
struct task_size engine_task_size(const struct stage *stage);

#endif
