/* pointwise.h - activations that are a smooth function of each element by itself: a layer whose
 * ops->pointwise gives the function and its derivatives has these passes.
 *     gx = f'(x) gy,   y.t = f'(x) x.t,   gx.t = f'(x) gy.t + f''(x) x.t gy       math.md (2.5)
 * save.v holds f'(x). */
#ifndef CORE_MATH_LAYER_POINTWISE_H
#define CORE_MATH_LAYER_POINTWISE_H

#include "core/math/layer.h"

struct smooth_point { /* a function and its derivatives at a point */
    double value, slope, bend;
};

/* As the slots of struct layer_ops. */
int pointwise_plan(struct layer *l, struct shape in, const char *name, struct layout *layout);
void pointwise_forward(const struct layer *l, const struct io *io);
void pointwise_backward(const struct layer *l, const struct io *io);
void pointwise_forward_tangent(const struct layer *l, const struct io *io);
void pointwise_backward_tangent(const struct layer *l, const struct io *io);

#endif
