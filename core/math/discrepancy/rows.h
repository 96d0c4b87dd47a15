/* rows.h - sets of features as rows of d reals, as the discrepancies need them. Sums are in
 * double. */
#ifndef CORE_MATH_DISCREPANCY_ROWS_H
#define CORE_MATH_DISCREPANCY_ROWS_H

#include <stddef.h>

#include "core/base/real.h"

/* Source rows first, then target rows; borrowed. */
struct rows {
    int ns, nt, d;
    const real *xs, *xt;
};

const real *rows_at(const struct rows *z, int i); /* i in 0 .. ns + nt - 1 */

/* out[j - i - 1] = |z_i - z_j|^2 for j = i+1 .. ns + nt - 1 */
void rows_distances(const struct rows *z, int i, double *out);
double rows_distance(int d, const real *a, const real *b);

void rows_mean(const struct rows *z, double *mean); /* mean (d) over all rows */

/* out (n x d) = scale (x - mean) */
void rows_centre(int n, int d, const real *x, const double *mean, double scale, real *out);

/* The mean of |z_i - z_j|^2 over the ordered pairs i != j; mean: scratch (d). At least two rows. */
double rows_mean_distance(const struct rows *z, double *mean);

/* Their median, of an even number the mean of the middle two; scratch: rows_pairs(z) doubles. */
double rows_median_distance(const struct rows *z, double *scratch);
size_t rows_pairs(const struct rows *z); /* i < j */

/* Scratch is counted in doubles, and each part of it starts on a cache line: the place of the next
 * part of n doubles or n reals, `used` moved beyond it. */
size_t scratch_doubles(size_t *used, size_t n);
size_t scratch_reals(size_t *used, size_t n);

#endif
