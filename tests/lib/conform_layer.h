/* conform_layer.h - what every layer must satisfy, whatever it computes.     style.md, section 8
 *
 * Each check takes a planned probe at a point, returns 0 or err() with the reason, and leaves the
 * point as it was. */
#ifndef TESTS_LIB_CONFORM_LAYER_H
#define TESTS_LIB_CONFORM_LAYER_H

#include "tests/lib/probe.h"

#ifdef REAL64
static const bool can_difference = true;
#else
static const bool can_difference = false; /* a step h loses REAL_EPS / h of every digit there is */
#endif

/* Relative error between two ways to compute one thing. In float: no result is a sum of more than
 * m = max(reals of x, reals of y, w) products, which rounds to m eps; batch normalisation nests
 * three such sums, and there are two sides: 8 m eps is more than any right layer can lose. */
static inline double probe_tolerance(const struct probe *p)
{
    size_t m = p->b[X].n > p->b[Y].n ? p->b[X].n : p->b[Y].n;

    m = m > p->b[W].n ? m : p->b[W].n;
    return can_difference ? 1e-12 : 8 * (double)m * REAL_EPS;
}

/* Operand o now against s, to the tolerance times its largest element (`least`: at least that). */
static inline int compare(const struct probe *p, const struct snapshot *s, enum operand o,
                          const char *what)
{
    const struct buffer *b = &p->b[o];
    double scale = fmax(largest(b->n, b->v), largest(b->n, s->v[o]));
    int code = near(what, b->n, b->v, s->v[o], probe_tolerance(p) * scale);

    return code ? err_within(code, "%s", operand_names[o]) : 0;
}

static inline int compare_plans(const struct probe *again, const struct probe *p)
{
    const struct layer *l = &again->l;

    for (int o = 0; o < N_OPERANDS; o++)
        if (operand_size(again, (enum operand)o) != p->b[o].n)
            return err(ERR_FAILED, "plan leaves the size of %s to chance", operand_names[o]);
    if (l->multiply_adds != p->l.multiply_adds || l->input_adds != p->l.input_adds)
        return err(ERR_FAILED, "plan leaves multiply_adds to chance");
    if (again->layout.n != l->n_w)
        return err(ERR_FAILED, "plan appends %zu weights, n_w is %zu", again->layout.n, l->n_w);
    return 0;
}

/* Plans into a struct full of garbage: what plan leaves out would be garbage in the network too. */
static inline int check_plan(const struct probe *p, const struct layer_case *c)
{
    struct probe again = {.n = p->n};
    int code;

    memset(&again.l, 0x77, sizeof again.l);
    again.l.ops = p->l.ops;
    again.l.spec = p->l.spec;
    code = again.l.ops->plan(&again.l, c->in, "probe1", &again.layout);
    code = code < 0 ? code : compare_plans(&again, p);
    layout_release(&again.layout);
    return code;
}

/* The same bits whatever lay in scratch and outputs before: results are functions of the
 * operands. */
static inline int check_bits(struct probe *p)
{
    struct snapshot first;
    int code = 0;

    TRY(probe_run(p, RUN_TANGENTS | RUN_STATS));
    first = snapshot_take(p);
    code = probe_run(p, RUN_TANGENTS | RUN_STATS | RUN_OTHER);
    for (int o = Y; o < SCRATCH && !code; o++)
        if (o != SAVE && o != SAVET && memcmp(first.v[o], p->b[o].v, p->b[o].n * sizeof(real)))
            code = err(ERR_FAILED, "%s differs in the second run", operand_names[o]);
    snapshot_free(&first);
    return code;
}

/* gw and gw.t are added to, wherever they start. */
static inline int check_adds(struct probe *p)
{
    struct snapshot fresh;
    uint64_t seed = 77;
    int code;

    TRY(probe_run(p, RUN_TANGENTS | RUN_STATS));
    fresh = snapshot_take(p);
    for (enum operand o = GW; o <= GWT; o += GWT - GW) {
        fill_uniform(p->b[o].n, p->b[o].v, 1, 2, &seed);
        for (size_t i = 0; i < p->b[o].n; i++)
            fresh.v[o][i] += p->b[o].v[i];
    }
    code = probe_run(p, RUN_TANGENTS | RUN_STATS | RUN_ONTO);
    code = code ? code : compare(p, &fresh, GW, "not added to");
    code = code ? code : compare(p, &fresh, GWT, "not added to");
    snapshot_free(&fresh);
    return code;
}

static inline int compare_tangents(const struct probe *p, const struct snapshot *s, bool gx,
                                   const char *what)
{
    TRY(compare(p, s, YT, what));
    TRY(compare(p, s, GW, what));
    TRY(compare(p, s, GWT, what));
    if (!gx)
        return 0;
    TRY(compare(p, s, GX, what));
    return compare(p, s, GXT, what);
}

/* x.t NULL is x.t zero. */
static inline int check_no_xt(struct probe *p)
{
    struct snapshot point = snapshot_take(p), zero;
    int code;

    memset(p->b[XT].v, 0, p->b[XT].n * sizeof(real));
    code = probe_run(p, RUN_TANGENTS);
    zero = snapshot_take(p);
    code = code ? code : probe_run(p, RUN_TANGENTS | RUN_NO_XT);
    code = code ? code : compare_tangents(p, &zero, true, "x.t NULL is not x.t zero");
    snapshot_restore(&point, p, XT);
    snapshot_free(&point);
    snapshot_free(&zero);
    return code;
}

/* gx NULL leaves the rest as it is; together with x.t NULL it is a network's first layer. */
static inline int check_no_gx(struct probe *p, int also)
{
    struct snapshot with;
    int code;

    TRY(probe_run(p, RUN_TANGENTS | also));
    with = snapshot_take(p);
    code = probe_run(p, RUN_TANGENTS | RUN_NO_GX | also);
    code = code ? code : compare_tangents(p, &with, false, "changes with gx NULL");
    snapshot_free(&with);
    return code;
}

static inline int same_product(const char *what, double a, double b, double allowed)
{
    if (fabs(a - b) <= allowed)
        return 0;
    return err(ERR_FAILED, "%s: %.17g against %.17g (+- %.1e)", what, a, b, allowed);
}

/* <J^T u, v> = <u, J v>, u = gy, v = (x.t, w.t) with either part zero where not asked for. */
static inline int check_adjoint(struct probe *p, bool along_x, bool along_w, const char *what)
{
    struct snapshot point = snapshot_take(p);
    const struct buffer *b = p->b;
    double left, right, scale;
    int code;

    if (!along_x)
        memset(b[XT].v, 0, b[XT].n * sizeof(real));
    if (!along_w)
        memset(b[WT].v, 0, b[WT].n * sizeof(real));
    code = probe_run(p, RUN_TANGENTS);
    left = dot(b[X].n, b[GX].v, b[XT].v) + dot(b[W].n, b[GW].v, b[WT].v);
    right = dot(b[Y].n, b[GY].v, b[YT].v);
    scale = norm(b[X].n, b[GX].v) * norm(b[X].n, b[XT].v) +
            norm(b[W].n, b[GW].v) * norm(b[W].n, b[WT].v) +
            norm(b[Y].n, b[GY].v) * norm(b[Y].n, b[YT].v);
    code = code ? code : same_product(what, left, right, probe_tolerance(p) * scale);
    snapshot_restore(&point, p, XT);
    snapshot_restore(&point, p, WT);
    snapshot_free(&point);
    return code;
}

/* At x = 0 relu and maxpool must choose: both passes must choose alike. */
static inline int check_ties(struct probe *p)
{
    struct snapshot point = snapshot_take(p);
    int code;

    memset(p->b[X].v, 0, p->b[X].n * sizeof(real));
    code = check_adjoint(p, true, true, "<J'u, v> = <u, J v> at x = 0");
    snapshot_restore(&point, p, X);
    snapshot_free(&point);
    return code;
}

/* The four tangents' outputs are the Hessian of <gy, f(x, w)> in (x, w, gy) times the direction. */
static const struct {
    enum operand direction, result;
} second_order[] = {{XT, GXT}, {WT, GWT}, {GYT, YT}};

static inline int check_symmetry(struct probe *p)
{
    struct snapshot u, v;
    double left = 0, right = 0, scale = 0;

    probe_direction(p, 1001);
    TRY(probe_run(p, RUN_TANGENTS));
    u = snapshot_take(p);
    probe_direction(p, 2002);
    TRY(probe_run(p, RUN_TANGENTS));
    v = snapshot_take(p);
    for (int i = 0; i < 3; i++) {
        enum operand d = second_order[i].direction, r = second_order[i].result;
        size_t n = p->b[d].n;

        left += dot(n, u.v[d], v.v[r]);
        right += dot(n, u.v[r], v.v[d]);
        scale += norm(n, u.v[d]) * norm(n, v.v[r]) + norm(n, u.v[r]) * norm(n, v.v[d]);
    }
    snapshot_free(&u);
    snapshot_free(&v);
    return same_product("<u, H v> = <H u, v>", left, right, probe_tolerance(p) * scale);
}

/* H(v + 2u) = H v + 2 H u */
static inline int check_linearity(struct probe *p)
{
    struct snapshot u, v;
    int code = 0;

    probe_direction(p, 1001);
    TRY(probe_run(p, RUN_TANGENTS));
    u = snapshot_take(p);
    probe_direction(p, 2002);
    TRY(probe_run(p, RUN_TANGENTS));
    v = snapshot_take(p);
    for (int i = 0; i < 3; i++)
        for (size_t k = 0; k < p->b[second_order[i].direction].n; k++) {
            enum operand d = second_order[i].direction, r = second_order[i].result;

            p->b[d].v[k] = v.v[d][k] + 2 * u.v[d][k];
            v.v[r][k] += 2 * u.v[r][k];
        }
    code = probe_run(p, RUN_TANGENTS);
    for (int i = 0; i < 3 && !code; i++)
        code = compare(p, &v, second_order[i].result, "not linear in the direction");
    snapshot_free(&u);
    snapshot_free(&v);
    return code;
}

/* ---- differences: double only ---- */

static const double STEP = 0x1p-17; /* h^2 f''' / 6 and eps f / h are then both about 1e-11 */

/* Runs the values at the point + h times the direction, and goes back to the point. */
static inline int run_at(struct probe *p, const struct snapshot *point, double h)
{
    int code;

    for (int o = W; o <= GY; o++)
        for (size_t i = 0; i < p->b[o].n; i++)
            p->b[o].v[i] = (real)(point->v[o][i] + h * point->v[o + WT - W][i]);
    code = probe_run(p, RUN_VALUES);
    for (int o = W; o <= GY; o++)
        snapshot_restore(point, p, (enum operand)o);
    return code;
}

/* `tangent` of `value`, as the passes computed it at the point, against the difference of the two
 * runs:
 * relative 1e-7, and what subtraction leaves of values that cancel. */
static inline int difference(const struct probe *p, const struct snapshot *point,
                             const struct snapshot *plus, const struct snapshot *minus,
                             enum operand value, enum operand tangent, const char *pass)
{
    size_t n = p->b[value].n;
    real *d = minus->v[value];
    double lost = 16 * REAL_EPS * largest(n, plus->v[value]) / STEP;
    double scale = largest(n, point->v[tangent]);

    for (size_t i = 0; i < n; i++)
        d[i] = (real)((plus->v[value][i] - d[i]) / (2 * STEP));
    return near(pass, n, point->v[tangent], d, 1e-7 * fmax(scale, largest(n, d)) + lost);
}

/* A relu inside a layer has its kink where an output leaves zero: no such output between the runs,
 * nor among the activations that a block saves. */
static inline bool away_from_kinks(const struct probe *p, const struct snapshot *plus,
                                   const struct snapshot *minus)
{
    for (int o = Y; o <= SAVE; o++)
        for (size_t i = 0; i < p->b[o].n; i++)
            if ((plus->v[o][i] > 0) != (minus->v[o][i] > 0))
                return false;
    return true;
}

/* x, w and gy all move. Returns 1 where the point is too near a kink to say. */
static inline int check_differences_here(struct probe *p)
{
    struct snapshot point, plus, minus;
    int code = probe_run(p, RUN_TANGENTS);

    point = snapshot_take(p);
    code = code ? code : run_at(p, &point, +STEP);
    plus = snapshot_take(p);
    code = code ? code : run_at(p, &point, -STEP);
    minus = snapshot_take(p);
    if (!code && !away_from_kinks(p, &plus, &minus))
        code = 1;
    code = code ? code : difference(p, &point, &plus, &minus, Y, YT, "forward_tangent misses y.t");
    code =
        code ? code : difference(p, &point, &plus, &minus, GX, GXT, "backward_tangent misses gx.t");
    code =
        code ? code : difference(p, &point, &plus, &minus, GW, GWT, "backward_tangent misses gw.t");
    snapshot_free(&point);
    snapshot_free(&plus);
    snapshot_free(&minus);
    return code;
}

static inline int check_differences(struct probe *p, uint64_t seed)
{
    for (int tries = 0; tries < 20; tries++) {
        int code;

        probe_point(p, seed + (uint64_t)tries);
        probe_direction(p, seed + 100 + (uint64_t)tries);
        code = check_differences_here(p);
        if (code <= 0)
            return code;
    }
    return err(ERR_FAILED, "no point away from kinks");
}

/* ---- statistics: gw is stat - observed, of the batch: mean, and variance over m - 1 ---- */

static inline int check_stat(const struct probe *p, const struct segment *s)
{
    size_t c = s->n, m = p->b[X].n / c;
    bool mean_wanted = strstr(s->name, "mean") != NULL;

    for (size_t i = 0; i < c; i++) {
        const real *x = p->b[X].v + i;
        double stat = p->b[W].v[s->offset + i], got = p->b[GW].v[s->offset + i];
        double mean = 0, var = 0, observed;

        for (size_t k = 0; k < m; k++)
            mean += x[k * c] / (double)m;
        for (size_t k = 0; k < m; k++)
            var += (x[k * c] - mean) * (x[k * c] - mean) / (double)(m - 1);
        observed = mean_wanted ? mean : var;
        /* sums of m terms up to max(x)^2 = 4, then one subtraction */
        if (!(fabs(got - (stat - observed)) <= 8 * (double)m * REAL_EPS * 4))
            return err(ERR_FAILED, "gw of '%s' is %.9g, not stat - observed, %.9g", s->name, got,
                       stat - observed);
    }
    return 0;
}

/* "bn1.running_mean" is of the layer's input; "block1.bn1.running_mean" of what a part of it
 * reads. */
static inline bool of_input(const struct segment *s)
{
    return strchr(s->name, '.') == strrchr(s->name, '.');
}

/* In evaluation nothing is observed and nothing added. */
static inline int check_stats(struct probe *p)
{
    TRY(probe_run(p, RUN_VALUES | RUN_STATS));
    for (int i = 0; i < p->layout.n_segments; i++) {
        const struct segment *s = &p->layout.segments[i];

        if (s->role != ROLE_STAT)
            continue;
        if (!p->evaluate && of_input(s))
            TRY(check_stat(p, s));
        if (p->evaluate && largest(s->n, p->b[GW].v + s->offset) > 0)
            return err(ERR_FAILED, "gw of '%s' changes in evaluation", s->name);
    }
    return 0;
}

/* ---- the suite for one layer, one case, n samples ---- */

static inline int check_algebra(struct probe *p)
{
    TRY(check_bits(p));
    TRY(check_adds(p));
    TRY(check_no_xt(p));
    TRY(check_no_gx(p, 0));
    TRY(check_no_gx(p, RUN_NO_XT));
    TRY(check_adjoint(p, true, false, "<J'u, v> = <u, J v> along x"));
    TRY(check_adjoint(p, false, true, "<J'u, v> = <u, J v> along w"));
    TRY(check_ties(p));
    TRY(check_stats(p));
    TRY(check_symmetry(p));
    return check_linearity(p);
}

enum part { PART_ALGEBRA = 1, PART_DIFFERENCES = 2 };

static inline int layer_check(const struct layer_ops *ops, const struct layer_case *c, int n,
                              int parts)
{
    struct probe p;
    int code;

    TRY(probe_init(&p, ops, c, n));
    probe_point(&p, 1 + (uint64_t)n);
    probe_direction(&p, 100 + (uint64_t)n);
    code = parts & PART_ALGEBRA ? check_algebra(&p) : 0;
    if (!code && parts & PART_ALGEBRA)
        code = check_plan(&p, c);
    if (!code && parts & PART_DIFFERENCES)
        code = check_differences(&p, 1000 + 10 * (uint64_t)n);
    probe_release(&p);
    if (code)
        err_within(code, "%s of %d x %d x %d (filters %d kernel %d stride %d pad %d), n %d",
                   ops->name, c->in.h, c->in.w, c->in.c, c->spec.filters, c->spec.kernel,
                   c->spec.stride, c->spec.pad, n);
    return code;
}

#endif
