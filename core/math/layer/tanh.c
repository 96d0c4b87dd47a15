/* tanh.c - y = tanh x; with s = 1 - y^2: gx = s gy, y.t = s x.t, gx.t = s gy.t - 2 y y.t gy.
 *                                                                            math.md (2.5) */
#include <math.h>

#include "core/math/layer.h"
#include "core/math/layer/plan.h"
#include "core/math/layer/torch.h"
#include "core/math/vec.h"

static int tanh_plan(struct layer *l, struct shape in, const char *name, struct layout *layout)
{
    (void)name, (void)layout;
    return plan_plain(l, in, in);
}

static void tanh_slope(const struct layer *l, const struct io *io, const real *from, real *to)
{
    size_t n = (size_t)io->n * shape_size(l->in);

    for (size_t i = 0; i < n; i++)
        to[i] = (1 - io->y.v[i] * io->y.v[i]) * from[i];
}

static void tanh_forward(const struct layer *l, const struct io *io)
{
    size_t n = (size_t)io->n * shape_size(l->in);

    for (size_t i = 0; i < n; i++)
        io->y.v[i] = (real)tanh(io->x.v[i]);
}

static void tanh_backward(const struct layer *l, const struct io *io)
{
    if (io->gx.v)
        tanh_slope(l, io, io->gy.v, io->gx.v);
}

static void tanh_forward_tangent(const struct layer *l, const struct io *io)
{
    if (io->x.t)
        tanh_slope(l, io, io->x.t, io->y.t);
    else
        vec_zero((size_t)io->n * shape_size(l->in), io->y.t);
}

static void tanh_backward_tangent(const struct layer *l, const struct io *io)
{
    size_t n = (size_t)io->n * shape_size(l->in);

    if (!io->gx.t)
        return;
    tanh_slope(l, io, io->gy.t, io->gx.t);
    for (size_t i = 0; i < n; i++)
        io->gx.t[i] -= 2 * io->y.v[i] * io->y.t[i] * io->gy.v[i];
}

static void tanh_torch(const struct layer *l, const char *name, struct torch_text *t)
{
    (void)l, (void)name;
    torch_function(t, "torch.tanh(x)");
}

const struct layer_ops layer_tanh = {
    .name = "tanh",
    .summary = "hyperbolic tangent",
    .kind = LAYER_ACTIVATION,
    .range = "tanh",
    .plan = tanh_plan,
    .forward = tanh_forward,
    .backward = tanh_backward,
    .forward_tangent = tanh_forward_tangent,
    .backward_tangent = tanh_backward_tangent,
    .torch = tanh_torch,
};
