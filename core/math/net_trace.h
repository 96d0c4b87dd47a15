/* net_trace.h - where a pass left the finite numbers: a walk over the tape it leaves, in the pass's
 * own order.
 *
 * For looking at one task afterwards (worker/trace.h): the passes themselves check nothing. */
#ifndef CORE_MATH_NET_TRACE_H
#define CORE_MATH_NET_TRACE_H

#include "core/math/net.h"

enum { TRACE_CLEAN = -1 };

/* After net_forward over n samples on a tape that keeps its activations: the first layer whose
 * output holds a NaN or an infinity, or TRACE_CLEAN. Tangents: the same of net_hvp's tangents of
 * the outputs. */
int net_trace_forward(const struct net *net, const struct tape *t, int n);
int net_trace_forward_tangent(const struct net *net, const struct tape *tangents, int n);

/* After net_backward on a TAPE_SECOND tape into a gw that was zero: the first layer, from the last
 * down, whose part of gw or whose input's gradient is not finite; n_layers for the loss's own
 * gradient; or TRACE_CLEAN. Tangents: the same of net_hvp, on tangents that keep all gradients
 * (net_trace_tangents), with its hv. */
int net_trace_backward(const struct net *net, const struct tape *t, int n, const real *gw);
int net_trace_backward_tangent(const struct net *net, const struct tape *tangents, int n,
                               const real *hv);

/* tape_init_tangents, with all gradients kept. */
void net_trace_tangents(struct tape *tangents, const struct net *net, int n, struct arena *arena);

#endif
