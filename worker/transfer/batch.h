/* batch.h - what methods on batches share: passes over them, and the supervised loss. */
#ifndef WORKER_TRANSFER_BATCH_H
#define WORKER_TRANSFER_BATCH_H

#include "worker/contract/method.h"

struct tap { /* an activation that a method compares */
    int act;
    real *source, *target; /* gradients with respect to it */
};

/* Work space of a method on batches; a method takes the parts that it needs. */
struct passes {
    struct tape source, target; /* the network over both batches */
    struct tape anchor, aux;    /* the anchor's over the source; the network beside the main one */
    int n_taps;
    struct tap *taps;                     /* (n_taps) highest first */
    struct inlet *inlets;                 /* (n_taps + 1) */
    int act;                              /* of a method that takes one: which it is ... */
    int anchor_act;                       /* ... in the anchor's network, which may have dropout */
    real *g_outputs, *g_features, *g_aux; /* gradients on the way */
    real *spare;                          /* (P) that nobody reads */
    double *scratch;
};

/* Tapes over n_source and n_target samples; the target's only if it is drawn. m->state is a
 * struct passes. */
void batch_init(struct method *m, const struct method_spec *spec, struct arena *arena);

/* m->passes = m->state, without any tape. */
void batch_begin(struct method *m);

/* A tape of the anchor's network, in evaluation mode. */
void batch_init_anchor(struct method *m, int n, struct arena *arena);

/* A tape of one of the networks beside the main one. */
void batch_init_aux(struct method *m, const struct aux *p, int n, struct arena *arena);

/* Forward over a batch; returns the outputs. */
const real *batch_forward(struct method *m, const struct episode *ep, const struct batch *b,
                          const real *theta, struct tape *t);
/* Forward over a batch by the anchor; returns its outputs. */
const real *batch_anchor(struct method *m, const struct batch *b);

/* Outputs y (b->n x n_out) of the main network against the labels: METRIC_LOSS, METRIC_ACCURACY,
 * and the loss's gradient into g_outputs. Returns the loss. */
double batch_supervise(struct method *m, const struct batch *b, const real *y,
                       struct task_metrics *metrics);

/* The gradient that enters at g_outputs, back through t: grad (P) ADDED to. */
void batch_backward(struct method *m, const struct batch *b, struct tape *t, const real *theta,
                    real *grad);

#endif
