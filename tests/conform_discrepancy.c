/* conform_discrepancy.c - the suite over every entry of the discrepancy table and every way mmd can be
 * set, against the definitions written out in long double and against differences; wrong
 * discrepancies; what small sets are known to give. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "core/discrepancy.h"
#include "tests/conform.h"

enum { XS, XT, GS, GT, N_BUFFERS, N_MAX = 12, D_MAX = 40, KINDS = 3, WIDTHS = 2, FAMILIES = 2 };

#ifdef REAL64
static const bool can_difference = true;
#else
static const bool can_difference = false; /* a step h loses REAL_EPS / h of every digit there is */
#endif
static const double STEP = 0x1p-16;

/* ---- the definitions: sets of up to 2 N_MAX rows, one after the other ---- */

typedef long double wide;

struct points {
    int ns, n, d;
    wide x[2 * N_MAX][D_MAX], g[2 * N_MAX][D_MAX];
};

static wide square_distance(const struct points *p, int i, int j)
{
    wide sum = 0;

    for (int c = 0; c < p->d; c++)
        sum += (p->x[i][c] - p->x[j][c]) * (p->x[i][c] - p->x[j][c]);
    return sum;
}

static int compare(const void *a, const void *b)
{
    wide x = *(const wide *)a, y = *(const wide *)b;

    return (x > y) - (x < y);
}

/* Over all ordered pairs i != j. */
static double bandwidth_oracle(const struct discrepancy_spec *s, const struct points *p)
{
    static wide all[4 * N_MAX * N_MAX];
    wide sum = 0;
    int n = 0;

    for (int i = 0; i < p->n; i++)
        for (int j = 0; j < p->n; j++)
            if (i != j)
                sum += all[n++] = square_distance(p, i, j);
    if (s->bandwidth == MMD_MEAN)
        return (double)(sum / n);
    qsort(all, (size_t)n, sizeof *all, compare);
    return (double)((all[(n - 1) / 2] + all[n / 2]) / 2);
}

/* Adds weight k(z_i, z_j) and its gradient for both; returns the first. */
static wide kernel_oracle(const struct discrepancy_spec *s, struct points *p, int i, int j,
                          wide weight)
{
    int n = s->family == MMD_FIVE ? 5 : 33;
    double step = s->family == MMD_FIVE ? 1 : 0.5;
    wide d = square_distance(p, i, j), value = 0, slope = 0;

    for (int k = 0; k < n; k++) {
        wide sigma = s->sigma * exp2l((k - n / 2) * step);

        value += expl(-d / sigma) / n;
        slope -= expl(-d / sigma) / sigma / n;
    }
    for (int c = 0; c < p->d; c++) {
        p->g[i][c] += weight * slope * 2 * (p->x[i][c] - p->x[j][c]);
        p->g[j][c] -= weight * slope * 2 * (p->x[i][c] - p->x[j][c]);
    }
    return weight * value;
}

static wide quadratic_oracle(const struct discrepancy_spec *s, struct points *p)
{
    wide ns = p->ns, nt = p->n - p->ns, value = 0;
    int less = s->estimator == MMD_UNBIASED;

    for (int i = 0; i < p->n; i++)
        for (int j = 0; j < p->n; j++) {
            bool i_source = i < p->ns, j_source = j < p->ns;

            if (less && i == j)
                continue;
            if (i_source && j_source)
                value += kernel_oracle(s, p, i, j, 1 / (ns * (ns - less)));
            else if (!i_source && !j_source)
                value += kernel_oracle(s, p, i, j, 1 / (nt * (nt - less)));
            else
                value += kernel_oracle(s, p, i, j, -1 / (ns * nt));
        }
    return value;
}

static wide mmd_oracle(const struct discrepancy_spec *s, struct points *p)
{
    int nt = p->n - p->ns, m = (p->ns < nt ? p->ns : nt) / 2;
    wide value = 0, c = (wide)1 / m;

    if (s->estimator != MMD_LINEAR)
        return quadratic_oracle(s, p);
    for (int i = 0; i < m; i++) {
        int s0 = 2 * i, s1 = s0 + 1, t0 = p->ns + 2 * i, t1 = t0 + 1;

        value += kernel_oracle(s, p, s0, s1, c) + kernel_oracle(s, p, t0, t1, c);
        value += kernel_oracle(s, p, s0, t1, -c) + kernel_oracle(s, p, s1, t0, -c);
    }
    return value;
}

/* Entry (a, b) of the covariance of rows first .. last-1, and half of its gradient times `weight`. */
static wide covariance_oracle(struct points *p, int first, int last, int a, int b, wide weight)
{
    wide mean_a = 0, mean_b = 0, sum = 0, n = last - first;

    for (int i = first; i < last; i++) {
        mean_a += p->x[i][a] / n;
        mean_b += p->x[i][b] / n;
    }
    for (int i = first; i < last; i++) {
        sum += (p->x[i][a] - mean_a) * (p->x[i][b] - mean_b) / (n - 1);
        p->g[i][a] += weight * (p->x[i][b] - mean_b) / (n - 1);
        p->g[i][b] += weight * (p->x[i][a] - mean_a) / (n - 1);
    }
    return sum;
}

static wide coral_oracle(const struct discrepancy_spec *s, struct points *p)
{
    wide value = 0, over = 1 / ((wide)4 * p->d * p->d);

    (void)s;
    for (int a = 0; a < p->d; a++)
        for (int b = 0; b < p->d; b++) {
            wide source = covariance_oracle(p, 0, p->ns, a, b, 0);
            wide target = covariance_oracle(p, p->ns, p->n, a, b, 0);

            value += over * (source - target) * (source - target);
            covariance_oracle(p, 0, p->ns, a, b, 2 * over * (source - target));
            covariance_oracle(p, p->ns, p->n, a, b, -2 * over * (source - target));
        }
    return value;
}

/* ---- one call under test ---- */

struct probe {
    const struct discrepancy_ops *ops;
    struct discrepancy_spec spec;
    int ns, nt, d;
    struct buffer b[N_BUFFERS]; /* owned */
    struct buffer scratch;      /* owned; doubles seen as reals */
};

static const struct probe none;

static void probe_init(struct probe *p, const struct discrepancy_ops *ops,
                       struct discrepancy_spec spec, int ns, int nt, int d)
{
    size_t n_doubles = ops->scratch(&spec, ns, nt, d), each = sizeof(double) / sizeof(real);
    uint64_t seed = (uint64_t)(10000 * ns + 100 * nt + d);

    *p = (struct probe){.ops = ops, .spec = spec, .ns = ns, .nt = nt, .d = d};
    for (int i = 0; i < N_BUFFERS; i++)
        buffer_init(&p->b[i], i, (size_t)(i == XS || i == GS ? ns : nt) * (size_t)d, 1);
    buffer_init(&p->scratch, N_BUFFERS, n_doubles * each, 0);
    fill_uniform(p->b[XS].n, p->b[XS].v, -1, 1, &seed);
    fill_uniform(p->b[XT].n, p->b[XT].v, -0.5, 2, &seed);
}

static void probe_release(struct probe *p)
{
    for (int i = 0; i < N_BUFFERS; i++)
        buffer_release(&p->b[i]);
    buffer_release(&p->scratch);
    *p = none;
}

static double probe_call(struct probe *p, bool source, bool target)
{
    return p->ops->value_grad(&p->spec, p->ns, p->nt, p->d, p->b[XS].v, p->b[XT].v,
                              source ? p->b[GS].v : NULL, target ? p->b[GT].v : NULL,
                              (double *)p->scratch.v);
}

static double probe_value(struct probe *p)
{
    return probe_call(p, false, false);
}

static double probe_bandwidth(struct probe *p)
{
    return p->ops->bandwidth(&p->spec, p->ns, p->nt, p->d, p->b[XS].v, p->b[XT].v,
                             (double *)p->scratch.v);
}

static int check_guards(const struct probe *p)
{
    static const char *const names[] = {"xs", "xt", "gs", "gt"};

    for (int i = 0; i < N_BUFFERS; i++) {
        if (!buffer_guarded(&p->b[i]))
            return err(ERR_FAILED, "writes beyond %s", names[i]);
        if (i < GS ? !buffer_kept(&p->b[i]) : !buffer_finite(&p->b[i]))
            return err(ERR_FAILED, "%s %s", i < GS ? "changes" : "leaves garbage in", names[i]);
    }
    return buffer_guarded(&p->scratch) ? 0 : err(ERR_FAILED, "writes beyond scratch");
}

/* Outputs and scratch start as NaN; inputs and guards stay. */
static int probe_run(struct probe *p, double *value)
{
    for (int i = 0; i < N_BUFFERS; i++)
        buffer_keep(&p->b[i]);
    for (int i = GS; i < N_BUFFERS; i++)
        buffer_spoil(&p->b[i], 0xff);
    buffer_spoil(&p->scratch, 0xff);
    *value = probe_call(p, true, true);
    return check_guards(p);
}

/* ---- checks ---- */

/* The same bits whatever is asked for, and over a used scratch. */
static int check_parts(struct probe *p)
{
    double all, value;

    TRY(probe_run(p, &all));
    for (int i = 0; i < N_BUFFERS; i++)
        buffer_keep(&p->b[i]);
    for (int ask = 0; ask < 4; ask++) {
        buffer_spoil(&p->scratch, 0x5a);
        for (int i = GS; i < N_BUFFERS; i++)
            if (ask & (i == GS ? 1 : 2))
                buffer_spoil(&p->b[i], 0xff);
        value = probe_call(p, ask & 1, ask & 2);
        if (memcmp(&value, &all, sizeof value) || !buffer_kept(&p->b[GS]) ||
            !buffer_kept(&p->b[GT]))
            return err(ERR_FAILED, "differs with gs or gt NULL or in the second run");
    }
    return 0;
}

/* The bandwidth found and the same one fixed: the same bits. The spec is left with it fixed. */
static int check_bandwidth(struct probe *p, const struct points *points)
{
    double found, value, fixed, want;

    if (!p->ops->bandwidth)
        return 0;
    TRY(probe_run(p, &found));
    for (int i = GS; i < N_BUFFERS; i++)
        buffer_keep(&p->b[i]);
    want = bandwidth_oracle(&p->spec, points);
    p->spec.sigma = probe_bandwidth(p);
    if (!(fabs(p->spec.sigma - want) <= 1e-13 * want))
        return err(ERR_FAILED, "bandwidth is %.17g, not %.17g", p->spec.sigma, want);
    value = probe_bandwidth(p);
    fixed = probe_call(p, true, true);
    if (value != p->spec.sigma || memcmp(&fixed, &found, sizeof fixed) || !buffer_kept(&p->b[GS]) ||
        !buffer_kept(&p->b[GT]))
        return err(ERR_FAILED, "differs with its own bandwidth fixed");
    return 0;
}

static void points_of(const struct probe *p, struct points *points)
{
    *points = (struct points){.ns = p->ns, .n = p->ns + p->nt, .d = p->d};
    for (int i = 0; i < points->n; i++)
        for (int c = 0; c < p->d; c++)
            points->x[i][c] =
                i < p->ns ? p->b[XS].v[i * p->d + c] : p->b[XT].v[(i - p->ns) * p->d + c];
}

/* Values of mmd are sums of at most 4 in double; a covariance in float has errors of n products.
 * A gradient sums n (mmd) or n and d (coral) products of reals. */
static int check_oracle(struct probe *p, struct points *points)
{
    bool mmd = p->ops->bandwidth != NULL;
    double value, eps = 4 * (p->d + points->n) * REAL_EPS, top = 0;
    double want = (double)(mmd ? mmd_oracle : coral_oracle)(&p->spec, points);

    TRY(probe_run(p, &value));
    if (!(fabs(value - want) <= (mmd ? 1e-13 : eps * fabs(want))))
        return err(ERR_FAILED, "value is %.17g, not %.17g", value, want);
    for (int i = 0; i < points->n; i++)
        for (int c = 0; c < p->d; c++)
            top = fmax(top, fabs((double)points->g[i][c]));
    for (int i = 0; i < points->n; i++)
        for (int c = 0; c < p->d; c++) {
            double got = i < p->ns ? p->b[GS].v[i * p->d + c] : p->b[GT].v[(i - p->ns) * p->d + c];
            double need = (double)points->g[i][c];

            if (!(fabs(got - need) <= eps * top))
                return err(ERR_FAILED, "gradient of row %d, %d is %.12g, not %.12g", i, c, got,
                           need);
        }
    return 0;
}

/* The gradient against differences of the value, feature by feature */
static int check_differences(struct probe *p, int x, int g)
{
    double scale, value, lost;

    TRY(probe_run(p, &value));
    scale = fmax(largest(p->b[GS].n, p->b[GS].v), largest(p->b[GT].n, p->b[GT].v));
    lost = 4 * REAL_EPS * fmax(1, fabs(value)) / STEP;
    for (size_t i = 0; i < p->b[x].n; i++) {
        real here = p->b[x].v[i];
        double plus, minus, got = p->b[g].v[i], want;

        p->b[x].v[i] = (real)(here + STEP);
        plus = probe_value(p);
        p->b[x].v[i] = (real)(here - STEP);
        minus = probe_value(p);
        p->b[x].v[i] = here;
        want = (plus - minus) / (2 * STEP);
        if (!(fabs(got - want) <= 1e-7 * scale + lost))
            return err(ERR_FAILED, "gradient misses: feature %zu has %.12g, not %.12g", i, got,
                       want);
    }
    return 0;
}

static void swap_rows(struct buffer *b, int d, int i, int j)
{
    for (int c = 0; c < d; c++) {
        real was = b->v[i * d + c];

        b->v[i * d + c] = b->v[j * d + c];
        b->v[j * d + c] = was;
    }
}

/* The first source rows swapped with the last, a cycle of the target rows: only the order of sums
 * changes. The linear estimator pairs rows by their places. */
static int check_order(struct probe *p)
{
    bool mmd = p->ops->bandwidth != NULL;
    double before, after, eps = 4 * (p->d + p->ns + p->nt) * REAL_EPS;

    if (mmd && p->spec.estimator == MMD_LINEAR)
        return 0;
    before = probe_value(p);
    swap_rows(&p->b[XS], p->d, 0, p->ns - 1);
    for (int i = 1; i < p->nt; i++)
        swap_rows(&p->b[XT], p->d, i - 1, i);
    after = probe_value(p);
    if (!(fabs(before - after) <= (mmd ? 1e-13 : eps * before)))
        return err(ERR_FAILED, "depends on the order: %.17g and %.17g", before, after);
    return 0;
}

/* The domains exchanged: the same value, and gs is gt. */
static int check_exchange(struct probe *p)
{
    double before, after, eps = 4 * (p->d + p->ns + p->nt) * REAL_EPS;
    struct probe q;
    int code;

    TRY(probe_run(p, &before));
    probe_init(&q, p->ops, p->spec, p->nt, p->ns, p->d);
    memcpy(q.b[XS].v, p->b[XT].v, p->b[XT].n * sizeof(real));
    memcpy(q.b[XT].v, p->b[XS].v, p->b[XS].n * sizeof(real));
    code = probe_run(&q, &after);
    if (!code && !(fabs(before - after) <= eps * fmax(1, before)))
        code = err(ERR_FAILED, "not symmetric: %.17g and %.17g", before, after);
    if (!code)
        code =
            near("not symmetric: gradient", p->b[GS].n, p->b[GS].v, q.b[GT].v,
                 2 * eps * largest(p->b[GS].n, p->b[GS].v) + eps * largest(q.b[GS].n, q.b[GS].v));
    probe_release(&q);
    return code;
}

/* Identical sets: 0 for the biased estimator and for coral, gradients of opposite sign for all. */
static int check_identical(struct probe *p)
{
    bool mmd = p->ops->bandwidth != NULL;
    double value;

    if (p->ns != p->nt || (mmd && p->spec.estimator != MMD_BIASED))
        return 0;
    memcpy(p->b[XT].v, p->b[XS].v, p->b[XS].n * sizeof(real));
    TRY(probe_run(p, &value));
    if (!(fabs(value) <= 16 * (mmd ? DBL_EPSILON : REAL_EPS)))
        return err(ERR_FAILED, "identical sets have %.3g", value);
    for (size_t i = 0; i < p->b[GS].n; i++)
        if (!(fabs(p->b[GS].v[i]) <= 64 * REAL_EPS && fabs(p->b[GT].v[i]) <= 64 * REAL_EPS))
            return err(ERR_FAILED, "identical sets have a gradient");
    return 0;
}

static int check_all(struct probe *p)
{
    static struct points points;

    points_of(p, &points);
    TRY(check_parts(p));
    TRY(check_bandwidth(p, &points));
    if (can_difference) {
        TRY(check_differences(p, XS, GS));
        TRY(check_differences(p, XT, GT));
    }
    TRY(check_exchange(p));
    TRY(check_oracle(p, &points));
    TRY(check_order(p));
    return check_identical(p);
}

static int check_once(const struct discrepancy_ops *ops, struct discrepancy_spec spec, int ns,
                      int nt, int d)
{
    struct probe p;
    int code;

    if (ns < ops->n_min(&spec) || nt < ops->n_min(&spec))
        return 0;
    probe_init(&p, ops, spec, ns, nt, d);
    code = check_all(&p);
    probe_release(&p);
    return code ? err_within(code, "%s %s %s %s, %d and %d of %d", ops->name,
                             mmd_estimator_names[spec.estimator],
                             mmd_bandwidth_names[spec.bandwidth], mmd_family_names[spec.family], ns,
                             nt, d)
                : 0;
}

static int check_spec(const struct discrepancy_ops *ops, struct discrepancy_spec spec)
{
    static const int sizes[][3] = {{1, 1, 3}, {1, 4, 2},  {2, 2, 1},  {2, 3, 2},        {3, 2, 4},
                                   {5, 5, 3}, {8, 5, 11}, {4, 9, 17}, {N_MAX, 7, D_MAX}};

    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
        TRY(check_once(ops, spec, sizes[i][0], sizes[i][1], sizes[i][2]));
    return 0;
}

static int discrepancy_check(const struct discrepancy_ops *ops)
{
    int settings = ops->bandwidth ? KINDS * WIDTHS * FAMILIES : 1;

    for (int i = 0; i < settings; i++) {
        struct discrepancy_spec spec = {
            .estimator = (enum mmd_estimator)(i % KINDS),
            .bandwidth = (enum mmd_bandwidth)(i / KINDS % WIDTHS),
            .family = (enum mmd_family)(i / KINDS / WIDTHS),
        };

        TRY(check_spec(ops, spec));
    }
    return 0;
}

static void test_table(void **state)
{
    (void)state;
    assert_non_null(discrepancy_table[0]);
    for (const struct discrepancy_ops *const *ops = discrepancy_table; *ops; ops++) {
        if (discrepancy_check(*ops))
            fail_msg("%s", err_text());
        assert_ptr_equal(discrepancy_find((*ops)->name), *ops);
        assert_non_null((*ops)->summary);
    }
    assert_null(discrepancy_find("no such discrepancy"));
    assert_null(mmd_estimator_names[KINDS]);
    assert_null(mmd_bandwidth_names[WIDTHS]);
    assert_null(mmd_family_names[FAMILIES]);
}

static void test_differences(void **state)
{
    (void)state;
    if (can_difference) /* test_table did it */
        return;
    print_message("differences need REAL64: not run in " REAL_NAME "\n");
    skip();
}

/* ---- wrong discrepancies: the right one, and then one flaw ---- */

struct call {
    int ns, nt, d;
    const real *xs, *xt;
    real *gs, *gt;
};

struct broken {
    const char *name, *right;
    void (*flaw)(const struct call *c, double *value, double *scratch);
    const char *expected; /* part of what the suite must say */
};

static const struct broken *now;

static const struct discrepancy_ops *right_ops(void)
{
    return discrepancy_find(now->right);
}

static double broken_value_grad(const struct discrepancy_spec *s, int ns, int nt, int d,
                                const real *xs, const real *xt, real *gs, real *gt, double *scratch)
{
    struct call c = {ns, nt, d, xs, xt, gs, gt};
    double value;

    value = right_ops()->value_grad(s, ns, nt, d, xs, xt, gs, gt, scratch);
    now->flaw(&c, &value, scratch);
    return value;
}

static void scale(real *g, int n, double factor)
{
    for (int i = 0; i < n && g; i++)
        g[i] = (real)(factor * g[i]);
}

static void flaw_none(const struct call *c, double *value, double *scratch)
{
    (void)c;
    (void)value;
    (void)scratch;
}

static void flaw_flipped(const struct call *c, double *value, double *scratch)
{
    flaw_none(c, value, scratch);
    scale(c->gs, c->ns * c->d, -1);
}

static void flaw_flipped_target(const struct call *c, double *value, double *scratch)
{
    flaw_none(c, value, scratch);
    scale(c->gt, c->nt * c->d, -1);
}

static void flaw_half(const struct call *c, double *value, double *scratch)
{
    flaw_none(c, value, scratch);
    scale(c->gs, c->ns * c->d, 0.5);
    scale(c->gt, c->nt * c->d, 0.5);
}

static void flaw_value(const struct call *c, double *value, double *scratch)
{
    flaw_half(c, value, scratch);
    *value /= 2;
}

static void flaw_beyond(const struct call *c, double *value, double *scratch)
{
    flaw_none(c, value, scratch);
    if (c->gt)
        c->gt[c->nt * c->d] = 0;
}

static void flaw_short(const struct call *c, double *value, double *scratch)
{
    flaw_none(c, value, scratch);
    if (c->gs)
        c->gs[c->ns * c->d - 1] = (real)NAN;
}

static void flaw_needs_both(const struct call *c, double *value, double *scratch)
{
    (void)scratch;
    if (!c->gs || !c->gt)
        *value += 1;
}

static void flaw_order(const struct call *c, double *value, double *scratch)
{
    flaw_none(c, value, scratch);
    *value += 1e-3 * (double)c->xs[0];
}

static void flaw_changes(const struct call *c, double *value, double *scratch)
{
    flaw_none(c, value, scratch);
    ((real *)c->xt)[0] += 1;
}

static void flaw_scratch(const struct call *c, double *value, double *scratch)
{
    struct discrepancy_spec s = {.sigma = 0};

    (void)value;
    ((real *)(scratch + right_ops()->scratch(&s, c->ns, c->nt, c->d)))[0] = 0;
}

static const struct broken broken[] = {
    {"right", "coral", flaw_none, NULL},
    {"flipped gs", "coral", flaw_flipped, "gradient"},
    {"flipped gt", "coral", flaw_flipped_target, "gradient"},
    {"half the gradient", "coral", flaw_half, "gradient"},
    {"half the value", "coral", flaw_value, "value is "},
    {"beyond gt", "coral", flaw_beyond, "writes beyond gt"},
    {"leaves the last gs", "coral", flaw_short, "garbage in gs"},
    {"needs both", "coral", flaw_needs_both, "with gs or gt NULL"},
    {"looks at the first", "coral", flaw_order, NULL},
    {"changes xt", "coral", flaw_changes, "changes xt"},
    {"beyond scratch", "coral", flaw_scratch, "beyond scratch"},
};

static void test_broken(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof broken / sizeof *broken; i++) {
        struct discrepancy_ops ops = *discrepancy_find(broken[i].right);
        const char *expected = broken[i].expected;
        int code;

        now = &broken[i];
        ops.value_grad = broken_value_grad;
        code = discrepancy_check(&ops);
        if (now->flaw == flaw_none ? code : !code)
            fail_msg("%s '%s': %s", code ? "rejects" : "accepts", now->name, err_text());
        if (expected && !strstr(err_text(), expected))
            fail_msg("rejects '%s' for another reason: %s", now->name, err_text());
    }
}

/* ---- known values ---- */

static double scratch[256];

static double mmd(struct discrepancy_spec s, int ns, int nt, const real *xs, const real *xt,
                  real *gs)
{
    const struct discrepancy_ops *ops = discrepancy_find("mmd");

    assert_non_null(ops);
    assert_true(ops->scratch(&s, ns, nt, 1) <= sizeof scratch / sizeof *scratch);
    return ops->value_grad(&s, ns, nt, 1, xs, xt, gs, NULL, scratch);
}

/* Two points at distance 2: the bandwidth is 4, the kernels at 4 are exp(-4, -2, -1, -1/2, -1/4);
 * d value / d xs = -2 k'(4) 2 (xs - xt), k' = -mean exp(-4 / sigma) / sigma. */
static void test_two_points(void **state)
{
    real xs[1] = {1}, xt[1] = {3}, g[1];
    struct discrepancy_spec s = {.estimator = MMD_BIASED};
    double k = (exp(-4) + exp(-2) + exp(-1) + exp(-0.5) + exp(-0.25)) / 5;
    double slope = -(exp(-4) + exp(-2) / 2 + exp(-1) / 4 + exp(-0.5) / 8 + exp(-0.25) / 16) / 5;

    (void)state;
    assert_true(fabs(mmd(s, 1, 1, xs, xt, g) - (2 - 2 * k)) < 1e-15);
    assert_true(fabs(g[0] - -2 * slope * 2 * (1 - 3)) < 4 * REAL_EPS);
}

/* xs = 0, 1 and xt = 3, 5: distances 1, 4; 9, 25, 4, 16. Mean 59/6, median (4 + 9)/2. */
static void test_four_points(void **state)
{
    real xs[2] = {0, 1}, xt[2] = {3, 5}, g[2];
    struct discrepancy_spec s = {.estimator = MMD_UNBIASED, .bandwidth = MMD_MEDIAN};
    const struct discrepancy_ops *ops = discrepancy_find("mmd");
    double k[26] = {0}, width = 6.5;

    (void)state;
    assert_true(ops->bandwidth(&s, 2, 2, 1, xs, xt, scratch) == 6.5);
    for (int u = -2; u <= 2; u++)
        for (int d = 0; d < 26; d++)
            k[d] += exp(-d / (width * pow(2, u))) / 5;
    assert_true(fabs(mmd(s, 2, 2, xs, xt, g) - (k[1] + k[4] - (k[9] + k[25] + k[4] + k[16]) / 2)) <
                1e-15);
    s.estimator = MMD_BIASED;
    assert_true(fabs(mmd(s, 2, 2, xs, xt, g) -
                     (1 + (k[1] + k[4]) / 2 - (k[9] + k[25] + k[4] + k[16]) / 2)) < 1e-15);
    s.estimator = MMD_LINEAR;
    assert_true(fabs(mmd(s, 2, 2, xs, xt, g) - (k[1] + k[4] - k[25] - k[4])) < 1e-15);
    s.bandwidth = MMD_MEAN;
    assert_true(fabs(ops->bandwidth(&s, 2, 2, 1, xs, xt, scratch) - 59.0 / 6) < 1e-14);
}

/* The paper's family is sigma 2^-8, 2^-7.5, ..., 2^8. */
static void test_paper_family(void **state)
{
    real xs[1] = {1}, xt[1] = {3};
    struct discrepancy_spec s = {.estimator = MMD_BIASED, .family = MMD_PAPER, .sigma = 3};
    double k = 0;

    (void)state;
    for (double u = -8; u <= 8; u += 0.5)
        k += exp(-4 / (3 * pow(2, u))) / 33;
    assert_true(fabs(mmd(s, 1, 1, xs, xt, NULL) - (2 - 2 * k)) < 1e-15);
}

/* Equal rows have no width of their own: kernels of 1, no gradient; nor have mostly equal rows a median. */
static void test_equal_rows(void **state)
{
    real xs[5] = {1, 1, 1, 1, 1}, xt[2] = {1, 1}, far[2] = {1, 2}, g[5];

    (void)state;
    for (int i = 0; i < KINDS * WIDTHS * FAMILIES; i++) {
        struct discrepancy_spec s = {.estimator = (enum mmd_estimator)(i % KINDS),
                                     .bandwidth = (enum mmd_bandwidth)(i / KINDS % WIDTHS),
                                     .family = (enum mmd_family)(i / KINDS / WIDTHS)};

        assert_true(fabs(mmd(s, 5, 2, xs, xt, g)) < 1e-15);
        for (int j = 0; j < 5; j++)
            assert_true(g[j] == 0);
    }
    assert_true(fabs(mmd((struct discrepancy_spec){.bandwidth = MMD_MEDIAN}, 5, 2, xs, far, g) -
                     (1 + 0.5 - 1)) < 1e-15);
    for (int j = 0; j < 5; j++)
        assert_true(g[j] == 0);
}

/* Not finite in, not finite out, in every estimator; and it ends. */
static void test_not_finite(void **state)
{
    const double bad[] = {NAN, INFINITY};

    (void)state;
    for (int i = 0; i < 2 * KINDS * WIDTHS; i++) {
        real xs[4] = {0, 1, 2, 4}, xt[4] = {1, 3, 2, 7}, g[4];
        struct discrepancy_spec s = {.estimator = (enum mmd_estimator)(i % KINDS),
                                     .bandwidth = (enum mmd_bandwidth)(i / KINDS % WIDTHS)};

        xs[1] = (real)bad[i / KINDS / WIDTHS];
        mmd(s, 4, 4, xs, xt, g);
        assert_false(isfinite(g[1]));
    }
}

/* A large offset common to both domains changes nothing that float can hold. */
static void test_offset(void **state)
{
    const struct discrepancy_ops *ops = discrepancy_find("mmd");
    struct discrepancy_spec s = {.estimator = MMD_BIASED};
    struct probe p, q;
    double near_zero, moved;

    (void)state;
    probe_init(&p, ops, s, 5, 7, 6);
    probe_init(&q, ops, s, 5, 7, 6);
    for (int i = XS; i <= XT; i++)
        for (size_t j = 0; j < p.b[i].n; j++) {
            p.b[i].v[j] = (real)(rint(p.b[i].v[j] * 64) / 64);
            q.b[i].v[j] = p.b[i].v[j] + 4096;
        }
    near_zero = probe_call(&p, true, true);
    moved = probe_call(&q, true, true);
    assert_true(fabs(near_zero - moved) < 1e-13);
    assert_int_equal(near("gs", p.b[GS].n, q.b[GS].v, p.b[GS].v, 32 * REAL_EPS), 0);
    assert_int_equal(near("gt", p.b[GT].n, q.b[GT].v, p.b[GT].v, 32 * REAL_EPS), 0);
    probe_release(&p);
    probe_release(&q);
}

/* Covariances [[2, 2], [2, 2]] of (0, 0), (2, 2) and [[2, -2], [-2, 2]] of (0, 2), (2, 0): D = [[0, 4],
 * [4, 0]], value 32/16; gs = (x - 1) D / (4 * 1). */
static void test_coral(void **state)
{
    real xs[4] = {0, 0, 2, 2}, xt[4] = {0, 2, 2, 0}, gs[4], gt[4];
    real want_s[4] = {-1, -1, 1, 1}, want_t[4] = {-1, 1, 1, -1};
    const struct discrepancy_ops *ops = discrepancy_find("coral");

    (void)state;
    assert_non_null(ops);
    assert_null(ops->bandwidth);
    assert_true(fabs(ops->value_grad(NULL, 2, 2, 2, xs, xt, gs, gt, scratch) - 2) < 8 * REAL_EPS);
    assert_int_equal(near("gs", 4, gs, want_s, 8 * REAL_EPS), 0);
    assert_int_equal(near("gt", 4, gt, want_t, 8 * REAL_EPS), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_table),       cmocka_unit_test(test_differences),
        cmocka_unit_test(test_broken),      cmocka_unit_test(test_two_points),
        cmocka_unit_test(test_four_points), cmocka_unit_test(test_paper_family),
        cmocka_unit_test(test_equal_rows),  cmocka_unit_test(test_not_finite),
        cmocka_unit_test(test_offset),      cmocka_unit_test(test_coral),
    };

    return cmocka_run_group_tests_name("conform_discrepancy", tests, NULL, NULL);
}
