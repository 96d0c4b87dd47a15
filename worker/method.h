/* method.h - a method maps (parameters, task) to a contribution and a tally. */
#ifndef WORKER_METHOD_H
#define WORKER_METHOD_H

#include "worker/episode.h"
#include "worker/unroll.h"

struct method_spec {
    int inner_steps;
    double inner_rate;
    int evaluate_steps; /* inner steps of evaluation                          */
    int n_support;      /* samples of a task: support, query, evaluation query */
    int n_query;
    int n_evaluate;
    size_t memory; /* bytes for kept activations                         */
};

struct method {
    const struct method_ops *ops;  /* borrowed */
    const struct net *net;         /* borrowed */
    size_t n;                      /* P */
    struct unroll train, evaluate; /* in the arena; they overlay each other */
};

struct method_ops {
    const char *name;
    const char *summary;
    bool second; /* exact second order */
    /* Add one task's contribution to grad.
     *   ep     support and query batches; read only
     *   theta  (P) read only          grad  (P) ADDED to; untouched on error
     *   tally  losses and accuracies, ADDED to; undefined on error
     * Errors: ERR_NONFINITE. Not collective. */
    int (*grad)(struct method *m, const struct episode *ep, const real *theta, real *grad,
                struct tally *tally);
};

extern const struct method_ops *const method_table[]; /* ended by NULL */
const struct method_ops *method_find(const char *name);

/* Takes all work space from the arena (which may be measuring). */
void method_init(struct method *m, const struct method_ops *ops, const struct net *net,
                 const struct method_spec *spec, struct arena *arena);

/* Adapts theta to ep's support and measures on its query before every step and after the last:
 * TALLY_CURVE of steps 0 .. evaluate_steps, and TALLY_LOSS, TALLY_ACCURACY after the last. outputs,
 * where not NULL: ((evaluate_steps + 1) x n_evaluate x n_out). ERR_NONFINITE. */
int method_evaluate(struct method *m, const struct episode *ep, const real *theta,
                    struct tally *tally, real *outputs);

/* Useful floating-point operations of one training task: a gradient per inner step, a Hessian-vector
 * product (twice a gradient) per inner step where exact, and the query's gradient. */
double method_flops(const struct method *m);

#endif
