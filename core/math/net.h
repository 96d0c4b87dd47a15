/* net.h - a network: layers in a row, planned once, and three passes over them.
 *
 * Values up, gradients down; tangents of both for a Hessian-vector product (forward-over-reverse,
 * Pearlmutter 1994). docs/math.md, section 1. */
#ifndef CORE_MATH_NET_H
#define CORE_MATH_NET_H

#include <stdbool.h>

#include "core/base/arena.h"
#include "core/math/layer.h"
#include "core/math/layout.h"
#include "core/math/loss.h"

struct net {
    int n_layers;
    struct layer *layers; /* owned, (n_layers) */
    struct layout layout; /* owned */
    struct shape in;
    int n_out;
    int first; /* the first layer that learns: below it nobody wants gradients */
    struct loss loss;
};

/* Plans n_specs layers on samples of shape `in`; a dense layer marked `head` gets n_out features.
 * The last layer must give n_out outputs. Errors, after which net is empty: ERR_CONFIG names the
 * layer, ERR_MEMORY. */
int net_plan(struct net *net, const struct layer_spec *specs, int n_specs, struct shape in,
             int n_out, const struct loss *loss);
void net_release(struct net *net); /* leaves it empty; an empty one may be released */

/* The layers from index `above` on as a network of their own, with the same theta and layout: it
 * borrows from net. Its input is that of layer `above`. */
struct net net_above(const struct net *net, int above);

/* "conv2" for the second layer whose segments are named so, "head" for the head; of a layer without
 * weights its type. */
void net_layer_name(const struct net *net, int i, char *name, size_t n);

/* Whether a sample's outputs in evaluation depend on the others of its batch: batch statistics. */
bool net_is_coupled(const struct net *net);

/* Reals of a batch that this dependence goes through (mean and scale of each channel); 0: none. */
size_t net_statistics(const struct net *net);

/* Multiply-adds, counted as two operations, of n samples: one forward pass; one forward and
 * backward pass, without the first layer's input gradient. Matrix products only. */
double net_flops_forward(const struct net *net, int n);
double net_flops_gradient(const struct net *net, int n);

/* What a pass over n samples leaves behind. Its lists and their buffers belong to the arena that it
 * was laid out in; buffers may overlay those of other tapes, lists do not. */
struct tape {
    int n;
    bool evaluate, fixed, source; /* see struct io */
    real *statistics;             /* likewise, of all layers (net_statistics); borrowed */
    bool given;                   /* likewise */
    struct noise noise;           /* set before net_forward; dropout's masks follow from it */
    /* (n_layers + 1) act[i]: input of layer i; act[0].v is the batch's x, borrowed */
    struct pair *act;
    struct pair *save; /* (n_layers) */
    struct pair *grad; /* (n_layers + 1) of the loss with respect to act[i] */
    real *scratch;     /* borrowed, shared by the tapes of one thread */
};

enum tape_use {
    TAPE_VALUES,   /* forward only: two activations alternate                            */
    TAPE_GRADIENT, /* and backward: all activations, two gradients alternate              */
    TAPE_SECOND,   /* and Hessian-vector products later: all gradients are kept as well  */
};

/* Takes lists and buffers for up to n samples from the arena; while it measures, the lists are
 * NULL. */
void tape_init(struct tape *t, const struct net *net, int n, enum tape_use use, real *scratch,
               struct arena *arena);

/* The scratch that every layer of the network can do with, for up to n samples. */
real *tape_scratch(const struct net *net, int n, struct arena *arena);

/* Lends a TAPE_SECOND tape the buffers of a Hessian-vector product; several tapes may share one
 * `tangents`, one at a time. */
void tape_init_tangents(struct tape *tangents, const struct net *net, int n, struct arena *arena);

/* Forward over batch b; returns the outputs (b->n x n_out), which live on the tape. */
const real *net_forward(const struct net *net, const real *theta, const struct batch *b,
                        struct tape *t);

/* Forward over batch b; keeps its statistics (net_statistics). */
void net_observe(const struct net *net, const real *theta, const struct batch *b, struct tape *t,
                 real *statistics);

/* Forward over batch b by statistics that net_observe kept of another: a sample's outputs depend on
 * no other of b. NULL: as net_forward. No pass back may follow. */
const real *net_forward_by(const struct net *net, const real *theta, const struct batch *b,
                           struct tape *t, const real *statistics);

/* After net_forward: gw (P) += gradient of the batch's mean loss. */
void net_backward(const struct net *net, const real *theta, const struct batch *b, struct tape *t,
                  real *gw);

/* A gradient that enters a network at an activation: act 1 is the first layer's output, n_layers
 * the network's. */
struct inlet {
    int act;
    const real *g; /* (n x size of the activation) */
};

/* After net_forward: gw (P) += the gradient of a loss whose gradients with respect to some
 * activations are those of the inlets (n_inlets, by descending act). gx: the gradient with respect
 * to the input, overwritten; NULL: not wanted, else the first layer must have weights. */
void net_backward_from(const struct net *net, const real *theta, int n, struct tape *t,
                       const struct inlet *inlets, int n_inlets, real *gw, real *gx);

/* The activation that a layer's name (net_layer_name) stands for: its output, or that of the
 * LAYER_ACTIVATION right behind it. 0: no layer has that name. */
int net_tap(const struct net *net, const char *name);
int net_features(const struct net *net);             /* the head's input */
size_t net_act_size(const struct net *net, int act); /* of one sample */

/* After net_backward on a TAPE_SECOND tape: hv (P) += H v, with H the Hessian of the batch's mean
 * loss at theta. gx: the derivative along v of the gradient with respect to the input, overwritten;
 * NULL: not wanted, else the first layer must have weights. The loss must have grad_tangent. */
void net_hvp(const struct net *net, const real *theta, const real *v, const struct batch *b,
             const struct tape *t, struct tape *tangents, real *hv, real *gx);

/* The outputs that the last net_forward left on the tape. */
const real *net_outputs(const struct net *net, const struct tape *t);

#endif
