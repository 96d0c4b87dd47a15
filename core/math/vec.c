/* vec.c - loops the compiler makes wide. */
#include "core/math/vec.h"

#include <string.h>

void vec_zero(size_t n, real *x)
{
    memset(x, 0, n * sizeof *x);
}

void vec_copy(size_t n, const real *x, real *y)
{
    memcpy(y, x, n * sizeof *x);
}

void vec_add(size_t n, const real *restrict x, real *restrict y)
{
    for (size_t i = 0; i < n; i++)
        y[i] += x[i];
}

void vec_sub(size_t n, const real *restrict x, real *restrict y)
{
    for (size_t i = 0; i < n; i++)
        y[i] -= x[i];
}

void vec_mul(size_t n, const real *restrict a, const real *restrict x, real *restrict y)
{
    for (size_t i = 0; i < n; i++)
        y[i] = a[i] * x[i];
}

void vec_step(size_t n, const real *restrict w, const real *restrict rate, const real *restrict g,
              real *restrict y)
{
    for (size_t i = 0; i < n; i++)
        y[i] = w[i] - rate[i] * g[i];
}

/* x - x is 0 for every finite x, and NaN otherwise: one pass without branches. */
int vec_finite(size_t n, const real *x)
{
    real sum = 0;

#pragma omp simd reduction(+ : sum)
    for (size_t i = 0; i < n; i++)
        sum += x[i] - x[i];
    return sum == 0;
}

void vec_scale(size_t n, double by, real *x)
{
    for (size_t i = 0; i < n; i++)
        x[i] = (real)(x[i] * by);
}
