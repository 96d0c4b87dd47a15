/* unroll.h - the inner loop and its adjoint.
 *
 *     theta_{k+1} = theta_k - rate * grad L_support(theta_k),   k = 0 .. K-1        math.md (5.1)
 *     adjoint_k   = adjoint_{k+1} - H(theta_k) (rate * adjoint_{k+1})               math.md (5.3)
 *
 * with one rate per parameter. Activations of a step are kept while all steps fit the memory stated;
 * else the adjoint recomputes each step's, to the same bits. */
#ifndef WORKER_INNER_UNROLL_H
#define WORKER_INNER_UNROLL_H

#include "core/base/arena.h"
#include "core/math/net.h"
#include "core/plan/metric.h"

struct unroll_spec {
    int steps;     /* K >= 0 */
    real *rate;    /* (P) borrowed: unroll_rates */
    bool second;   /* an adjoint will be asked for */
    bool evaluate; /* network in evaluation mode (running statistics) */
    int n_support, n_query;
    size_t memory; /* bytes for kept activations */
};

struct unroll {
    const struct net *net; /* borrowed */
    struct unroll_spec spec;
    int n_tapes;                      /* steps whose activations are kept: spec.steps or 1 */
    real *rate;                       /* (P) */
    const real *theta[STEPS_MAX + 1]; /* theta[0] borrowed from the caller, the rest in place */
    real *room[STEPS_MAX + 1];
    struct tape support[STEPS_MAX], query, tangents;
    real *gradient, *adjoint, *direction; /* (P) each */
};

/* The inner rate of every parameter: `rate` for the learnable, 0 for statistics. Unlike the rest of an unroll it
 * is filled now: nothing may overlay it. */
real *unroll_rates(const struct net *net, double rate, struct arena *arena);

/* Takes everything else from the arena: nothing is allocated later. */
void unroll_init(struct unroll *u, const struct net *net, const struct unroll_spec *spec,
                 struct arena *arena);

/* What dropout's masks follow from until the next call: noise.pass is k at inner step k, K at the query. */
void unroll_noise(struct unroll *u, struct noise noise);

/* One step from theta[k] to theta[k + 1]; returns the support loss before it. accuracy, where not NULL, gets the support
 * accuracy before it; 0 for regression. */
double unroll_step(struct unroll *u, int k, const struct batch *support, double *accuracy);

/* theta_0 = theta; all K steps. Support loss before the first, and before each into the curve, with its accuracy.
 * ERR_NONFINITE names the step whose loss is not finite. */
int unroll_forward(struct unroll *u, const real *theta, const struct batch *support,
                   struct tally *tally);

/* Query loss and accuracy at theta_K into tally; its gradient into u->adjoint (overwritten). */
int unroll_query(struct unroll *u, const struct batch *query, struct tally *tally);

/* u->adjoint: from d loss / d theta_K to d loss / d theta_0. spec.second must be set. */
void unroll_adjoint(struct unroll *u, const struct batch *support);

#endif
