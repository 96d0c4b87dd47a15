/* batchnorm.c - batch normalisation, alone and with the relu behind it.      math.md (2.3)
 *
 * Per channel, over the m = n h w values of the batch (Ioffe and Szegedy 2015):
 *
 *     xhat = (x - mean) r,  r = 1 / sqrt(var + eps),  y = gamma xhat + beta
 *     gbeta = sum gy,  ggamma = sum gy xhat,  gx = gamma r (gy - gbeta / m - xhat ggamma / m)
 *
 * and along a direction, with s = mean(xhat x.t):
 *
 *     xhat.t = r (x.t - mean(x.t) - xhat s),  r.t = -r^2 s
 *
 * Statistics are those of the batch, in training and in evaluation: a query's prediction depends
 * on its neighbours (transductive). With `running`, two statistics segments follow their average,
 * their "gradient" being stat - observed, and evaluation, or training if they are fixed,
 * normalises by them instead: mean(x.t), s and the two sums in gx are then absent. Statistics that
 * were kept of another batch may be given to a forward pass (inductive).
 *
 * The fused variant reads and writes each map once instead of twice; relu's mask is y > 0. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "core/base/err.h"
#include "core/math/layer.h"
#include "core/math/layer/plan.h"
#include "core/math/layer/torch.h"
#include "core/math/vec.h"

#define EPSILON 1e-5

enum { BLOCK = 64, SUMS = 4 }; /* rows summed in `real` before the sum goes on in double */

static int batchnorm_plan(struct layer *l, struct shape in, const char *name, struct layout *layout)
{
    size_t c = (size_t)in.c;

    plan_plain(l, in, in);
    l->coupled = !l->spec.running;
    l->statistics = l->spec.running ? 0 : 2 * c; /* mean, r */
    l->save = 2 * c;                   /* v: mean, r; t: mean(x.t), s                       */
    l->scratch = SUMS * c * 3 + 8 * c; /* real sums, the same in double (2 reals), vectors  */
    TRY(plan_channels(l, layout, name, "weight", ROLE_BODY, 1));
    TRY(plan_channels(l, layout, name, "bias", ROLE_BODY, 0));
    if (!l->spec.running)
        return 0;
    TRY(plan_channels(l, layout, name, "running_mean", ROLE_STAT, 0));
    return plan_channels(l, layout, name, "running_var", ROLE_STAT, 1);
}

/* Sums per channel: `n` of them, in blocks so that long maps lose nothing. */
struct sums {
    size_t c;
    int n;
    double *total; /* (n, c) in scratch */
    real *block;   /* (n, c) in scratch */
};

static struct sums sums_begin(const struct layer *l, real *scratch, int n)
{
    struct sums s = {.c = (size_t)l->in.c, .n = n, .total = (double *)scratch};

    s.block = scratch + SUMS * s.c * sizeof(double) / sizeof(real);
    memset(s.total, 0, (size_t)n * s.c * sizeof *s.total);
    vec_zero((size_t)n * s.c, s.block);
    return s;
}

static void sums_flush(struct sums *s)
{
    for (size_t i = 0; i < (size_t)s->n * s->c; i++) {
        s->total[i] += s->block[i];
        s->block[i] = 0;
    }
}

/* The vectors of c reals that lie behind the sums in scratch. */
static real *scratch_vector(const struct layer *l, real *scratch, int which)
{
    size_t c = (size_t)l->in.c;

    return scratch + SUMS * c * (sizeof(double) / sizeof(real) + 1) + (size_t)which * c;
}

static size_t rows_of(const struct layer *l, const struct io *io)
{
    return (size_t)io->n * (size_t)(l->in.h * l->in.w);
}

static bool is_fixed(const struct layer *l, const struct io *io)
{
    return l->spec.running && (io->evaluate || io->fixed);
}

/* Sums of d = x - shift and of d^2, shift the first row: one pass, without the cancellation of
 * E x^2 - (E x)^2. */
static void moments_rows(struct sums *s, const real *x, size_t rows, const real *restrict shift)
{
    real *restrict first = s->block, *restrict second = s->block + s->c;

    for (size_t r = 0; r < rows; r++, x += s->c)
        for (size_t i = 0; i < s->c; i++) {
            real d = x[i] - shift[i];

            first[i] += d;
            second[i] += d * d;
        }
}

/* save = mean and r; var (c) = the batch's variance. */
static void batchnorm_moments(const struct layer *l, const struct io *io, real *var)
{
    size_t rows = rows_of(l, io), c = (size_t)l->in.c;
    struct sums s = sums_begin(l, io->scratch, 2);

    for (size_t r = 0; r < rows; r += BLOCK) {
        moments_rows(&s, io->x.v + r * c, rows - r < BLOCK ? rows - r : BLOCK, io->x.v);
        sums_flush(&s);
    }
    for (size_t i = 0; i < c; i++) {
        double d = s.total[i] / (double)rows, v = s.total[c + i] / (double)rows - d * d;

        v = v < 0 ? 0 : v;
        io->save.v[i] = (real)(io->x.v[i] + d);
        io->save.v[c + i] = (real)(1 / sqrt(v + EPSILON));
        var[i] = (real)v;
    }
}

static void batchnorm_fixed(const struct layer *l, const struct io *io)
{
    size_t c = (size_t)l->in.c;

    vec_copy(c, io->w.v + 2 * c, io->save.v);
    for (size_t i = 0; i < c; i++)
        io->save.v[c + i] = (real)(1 / sqrt((double)io->w.v[3 * c + i] + EPSILON));
}

/* save = mean and r, of this batch or as given; var (c): scratch. */
static void batchnorm_batch(const struct layer *l, const struct io *io, real *var)
{
    if (io->given) {
        vec_copy(l->statistics, io->statistics, io->save.v);
        return;
    }
    batchnorm_moments(l, io, var);
    if (io->statistics)
        vec_copy(l->statistics, io->save.v, io->statistics);
}

/* y = x a + b with a = gamma r, b = beta - mean a; then relu. */
static inline void normalise(size_t rows, size_t c, const real *restrict a, const real *restrict b,
                             const real *x, real *y, bool relu)
{
    for (size_t r = 0; r < rows; r++, x += c, y += c)
        for (size_t i = 0; i < c; i++) {
            real value = x[i] * a[i] + b[i];

            y[i] = relu && value < 0 ? 0 : value;
        }
}

static inline void forward(const struct layer *l, const struct io *io, bool relu)
{
    size_t c = (size_t)l->in.c;
    real *a = scratch_vector(l, io->scratch, 0), *b = scratch_vector(l, io->scratch, 1);
    const real *mean = io->save.v, *r = io->save.v + c;

    if (is_fixed(l, io))
        batchnorm_fixed(l, io);
    else
        batchnorm_batch(l, io, a);
    for (size_t i = 0; i < c; i++) {
        a[i] = io->w.v[i] * r[i];
        b[i] = io->w.v[c + i] - mean[i] * a[i];
    }
    normalise(rows_of(l, io), c, a, b, io->x.v, io->y.v, relu);
}

/* block += gy, gy xhat of some rows */
static inline void gradient_rows(struct sums *s, size_t rows, const real *restrict mean,
                                 const real *restrict r, const real *x, const real *y,
                                 const real *gy, bool relu)
{
    real *restrict beta = s->block, *restrict gamma = s->block + s->c;
    size_t c = s->c;

    for (size_t k = 0; k < rows; k++, x += c, y += c, gy += c)
        for (size_t i = 0; i < c; i++) {
            real g = relu && !(y[i] > 0) ? 0 : gy[i];

            beta[i] += g;
            gamma[i] += g * (x[i] - mean[i]) * r[i];
        }
}

static inline struct sums gradient_sums(const struct layer *l, const struct io *io, bool relu)
{
    size_t rows = rows_of(l, io), c = (size_t)l->in.c;
    struct sums s = sums_begin(l, io->scratch, 2);

    for (size_t k = 0; k < rows; k += BLOCK) {
        gradient_rows(&s, rows - k < BLOCK ? rows - k : BLOCK, io->save.v, io->save.v + c,
                      io->x.v + k * c, io->y.v + k * c, io->gy.v + k * c, relu);
        sums_flush(&s);
    }
    return s;
}

/* The statistics' "gradient", stat - observed, with PyTorch's unbiased variance. */
static void batchnorm_observe(const struct layer *l, const struct io *io)
{
    size_t c = (size_t)l->in.c;
    double m = (double)rows_of(l, io), unbias = m > 1 ? m / (m - 1) : 1;

    for (size_t i = 0; i < c; i++) {
        double r = io->save.v[c + i], var = 1 / (r * r) - EPSILON;

        io->gw.v[2 * c + i] += io->w.v[2 * c + i] - io->save.v[i];
        io->gw.v[3 * c + i] += (real)(io->w.v[3 * c + i] - var * unbias);
    }
}

/* gx = a gy + b x + d with per-channel a, b, d: gamma r (gy - gbeta/m - xhat ggamma/m),
 * unfolded. */
static inline void backward_rows(size_t rows, size_t c, const real *restrict a,
                                 const real *restrict b, const real *restrict d, const real *x,
                                 const real *y, const real *gy, real *restrict gx, bool relu)
{
    for (size_t k = 0; k < rows; k++, x += c, y += c, gy += c, gx += c)
        for (size_t i = 0; i < c; i++) {
            real g = relu && !(y[i] > 0) ? 0 : gy[i];

            gx[i] = a[i] * g + b[i] * x[i] + d[i];
        }
}

static inline void backward(const struct layer *l, const struct io *io, bool relu)
{
    size_t c = (size_t)l->in.c, rows = rows_of(l, io);
    const real *mean = io->save.v, *r = io->save.v + c;
    real *a = scratch_vector(l, io->scratch, 0), *b = scratch_vector(l, io->scratch, 1);
    real *d = scratch_vector(l, io->scratch, 2);
    struct sums s = gradient_sums(l, io, relu);
    double m = is_fixed(l, io) ? INFINITY : (double)rows;

    for (size_t i = 0; i < c; i++) {
        a[i] = io->w.v[i] * r[i];
        b[i] = (real)(-a[i] * r[i] * s.total[c + i] / m);
        d[i] = (real)(-a[i] * s.total[i] / m - b[i] * mean[i]);
        io->gw.v[i] += (real)s.total[c + i];
        io->gw.v[c + i] += (real)s.total[i];
    }
    if (l->spec.running && !is_fixed(l, io) && !(io->source && l->spec.follows_target))
        batchnorm_observe(l, io);
    if (io->gx.v)
        backward_rows(rows, c, a, b, d, io->x.v, io->y.v, io->gy.v, io->gx.v, relu);
}

static void tangent_rows(struct sums *s, size_t rows, const real *restrict mean,
                         const real *restrict r, const real *x, const real *xt)
{
    real *restrict first = s->block, *restrict second = s->block + s->c;

    for (size_t k = 0; k < rows; k++, x += s->c, xt += s->c)
        for (size_t i = 0; i < s->c; i++) {
            first[i] += xt[i];
            second[i] += xt[i] * (x[i] - mean[i]) * r[i];
        }
}

/* save.t = mean(x.t) and s = mean(xhat x.t); zero if the statistics are fixed. */
static void tangent_moments(const struct layer *l, const struct io *io)
{
    size_t rows = rows_of(l, io), c = (size_t)l->in.c;
    struct sums s = sums_begin(l, io->scratch, 2);

    vec_zero(2 * c, io->save.t);
    if (!io->x.t || is_fixed(l, io))
        return;
    for (size_t k = 0; k < rows; k += BLOCK) {
        tangent_rows(&s, rows - k < BLOCK ? rows - k : BLOCK, io->save.v, io->save.v + c,
                     io->x.v + k * c, io->x.t + k * c);
        sums_flush(&s);
    }
    for (size_t i = 0; i < 2 * c; i++)
        io->save.t[i] = (real)(s.total[i] / (double)rows);
}

/* y.t = a x.t + b x + d, masked */
static inline void tangent_apply(size_t rows, size_t c, const real *restrict a,
                                 const real *restrict b, const real *restrict d, const real *x,
                                 const real *xt, const real *y, real *yt, bool relu)
{
    for (size_t k = 0; k < rows; k++, x += c, y += c, yt += c, xt += xt ? c : 0)
        for (size_t i = 0; i < c; i++) {
            real value = (xt ? a[i] * xt[i] : 0) + b[i] * x[i] + d[i];

            yt[i] = relu && !(y[i] > 0) ? 0 : value;
        }
}

/* y.t = gamma.t xhat + gamma xhat.t + beta.t, gathered by x.t, x and 1. */
static inline void forward_tangent(const struct layer *l, const struct io *io, bool relu)
{
    size_t c = (size_t)l->in.c;
    const real *mean = io->save.v, *r = io->save.v + c, *mt = io->save.t, *s = io->save.t + c;
    real *a = scratch_vector(l, io->scratch, 0), *b = scratch_vector(l, io->scratch, 1);
    real *d = scratch_vector(l, io->scratch, 2);

    tangent_moments(l, io);
    for (size_t i = 0; i < c; i++) {
        a[i] = io->w.v[i] * r[i];
        b[i] = (io->w.t[i] - a[i] * s[i]) * r[i];
        d[i] = io->w.t[c + i] - a[i] * mt[i] - b[i] * mean[i];
    }
    tangent_apply(rows_of(l, io), c, a, b, d, io->x.v, io->x.t, io->y.v, io->y.t, relu);
}

/* One channel vector set for the second-order pass. */
struct second {
    const real *mean, *r, *mt, *s; /* what the forward passes left                  */
    real *a, *b;                   /* gx   = a g + b x + d                          */
    real *at, *bt, *dt;            /* gx.t = a g.t + at g + b x.t + bt x + dt       */
};

/* block += g, g xhat, g.t, g.t xhat + g xhat.t of some rows */
static inline void second_rows(struct sums *sum, size_t rows, const struct second *q,
                               const struct io *io, size_t at, bool relu)
{
    size_t c = sum->c;
    real *restrict g0 = sum->block, *restrict g1 = g0 + c, *restrict t0 = g1 + c,
                   *restrict t1 = t0 + c;
    const real *x = io->x.v + at * c, *xt = io->x.t ? io->x.t + at * c : NULL;
    const real *y = io->y.v + at * c, *gy = io->gy.v + at * c, *gyt = io->gy.t + at * c;

    for (size_t k = 0; k < rows; k++, x += c, y += c, gy += c, gyt += c, xt += xt ? c : 0)
        for (size_t i = 0; i < c; i++) {
            real keep = relu && !(y[i] > 0) ? 0 : 1, g = keep * gy[i], gt = keep * gyt[i];
            real xhat = (x[i] - q->mean[i]) * q->r[i];
            real xhat_t = ((xt ? xt[i] : 0) - q->mt[i] - xhat * q->s[i]) * q->r[i];

            g0[i] += g;
            g1[i] += g * xhat;
            t0[i] += gt;
            t1[i] += gt * xhat + g * xhat_t;
        }
}

static inline struct sums second_sums(const struct layer *l, const struct io *io,
                                      const struct second *q, bool relu)
{
    size_t rows = rows_of(l, io);
    struct sums s = sums_begin(l, io->scratch, SUMS);

    for (size_t k = 0; k < rows; k += BLOCK) {
        second_rows(&s, rows - k < BLOCK ? rows - k : BLOCK, q, io, k, relu);
        sums_flush(&s);
    }
    return s;
}

static inline void second_apply(size_t rows, size_t c, const struct second *q, const struct io *io,
                                bool relu)
{
    const real *restrict a = q->a, *restrict b = q->b, *restrict at = q->at, *restrict bt = q->bt,
                         *restrict dt = q->dt;
    const real *x = io->x.v, *xt = io->x.t, *y = io->y.v, *gy = io->gy.v, *gyt = io->gy.t;
    real *restrict gxt = io->gx.t;

    for (size_t k = 0; k < rows; k++, x += c, y += c, gy += c, gyt += c, gxt += c, xt += xt ? c : 0)
        for (size_t i = 0; i < c; i++) {
            real keep = relu && !(y[i] > 0) ? 0 : 1;

            gxt[i] = keep * (a[i] * gyt[i] + at[i] * gy[i]) + (xt ? b[i] * xt[i] : 0) +
                     bt[i] * x[i] + dt[i];
        }
}

/* With G = sum g xhat / m, A = sum g / m and their tangents: gx = a (g - A - xhat G), a = gamma r,
 * b = -a r G, d = -a A - b mean; each differentiated by the product rule. */
static void second_channel(const struct io *io, size_t c, size_t i, const struct sums *sum,
                           double m, const struct second *q)
{
    double r = q->r[i], rt = -r * r * q->s[i], gamma = io->w.v[i];
    double A = sum->total[i] / m, G = sum->total[c + i] / m;
    double At = sum->total[2 * c + i] / m, Gt = sum->total[3 * c + i] / m;
    double a = gamma * r, at = io->w.t[i] * r + gamma * rt;
    double b = -a * r * G, bt = -at * r * G - a * rt * G - a * r * Gt;

    q->a[i] = (real)a;
    q->at[i] = (real)at;
    q->b[i] = (real)b;
    q->bt[i] = (real)bt;
    q->dt[i] = (real)(-at * A - a * At - bt * q->mean[i] - b * q->mt[i]);
}

static inline void backward_tangent(const struct layer *l, const struct io *io, bool relu)
{
    size_t c = (size_t)l->in.c, rows = rows_of(l, io);
    struct second q = {io->save.v, io->save.v + c, io->save.t, io->save.t + c};
    double m = is_fixed(l, io) ? INFINITY : (double)rows;
    struct sums s;

    q.a = scratch_vector(l, io->scratch, 0), q.at = scratch_vector(l, io->scratch, 1);
    q.b = scratch_vector(l, io->scratch, 2), q.bt = scratch_vector(l, io->scratch, 3);
    q.dt = scratch_vector(l, io->scratch, 4);
    s = second_sums(l, io, &q, relu);
    for (size_t i = 0; i < c; i++) {
        second_channel(io, c, i, &s, m, &q);
        io->gw.t[i] += (real)s.total[3 * c + i];
        io->gw.t[c + i] += (real)s.total[2 * c + i];
    }
    if (io->gx.t)
        second_apply(rows, c, &q, io, relu);
}

#define VARIANT(variant, with_relu)                                                                \
    static void variant##_forward(const struct layer *l, const struct io *io)                      \
    {                                                                                              \
        forward(l, io, with_relu);                                                                 \
    }                                                                                              \
    static void variant##_backward(const struct layer *l, const struct io *io)                     \
    {                                                                                              \
        backward(l, io, with_relu);                                                                \
    }                                                                                              \
    static void variant##_forward_tangent(const struct layer *l, const struct io *io)              \
    {                                                                                              \
        forward_tangent(l, io, with_relu);                                                         \
    }                                                                                              \
    static void variant##_backward_tangent(const struct layer *l, const struct io *io)             \
    {                                                                                              \
        backward_tangent(l, io, with_relu);                                                        \
    }

VARIANT(plain, false)
VARIANT(fused, true)

static void plain_torch(const struct layer *l, const char *name, struct torch_text *t)
{
    torch_function(t, "self.%s(x)", name);
    snprintf(t->module, sizeof t->module, "nn.BatchNorm%s(%d%s)", t->flat ? "1d" : "2d", l->in.c,
             l->spec.running ? "" : ", track_running_stats=False");
}

static void fused_torch(const struct layer *l, const char *name, struct torch_text *t)
{
    plain_torch(l, name, t);
    snprintf(t->forward, sizeof t->forward, "F.relu(self.%s(x))", name);
}

const struct layer_ops layer_batchnorm_relu = {
    .name = "batchnorm_relu",
    .prefix = "bn",
    .summary = "batchnorm and relu in one pass; replaces a batchnorm followed by a relu",
    .kind = LAYER_NORM,
    .range = "relu",
    .plan = batchnorm_plan,
    .forward = fused_forward,
    .backward = fused_backward,
    .forward_tangent = fused_forward_tangent,
    .backward_tangent = fused_backward_tangent,
    .torch = fused_torch,
};

const struct layer_ops layer_batchnorm = {
    .name = "batchnorm",
    .prefix = "bn",
    .summary = "batch normalisation: running, keep statistics (default: as model.statistics says)",
    .kind = LAYER_NORM,
    .fuses_with = "relu",
    .fused = &layer_batchnorm_relu,
    .plan = batchnorm_plan,
    .forward = plain_forward,
    .backward = plain_backward,
    .forward_tangent = plain_forward_tangent,
    .backward_tangent = plain_backward_tangent,
    .torch = plain_torch,
};
