/* rows.c - means, distances and their median, summed in double: a difference of two floats is exact
 * there, where a Gram matrix would lose what two near rows have in common. */
#include "core/math/discrepancy/rows.h"

#include <string.h>

const real *rows_at(const struct rows *z, int i)
{
    return i < z->ns ? z->xs + (size_t)i * (size_t)z->d
                     : z->xt + (size_t)(i - z->ns) * (size_t)z->d;
}

double rows_distance(int d, const real *a, const real *b)
{
    double sum = 0;

#pragma omp simd reduction(+ : sum)
    for (int i = 0; i < d; i++) {
        double x = (double)a[i] - (double)b[i];

        sum += x * x;
    }
    return sum;
}

/* Four rows at once: their sums do not wait for each other. */
static void distance_four(int d, const real *a, const real *b0, const real *b1, const real *b2,
                          const real *b3, double out[4])
{
    double s0 = 0, s1 = 0, s2 = 0, s3 = 0;

#pragma omp simd reduction(+ : s0, s1, s2, s3)
    for (int i = 0; i < d; i++) {
        double x0 = (double)a[i] - (double)b0[i], x1 = (double)a[i] - (double)b1[i];
        double x2 = (double)a[i] - (double)b2[i], x3 = (double)a[i] - (double)b3[i];

        s0 += x0 * x0;
        s1 += x1 * x1;
        s2 += x2 * x2;
        s3 += x3 * x3;
    }
    out[0] = s0;
    out[1] = s1;
    out[2] = s2;
    out[3] = s3;
}

void rows_distances(const struct rows *z, int i, double *out)
{
    const real *a = rows_at(z, i);
    int n = z->ns + z->nt, j = i + 1;

    for (; j + 4 <= n; j += 4, out += 4)
        distance_four(z->d, a, rows_at(z, j), rows_at(z, j + 1), rows_at(z, j + 2),
                      rows_at(z, j + 3), out);
    for (; j < n; j++)
        *out++ = rows_distance(z->d, a, rows_at(z, j));
}

void rows_mean(const struct rows *z, double *mean)
{
    int n = z->ns + z->nt;

    memset(mean, 0, (size_t)z->d * sizeof *mean);
    for (int i = 0; i < n; i++)
        for (int c = 0; c < z->d; c++)
            mean[c] += (double)rows_at(z, i)[c];
    for (int c = 0; c < z->d; c++)
        mean[c] /= n;
}

void rows_centre(int n, int d, const real *x, const double *mean, double scale, real *out)
{
    for (int i = 0; i < n; i++, x += d, out += d)
        for (int c = 0; c < d; c++)
            out[c] = (real)(scale * ((double)x[c] - mean[c]));
}

/* sum over i, j of |z_i - z_j|^2 = 2 n sum over i of |z_i - mean|^2 */
double rows_mean_distance(const struct rows *z, double *mean)
{
    int n = z->ns + z->nt;
    double sum = 0;

    rows_mean(z, mean);
    for (int i = 0; i < n; i++)
        for (int c = 0; c < z->d; c++) {
            double x = (double)rows_at(z, i)[c] - mean[c];

            sum += x * x;
        }
    return 2 * sum / (n - 1);
}

size_t rows_pairs(const struct rows *z)
{
    size_t n = (size_t)z->ns + (size_t)z->nt;

    return n * (n - 1) / 2;
}

static void swap(double *a, double *b)
{
    double was = *a;

    *a = *b;
    *b = was;
}

static double middle_of_three(double a, double b, double c)
{
    double low = a < b ? a : b, high = a < b ? b : a;

    return c < low ? low : c > high ? high : c;
}

/* The k-th smallest of v[0 .. n-1], reordered: smaller before it, larger after it. Each turn parts
 * v[low .. high-1] into less, equal and greater; a NaN counts as equal to anything, so it ends. */
static double select_kth(size_t n, double *v, size_t k)
{
    size_t low = 0, high = n;

    while (high - low > 1) {
        double pivot = middle_of_three(v[low], v[low + (high - low) / 2], v[high - 1]);
        size_t less = low, at = low, greater = high;

        while (at < greater) {
            if (v[at] < pivot)
                swap(&v[less++], &v[at++]);
            else if (v[at] > pivot)
                swap(&v[--greater], &v[at]);
            else
                at++;
        }
        if (k >= less && k < greater)
            return v[k];
        low = k < less ? low : greater;
        high = k < less ? less : high;
    }
    return v[low];
}

double rows_median_distance(const struct rows *z, double *scratch)
{
    size_t n = rows_pairs(z), at = 0;
    double upper, lower;

    for (int i = 0; i < z->ns + z->nt - 1; i++) {
        rows_distances(z, i, scratch + at);
        at += (size_t)(z->ns + z->nt - 1 - i);
    }
    upper = lower = select_kth(n, scratch, n / 2);
    if (n % 2 == 0) {
        lower = scratch[0];
        for (size_t i = 1; i < n / 2; i++)
            lower = scratch[i] > lower ? scratch[i] : lower;
    }
    return (lower + upper) / 2;
}

size_t scratch_doubles(size_t *used, size_t n)
{
    size_t at = *used;

    *used += (n + 7) / 8 * 8;
    return at;
}

size_t scratch_reals(size_t *used, size_t n)
{
    return scratch_doubles(used, (n * sizeof(real) + sizeof(double) - 1) / sizeof(double));
}
