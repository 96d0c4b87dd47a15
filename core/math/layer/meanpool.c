/* meanpool.c - the mean over windows, or over the whole map (kernel 0).      math.md (2.7) */
#include "core/base/err.h"
#include "core/math/layer.h"
#include "core/math/layer/plan.h"
#include "core/math/layer/torch.h"
#include "core/math/vec.h"

static int meanpool_plan(struct layer *l, struct shape in, const char *name, struct layout *layout)
{
    int k = l->spec.kernel, kw = plan_window_w(k, in.w);

    (void)layout;
    l->spec.stride = l->spec.stride ? l->spec.stride : k;
    if (k == 0)
        return plan_plain(l, in, (struct shape){1, 1, in.c});
    if (k < 0 || k > in.h || kw > in.w || l->spec.stride < 1)
        return err(ERR_CONFIG, "layer '%s': window %d does not fit an input of %d x %d", name, k,
                   in.h, in.w);
    return plan_plain(
        l, in,
        (struct shape){(in.h - k) / l->spec.stride + 1, (in.w - kw) / l->spec.stride + 1, in.c});
}

/* Calls visit(x's row of c channels, y's row) for each position under each window. */
static void meanpool_visit(const struct layer *l, int n, real *x, real *y,
                           void (*visit)(size_t c, real scale, real *x, real *y))
{
    int kh = l->spec.kernel ? l->spec.kernel : l->in.h;
    int kw = l->spec.kernel ? plan_window_w(l->spec.kernel, l->in.w) : l->in.w, s = l->spec.stride;
    size_t c = (size_t)l->in.c;
    real scale = 1 / (real)(kh * kw);

    for (; n-- > 0; x += shape_size(l->in))
        for (int oy = 0; oy < l->out.h; oy++)
            for (int ox = 0; ox < l->out.w; ox++, y += c)
                for (int at = 0; at < kh * kw; at++) {
                    int iy = oy * s + at / kw, ix = ox * s + at % kw;

                    visit(c, scale, x + (size_t)(iy * l->in.w + ix) * c, y);
                }
}

static void gather(size_t c, real scale, real *restrict x, real *restrict y)
{
    for (size_t i = 0; i < c; i++)
        y[i] += scale * x[i];
}

static void spread(size_t c, real scale, real *restrict x, real *restrict y)
{
    for (size_t i = 0; i < c; i++)
        x[i] += scale * y[i];
}

static void meanpool_up(const struct layer *l, int n, real *x, real *y)
{
    vec_zero((size_t)n * shape_size(l->out), y);
    if (x)
        meanpool_visit(l, n, x, y, gather);
}

static void meanpool_down(const struct layer *l, int n, real *gx, real *gy)
{
    if (!gx)
        return;
    vec_zero((size_t)n * shape_size(l->in), gx);
    meanpool_visit(l, n, gx, gy, spread);
}

static void meanpool_forward(const struct layer *l, const struct io *io)
{
    meanpool_up(l, io->n, io->x.v, io->y.v);
}

static void meanpool_backward(const struct layer *l, const struct io *io)
{
    meanpool_down(l, io->n, io->gx.v, io->gy.v);
}

static void meanpool_forward_tangent(const struct layer *l, const struct io *io)
{
    meanpool_up(l, io->n, io->x.t, io->y.t);
}

static void meanpool_backward_tangent(const struct layer *l, const struct io *io)
{
    meanpool_down(l, io->n, io->gx.t, io->gy.t);
}

static void meanpool_torch(const struct layer *l, const char *name, struct torch_text *t)
{
    int k = l->spec.kernel, s = l->spec.stride;
    const char *x = torch_map(t);

    (void)name;
    t->flat = k == 0;
    if (t->flat)
        torch_function(t, "%s.mean((2, 3))", x);
    else
        torch_function(t, "F.avg_pool2d(%s, (%d, %d), (%d, %d))", x, k, plan_window_w(k, l->in.w),
                       s, s);
}

const struct layer_ops layer_meanpool = {
    .name = "meanpool",
    .summary = "mean over windows: kernel (0: the whole map), stride (kernel)",
    .plan = meanpool_plan,
    .forward = meanpool_forward,
    .backward = meanpool_backward,
    .forward_tangent = meanpool_forward_tangent,
    .backward_tangent = meanpool_backward_tangent,
    .torch = meanpool_torch,
};
