/* trace.h - finds where a task that was set aside leaves the finite numbers.
 *
 * The task is computed once more, by the same passes to the same bits, with a look at everything
 * after each:
 * parameters, samples, then per inner step forward, loss, backward and step, the query, the
 * adjoint's tangents. The first place wins. Work space of its own, so training pays nothing for
 * it. */
#ifndef WORKER_TRACE_H
#define WORKER_TRACE_H

#include <math.h>

#include "worker/engine.h"

enum trace_kind {
    TRACE_NONE,       /* everything that was checked is finite and fits                        */
    TRACE_PARAMETERS, /* theta itself: segment                                                    */
    TRACE_SAMPLE,     /* a sample's input or target: sample, and the first pass that it affects */
    /* a pass: step, pass, set, layer */
    TRACE_COMPUTATION,
    TRACE_SUM, /* finite, but beyond the sum's grid: quantity or segment, value            */
};

struct trace_sample {
    /* "source", "target": id is its place in file order; NULL: of a few-shot task */
    const char *batch;
    bool support; /* else query */
    int position; /* class k of the task, its i-th sample: k * each + i */
    uint32_t class_id, id, turns;
};

struct trace {
    enum trace_kind kind;
    struct trace_sample sample;
    int step; /* inner step; of the query: steps done before it; -1: none */
    /* "forward", "loss", "backward", "step", "forward tangent", "backward tangent", "adjoint";
     * NULL: none */
    const char *pass;
    const char *set;      /* the samples it ran over: "support", "query" */
    int layer;            /* index; -1: none */
    char name[48];        /* the layer's: "conv2" */
    const char *type;     /* "conv2d" */
    char segment[56];     /* of theta or of the gradient */
    const char *quantity; /* TRACE_SUM without a segment: "the query loss" */
    double value;         /* TRACE_SUM */
};

/* Traces task t at theta (P) in the stage that e is laid out for; reads its samples again.
 * ERR_MEMORY, ERR_DATA. */
int trace_task(struct engine *e, const struct task *t, const real *theta, bool evaluate,
               struct trace *out);

/* One sentence. d: the task's data, for the class's name. */
void trace_describe(const struct trace *f, const struct data *d, char *text, size_t n);

/* ---- trace_batch.c ---- */

/* The same of a training task or a look on batches, from what engine_run has left behind; theta:
 * the model (P) that it ran at, of several steps the one that failed. */
void trace_batch(const struct engine *e, const struct task *t, const real *theta,
                 struct trace *out);

/* The same of a batch of a whole set's evaluation. */
void trace_measure(const struct engine *e, const struct task *t, const real *theta,
                   struct trace *out);

/* Whether n numbers of a sample are finite; with holes, some may be missing (NaN). */
static inline bool trace_numbers_fine(size_t n, const real *x, bool holes)
{
    for (size_t i = 0; i < n; i++)
        if (isnan(x[i]) ? !holes : isinf(x[i]))
            return false;
    return true;
}

#endif
