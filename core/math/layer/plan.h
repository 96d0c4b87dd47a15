/* plan.h - what layers share in planning: a weight with an optional bias, numbers of channels. */
#ifndef CORE_MATH_LAYER_PLAN_H
#define CORE_MATH_LAYER_PLAN_H

#include "core/math/layer.h"

/* Appends NAME.weight (dims) and, if the spec asks, NAME.bias (dims[0]); sets l->n_w. The weight
 * is uniform on +- sqrt(6 / (fan_in + fan_out)) (Glorot and Bengio 2010), the bias 0. */
int plan_weights(struct layer *l, struct layout *layout, const char *name, int n_dims,
                 const size_t *dims, size_t fan_in, size_t fan_out);

/* Appends NAME.WHAT, `value` for each channel of l->in, and adds it to l->n_w. */
int plan_channels(struct layer *l, struct layout *layout, const char *name, const char *what,
                  enum role role, double value);

/* y (n samples of l->out) += bias; w (l->n_w) ends with the bias, if there is one. */
void plan_add_bias(const struct layer *l, int n, const real *w, real *y);

/* The bias's part of gw (l->n_w) += the sum of gy over samples and positions. */
void plan_sum_bias(const struct layer *l, int n, const real *gy, real *gw);

/* How wide a pool's window is over maps of that width: 1 over a series (width 1). */
static inline int plan_window_w(int kernel, int width)
{
    return width == 1 ? 1 : kernel;
}

/* Fills a layer without weights whose output has the given shape. */
int plan_plain(struct layer *l, struct shape in, struct shape out);

#endif
