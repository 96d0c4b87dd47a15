/* discrepancy_oracle.h - the discrepancies as the papers define them, in long double, and their
 * gradients. */
#ifndef TESTS_LIB_DISCREPANCY_ORACLE_H
#define TESTS_LIB_DISCREPANCY_ORACLE_H

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>

#include "core/math/discrepancy.h"

/* Rows of one domain at most; features. */
enum { N_MAX = 12, D_MAX = 40 };

typedef long double wide;

/* Source rows, then target rows; gradients are ADDED to g. */
struct points {
    int ns, n, d; /* n: of both */
    wide x[2 * N_MAX][D_MAX], g[2 * N_MAX][D_MAX];
};

static inline wide square_distance(const struct points *p, int i, int j)
{
    wide sum = 0;

    for (int c = 0; c < p->d; c++)
        sum += (p->x[i][c] - p->x[j][c]) * (p->x[i][c] - p->x[j][c]);
    return sum;
}

static inline int compare(const void *a, const void *b)
{
    wide x = *(const wide *)a, y = *(const wide *)b;

    return (x > y) - (x < y);
}

/* Over all ordered pairs i != j. */
static inline double bandwidth_oracle(const struct discrepancy_spec *s, const struct points *p)
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
static inline wide kernel_oracle(const struct discrepancy_spec *s, struct points *p, int i, int j,
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

static inline wide quadratic_oracle(const struct discrepancy_spec *s, struct points *p)
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

static inline wide mmd_oracle(const struct discrepancy_spec *s, struct points *p)
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

/* Entry (a, b) of the covariance of rows first .. last-1, and half of its gradient times
 * `weight`. */
static inline wide covariance_oracle(struct points *p, int first, int last, int a, int b,
                                     wide weight)
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

static inline wide coral_oracle(const struct discrepancy_spec *s, struct points *p)
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

#endif
