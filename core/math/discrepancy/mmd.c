/* mmd.c - squared maximum mean discrepancy (Gretton et al. 2012; Long et al. 2015), k the mean of
 * gaussians of kernels.c:                                                         math.md (3.5)
 *
 *     biased    mean k(s_i, s_j) + mean k(t_i, t_j) - 2 mean k(s_i, t_j)         over all i, j
 *     unbiased  the same, i != j in the first two
 *     linear   mean over i of k(s_2i, s_2i+1) + k(t_2i, t_2i+1) - k(s_2i, t_2i+1) - k(s_2i+1, t_2i)
 *
 * Dense estimators: with a = d value / d |z_i - z_j|^2 the gradient is g_i = sum over j of
 * 2 a_ij (z_i - z_j), one product with the matrix that has -2 a_ij off its diagonal and rows of sum
 * zero. So rows may be centred first, for fewer digits are lost then. */
#include <assert.h>
#include <stdbool.h>
#include <string.h>

#include "core/math/blas.h"
#include "core/math/discrepancy.h"
#include "core/math/discrepancy/kernels.h"
#include "core/math/discrepancy/rows.h"

const char *const mmd_estimator_names[] = {"biased", "unbiased", "linear", NULL};
const char *const mmd_bandwidth_names[] = {"mean", "median", NULL};

/* ---- the dense estimators: value = s sum k(s, s) + t sum k(t, t) + cross sum k(s, t) + constant,
 * the first two over i < j ---- */

struct coefficients {
    double s, t, cross, constant;
};

struct dense {
    size_t distance, mean, row, centred, matrix; /* places in the scratch */
    size_t n_doubles;
};

static struct dense dense_plan(const struct rows *z)
{
    size_t n = (size_t)z->ns + (size_t)z->nt, d = (size_t)z->d;
    struct dense p = {.n_doubles = 0};

    p.distance = scratch_doubles(&p.n_doubles, n);
    p.mean = scratch_doubles(&p.n_doubles, d);
    p.row = scratch_doubles(&p.n_doubles, n);
    p.centred = scratch_reals(&p.n_doubles, n * d);
    p.matrix = scratch_reals(&p.n_doubles, n * n);
    return p;
}

/* Row i from its diagonal on: returns its part of the value. row (n) is ADDED to. */
static double dense_row(const struct rows *z, const struct kernels *k, const struct coefficients *c,
                        int i, double *distance, double *row, real *matrix)
{
    int n = z->ns + z->nt;
    double near = 0, far = 0, own = i < z->ns ? c->s : c->t;

    rows_distances(z, i, distance);
    for (int j = i + 1; j < n; j++) {
        bool same = j < z->ns || i >= z->ns;
        double slope, value = kernels_at(k, distance[j - i - 1], &slope);
        double pull = 2 * (same ? own : c->cross) * slope;

        *(same ? &near : &far) += value;
        row[i] += pull;
        row[j] += pull;
        matrix[(size_t)i * (size_t)n + (size_t)j] = (real)-pull;
        matrix[(size_t)j * (size_t)n + (size_t)i] = (real)-pull;
    }
    matrix[(size_t)i * (size_t)n + (size_t)i] = (real)row[i];
    return own * near + c->cross * far;
}

static void dense_grad(const struct rows *z, const struct dense *p, real *gs, real *gt,
                       double *scratch)
{
    int n = z->ns + z->nt, d = z->d;
    real *centred = (real *)(scratch + p->centred), *matrix = (real *)(scratch + p->matrix);

    rows_mean(z, scratch + p->mean);
    rows_centre(z->ns, d, z->xs, scratch + p->mean, 1, centred);
    rows_centre(z->nt, d, z->xt, scratch + p->mean, 1, centred + (size_t)z->ns * (size_t)d);
    if (gs)
        gemm(false, false, z->ns, d, n, matrix, n, centred, d, 0, gs, d);
    if (gt)
        gemm(false, false, z->nt, d, n, matrix + (size_t)z->ns * (size_t)n, n, centred, d, 0, gt,
             d);
}

static double dense_run(const struct rows *z, const struct kernels *k, struct coefficients c,
                        real *gs, real *gt, double *scratch)
{
    struct dense p = dense_plan(z);
    double value = c.constant;
    int n = z->ns + z->nt;

    memset(scratch + p.row, 0, (size_t)n * sizeof(double));
    for (int i = 0; i < n; i++)
        value += dense_row(z, k, &c, i, scratch + p.distance, scratch + p.row,
                           (real *)(scratch + p.matrix));
    if (gs || gt)
        dense_grad(z, &p, gs, gt, scratch);
    return value;
}

static double biased_run(const struct rows *z, const struct kernels *k, real *gs, real *gt,
                         double *scratch)
{
    double ns = z->ns, nt = z->nt;
    struct coefficients c = {2 / (ns * ns), 2 / (nt * nt), -2 / (ns * nt), 1 / ns + 1 / nt};

    return dense_run(z, k, c, gs, gt, scratch);
}

static double unbiased_run(const struct rows *z, const struct kernels *k, real *gs, real *gt,
                           double *scratch)
{
    double ns = z->ns, nt = z->nt;
    struct coefficients c = {2 / (ns * (ns - 1)), 2 / (nt * (nt - 1)), -2 / (ns * nt), 0};

    return dense_run(z, k, c, gs, gt, scratch);
}

static size_t dense_scratch(const struct rows *z)
{
    return dense_plan(z).n_doubles;
}

/* ---- the linear estimator ---- */

/* Adds c d k(a, b) / d a and d b to ga and gb (d), each NULL or not; returns c k(a, b). */
static double pair_add(const struct kernels *k, int d, double c, const real *a, const real *b,
                       real *ga, real *gb)
{
    double slope, value = kernels_at(k, rows_distance(d, a, b), &slope);

    for (int i = 0; i < d && ga; i++)
        ga[i] += (real)(2 * c * slope * ((double)a[i] - (double)b[i]));
    for (int i = 0; i < d && gb; i++)
        gb[i] += (real)(2 * c * slope * ((double)b[i] - (double)a[i]));
    return c * value;
}

static double linear_run(const struct rows *z, const struct kernels *k, real *gs, real *gt,
                         double *scratch)
{
    size_t d = (size_t)z->d;
    int n = (z->ns < z->nt ? z->ns : z->nt) / 2;
    double value = 0, c = 1.0 / n;

    (void)scratch;
    if (gs)
        memset(gs, 0, (size_t)z->ns * d * sizeof *gs);
    if (gt)
        memset(gt, 0, (size_t)z->nt * d * sizeof *gt);
    for (size_t i = 0; i < (size_t)n; i++) {
        const real *s = z->xs + 2 * i * d, *t = z->xt + 2 * i * d;
        real *s0 = gs ? gs + 2 * i * d : NULL, *s1 = gs ? s0 + d : NULL;
        real *t0 = gt ? gt + 2 * i * d : NULL, *t1 = gt ? t0 + d : NULL;

        value += pair_add(k, z->d, c, s, s + d, s0, s1);
        value += pair_add(k, z->d, c, t, t + d, t0, t1);
        value += pair_add(k, z->d, -c, s, t + d, s0, t1);
        value += pair_add(k, z->d, -c, s + d, t, s1, t0);
    }
    return value;
}

static size_t linear_scratch(const struct rows *z)
{
    (void)z;
    return 0;
}

/* ---- */

static const struct {
    int n_min;
    double (*run)(const struct rows *z, const struct kernels *k, real *gs, real *gt,
                  double *scratch);
    size_t (*scratch)(const struct rows *z);
} estimators[] = {
    [MMD_BIASED] = {1, biased_run, dense_scratch},
    [MMD_UNBIASED] = {2, unbiased_run, dense_scratch},
    [MMD_LINEAR] = {2, linear_run, linear_scratch},
};

static int mmd_n_min(const struct discrepancy_spec *s)
{
    return estimators[s->estimator].n_min;
}

/* The bandwidth is found first, over the same scratch. */
static size_t mmd_scratch(const struct discrepancy_spec *s, int ns, int nt, int d)
{
    struct rows z = {.ns = ns, .nt = nt, .d = d};
    size_t run = estimators[s->estimator].scratch(&z);
    size_t width = s->bandwidth == MMD_MEDIAN ? rows_pairs(&z) : (size_t)d;

    if (s->sigma > 0)
        width = 0;
    return run > width ? run : width;
}

static double mmd_bandwidth_of(const struct discrepancy_spec *s, int ns, int nt, int d,
                               const real *xs, const real *xt, double *scratch)
{
    struct rows z = {ns, nt, d, xs, xt};

    if (s->sigma > 0)
        return s->sigma;
    return s->bandwidth == MMD_MEDIAN ? rows_median_distance(&z, scratch)
                                      : rows_mean_distance(&z, scratch);
}

static double mmd_value_grad(const struct discrepancy_spec *s, int ns, int nt, int d,
                             const real *xs, const real *xt, real *gs, real *gt, double *scratch)
{
    struct rows z = {ns, nt, d, xs, xt};
    struct kernels k;

    assert(ns >= mmd_n_min(s) && nt >= mmd_n_min(s) && d >= 1);
    kernels_init(&k, s->family, mmd_bandwidth_of(s, ns, nt, d, xs, xt, scratch));
    return estimators[s->estimator].run(&z, &k, gs, gt, scratch);
}

const struct discrepancy_ops discrepancy_mmd = {
    .name = "mmd",
    .summary = "squared maximum mean discrepancy with the mean of several Gaussian kernels",
    .n_min = mmd_n_min,
    .scratch = mmd_scratch,
    .value_grad = mmd_value_grad,
    .bandwidth = mmd_bandwidth_of,
};
