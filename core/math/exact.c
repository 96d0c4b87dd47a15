/* exact.c - the order-free sum. */
#include "core/math/exact.h"

#include <math.h>

bool exact_fits(size_t n, const real *x)
{
    int beyond = 0;

#pragma omp simd reduction(| : beyond)
    for (size_t i = 0; i < n; i++)
        beyond |= !(fabs((double)x[i]) < EXACT_LIMIT);
    return !beyond;
}

void exact_add(size_t n, const real *restrict x, int64_t *restrict sum)
{
    for (size_t i = 0; i < n; i++) {
        double hi = rint(x[i] * 0x1p20), lo = rint((x[i] - hi * 0x1p-20) * 0x1p60);

        sum[i] += (int64_t)hi;
        sum[n + i] += (int64_t)lo;
    }
}

void exact_merge(size_t n_words, const int64_t *restrict x, int64_t *restrict sum)
{
    for (size_t i = 0; i < n_words; i++)
        sum[i] += x[i];
}

void exact_read(size_t n, const int64_t *hi, const int64_t *lo, double divisor, real *x)
{
    for (size_t i = 0; i < n; i++)
        x[i] = (real)(((double)hi[i] * 0x1p-20 + (double)lo[i] * 0x1p-60) / divisor);
}

bool exact_fits_one(double x)
{
    return fabs(x) < EXACT_LIMIT;
}

void exact_add_one(double x, int64_t sum[2])
{
    double hi = rint(x * 0x1p20);

    sum[0] += (int64_t)hi;
    sum[1] += (int64_t)rint((x - hi * 0x1p-20) * 0x1p60);
}

double exact_read_one(const int64_t sum[2])
{
    return (double)sum[0] * 0x1p-20 + (double)sum[1] * 0x1p-60;
}
