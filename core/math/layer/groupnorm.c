/* groupnorm.c - normalisation of each sample by itself: groupnorm and layernorm.  math.md (2.13)
 *
 * A block holds m values of one sample: a group of channels at all positions (groupnorm, Wu and He
 * 2018), or all channels of one position (layernorm, Ba, Kiros, Hinton 2016). With gamma and beta
 * per channel and means over the block,
 *
 *     xhat = (x - mean) r,  r = 1 / sqrt(var + eps),  y = gamma xhat + beta,  q = gamma gy
 *     gbeta = sum gy,  ggamma = sum gy xhat,  A = mean q,
 *     B = mean(q xhat),  gx = r (q - A - xhat B)
 *
 * and along a direction, with s = mean(xhat x.t):
 *
 *     xhat.t = r (x.t - mean(x.t) - xhat s),  r.t = -r^2 s
 *
 * and the product rule for the rest. No statistic is kept: training and evaluation are alike, and a
 * prediction does not depend on other samples. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "core/base/err.h"
#include "core/math/layer.h"
#include "core/math/layer/plan.h"
#include "core/math/layer/torch.h"

#define EPSILON 1e-5

/* blocks: of a sample. */
static int norm_plan(struct layer *l, struct shape in, const char *name, struct layout *layout,
                     int blocks)
{
    plan_plain(l, in, in);
    l->save_each = 2 * (size_t)blocks; /* v: mean, r; t: mean(x.t), s; of each block */
    l->scratch = 2 * (size_t)in.c * sizeof(double) / sizeof(real); /* sums of gw */
    TRY(plan_channels(l, layout, name, "weight", ROLE_BODY, 1));
    return plan_channels(l, layout, name, "bias", ROLE_BODY, 0);
}

static int groupnorm_plan(struct layer *l, struct shape in, const char *name, struct layout *layout)
{
    int groups = l->spec.groups = l->spec.groups ? l->spec.groups : 1;

    if (groups < 1 || in.c % groups)
        return err(ERR_CONFIG, "layer '%s': %d channels are not %d equal groups", name, in.c,
                   groups);
    return norm_plan(l, in, name, layout, groups);
}

static int layernorm_plan(struct layer *l, struct shape in, const char *name, struct layout *layout)
{
    l->spec.groups = 0;
    return norm_plan(l, in, name, layout, in.h * in.w);
}

/* Where the values of a block lie: `positions` runs of `width` channels, `stride` reals apart. */
struct norm_block {
    size_t first, positions, width, stride;
    size_t channel; /* of the first value of a run */
    size_t save;    /* of the block's two numbers */
    double m;       /* values */
};

static size_t n_blocks(const struct layer *l, const struct io *io)
{
    return (size_t)io->n * l->save_each / 2;
}

static struct norm_block block_at(const struct layer *l, size_t i)
{
    size_t c = (size_t)l->in.c, map = shape_size(l->in) / c, groups = (size_t)l->spec.groups;
    size_t width = groups ? c / groups : c;

    if (!groups) /* layernorm: one position */
        return (struct norm_block){i * c, 1, c, c, 0, 2 * i, (double)c};
    return (struct norm_block){.first = i / groups * map * c + i % groups * width,
                               .positions = map,
                               .width = width,
                               .stride = c,
                               .channel = i % groups * width,
                               .save = 2 * i,
                               .m = (double)(map * width)};
}

/* Sums over all blocks for gamma and beta, in scratch: 2 c, 0 at the start. */
static double *sums_begin(const struct layer *l, const struct io *io)
{
    return memset(io->scratch, 0, 2 * (size_t)l->in.c * sizeof(double));
}

static void sums_add(const struct layer *l, const double *sums, real *gw)
{
    for (size_t i = 0; i < 2 * (size_t)l->in.c; i++)
        gw[i] += (real)sums[i];
}

/* Visits the values of a block: `at`, their places in x; `ch`, their channels. */
#define EACH(b)                                                                                    \
    for (size_t row_ = 0; row_ < (b)->positions; row_++)                                           \
        for (size_t at = (b)->first + row_ * (b)->stride, ch = (b)->channel,                       \
                    end_ = at + (b)->width;                                                        \
             at < end_; at++, ch++)

static void block_forward(const struct norm_block *b, const struct io *io, size_t c)
{
    const real *x = io->x.v, *gamma = io->w.v, *beta = io->w.v + c;
    double mean = 0, var = 0;
    real m, r;

    EACH(b) mean += x[at];
    mean /= b->m;
    EACH(b) var += (x[at] - mean) * (x[at] - mean);
    m = io->save.v[b->save] = (real)mean;
    r = io->save.v[b->save + 1] = (real)(1 / sqrt(var / b->m + EPSILON));
    EACH(b) io->y.v[at] = gamma[ch] * ((x[at] - m) * r) + beta[ch];
}

static void norm_forward(const struct layer *l, const struct io *io)
{
    for (size_t i = 0; i < n_blocks(l, io); i++) {
        struct norm_block b = block_at(l, i);

        block_forward(&b, io, (size_t)l->in.c);
    }
}

static void block_backward(const struct norm_block *b, const struct io *io, size_t c, double *sums)
{
    const real *x = io->x.v, *gy = io->gy.v, *gamma = io->w.v;
    real mean = io->save.v[b->save], r = io->save.v[b->save + 1];
    double A = 0, B = 0;

    EACH(b)
    {
        real xhat = (x[at] - mean) * r, q = gamma[ch] * gy[at];

        A += q, B += (double)q * xhat;
        sums[ch] += (double)gy[at] * xhat;
        sums[c + ch] += gy[at];
    }
    A /= b->m, B /= b->m;
    if (!io->gx.v)
        return;
    EACH(b) io->gx.v[at] = (real)(r * (gamma[ch] * gy[at] - A - (x[at] - mean) * r * B));
}

static void norm_backward(const struct layer *l, const struct io *io)
{
    double *sums = sums_begin(l, io);

    for (size_t i = 0; i < n_blocks(l, io); i++) {
        struct norm_block b = block_at(l, i);

        block_backward(&b, io, (size_t)l->in.c, sums);
    }
    sums_add(l, sums, io->gw.v);
}

static real tangent_of(const struct io *io, size_t at)
{
    return io->x.t ? io->x.t[at] : 0;
}

static void block_forward_tangent(const struct norm_block *b, const struct io *io, size_t c)
{
    const real *x = io->x.v, *gamma = io->w.v;
    real mean = io->save.v[b->save], r = io->save.v[b->save + 1], mt, s;
    double sum = 0, along = 0;

    EACH(b)
    {
        sum += tangent_of(io, at);
        along += (double)((x[at] - mean) * r) * tangent_of(io, at);
    }
    mt = io->save.t[b->save] = (real)(sum / b->m);
    s = io->save.t[b->save + 1] = (real)(along / b->m);
    EACH(b)
    {
        real xhat = (x[at] - mean) * r, xhat_t = r * (tangent_of(io, at) - mt - xhat * s);

        io->y.t[at] = io->w.t[ch] * xhat + gamma[ch] * xhat_t + io->w.t[c + ch];
    }
}

static void norm_forward_tangent(const struct layer *l, const struct io *io)
{
    for (size_t i = 0; i < n_blocks(l, io); i++) {
        struct norm_block b = block_at(l, i);

        block_forward_tangent(&b, io, (size_t)l->in.c);
    }
}

/* What the passes before left of a block, and a value's share of the gradient and its tangent. */
struct norm_second {
    real mean, r, mt, s;
    double A, B, At, Bt;
};

struct norm_value {
    real xhat, xhat_t, q, qt;
};

static struct norm_value value_at(const struct norm_second *k, const struct io *io, size_t at,
                                  size_t ch)
{
    real xhat = (io->x.v[at] - k->mean) * k->r;

    return (struct norm_value){
        .xhat = xhat,
        .xhat_t = k->r * (tangent_of(io, at) - k->mt - xhat * k->s),
        .q = io->w.v[ch] * io->gy.v[at],
        .qt = io->w.t[ch] * io->gy.v[at] + io->w.v[ch] * io->gy.t[at],
    };
}

static void block_backward_tangent(const struct norm_block *b, const struct io *io, size_t c,
                                   double *sums)
{
    const real *v = io->save.v + b->save, *t = io->save.t + b->save;
    struct norm_second k = {v[0], v[1], t[0], t[1], 0, 0, 0, 0};
    double r = k.r, rt = -r * r * k.s;

    EACH(b)
    {
        struct norm_value u = value_at(&k, io, at, ch);

        k.A += u.q, k.B += (double)u.q * u.xhat;
        k.At += u.qt, k.Bt += (double)u.qt * u.xhat + (double)u.q * u.xhat_t;
        sums[ch] += (double)io->gy.t[at] * u.xhat + (double)io->gy.v[at] * u.xhat_t;
        sums[c + ch] += io->gy.t[at];
    }
    k.A /= b->m, k.B /= b->m, k.At /= b->m, k.Bt /= b->m;
    if (!io->gx.t)
        return;
    EACH(b)
    {
        struct norm_value u = value_at(&k, io, at, ch);

        io->gx.t[at] = (real)(rt * (u.q - k.A - u.xhat * k.B) +
                              r * (u.qt - k.At - u.xhat_t * k.B - u.xhat * k.Bt));
    }
}

static void norm_backward_tangent(const struct layer *l, const struct io *io)
{
    double *sums = sums_begin(l, io);

    for (size_t i = 0; i < n_blocks(l, io); i++) {
        struct norm_block b = block_at(l, i);

        block_backward_tangent(&b, io, (size_t)l->in.c, sums);
    }
    sums_add(l, sums, io->gw.t);
}

static void groupnorm_torch(const struct layer *l, const char *name, struct torch_text *t)
{
    torch_function(t, "self.%s(x)", name);
    snprintf(t->module, sizeof t->module, "nn.GroupNorm(%d, %d)", l->spec.groups, l->in.c);
}

static void layernorm_torch(const struct layer *l, const char *name, struct torch_text *t)
{
    torch_function(t, t->flat ? "self.%s(x)" : "self.%s(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)",
                   name);
    snprintf(t->module, sizeof t->module, "nn.LayerNorm(%d)", l->in.c);
}

const struct layer_ops layer_groupnorm = {
    .name = "groupnorm",
    .prefix = "gn",
    .summary = "normalises groups of channels over the map, of each sample by itself: groups (1)",
    .kind = LAYER_NORM,
    .plan = groupnorm_plan,
    .forward = norm_forward,
    .backward = norm_backward,
    .forward_tangent = norm_forward_tangent,
    .backward_tangent = norm_backward_tangent,
    .torch = groupnorm_torch,
};

const struct layer_ops layer_layernorm = {
    .name = "layernorm",
    .prefix = "ln",
    .summary = "normalises the channels of each position by themselves",
    .kind = LAYER_NORM,
    .plan = layernorm_plan,
    .forward = norm_forward,
    .backward = norm_backward,
    .forward_tangent = norm_forward_tangent,
    .backward_tangent = norm_backward_tangent,
    .torch = layernorm_torch,
};
