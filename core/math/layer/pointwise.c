/* pointwise.c - four loops over the elements. */
#include "core/math/layer/pointwise.h"

#include "core/math/layer/plan.h"
#include "core/math/vec.h"

int pointwise_plan(struct layer *l, struct shape in, const char *name, struct layout *layout)
{
    (void)name, (void)layout;
    plan_plain(l, in, in);
    l->save_each = shape_size(in);
    return 0;
}

void pointwise_forward(const struct layer *l, const struct io *io)
{
    size_t n = (size_t)io->n * shape_size(l->in);

    for (size_t i = 0; i < n; i++) {
        struct smooth_point at = l->ops->pointwise(io->x.v[i]);

        io->y.v[i] = (real)at.value;
        io->save.v[i] = (real)at.slope;
    }
}

void pointwise_backward(const struct layer *l, const struct io *io)
{
    if (io->gx.v)
        vec_mul((size_t)io->n * shape_size(l->in), io->save.v, io->gy.v, io->gx.v);
}

void pointwise_forward_tangent(const struct layer *l, const struct io *io)
{
    size_t n = (size_t)io->n * shape_size(l->in);

    if (io->x.t)
        vec_mul(n, io->save.v, io->x.t, io->y.t);
    else
        vec_zero(n, io->y.t);
}

void pointwise_backward_tangent(const struct layer *l, const struct io *io)
{
    size_t n = (size_t)io->n * shape_size(l->in);

    if (!io->gx.t)
        return;
    vec_mul(n, io->save.v, io->gy.t, io->gx.t);
    for (size_t i = 0; io->x.t && i < n; i++)
        io->gx.t[i] += (real)l->ops->pointwise(io->x.v[i]).bend * io->x.t[i] * io->gy.v[i];
}
