/* coral.c - correlation alignment (Sun and Saenko 2016): D = C_s - C_t, the difference of the
 * covariances, C = sum over i of (x_i - mean)(x_i - mean)^T / (n - 1):              math.md (3.6)
 *
 *     value = |D|_F^2 / (4 d^2)
 *     gs_i  =   (x_i - mean_s) D / (d^2 (ns - 1)),   gt_i = - (x_i - mean_t) D / (d^2 (nt - 1)) */
#include <assert.h>
#include <math.h>
#include <stdbool.h>

#include "core/math/blas.h"
#include "core/math/discrepancy.h"
#include "core/math/discrepancy/rows.h"

struct places {
    size_t mean, source, target, difference; /* in the scratch */
    size_t n_doubles;
};

static struct places coral_plan(int ns, int nt, int d)
{
    struct places p = {.n_doubles = 0};

    p.mean = scratch_doubles(&p.n_doubles, (size_t)d);
    p.source = scratch_reals(&p.n_doubles, (size_t)ns * (size_t)d);
    p.target = scratch_reals(&p.n_doubles, (size_t)nt * (size_t)d);
    p.difference = scratch_reals(&p.n_doubles, (size_t)d * (size_t)d);
    return p;
}

static int coral_n_min(const struct discrepancy_spec *s)
{
    (void)s;
    return 2;
}

static size_t coral_scratch(const struct discrepancy_spec *s, int ns, int nt, int d)
{
    (void)s;
    return coral_plan(ns, nt, d).n_doubles;
}

/* out = (x - mean) / sqrt(n - 1), so that out^T out is the covariance */
static void spread_of(int n, int d, const real *x, double *mean, real *out)
{
    struct rows z = {.ns = n, .nt = 0, .d = d, .xs = x};

    rows_mean(&z, mean);
    rows_centre(n, d, x, mean, 1 / sqrt(n - 1), out);
}

static void grad_of(int n, int d, double sign, const real *spread, const real *difference, real *g)
{
    double scale = sign / ((double)d * d * sqrt(n - 1));

    gemm(false, false, n, d, d, spread, d, difference, d, 0, g, d);
    for (size_t i = 0; i < (size_t)n * (size_t)d; i++)
        g[i] = (real)(scale * g[i]);
}

static double coral_value_grad(const struct discrepancy_spec *s, int ns, int nt, int d,
                               const real *xs, const real *xt, real *gs, real *gt, double *scratch)
{
    struct places p = coral_plan(ns, nt, d);
    real *source = (real *)(scratch + p.source), *target = (real *)(scratch + p.target);
    real *difference = (real *)(scratch + p.difference);
    double sum = 0;

    assert(ns >= coral_n_min(s) && nt >= coral_n_min(s) && d >= 1);
    spread_of(ns, d, xs, scratch + p.mean, source);
    spread_of(nt, d, xt, scratch + p.mean, target);
    gemm(true, false, d, d, nt, target, d, target, d, 0, difference, d);
    gemm(true, false, d, d, ns, source, d, source, d, -1, difference, d);
    for (size_t i = 0; i < (size_t)d * (size_t)d; i++)
        sum += (double)difference[i] * (double)difference[i];
    if (gs)
        grad_of(ns, d, 1, source, difference, gs);
    if (gt)
        grad_of(nt, d, -1, target, difference, gt);
    return sum / (4 * (double)d * d);
}

const struct discrepancy_ops discrepancy_coral = {
    .name = "coral",
    .summary = "squared distance between the covariances, divided by 4 d^2",
    .n_min = coral_n_min,
    .scratch = coral_scratch,
    .value_grad = coral_value_grad,
};
