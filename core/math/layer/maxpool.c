/* maxpool.c - the largest of each window; the first of equals, as PyTorch.   math.md (2.6)
 *
 * save.v holds, per output, the winner's place in its window; everything else is that choice
 * applied. */
#include "core/base/err.h"
#include "core/math/layer.h"
#include "core/math/layer/plan.h"
#include "core/math/layer/torch.h"
#include "core/math/vec.h"

static int maxpool_plan(struct layer *l, struct shape in, const char *name, struct layout *layout)
{
    int k = l->spec.kernel = l->spec.kernel ? l->spec.kernel : 2;
    int s = l->spec.stride = l->spec.stride ? l->spec.stride : k, kw = plan_window_w(k, in.w);

    (void)layout;
    if (k < 1 || s < 1 || k > in.h || kw > in.w)
        return err(ERR_CONFIG, "layer '%s': window %d does not fit an input of %d x %d", name, k,
                   in.h, in.w);
    plan_plain(l, in, (struct shape){(in.h - k) / s + 1, (in.w - kw) / s + 1, in.c});
    l->save_each = shape_size(l->out);
    return 0;
}

/* Index in x of the window's top left corner, channel 0, for the output position numbered `at`. */
static size_t maxpool_corner(const struct layer *l, size_t at)
{
    size_t map = (size_t)(l->out.h * l->out.w), s = (size_t)l->spec.stride;
    size_t oy = at % map / (size_t)l->out.w, ox = at % (size_t)l->out.w;

    return at / map * shape_size(l->in) + (oy * s * (size_t)l->in.w + ox * s) * (size_t)l->in.c;
}

/* Index in x of place `place` of the window with this corner. */
static size_t maxpool_place(const struct layer *l, size_t corner, int place)
{
    int k = plan_window_w(l->spec.kernel, l->in.w);

    return corner + (size_t)((place / k * l->in.w + place % k) * l->in.c);
}

static void maxpool_position(const struct layer *l, const real *x, size_t corner, real *restrict y,
                             real *restrict choice)
{
    size_t c = (size_t)l->in.c;
    int window = l->spec.kernel * plan_window_w(l->spec.kernel, l->in.w);

    vec_copy(c, x + corner, y);
    vec_zero(c, choice);
    for (int place = 1; place < window; place++) {
        const real *from = x + maxpool_place(l, corner, place);

        for (size_t i = 0; i < c; i++) {
            int better = from[i] > y[i] || from[i] != from[i]; /* a NaN wins, and stays */

            choice[i] = better ? (real)place : choice[i];
            y[i] = better ? from[i] : y[i];
        }
    }
}

static size_t maxpool_positions(const struct layer *l, int n)
{
    return (size_t)n * (size_t)(l->out.h * l->out.w);
}

static void maxpool_forward(const struct layer *l, const struct io *io)
{
    size_t c = (size_t)l->in.c;

    for (size_t at = 0; at < maxpool_positions(l, io->n); at++)
        maxpool_position(l, io->x.v, maxpool_corner(l, at), io->y.v + at * c, io->save.v + at * c);
}

static void maxpool_take(const struct layer *l, const struct io *io, const real *x, real *y)
{
    size_t c = (size_t)l->in.c;

    for (size_t at = 0; at < maxpool_positions(l, io->n); at++)
        for (size_t i = 0; i < c; i++)
            y[at * c + i] =
                x[maxpool_place(l, maxpool_corner(l, at), (int)io->save.v[at * c + i]) + i];
}

static void maxpool_give(const struct layer *l, const struct io *io, const real *gy, real *gx)
{
    size_t c = (size_t)l->in.c;

    vec_zero((size_t)io->n * shape_size(l->in), gx);
    for (size_t at = 0; at < maxpool_positions(l, io->n); at++)
        for (size_t i = 0; i < c; i++)
            gx[maxpool_place(l, maxpool_corner(l, at), (int)io->save.v[at * c + i]) + i] +=
                gy[at * c + i];
}

static void maxpool_backward(const struct layer *l, const struct io *io)
{
    if (io->gx.v)
        maxpool_give(l, io, io->gy.v, io->gx.v);
}

static void maxpool_forward_tangent(const struct layer *l, const struct io *io)
{
    if (io->x.t)
        maxpool_take(l, io, io->x.t, io->y.t);
    else
        vec_zero((size_t)io->n * shape_size(l->out), io->y.t);
}

static void maxpool_backward_tangent(const struct layer *l, const struct io *io)
{
    if (io->gx.t)
        maxpool_give(l, io, io->gy.t, io->gx.t);
}

static void maxpool_torch(const struct layer *l, const char *name, struct torch_text *t)
{
    int k = l->spec.kernel, s = l->spec.stride;

    (void)name;
    torch_function(t, "F.max_pool2d(%s, (%d, %d), (%d, %d))", torch_map(t), k,
                   plan_window_w(k, l->in.w), s, s);
}

const struct layer_ops layer_maxpool = {
    .name = "maxpool",
    .summary = "maximum of each window: kernel (2), stride (kernel)",
    .plan = maxpool_plan,
    .forward = maxpool_forward,
    .backward = maxpool_backward,
    .forward_tangent = maxpool_forward_tangent,
    .backward_tangent = maxpool_backward_tangent,
    .torch = maxpool_torch,
};
