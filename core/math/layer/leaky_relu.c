/* leaky_relu.c - y = x above zero, slope x elsewhere, the slope also at 0.   math.md (2.10)
 *
 * The slope is positive: the output's sign is the input's, and x and y may be one buffer. */
#include "core/base/err.h"
#include "core/math/layer.h"
#include "core/math/layer/plan.h"
#include "core/math/layer/torch.h"
#include "core/math/vec.h"

static int leaky_plan(struct layer *l, struct shape in, const char *name, struct layout *layout)
{
    (void)layout;
    l->spec.percent = l->spec.percent ? l->spec.percent : 10;
    if (l->spec.percent < 1 || l->spec.percent > 100)
        return err(ERR_CONFIG, "layer '%s': percent %d is not within 1 .. 100", name,
                   l->spec.percent);
    return plan_plain(l, in, in);
}

static real leaky_slope(const struct layer *l)
{
    return (real)l->spec.percent / 100;
}

/* to = from times the slope of each output's side */
static void leaky_apply(const struct layer *l, const struct io *io, const real *from, real *to)
{
    size_t n = (size_t)io->n * shape_size(l->in);
    real slope = leaky_slope(l);

    for (size_t i = 0; i < n; i++)
        to[i] = (io->y.v[i] > 0 ? 1 : slope) * from[i];
}

static void leaky_forward(const struct layer *l, const struct io *io)
{
    size_t n = (size_t)io->n * shape_size(l->in);
    real slope = leaky_slope(l);

    for (size_t i = 0; i < n; i++)
        io->y.v[i] = (io->x.v[i] > 0 ? 1 : slope) * io->x.v[i];
}

static void leaky_backward(const struct layer *l, const struct io *io)
{
    if (io->gx.v)
        leaky_apply(l, io, io->gy.v, io->gx.v);
}

static void leaky_forward_tangent(const struct layer *l, const struct io *io)
{
    if (io->x.t)
        leaky_apply(l, io, io->x.t, io->y.t);
    else
        vec_zero((size_t)io->n * shape_size(l->in), io->y.t);
}

static void leaky_backward_tangent(const struct layer *l, const struct io *io)
{
    if (io->gx.t)
        leaky_apply(l, io, io->gy.t, io->gx.t);
}

static void leaky_torch(const struct layer *l, const char *name, struct torch_text *t)
{
    (void)name;
    torch_function(t, "F.leaky_relu(x, %d / 100)", l->spec.percent);
}

const struct layer_ops layer_leaky_relu = {
    .name = "leaky_relu",
    .summary = "x above zero, slope x below: percent, the slope in hundredths (10)",
    .kind = LAYER_ACTIVATION,
    .plan = leaky_plan,
    .forward = leaky_forward,
    .backward = leaky_backward,
    .forward_tangent = leaky_forward_tangent,
    .backward_tangent = leaky_backward_tangent,
    .torch = leaky_torch,
};
