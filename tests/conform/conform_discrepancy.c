/* conform_discrepancy.c - the suite over every entry of the discrepancy table and every way mmd
 * can be set, against the definitions written out in long double and against differences; wrong
 * ones. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "core/math/discrepancy.h"
#include "tests/lib/conform.h"
#include "tests/lib/discrepancy_oracle.h"

enum { XS, XT, GS, GT, N_BUFFERS, KINDS = 3, WIDTHS = 2, FAMILIES = 2 };

#ifdef REAL64
static const bool can_difference = true;
#else
static const bool can_difference = false; /* a step h loses REAL_EPS / h of every digit there is */
#endif
static const double STEP = 0x1p-16;

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

/* A first row that is not finite, the bandwidth fixed or found: its gradient is not finite. */
static int check_not_finite(struct probe *p)
{
    const double bad[] = {NAN, INFINITY};

    for (int i = 0; i < 4; i++) {
        p->b[XS].v[0] = (real)bad[i % 2];
        p->spec.sigma = i / 2;
        probe_call(p, true, true);
        if (isfinite(p->b[GS].v[0]))
            return err(ERR_FAILED, "hides what is not finite");
    }
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
    TRY(check_identical(p));
    return check_not_finite(p);
}

static int check_once(const struct discrepancy_ops *ops, struct discrepancy_spec spec, int ns,
                      int nt, int d)
{
    struct probe p;
    int code;

    if (ns < ops->n_min(&spec) || nt < ops->n_min(&spec))
        return 0;
    if (ops->scratch(&spec, ns, nt, d) > ops->scratch(&spec, ns + 1, nt, d) ||
        ops->scratch(&spec, ns, nt, d) > ops->scratch(&spec, ns, nt + 1, d))
        return err(ERR_FAILED, "%s: less scratch for more", ops->name);
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
    const char *expected; /* part of what the suite must say; NULL: anything */
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

static void flaw_hides(const struct call *c, double *value, double *scratch)
{
    flaw_none(c, value, scratch);
    for (int i = 0; i < c->ns * c->d && c->gs; i++)
        c->gs[i] = isfinite(c->gs[i]) ? c->gs[i] : 0;
}

static void flaw_scratch(const struct call *c, double *value, double *scratch)
{
    struct discrepancy_spec s = {.sigma = 0};

    (void)value;
    ((real *)(scratch + right_ops()->scratch(&s, c->ns, c->nt, c->d)))[0] = 0;
}

static const struct broken broken[] = {
    {"right", "coral", flaw_none, NULL},
    {"right", "mmd", flaw_none, NULL},
    {"flipped gs", "coral", flaw_flipped, "gradient"},
    {"flipped gs", "mmd", flaw_flipped, "gradient"},
    {"flipped gt", "coral", flaw_flipped_target, "gradient"},
    {"half the gradient", "coral", flaw_half, "gradient"},
    {"half the gradient", "mmd", flaw_half, "gradient"},
    {"half the value", "coral", flaw_value, "value is "},
    {"half the value", "mmd", flaw_value, "value is "},
    {"beyond gt", "coral", flaw_beyond, "writes beyond gt"},
    {"leaves the last gs", "coral", flaw_short, "garbage in gs"},
    {"needs both", "coral", flaw_needs_both, "with gs or gt NULL"},
    {"looks at the first", "coral", flaw_order, NULL},
    {"changes xt", "coral", flaw_changes, "changes xt"},
    {"hides NaN", "mmd", flaw_hides, "not finite"},
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_table),
        cmocka_unit_test(test_differences),
        cmocka_unit_test(test_broken),
    };

    return cmocka_run_group_tests_name("conform_discrepancy", tests, NULL, NULL);
}
