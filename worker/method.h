/* method.h - a method maps (parameters, task) to a contribution and a tally. */
#ifndef WORKER_METHOD_H
#define WORKER_METHOD_H

#include "core/plan/setup.h"
#include "worker/episode.h"
#include "worker/inner/unroll.h"

struct method_spec {
    int evaluate_steps; /* inner steps of evaluation                          */
    int n_support;      /* samples of a few-shot task: support, query, evaluation query */
    int n_query;
    int n_evaluate;
    int n_source, n_target, n_measure; /* of a step's batches; of a batch of evaluation */
    size_t memory;                     /* bytes for kept activations                    */
};

enum { TAPS_MAX = 8 };

struct taps { /* activations that a method compares, highest first */
    int n, act[TAPS_MAX];
    real *source[TAPS_MAX], *target[TAPS_MAX]; /* gradients with respect to them */
};

struct method {
    const struct method_ops *ops;  /* borrowed */
    const struct setup *setup;     /* borrowed */
    const struct stage *stage;     /* borrowed */
    const struct net *net;         /* borrowed: the stage's */
    const struct net *anchor_net;  /* borrowed: that of the stage it is anchored to; NULL: none */
    const real *anchor;            /* borrowed: its parameters; set before grad */
    size_t n;                      /* P of a model */
    real *rate;                    /* (P of the network) inner rates */
    struct unroll train, evaluate; /* few-shot tasks; in the arena, they overlay each other */
    struct tape measure, measure_old; /* evaluation on whole sets; overlay as well */
    /* A method's own, as its init takes them: passes of the network over the batches, of the anchor's, of the network beside it. */
    struct tape source_tape, target_tape, anchor_tape, aux_tape;
    struct taps taps;
    int anchor_act; /* the adversary's: the same activation in the anchor's network, which may have dropout */
    real *g_outputs, *g_features, *g_aux, *spare; /* gradients on the way; (P) that nobody reads */
    double *scratch;
};

struct method_ops {
    const char *name;
    const char *summary;
    struct form form;
    bool second; /* exact second order */
    /* Takes work space for batches of n_source and n_target samples; NULL: it has none. */
    void (*init)(struct method *m, const struct method_spec *spec, struct arena *arena);
    /* Add one task's contribution to grad.
     *   ep     support and query, or source and target batches; read only
     *   theta  (P) read only          grad  (P) ADDED to; undefined on error
     *   tally  losses and accuracies, ADDED to; undefined on error
     * Errors: ERR_NONFINITE. Not collective. */
    int (*grad)(struct method *m, const struct episode *ep, const real *theta, real *grad,
                struct tally *tally);
    /* Looks, without labels, at what has become of the target: enum watch_slot into tally. NULL: nothing to look at.
     * ERR_NONFINITE. */
    int (*watch)(struct method *m, const struct episode *ep, const real *theta,
                 struct tally *tally);
};

extern const struct method_ops *const method_table[]; /* ended by NULL */
const struct method_ops *method_find(const char *name);
const struct form *method_form(const char *name); /* a form_find */

/* Takes all work space from the arena (which may be measuring). */
void method_init(struct method *m, const struct setup *setup, const struct stage *stage,
                 const struct method_spec *spec, struct arena *arena);

/* Adapts theta to ep's support and measures on its query before every step and after the last:
 * TALLY_CURVE of steps 0 .. evaluate_steps, and TALLY_LOSS, TALLY_ACCURACY after the last. outputs,
 * where not NULL: ((evaluate_steps + 1) x n_evaluate x n_out). ERR_NONFINITE. */
int method_evaluate(struct method *m, const struct episode *ep, const real *theta,
                    struct tally *tally, real *outputs);

/* Measures theta on ep's source batch, in evaluation mode: TALLY_SAMPLES, and TALLY_CURVE of step 0 as sums over
 * samples. data: whose samples they are. outputs, where not NULL: (n x outputs). ERR_NONFINITE. */
int method_measure(struct method *m, const struct episode *ep, int data, const real *theta,
                   struct tally *tally, real *outputs);

/* ---- batch.c: what methods on batches share ---- */

/* Tapes over n_source and n_target samples; the target's only where it is drawn. */
void batch_init(struct method *m, const struct method_spec *spec, struct arena *arena);

/* A tape of the anchor's network, in evaluation mode. */
void batch_init_anchor(struct method *m, int n, struct arena *arena);

/* A tape of one of the networks beside the main one. */
void batch_init_aux(struct method *m, const struct aux *p, int n, struct arena *arena);

/* Forward over a batch; returns the outputs. */
const real *batch_forward(struct method *m, const struct episode *ep, const struct batch *b,
                          const real *theta, struct tape *t);
const real *batch_anchor(struct method *m, const struct batch *b);

/* Outputs y (b->n x n_out) of the main network against the labels: TALLY_LOSS, TALLY_ACCURACY, and the
 * loss's gradient into m->g_outputs. Returns the loss. */
double batch_supervise(struct method *m, const struct batch *b, const real *y, struct tally *tally);

/* The gradient that enters at m->g_outputs, back through t: grad (P) ADDED to. */
void batch_backward(struct method *m, const struct batch *b, struct tape *t, const real *theta,
                    real *grad);

/* Useful floating-point operations of one training task. Few-shot: a gradient per inner step, a Hessian-vector
 * product (twice a gradient) per inner step where exact, and the query's gradient. Batches: a gradient of each. */
double method_flops(const struct method *m);

#endif
