/* method.h - a method maps (parameters, task) to a contribution and what it measured. A method is
 * one const struct at the end of its file in worker/method/, whose table.c lists them all.
 * docs/adding.md has a worked example. */
#ifndef WORKER_CONTRACT_METHOD_H
#define WORKER_CONTRACT_METHOD_H

#include "core/plan/setup.h"
#include "worker/inner/episode.h"
#include "worker/inner/unroll.h"

struct method_spec {                   /* the work space that is wanted */
    bool evaluate;                     /* for measuring parameters; else for contributions */
    bool traced;                       /* tapes keep what worker/trace.h looks at */
    int steps;                         /* inner steps */
    int n_support, n_query;            /* samples of a few-shot task */
    int n_source, n_target, n_measure; /* of a step's batches; of a batch of evaluation */
    size_t memory;                     /* bytes for kept activations */
};

struct method {
    const struct method_ops *ops; /* borrowed */
    const struct setup *setup;    /* borrowed */
    const struct stage *stage;    /* borrowed */
    const struct net *net;        /* borrowed: the stage's */
    const struct net *anchor_net; /* borrowed: that of the stage it is anchored to; NULL: none */
    const real *anchor;           /* borrowed: its parameters; set before a task */
    size_t n;                     /* P of a model */
    void *state;                  /* (ops->size) the method's own; in the arena */
    const struct pass_hook *hook; /* borrowed; NULL: none (method_hook) */
    struct unroll *inner;         /* trained or evaluated; in the arena; NULL: no inner loop */
    struct passes *passes;        /* worker/transfer/batch.h; NULL: none */
    struct tape measure, measure_old; /* evaluation on whole sets */
};

struct adapted {        /* what a method has made of a support set: enough to answer queries */
    const real *theta;  /* (P of the stage's network) after the inner loop; else as it was */
    const real *memory; /* (n_out x ops->remembers), NULL: none */
    int n_out;          /* outputs of a sample */
    /* (net_statistics) of the support at theta: each query is answered by these, alone (inductive);
     * NULL: all by their own (transductive) */
    const real *statistics;
};

struct method_ops {
    const char *name;
    const char *summary;
    struct method_traits traits;
    /* Keys of section `stage` that it takes and some others do not: names, ended by NULL. */
    const char *const *takes;
    /* Rows of its own, ended by {0}, offsets in a struct of keys_size bytes: stage->own. NULL:
     * none. */
    const struct config_key *keys;
    size_t keys_size;
    /* Why the contribution is not the gradient of the loss that it tells, as "method 'x' ..." goes
     * on. NULL, as the slot or as the answer: it is, to all orders. */
    const char *(*unproved)(const struct stage *s);
    /* Bytes of the method's own state. The core takes them from the arena; they are zero before
     * init. */
    size_t size;
    /* What the method changes in the inner loop of its few-shot tasks, in training and in
     * evaluation alike: s holds plain gradient descent at the configured rate. NULL: it has no
     * inner loop. */
    void (*inner)(const struct method *m, struct unroll_spec *s);
    /* Takes the method's work space from the arena, for training or for evaluation as spec says.
     * The arena may be measuring: then pointers into it are NULL, and nothing is written there.
     * NULL: nothing to take. */
    void (*init)(struct method *m, const struct method_spec *spec, struct arena *arena);
    /* Adds one task's contribution to grad: the direction that the outer optimizer descends along,
     * the mean over a round's tasks.
     *   ep     support and query, or source and target batches; read only
     *   theta  (P) read only          grad  (P) ADDED to; undefined on error
     *   metrics  losses and accuracies, ADDED to; undefined on error
     * A segment of role stat gets stat - observed, once a task: unroll_query and net_backward do
     * that. Scratch: the method's work space. Errors: ERR_NONFINITE. Not collective. */
    int (*outer)(struct method *m, const struct episode *ep, const real *theta, real *grad,
                 struct task_metrics *metrics);
    /* How a few-shot task is measured, and queries are answered, without an inner loop. NULL, all
     * three: by the inner loop.
     * remembers: reals for each class of what `adapt` makes of a support.
     * adapt: of ep's support at a->theta; fills the rest of a, which lives in the method's work
     * space until the next call; a->statistics if the network has any.
     * answer: the outputs (n_query x a->n_out) of ep's query, likewise; a may be another's, of as
     * many classes as there was room for support samples. */
    size_t (*remembers)(const struct method *m);
    void (*adapt)(struct method *m, const struct episode *ep, struct adapted *a);
    const real *(*answer)(struct method *m, const struct episode *ep, const struct adapted *a);
    /* Looks, without labels, at what has become of the target: enum watch_slot into metrics. NULL:
     * nothing to look at. ERR_NONFINITE. */
    int (*watch)(struct method *m, const struct episode *ep, const real *theta,
                 struct task_metrics *metrics);
};

/* What methods take, for their `takes`: with the inner loop, on two domains, with a term of their
 * own. */
#define TAKES_INNER_LOOP "inner_steps", "inner_rate"
#define TAKES_TARGET "target", "target_batch"
#define TAKES_WEIGHT "weight", "weight_end", "weight_schedule"

/* Adds the gradient of the query loss at theta_K by theta, through every inner step. As
 * method_ops.outer, for methods whose inner loop is SECOND_THROUGH.           math.md (5.2, 5.3) */
int method_through_steps(struct method *m, const struct episode *ep, const real *theta, real *grad,
                         struct task_metrics *metrics);

/* A pass over b, the task's "support" or "query", on t, for methods without an inner loop; returns
 * the outputs. */
const real *method_forward(struct method *m, const struct episode *ep, const char *set,
                           const struct batch *b, const real *theta, struct tape *t);

/* The loss and accuracy of outputs y of n_out columns into METRIC_LOSS, METRIC_ACCURACY.
 * ERR_NONFINITE. */
int method_query(const struct method *m, const struct batch *query, int n_out, const real *y,
                 struct task_metrics *metrics);

#endif
