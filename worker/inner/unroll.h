/* unroll.h - the inner loop and its adjoint.
 *
 *     theta_{k+1} = theta_k - rate * (grad L_support(theta_k) + proximal (theta_k - theta_0))
 *                                                                k = 0 .. K-1        math.md (5.1)
 *     adjoint_k   = adjoint_{k+1} - H(theta_k) (rate * adjoint_{k+1})                math.md (5.3)
 *
 * with one rate per parameter. What a method changes in it is in struct unroll_spec; no method is
 * named here. Activations of a step are kept while all steps fit the memory stated; else the
 * adjoint recomputes each step's, to the same bits. */
#ifndef WORKER_INNER_UNROLL_H
#define WORKER_INNER_UNROLL_H

#include "core/base/arena.h"
#include "core/math/net.h"
#include "core/plan/metric.h"
#include "worker/inner/episode.h"
#include "worker/inner/minibatch.h"
#include "worker/inner/pass.h"

enum unroll_second {
    SECOND_NONE,    /* no Hessian-vector product: theta_k is forgotten after two steps */
    SECOND_LAST,    /* unroll_curvature: products at theta_K alone */
    SECOND_THROUGH, /* unroll_adjoint: one at every theta_k */
};

struct unroll_spec {
    /* Set by the method (method_ops.inner). */
    enum unroll_second second;
    int above;       /* the loop moves layers from this index on; 0: all of them */
    double proximal; /* pull towards theta_0 */
    bool adam; /* steps by Adam without momentum, fresh for each task; else plain gradient steps */
    int minibatch;      /* samples of the support a step takes, in turn; 0: all of it */
    bool rate_gradient; /* unroll_adjoint also computes d loss / d rate */
    /* Fills rate (P) when a task begins; it holds `rate` for all learnable parameters before the
     * first task, and 0 for statistics. NULL: it stays so. */
    void (*rates)(const void *context, const real *theta, real *rate);
    const void *context; /* borrowed: of rates */
    /* Set by the caller. */
    int steps;     /* K >= 0 */
    double rate;   /* inner rate */
    bool evaluate; /* network in evaluation mode (running statistics) */
    int n_support, n_query;
    size_t memory; /* bytes for kept activations */
    bool traced;   /* tapes keep what worker/trace.h looks at */
    int products;  /* Hessian-vector products at theta_K that the method makes: what it costs */
};

struct unroll {
    const struct net *net; /* borrowed */
    struct net moved;      /* the layers that the loop moves: a view of net */
    struct unroll_spec spec;
    const struct pass_hook *hook; /* borrowed; NULL: none */
    int n_tapes;                  /* steps whose activations are kept: spec.steps or 1 */
    int n_rooms;                  /* thetas that are kept behind theta_0 */
    const real *start;            /* theta_0; borrowed from the caller of unroll_forward */
    real **room;                  /* (n_rooms) theta_1 ..., in turn */
    struct tape *support;         /* (n_tapes) */
    struct tape query, tangents;
    struct tape below;   /* the support through the layers that the loop does not move */
    struct batch inputs; /* the support as the moved layers see it */
    struct minibatch minibatch;
    real *rate, *gradient, *adjoint;  /* (P) each */
    real *statistics;                 /* (net_statistics) in evaluation */
    real *direction;                  /* (P) if spec.second */
    real *g_inputs, *g_input_tangent; /* (n_support x inputs of moved) if spec.above */
    real *g_rate;                     /* (P) d loss / d rate, if spec.rate_gradient */
    real **kept;                      /* (K) gradient of each step, if spec.rate_gradient */
    real *adam;                       /* (2 P) if spec.adam */
};

/* Takes everything from the arena: nothing is allocated later. */
void unroll_init(struct unroll *u, const struct net *net, const struct unroll_spec *spec,
                 struct arena *arena);

/* theta_k; without an adjoint only the last two are kept. */
const real *unroll_theta(const struct unroll *u, int k);

/* A task begins: theta_0 = theta, its rates, and its support below the moved layers. */
void unroll_begin(struct unroll *u, const real *theta, const struct episode *ep);

/* One step from theta_k to theta_{k+1}; returns the support loss before it. accuracy gets the
 * support accuracy before it, 0 for regression; NULL: not wanted. */
double unroll_step(struct unroll *u, int k, const struct episode *ep, double *accuracy);

/* unroll_begin and all K steps. Support loss before the first, and before each into the curve, with
 * its accuracy. ERR_NONFINITE names the step whose loss is not finite. */
int unroll_forward(struct unroll *u, const real *theta, const struct episode *ep,
                   struct task_metrics *metrics);

/* The network's outputs for the query at theta_k (n_query x n_out), which live on its tape. */
const real *unroll_outputs(struct unroll *u, int k, const struct episode *ep);

/* The same at any theta (P of the network), whatever the loop has done; labels are not read.
 * statistics: what the samples are normalised by (net_forward_by), or NULL. */
const real *unroll_outputs_at(struct unroll *u, const real *theta, const struct episode *ep,
                              const real *statistics);

/* In evaluation: u->statistics of the support at theta; returns them, NULL if the network has
 * none. */
const real *unroll_observe(struct unroll *u, const real *theta, const struct episode *ep);

/* Adds query loss and accuracy at theta_K to metrics; its gradient into u->adjoint (overwritten),
 * where statistics hold stat - observed. ERR_NONFINITE. */
int unroll_query(struct unroll *u, const struct episode *ep, struct task_metrics *metrics);

/* u->adjoint: from d loss / d theta_K to d loss / d theta_0. SECOND_THROUGH. */
void unroll_adjoint(struct unroll *u, const struct episode *ep);

/* Makes the support's tape at theta_K; then hv (P, overwritten) = H(theta_K) v as often as wanted.
 * SECOND_LAST. */
void unroll_curvature(struct unroll *u, const struct episode *ep);
void unroll_hvp(struct unroll *u, const real *v, real *hv);

/* Useful floating-point operations of the loop, the query's pass and the adjoint. */
double unroll_flops(const struct net *net, const struct unroll_spec *spec);

#endif
