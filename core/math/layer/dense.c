/* dense.c - fully connected: y = x W^T + b.                                  math.md (2.2)
 *
 * The input's features are taken as they lie; put `flatten` before it after a map. */
#include <stdio.h>

#include "core/base/err.h"
#include "core/math/blas.h"
#include "core/math/layer.h"
#include "core/math/layer/plan.h"
#include "core/math/layer/torch.h"

static int dense_plan(struct layer *l, struct shape in, const char *name, struct layout *layout)
{
    size_t features = (size_t)in.c, outputs = (size_t)l->spec.filters;

    if (in.h != 1 || in.w != 1)
        return err(ERR_CONFIG, "layer '%s' needs 'flatten' or 'meanpool' before it", name);
    if (l->spec.filters < 1)
        return err(ERR_CONFIG, "layer '%s' needs at least one feature", name);
    plan_plain(l, in, (struct shape){1, 1, l->spec.filters});
    l->multiply_adds = l->input_adds = (double)features * (double)outputs;
    return plan_weights(l, layout, name, 2, (size_t[]){outputs, features}, features, outputs);
}

static void dense_forward(const struct layer *l, const struct io *io)
{
    int i = l->in.c, o = l->out.c;

    gemm(false, true, io->n, o, i, io->x.v, i, io->w.v, i, 0, io->y.v, o);
    plan_add_bias(l, io->n, io->w.v, io->y.v);
}

static void dense_backward(const struct layer *l, const struct io *io)
{
    int i = l->in.c, o = l->out.c;

    gemm(true, false, o, i, io->n, io->gy.v, o, io->x.v, i, 1, io->gw.v, i);
    plan_sum_bias(l, io->n, io->gy.v, io->gw.v);
    if (io->gx.v)
        gemm(false, false, io->n, i, o, io->gy.v, o, io->w.v, i, 0, io->gx.v, i);
}

static void dense_forward_tangent(const struct layer *l, const struct io *io)
{
    int i = l->in.c, o = l->out.c;

    gemm(false, true, io->n, o, i, io->x.v, i, io->w.t, i, 0, io->y.t, o);
    if (io->x.t)
        gemm(false, true, io->n, o, i, io->x.t, i, io->w.v, i, 1, io->y.t, o);
    plan_add_bias(l, io->n, io->w.t, io->y.t);
}

static void dense_backward_tangent(const struct layer *l, const struct io *io)
{
    int i = l->in.c, o = l->out.c;

    gemm(true, false, o, i, io->n, io->gy.t, o, io->x.v, i, 1, io->gw.t, i);
    if (io->x.t)
        gemm(true, false, o, i, io->n, io->gy.v, o, io->x.t, i, 1, io->gw.t, i);
    plan_sum_bias(l, io->n, io->gy.t, io->gw.t);
    if (!io->gx.t)
        return;
    gemm(false, false, io->n, i, o, io->gy.t, o, io->w.v, i, 0, io->gx.t, i);
    gemm(false, false, io->n, i, o, io->gy.v, o, io->w.t, i, 1, io->gx.t, i);
}

static void dense_torch(const struct layer *l, const char *name, struct torch_text *t)
{
    const char *x = torch_vector(t);

    torch_function(t, "self.%s(%s)", name, x);
    snprintf(t->module, sizeof t->module, "nn.Linear(%d, %d%s)", l->in.c, l->out.c,
             l->spec.bias ? "" : ", bias=False");
}

const struct layer_ops layer_dense = {
    .name = "dense",
    .prefix = "fc",
    .summary = "fully connected: features, bias (true)",
    .plan = dense_plan,
    .forward = dense_forward,
    .backward = dense_backward,
    .forward_tangent = dense_forward_tangent,
    .backward_tangent = dense_backward_tangent,
    .torch = dense_torch,
};
