/* relu.c - y = max(x, 0), with derivative 0 at 0.                            math.md (2.4) */
#include "core/math/layer.h"
#include "core/math/layer/plan.h"
#include "core/math/layer/torch.h"
#include "core/math/vec.h"

static int relu_plan(struct layer *l, struct shape in, const char *name, struct layout *layout)
{
    (void)name, (void)layout;
    return plan_plain(l, in, in);
}

/* to = from where the output is positive, else 0 */
static void relu_mask(const struct layer *l, const struct io *io, const real *from, real *to)
{
    size_t n = (size_t)io->n * shape_size(l->in);

    for (size_t i = 0; i < n; i++)
        to[i] = io->y.v[i] > 0 ? from[i] : 0;
}

static void relu_forward(const struct layer *l, const struct io *io)
{
    size_t n = (size_t)io->n * shape_size(l->in);

    for (size_t i = 0; i < n; i++)
        io->y.v[i] = io->x.v[i] < 0 ? 0 : io->x.v[i]; /* NaN stays NaN */
}

static void relu_backward(const struct layer *l, const struct io *io)
{
    if (io->gx.v)
        relu_mask(l, io, io->gy.v, io->gx.v);
}

static void relu_forward_tangent(const struct layer *l, const struct io *io)
{
    if (io->x.t)
        relu_mask(l, io, io->x.t, io->y.t);
    else
        vec_zero((size_t)io->n * shape_size(l->in), io->y.t);
}

static void relu_backward_tangent(const struct layer *l, const struct io *io)
{
    if (io->gx.t)
        relu_mask(l, io, io->gy.t, io->gx.t);
}

static void relu_torch(const struct layer *l, const char *name, struct torch_text *t)
{
    (void)l, (void)name;
    torch_function(t, "F.relu(x)");
}

const struct layer_ops layer_relu = {
    .name = "relu",
    .summary = "max(x, 0)",
    .kind = LAYER_ACTIVATION,
    .range = "relu",
    .plan = relu_plan,
    .forward = relu_forward,
    .backward = relu_backward,
    .forward_tangent = relu_forward_tangent,
    .backward_tangent = relu_backward_tangent,
    .torch = relu_torch,
};
