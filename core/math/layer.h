/* layer.h - a layer is four functions with one signature.
 *
 * Activations are channels last, [n][h][w][c]; a plain vector of N features is shape {1, 1, N}.
 * The derivatives follow docs/math.md, section 2. Nothing here allocates. */
#ifndef CORE_MATH_LAYER_H
#define CORE_MATH_LAYER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/base/real.h"
#include "core/math/layout.h"

struct shape { /* of one sample */
    int h, w, c;
};

/* Numbers of one sample. */
static inline size_t shape_size(struct shape s)
{
    return (size_t)s.h * (size_t)s.w * (size_t)s.c;
}

/* The configuration of one layer. Zero means "not given". */
struct layer_spec {
    char type[16];           /* a name in the layer table                                        */
    int filters;             /* conv: output channels; dense: output features                    */
    int kernel, stride, pad; /* over a series (width 1), pools and conv1d: kernel x 1 */
    int percent; /* dropout: elements dropped; leaky_relu: slope below zero               */
    int groups;  /* groupnorm: of channels; residual: groupnorm of so many, not batchnorm   */
    bool bias;
    bool series;         /* conv1d: the window is kernel x 1; conv1d sets it */
    bool running;        /* batchnorm, residual: keep running statistics and evaluate with them */
    bool follows_target; /* if two domains train it, only the target's passes are observed */
    bool head;           /* dense: named "head", its size is the number of outputs            */
    bool holes;          /* normalize: a NaN is a number that is missing, and becomes 0 */
};

struct pair {
    real *v, *t; /* value, tangent; t is NULL outside a tangent pass */
};

/* A pass draws its random numbers from these, the layer's index, the sample's and the element's.
 * `pass` tells the passes of one task apart: inner step k, the query, a second network. */
struct noise {
    uint64_t seed;
    uint32_t round, slot, pass;
};

/* One call's operands for n samples. Tangents are those of values along a direction (w.t, x.t).
 *   x.t == NULL in forward_tangent/backward_tangent means zero (the network's input).
 *   gx.v == NULL (gx.t == NULL) means that the input's gradient (its tangent) is not wanted. */
struct io {
    int n;         /* samples                                                           */
    bool evaluate; /* batchnorm with running statistics normalises by them; no dropout  */
    bool source;   /* a pass over the source beside one over the target */
    bool fixed;    /* training normalises by the running statistics, which do not change */
    /* (l->statistics) where forward keeps those of its batch; if `given`, what it normalises by
     * instead. NULL: neither. */
    real *statistics;
    bool given;
    struct noise noise; /* the same in all four passes of a tape                         */
    uint32_t index;     /* of the layer in its network                                   */
    struct pair w, x, y;
    struct pair save; /* v: forward writes, backward reads; t: the same for the tangents     */
    struct pair gy;   /* read                                                              */
    struct pair gx;   /* overwritten                                                       */
    struct pair gw;   /* ADDED to                                                          */
    /* l->scratch + n * l->scratch_each reals, 64-byte aligned, content undefined */
    real *scratch;
};

struct layer {
    const struct layer_ops *ops; /* borrowed */
    struct layer_spec spec;
    struct shape in, out;
    size_t offset;                /* of its weights in the network's vector; net_plan fills it in */
    bool coupled;                 /* even in evaluation a sample's output depends on the batch */
    size_t statistics;            /* reals of a batch that this dependence goes through; 0: none */
    size_t statistics_at;         /* their place among the network's; net_plan fills it in */
    size_t n_w;                   /* weights, 0 for none                              */
    size_t save, save_each;       /* reals of save.v (and save.t): fixed, per sample   */
    size_t scratch, scratch_each; /* reals of scratch: fixed, per sample               */
    double multiply_adds;         /* of one sample's forward: matrix products only     */
    double input_adds;            /* of these, the products with x: what gx costs      */
};

/* The passes; each is pure in its operands.
 *   forward           y.v = f(x.v, w.v); leaves save.v
 *   backward          gx.v = (df/dx)^T gy.v, gw.v += (df/dw)^T gy.v
 *   forward_tangent   y.t = (df/dx) x.t + (df/dw) w.t; leaves save.t
 *   backward_tangent  gx.t and gw.t: the derivative of backward's results along (x.t, w.t, gy.t);
 *                     gx.v, gw.v are not touched                                             */
enum layer_kind {
    LAYER_PLAIN,      /* a product with weights, a pool, a mask */
    LAYER_ACTIVATION, /* a nonlinearity: a tap on the layer before it means its output */
    LAYER_NORM,       /* it normalises by statistics, of the batch or running ones */
    LAYER_INPUT,      /* its weights are constants: no gradient enters it or what is below */
};

/* A layer in PyTorch, as Python text. An input of {1, 1, N} may have four axes there, or two. */
struct torch_text {
    char module[160]; /* the expression that makes its module; "": it has no parameters */
    char forward[96]; /* its output, an expression of x; its module is self.NAME */
    bool flat;        /* in: x is [n, features], not [n, channels, height, width]; out: y is */
};

struct layer_ops {
    const char *name;
    const char *prefix;  /* of its segments' names: "conv" gives conv1.weight; NULL: no weights */
    const char *summary; /* one line for `metaloop list`                                        */
    enum layer_kind kind;
    /* the activation to whose range its output is limited: "relu"; NULL: any number */
    const char *range;
    /* If a layer of type fuses_with follows, `fused` does the work of both in one pass. NULL: none
     * does. */
    const char *fuses_with;
    const struct layer_ops *fused;
    /* Fills everything of l but ops and spec from in; appends its weights to `layout` under
     * `name` ("conv1"); segments are contiguous, n_w in all. ERR_CONFIG if it does not fit. */
    int (*plan)(struct layer *l, struct shape in, const char *name, struct layout *layout);
    void (*forward)(const struct layer *l, const struct io *io);
    void (*backward)(const struct layer *l, const struct io *io);
    void (*forward_tangent)(const struct layer *l, const struct io *io);
    void (*backward_tangent)(const struct layer *l, const struct io *io);
    /* An activation that is a smooth function of each element (core/math/layer/pointwise.h): the
     * function. NULL for others. */
    struct smooth_point (*pointwise)(double x);
    /* Fills module and forward, and changes flat, for the planned layer called `name`. */
    void (*torch)(const struct layer *l, const char *name, struct torch_text *t);
    const char *torch_class; /* text of a class that its module is one of; NULL: torch has it */
};

/* The table (core/math/layer/table.c), ended by NULL. */
extern const struct layer_ops *const layer_table[];
const struct layer_ops *layer_find(const char *name); /* NULL if absent */

#endif
