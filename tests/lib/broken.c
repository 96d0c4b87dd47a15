/* broken.c - each layer here has one flaw; the suite must reject it for that.
 *
 *     bend   y = w_c x^2, per channel c: everything up to third derivatives is there
 *     norm   batch normalisation with running statistics, in the plainest way
 *     drop   dropout of one half, each pass drawing its mask again
 *     block  the table's residual block, its shortcut's gradient left out */
#include "tests/lib/broken.h"

#include <math.h>

static bool has(const struct layer *l, enum flaw flaw)
{
    return ((const struct broken *)l->ops)->flaw == flaw;
}

static real unless(const struct layer *l, enum flaw flaw)
{
    return has(l, flaw) ? 0 : 1;
}

static size_t reals_of(const struct layer *l, const struct io *io)
{
    return (size_t)io->n * shape_size(l->in);
}

/* ---- bend ---- */

static int bend_plan(struct layer *l, struct shape in, const char *name, struct layout *layout)
{
    struct segment s = {.name = "bend.weight", .n_dims = 1, .dims = {(size_t)in.c}};

    (void)name;
    l->in = l->out = in;
    l->n_w = (size_t)in.c;
    l->save = l->save_each = l->scratch_each = 0;
    if (!has(l, FLAW_PLAN))
        l->scratch = 1;
    l->multiply_adds = l->input_adds = 0;
    return layout_add(layout, s);
}

static void bend_forward(const struct layer *l, const struct io *io)
{
    static int calls;
    size_t n = reals_of(l, io), c = l->n_w;

    for (size_t i = 0; i < n; i++)
        io->y.v[i] = io->w.v[i % c] * io->x.v[i] * io->x.v[i];
    if (has(l, FLAW_Y_BEYOND))
        io->y.v[n] = 0;
    if (has(l, FLAW_X_BEYOND))
        io->y.v[0] += io->x.v[n] * (real)1e-30;
    if (has(l, FLAW_SCRATCH_BEYOND))
        io->scratch[1] = 0;
    if (has(l, FLAW_SCRATCH_READ) && io->scratch[0] > 1)
        io->y.v[0] += 1;
    if (has(l, FLAW_CHANGES_X))
        io->x.v[0] += 1;
    if (has(l, FLAW_REMEMBERS))
        io->y.v[0] += (real)calls++;
}

static void bend_backward(const struct layer *l, const struct io *io)
{
    size_t n = reals_of(l, io), c = l->n_w;
    real twice = has(l, FLAW_TWICE) ? 2 : 1;
    real sign_x = has(l, FLAW_FLIPPED_GX) ? -1 : 1, sign_w = has(l, FLAW_FLIPPED_GW) ? -1 : 1;

    for (size_t i = 0; i < c && has(l, FLAW_GW_SET); i++)
        io->gw.v[i] = 0;
    for (size_t i = 0; i < n && (io->gx.v || !has(l, FLAW_NEEDS_GX)); i++)
        io->gw.v[i % c] += sign_w * twice * io->x.v[i] * io->x.v[i] * io->gy.v[i];
    if (has(l, FLAW_GW_BEYOND))
        io->gw.v[c] = 0;
    if (has(l, FLAW_CHANGES_GY))
        io->gy.v[n - 1] = 0;
    if (!io->gx.v)
        return;
    for (size_t i = 0; i < n - has(l, FLAW_GX_SHORT); i++) {
        real g = sign_x * twice * 2 * io->w.v[i % c] * io->x.v[i] * io->gy.v[i];

        io->gx.v[i] = has(l, FLAW_GX_ADDED) ? io->gx.v[i] + g : g;
    }
    if (has(l, FLAW_GX_BEFORE))
        io->gx.v[-1] = 0;
}

static void bend_forward_tangent(const struct layer *l, const struct io *io)
{
    size_t n = reals_of(l, io), c = l->n_w;
    const real *xt = io->x.t || !has(l, FLAW_XT_IS_X) ? io->x.t : io->x.v;

    for (size_t i = 0; i < n; i++) {
        real x = io->x.v[i], w = io->w.v[i % c];

        io->y.t[i] = unless(l, FLAW_NO_WT) * io->w.t[i % c] * x * x +
                     unless(l, FLAW_NO_XT) * (xt ? 2 * w * x * xt[i] : 0);
    }
}

static void bend_backward_tangent(const struct layer *l, const struct io *io)
{
    size_t n = reals_of(l, io), c = l->n_w;
    real factor = has(l, FLAW_TWICE_HESSIAN) ? 2 : 1, cross = unless(l, FLAW_NO_CROSS);

    for (size_t i = 0; i < c && has(l, FLAW_GWT_SET); i++)
        io->gw.t[i] = 0;
    for (size_t i = 0; i < n && !has(l, FLAW_DEAF); i++) {
        real x = io->x.v[i], w = io->w.v[i % c], gy = io->gy.v[i], gyt = io->gy.t[i];
        real xt = io->x.t ? io->x.t[i] : 0, wt = io->w.t[i % c];

        io->gw.t[i % c] += factor * cross * 2 * x * xt * gy + x * x * gyt;
        if (has(l, FLAW_NOT_LINEAR))
            io->gw.t[i % c] += wt * wt;
        if (!io->gx.t)
            continue;
        io->gx.t[i] = 2 * factor *
                          (cross * unless(l, FLAW_NO_CROSS_GX) * wt * x * gy +
                           unless(l, FLAW_NO_CURVE) * w * xt * gy) +
                      2 * unless(l, FLAW_NO_SEED) * w * x * gyt;
    }
    for (size_t i = 0; i < n && has(l, FLAW_DEAF) && io->gx.t; i++)
        io->gx.t[i] = 0;
    if (has(l, FLAW_CHANGES_GW))
        io->gw.v[0] += 1;
}

/* ---- norm ---- */

static int norm_plan(struct layer *l, struct shape in, const char *name, struct layout *layout)
{
    static const char *const names[] = {"norm.weight", "norm.bias", "norm.running_mean",
                                        "norm.running_var"};

    (void)name;
    l->in = l->out = in;
    l->n_w = 4 * (size_t)in.c;
    l->save = l->save_each = l->scratch = l->scratch_each = 0;
    l->multiply_adds = l->input_adds = 0;
    for (int i = 0; i < 4; i++) {
        struct segment s = {.name = names[i], .n_dims = 1, .dims = {(size_t)in.c}};

        s.role = i < 2 ? ROLE_BODY : ROLE_STAT;
        TRY(layout_add(layout, s));
    }
    return 0;
}

/* One channel of the batch: m values, c apart. */
struct channel {
    size_t m, c;
    const real *x, *xt, *gy, *gyt; /* xt may be NULL */
    double gamma, gamma_t, mean, var, r, mt, s;
};

static double channel_xhat(const struct channel *k, size_t i)
{
    return (k->x[i * k->c] - k->mean) * k->r;
}

static double channel_xhat_t(const struct channel *k, size_t i)
{
    double xt = k->xt ? k->xt[i * k->c] : 0;

    return k->r * (xt - k->mt - channel_xhat(k, i) * k->s);
}

static struct channel channel_of(const struct layer *l, const struct io *io, size_t at)
{
    size_t c = (size_t)l->in.c;
    struct channel k = {.m = reals_of(l, io) / c, .c = c, .gamma = io->w.v[at]};

    k.x = io->x.v + at;
    k.gy = io->gy.v + at;
    k.xt = io->x.t ? io->x.t + at : NULL;
    k.gyt = io->gy.t ? io->gy.t + at : NULL;
    k.gamma_t = io->w.t ? io->w.t[at] : 0;
    for (size_t i = 0; i < k.m; i++)
        k.mean += k.x[i * c] / (double)k.m;
    for (size_t i = 0; i < k.m; i++)
        k.var += (k.x[i * c] - k.mean) * (k.x[i * c] - k.mean) / (double)k.m;
    k.r = 1 / sqrt(k.var + 1e-5);
    for (size_t i = 0; i < k.m && k.xt; i++) {
        k.mt += k.xt[i * c] / (double)k.m;
        k.s += k.xt[i * c] * channel_xhat(&k, i) / (double)k.m;
    }
    return k;
}

static void norm_forward(const struct layer *l, const struct io *io)
{
    size_t c = (size_t)l->in.c;

    for (size_t at = 0; at < c; at++) {
        struct channel k = channel_of(l, io, at);

        for (size_t i = 0; i < k.m; i++)
            io->y.v[i * c + at] = (real)(k.gamma * channel_xhat(&k, i) + io->w.v[c + at]);
    }
}

static void norm_forward_tangent(const struct layer *l, const struct io *io)
{
    size_t c = (size_t)l->in.c;

    for (size_t at = 0; at < c; at++) {
        struct channel k = channel_of(l, io, at);

        if (has(l, FLAW_TANGENT_FIXED))
            k.mt = k.s = 0;
        for (size_t i = 0; i < k.m; i++)
            io->y.t[i * c + at] = (real)(k.gamma_t * channel_xhat(&k, i) +
                                         k.gamma * channel_xhat_t(&k, i) + io->w.t[c + at]);
    }
}

static void norm_observe(const struct layer *l, const struct io *io, const struct channel *k,
                         size_t at)
{
    size_t c = (size_t)l->in.c;
    double m = (double)k->m, unbias = has(l, FLAW_STAT_BIASED) ? 1 : m / (m - 1);
    double sign = has(l, FLAW_STAT_FLIPPED) ? -1 : 1;

    io->gw.v[2 * c + at] += (real)(sign * (io->w.v[2 * c + at] - k->mean));
    io->gw.v[3 * c + at] += (real)(sign * (io->w.v[3 * c + at] - k->var * unbias));
}

static void norm_backward(const struct layer *l, const struct io *io)
{
    size_t c = (size_t)l->in.c;

    for (size_t at = 0; at < c; at++) {
        struct channel k = channel_of(l, io, at);
        double a = 0, g = 0, m = (double)k.m;

        for (size_t i = 0; i < k.m; i++) {
            a += k.gy[i * c] / m;
            g += k.gy[i * c] * channel_xhat(&k, i) / m;
        }
        io->gw.v[at] += (real)(g * m);
        io->gw.v[c + at] += (real)(a * m);
        norm_observe(l, io, &k, at);
        a *= unless(l, FLAW_NO_MEAN);
        g *= unless(l, FLAW_NO_VARIANCE);
        for (size_t i = 0; i < k.m && io->gx.v; i++)
            io->gx.v[i * c + at] =
                (real)(k.gamma * k.r * (k.gy[i * c] - a - channel_xhat(&k, i) * g));
    }
}

/* gx.t of one channel: the product rule on gamma r (gy - a - xhat g) */
static void norm_second(const struct layer *l, const struct channel *k, const double sums[4],
                        real *gxt)
{
    double a = sums[0], g = sums[1], at = sums[2], gt = sums[3];
    double rt = unless(l, FLAW_SECOND_NO_R) * -k->r * k->r * k->s;
    double keep = unless(l, FLAW_SECOND_NO_XHAT);

    for (size_t i = 0; i < k->m; i++) {
        double xhat = channel_xhat(k, i), xhat_t = channel_xhat_t(k, i);

        gxt[i * k->c] =
            (real)((k->gamma_t * k->r + k->gamma * rt) * (k->gy[i * k->c] - a - xhat * g) +
                   k->gamma * k->r * (k->gyt[i * k->c] - at - keep * xhat_t * g - xhat * gt));
    }
}

static void norm_backward_tangent(const struct layer *l, const struct io *io)
{
    size_t c = (size_t)l->in.c;

    for (size_t at = 0; at < c; at++) {
        struct channel k = channel_of(l, io, at);
        double sums[4] = {0}, m = (double)k.m;

        for (size_t i = 0; i < k.m; i++) {
            double xhat = channel_xhat(&k, i), xhat_t = channel_xhat_t(&k, i);

            sums[0] += k.gy[i * c] / m;
            sums[1] += k.gy[i * c] * xhat / m;
            sums[2] += k.gyt[i * c] / m;
            sums[3] += (k.gyt[i * c] * xhat + k.gy[i * c] * xhat_t) / m;
        }
        io->gw.t[at] += (real)(sums[3] * m);
        io->gw.t[c + at] += (real)(sums[2] * m);
        if (io->gx.t)
            norm_second(l, &k, sums, io->gx.t + at);
    }
}

/* ---- drop ---- */

static int drop_plan(struct layer *l, struct shape in, const char *name, struct layout *layout)
{
    (void)name, (void)layout;
    l->in = l->out = in;
    l->n_w = l->save = l->save_each = l->scratch = l->scratch_each = 0;
    l->multiply_adds = l->input_adds = 0;
    return 0;
}

/* to = mask from; where `other`, the mask is that of another pass */
static void drop_apply(const struct layer *l, const struct io *io, bool other, const real *from,
                       real *to)
{
    uint64_t seed = io->noise.seed + io->noise.pass + other;

    for (size_t i = 0; i < reals_of(l, io) && to; i++)
        to[i] = draw_u64(&seed) % 2 && from ? 2 * from[i] : 0;
}

static void drop_forward(const struct layer *l, const struct io *io)
{
    drop_apply(l, io, false, io->x.v, io->y.v);
}

static void drop_backward(const struct layer *l, const struct io *io)
{
    drop_apply(l, io, has(l, FLAW_OTHER_MASK), io->gy.v, io->gx.v);
}

static void drop_forward_tangent(const struct layer *l, const struct io *io)
{
    drop_apply(l, io, false, io->x.t, io->y.t);
}

static void drop_backward_tangent(const struct layer *l, const struct io *io)
{
    drop_apply(l, io, has(l, FLAW_OTHER_MASK_TANGENT), io->gy.t, io->gx.t);
}

/* ---- block ---- */

extern const struct layer_ops layer_residual;

static int block_plan(struct layer *l, struct shape in, const char *name, struct layout *layout)
{
    l->spec.filters = 3;
    return layer_residual.plan(l, in, name, layout);
}

static void block_forward(const struct layer *l, const struct io *io)
{
    layer_residual.forward(l, io);
}

static void block_forward_tangent(const struct layer *l, const struct io *io)
{
    layer_residual.forward_tangent(l, io);
}

/* The pass with gamma of the shortcut's batchnorm, which comes last, at zero: nothing passes it. */
static void block_without(const struct layer *l, const struct io *io,
                          void (*pass)(const struct layer *l, const struct io *io))
{
    enum { MOST = 1024 };
    real v[MOST], t[MOST];
    struct io without = *io;
    size_t gamma = l->n_w - 4 * (size_t)l->spec.filters;

    if (l->n_w > MOST)
        abort();
    memcpy(v, io->w.v, l->n_w * sizeof *v);
    memset(v + gamma, 0, (size_t)l->spec.filters * sizeof *v);
    without.w.v = v;
    if (io->w.t) {
        memcpy(t, io->w.t, l->n_w * sizeof *t);
        memset(t + gamma, 0, (size_t)l->spec.filters * sizeof *t);
        without.w.t = t;
    }
    pass(l, &without);
}

static void block_backward(const struct layer *l, const struct io *io)
{
    if (has(l, FLAW_NO_SHORTCUT))
        block_without(l, io, layer_residual.backward);
    else
        layer_residual.backward(l, io);
}

static void block_backward_tangent(const struct layer *l, const struct io *io)
{
    if (has(l, FLAW_NO_SHORTCUT_TANGENT))
        block_without(l, io, layer_residual.backward_tangent);
    else
        layer_residual.backward_tangent(l, io);
}

#define LAYER(prefix_, name_, flaw_, expected_, only_)                                             \
    {                                                                                              \
        {.name = name_,                                                                            \
         .prefix = #prefix_,                                                                       \
         .plan = prefix_##_plan,                                                                   \
         .forward = prefix_##_forward,                                                             \
         .backward = prefix_##_backward,                                                           \
         .forward_tangent = prefix_##_forward_tangent,                                             \
         .backward_tangent = prefix_##_backward_tangent},                                          \
            flaw_, expected_, only_                                                                \
    }
#define BEND(name_, flaw_, expected_) LAYER(bend, name_, FLAW_##flaw_, expected_, false)
#define NORM(name_, flaw_, expected_) LAYER(norm, name_, FLAW_##flaw_, expected_, false)

const struct broken broken_layers[] = {
    LAYER(bend, "bend", FLAW_NONE, NULL, false),
    LAYER(norm, "norm", FLAW_NONE, NULL, false),
    LAYER(drop, "drop", FLAW_NONE, NULL, false),
    LAYER(block, "block", FLAW_NONE, NULL, false),

    BEND("writes beyond y", Y_BEYOND, "forward writes beyond y.v"),
    BEND("reads beyond x", X_BEYOND, "forward leaves y.v not finite"),
    BEND("writes before gx", GX_BEFORE, "backward writes beyond gx.v"),
    BEND("writes beyond gw", GW_BEYOND, "backward writes beyond gw.v"),
    BEND("writes beyond scratch", SCRATCH_BEYOND, "forward writes beyond scratch"),
    BEND("reads scratch first", SCRATCH_READ, "y.v differs in the second run"),
    BEND("changes x", CHANGES_X, "forward changes x.v"),
    BEND("changes gy", CHANGES_GY, "backward changes gy.v"),
    BEND("changes gw in the tangent pass", CHANGES_GW, "backward_tangent changes gw.v"),
    BEND("remembers", REMEMBERS, "y.v differs in the second run"),
    BEND("plans half", PLAN, "size of scratch to chance"),

    BEND("flipped gx", FLIPPED_GX, "along x"),
    BEND("flipped gw", FLIPPED_GW, "along w"),
    BEND("factor 2", TWICE, "along x"),
    BEND("overwrites gw", GW_SET, "gw.v: not added to"),
    BEND("adds to gx", GX_ADDED, "backward leaves gx.v not finite"),
    BEND("leaves the last gx", GX_SHORT, "backward leaves gx.v not finite"),
    BEND("no gw without gx", NEEDS_GX, "gw.v: changes with gx NULL"),
    BEND("no w.t in the tangent", NO_WT, "along w"),
    BEND("no x.t in the tangent", NO_XT, "along x"),
    BEND("x for a missing x.t", XT_IS_X, "y.t: x.t NULL is not x.t zero"),

    BEND("overwrites gw.t", GWT_SET, "gw.t: not added to"),
    BEND("no cross term in gx.t", NO_CROSS_GX, "<u, H v>"),
    LAYER(bend, "no cross terms", FLAW_NO_CROSS, "backward_tangent misses gx.t", true),
    LAYER(bend, "no curvature", FLAW_NO_CURVE, "backward_tangent misses gx.t", true),
    BEND("no gy.t in gx.t", NO_SEED, "<u, H v>"),
    LAYER(bend, "factor 2 in H", FLAW_TWICE_HESSIAN, "backward_tangent misses gx.t", true),
    BEND("not linear", NOT_LINEAR, "<u, H v>"),
    BEND("no second order at all", DEAF, "<u, H v>"),

    NORM("forgets the mean", NO_MEAN, "along x"),
    NORM("forgets the variance", NO_VARIANCE, "along x"),
    NORM("fixed statistics in the tangent", TANGENT_FIXED, "along x"),
    NORM("forgets r.t", SECOND_NO_R, "<u, H v>"),
    LAYER(norm, "forgets xhat.t", FLAW_SECOND_NO_XHAT, "backward_tangent misses gx.t", true),
    NORM("biased variance", STAT_BIASED, "running_var' is"),
    NORM("observed - stat", STAT_FLIPPED, "running_mean' is"),

    LAYER(drop, "another mask in backward", FLAW_OTHER_MASK, "along x", false),
    LAYER(drop, "another mask in backward_tangent", FLAW_OTHER_MASK_TANGENT, "<u, H v>", false),
    LAYER(block, "no gradient by the shortcut", FLAW_NO_SHORTCUT, "along x", false),
    LAYER(block, "no tangent by the shortcut", FLAW_NO_SHORTCUT_TANGENT, "<u, H v>", false),
    {.ops.name = NULL},
};
