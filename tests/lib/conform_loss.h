/* conform_loss.h - what every loss must satisfy, whatever it computes.
 *
 * Each check returns 0 or err() with the reason. */
#ifndef TESTS_LIB_CONFORM_LOSS_H
#define TESTS_LIB_CONFORM_LOSS_H

#include "core/math/loss.h"
#include "tests/lib/conform.h"

enum { Y, YT, TARGET, GY, GYT, N_BUFFERS, N_MAX = 5, C_MAX = 60 };

#ifdef REAL64
static const bool can_difference = true;
#else
static const bool can_difference = false; /* a step h loses REAL_EPS / h of every digit there is */
#endif
static const double STEP = 0x1p-17;

static struct loss cross_entropy; /* of find_cross_entropy, the setup of a group of tests */

static inline int find_cross_entropy(void **state)
{
    (void)state;
    cross_entropy = loss_plain("cross_entropy");
    return cross_entropy.ops ? 0 : -1;
}

struct probe {
    struct loss loss;
    int c, label[N_MAX];
    real weight[N_MAX];
    size_t n; /* batch.n * c */
    struct batch batch;
    struct buffer b[N_BUFFERS]; /* owned */
};

static inline void probe_init(struct probe *p, const struct loss *loss, int n, int c, uint64_t seed)
{
    *p = (struct probe){.loss = *loss, .c = c, .n = (size_t)(n * c)};
    for (int i = 0; i < N_BUFFERS; i++)
        buffer_init(&p->b[i], i, p->n, 1);
    for (int i = Y; i <= TARGET; i++)
        fill_uniform(p->n, p->b[i].v, -3, 3, &seed);
    for (int k = 0; k < n; k++)
        p->label[k] = (int)(draw_u64(&seed) % (uint64_t)c);
    p->batch = (struct batch){.n = n, .label = p->label, .target = p->b[TARGET].v};
}

static inline void probe_release(struct probe *p)
{
    for (int i = 0; i < N_BUFFERS; i++)
        buffer_release(&p->b[i]);
}

static inline double probe_value(struct probe *p)
{
    return loss_value(&p->loss, &p->batch, p->c, p->b[Y].v);
}

/* Outputs start as NaN: they are overwritten, all of them; inputs and guards stay. */
static inline int probe_run(struct probe *p)
{
    static const char *const names[] = {"y", "yt", "target", "gy", "gyt"};

    for (int i = 0; i < N_BUFFERS; i++)
        buffer_keep(&p->b[i]);
    buffer_spoil(&p->b[GY], 0xff);
    buffer_spoil(&p->b[GYT], p->loss.ops->grad_tangent ? 0xff : 0);
    loss_grad(&p->loss, &p->batch, p->c, p->b[Y].v, p->b[GY].v);
    if (p->loss.ops->grad_tangent)
        p->loss.ops->grad_tangent(&p->loss, &p->batch, p->c, p->b[Y].v, p->b[YT].v, p->b[GYT].v);
    for (int i = 0; i < N_BUFFERS; i++) {
        if (!buffer_guarded(&p->b[i]))
            return err(ERR_FAILED, "writes beyond %s", names[i]);
        if (i < GY ? !buffer_kept(&p->b[i]) : !buffer_finite(&p->b[i]))
            return err(ERR_FAILED, "%s %s", i < GY ? "changes" : "leaves garbage in", names[i]);
    }
    return 0;
}

/* grad against differences of value, output by output */
static inline int check_grad(struct probe *p)
{
    double scale, lost = 4 * REAL_EPS * fabs(probe_value(p)) / STEP;

    TRY(probe_run(p));
    scale = largest(p->n, p->b[GY].v);
    for (size_t i = 0; i < p->n; i++) {
        real here = p->b[Y].v[i];
        double plus, minus, got = p->b[GY].v[i], want;

        p->b[Y].v[i] = (real)(here + STEP);
        plus = probe_value(p);
        p->b[Y].v[i] = (real)(here - STEP);
        minus = probe_value(p);
        p->b[Y].v[i] = here;
        want = (plus - minus) / (2 * STEP);
        if (!(fabs(got - want) <= 1e-7 * scale + lost))
            return err(ERR_FAILED, "grad misses: output %zu has %.12g, not %.12g", i, got, want);
    }
    return 0;
}

static inline void shift(struct probe *p, double h)
{
    for (size_t i = 0; i < p->n; i++)
        p->b[Y].v[i] = (real)(p->b[Y].v[i] + h * p->b[YT].v[i]);
}

/* grad_tangent against differences of grad along yt */
static inline int check_grad_tangent(struct probe *p)
{
    real tangent[N_MAX * C_MAX], d[N_MAX * C_MAX];

    TRY(probe_run(p));
    memcpy(tangent, p->b[GYT].v, p->n * sizeof(real));
    shift(p, STEP);
    TRY(probe_run(p));
    memcpy(d, p->b[GY].v, p->n * sizeof(real));
    shift(p, -2 * STEP);
    TRY(probe_run(p));
    shift(p, STEP);
    for (size_t i = 0; i < p->n; i++)
        d[i] = (real)((d[i] - p->b[GY].v[i]) / (2 * STEP));
    return near("grad_tangent misses", p->n, tangent, d,
                1e-7 * largest(p->n, d) + 16 * REAL_EPS * largest(p->n, p->b[GY].v) / STEP);
}

/* <u, H v> = <H u, v>, and H (v + 2u) = H v + 2 H u. Each element of H v sums c products. */
static inline int check_hessian(struct probe *p)
{
    real u[N_MAX * C_MAX], hu[N_MAX * C_MAX], want[N_MAX * C_MAX];
    double eps = can_difference ? 1e-12 : 8 * C_MAX * REAL_EPS, left, right, scale;
    uint64_t seed = 5;

    TRY(probe_run(p));
    memcpy(u, p->b[YT].v, p->n * sizeof(real));
    memcpy(hu, p->b[GYT].v, p->n * sizeof(real));
    fill_uniform(p->n, p->b[YT].v, -1, 1, &seed);
    TRY(probe_run(p));
    left = dot(p->n, u, p->b[GYT].v);
    right = dot(p->n, hu, p->b[YT].v);
    scale = norm(p->n, u) * norm(p->n, p->b[GYT].v) + norm(p->n, hu) * norm(p->n, p->b[YT].v);
    if (!(fabs(left - right) <= eps * scale))
        return err(ERR_FAILED, "not symmetric: %.12g against %.12g", left, right);
    for (size_t i = 0; i < p->n; i++) {
        want[i] = p->b[GYT].v[i] + 2 * hu[i];
        p->b[YT].v[i] += 2 * u[i];
    }
    TRY(probe_run(p));
    return near("not linear", p->n, p->b[GYT].v, want, eps * largest(p->n, want));
}

/* A mean over samples: a sample twice has the value of it once, and half the gradient each time. */
static inline int check_mean_of(struct probe *p)
{
    size_t c = (size_t)p->c;
    double one, two = probe_value(p);
    real half[C_MAX];

    TRY(probe_run(p));
    memcpy(half, p->b[GY].v, c * sizeof(real));
    p->batch.n = 1;
    one = probe_value(p);
    loss_grad(&p->loss, &p->batch, p->c, p->b[Y].v, p->b[GY].v);
    for (size_t i = 0; i < c; i++)
        half[i] *= 2;
    if (!(fabs(one - two) <= 8 * REAL_EPS * fmax(fabs(one), 1))) /* terms may cancel */
        return err(ERR_FAILED, "not a mean: %.12g, twice %.12g", one, two);
    return near("not a mean: gradient", c, p->b[GY].v, half, 8 * REAL_EPS * largest(c, half));
}

static inline int check_mean(const struct loss *loss, int c)
{
    struct probe p;
    int code;

    probe_init(&p, loss, 2, c, 3);
    for (int i = Y; i <= TARGET; i++)
        memcpy(p.b[i].v + c, p.b[i].v, (size_t)c * sizeof(real));
    memcpy(p.b[TARGET].v + loss_targets(loss, c), p.b[TARGET].v,
           (size_t)loss_targets(loss, c) * sizeof(real));
    p.label[1] = p.label[0];
    code = check_mean_of(&p);
    probe_release(&p);
    return code;
}

/* ---- what is not there weighs nothing ---- */

/* Makes some labels or targets holes, with NaN where nobody asks, and draws weights, some 0. */
static inline void punch(struct probe *p, bool holes, bool weights, uint64_t seed)
{
    int targets = loss_targets(&p->loss, p->c), each = p->c / targets;

    for (int k = 0; k < p->batch.n; k++) {
        p->weight[k] = (real)((double)(draw_u64(&seed) % 4) / 2);
        for (int j = 0; holes && j < targets; j++)
            if (draw_u64(&seed) % 3 == 0) {
                p->label[k] = -1;
                p->b[TARGET].v[k * targets + j] = NAN;
                for (int i = 0; loss_is_regression(&p->loss) && i < each; i++)
                    p->b[Y].v[k * p->c + j * each + i] = p->b[YT].v[k * p->c + j * each + i] = NAN;
            }
    }
    p->batch.weight = weights ? p->weight : NULL;
}

struct parts { /* of a loss, gathered target by target */
    double value, accuracy, total;
    double grad[N_MAX * C_MAX], tangent[N_MAX * C_MAX];
};

static inline bool is_there(const struct probe *p, int k, int j)
{
    int targets = loss_targets(&p->loss, p->c);
    bool hole =
        loss_is_regression(&p->loss) ? isnan(p->b[TARGET].v[k * targets + j]) : p->label[k] < 0;

    return !hole && batch_weight(&p->batch, k) > 0;
}

/* Adds what the loss is of a batch that has target j of sample k, or its label, alone. */
static inline void gather_one(struct probe *p, int k, int j, struct parts *sum)
{
    int targets = loss_targets(&p->loss, p->c), c = p->c;
    double w = batch_weight(&p->batch, k);
    real only[C_MAX], g[C_MAX], gt[C_MAX] = {0};
    struct batch one = {.n = 1, .label = p->label + k, .target = only};
    const real *y = p->b[Y].v + k * c;

    for (int i = 0; i < targets; i++)
        only[i] = i == j ? p->b[TARGET].v[k * targets + i] : (real)NAN;
    sum->value += w * loss_value(&p->loss, &one, c, y);
    sum->accuracy += w * loss_accuracy(&p->loss, &one, c, y);
    sum->total += w;
    loss_grad(&p->loss, &one, c, y, g);
    if (p->loss.ops->grad_tangent)
        p->loss.ops->grad_tangent(&p->loss, &one, c, y, p->b[YT].v + k * c, gt);
    for (int i = 0; i < c; i++)
        sum->grad[k * c + i] += w * g[i], sum->tangent[k * c + i] += w * gt[i];
}

static inline void gather(struct probe *p, struct parts *sum)
{
    int targets = loss_is_regression(&p->loss) ? loss_targets(&p->loss, p->c) : 1;

    memset(sum, 0, sizeof *sum);
    for (int k = 0; k < p->batch.n; k++)
        for (int j = 0; j < targets; j++)
            if (is_there(p, k, j))
                gather_one(p, k, j, sum);
}

static inline int compare_parts(struct probe *p, const struct parts *sum)
{
    double eps = can_difference ? 1e-12 : 8 * C_MAX * REAL_EPS,
           by = sum->total > 0 ? sum->total : 1;
    real want[N_MAX * C_MAX];

    if (!(fabs(probe_value(p) - sum->value / by) <= eps * fabs(sum->value / by)))
        return err(ERR_FAILED, "counts holes: value %.12g, not %.12g", probe_value(p),
                   sum->value / by);
    if (!(fabs(loss_accuracy(&p->loss, &p->batch, p->c, p->b[Y].v) - sum->accuracy / by) <= eps))
        return err(ERR_FAILED, "counts holes: accuracy");
    for (size_t i = 0; i < p->n; i++)
        want[i] = (real)(sum->grad[i] / by);
    TRY(near("counts holes: grad", p->n, p->b[GY].v, want, eps * largest(p->n, want)));
    for (size_t i = 0; i < p->n; i++)
        want[i] = (real)(sum->tangent[i] / by);
    return near("counts holes: grad_tangent", p->n, p->b[GYT].v, want, eps * largest(p->n, want));
}

static inline int check_parts(struct probe *p, bool holes, bool weights, uint64_t seed)
{
    struct parts sum;

    punch(p, holes, weights, seed);
    TRY(probe_run(p));
    gather(p, &sum);
    return compare_parts(p, &sum);
}

static inline int check_empty(struct probe *p)
{
    struct parts nothing = {0};

    for (int k = 0; k < p->batch.n; k++)
        p->label[k] = -1;
    for (size_t i = 0; i < p->n; i++)
        p->b[TARGET].v[i] = NAN;
    TRY(probe_run(p));
    return compare_parts(p, &nothing);
}

static inline int check_holes(const struct loss *loss, int n, int c)
{
    int code = 0;

    for (int i = 0; i < 5 && !code; i++) {
        struct probe p;

        probe_init(&p, loss, n, c, (uint64_t)(200 * n + c));
        code = i < 4 ? check_parts(&p, i & 1, i & 2, (uint64_t)(i + n)) : check_empty(&p);
        probe_release(&p);
    }
    return code;
}

/* ---- all of them ---- */

static inline int check_once(const struct loss *loss, int n, int c)
{
    struct probe p;
    int code;

    probe_init(&p, loss, n, c, (uint64_t)(100 * n + c));
    code = probe_run(&p);
    if (!code && loss->ops->grad_tangent)
        code = check_hessian(&p);
    if (!code && can_difference)
        code = check_grad(&p);
    if (!code && can_difference && loss->ops->grad_tangent)
        code = check_grad_tangent(&p);
    probe_release(&p);
    return code ? err_within(code, "%s, n %d, c %d", loss->ops->name, n, c) : 0;
}

/* holes: whether the loss knows that labels or targets may be missing. */
static inline int loss_check(const struct loss *loss, bool holes)
{
    static const int widths[] = {1, 2, 5, 20};

    for (size_t i = 0; i < sizeof widths / sizeof *widths; i++) {
        int c = widths[i] * loss->per_target;

        TRY(check_mean(loss, c));
        for (int n = 1; n <= N_MAX; n++) {
            TRY(check_once(loss, n, c));
            if (holes)
                TRY(check_holes(loss, n, c));
        }
    }
    return 0;
}

#endif
