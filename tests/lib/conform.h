/* conform.h - what the conformance suites share: points, guarded buffers, comparisons.
 *
 * A check does not assert: it returns 0, or a negative code with the reason in err_text(), so that
 * the suites can be shown to reject what is wrong (tests/lib/broken.c). */
#ifndef TESTS_LIB_CONFORM_H
#define TESTS_LIB_CONFORM_H

#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/err.h"
#include "core/base/real.h"

/* ---- points: splitmix64, independent of core/math/rng.c ---- */

static inline uint64_t draw_u64(uint64_t *seed)
{
    uint64_t z = *seed += 0x9e3779b97f4a7c15u;

    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

static inline double draw_uniform(uint64_t *seed, double low, double high)
{
    return low + (high - low) * ((double)(draw_u64(seed) >> 11) * 0x1p-53);
}

static inline void fill_uniform(size_t n, real *v, double low, double high, uint64_t *seed)
{
    for (size_t i = 0; i < n; i++)
        v[i] = (real)draw_uniform(seed, low, high);
}

/* Distinct values on (-2, 2) in random order, 4/n apart, none within 1/n of zero. */
static inline void fill_spread(size_t n, real *v, uint64_t *seed)
{
    for (size_t i = 0; i < n; i++)
        v[i] = (real)(((double)i + 0.25 - (double)n / 2) * 4 / (double)n);
    for (size_t i = n; i > 1; i--) {
        size_t j = draw_u64(seed) % i;
        real swap = v[j];

        v[j] = v[i - 1];
        v[i - 1] = swap;
    }
}

/* ---- comparisons: sums in long double, so that only the tested side rounds ---- */

static inline double dot(size_t n, const real *a, const real *b)
{
    long double sum = 0;

    for (size_t i = 0; i < n; i++)
        sum += (long double)a[i] * b[i];
    return (double)sum;
}

static inline double norm(size_t n, const real *a)
{
    return sqrt(dot(n, a, a));
}

static inline double largest(size_t n, const real *a)
{
    double max = 0;

    for (size_t i = 0; i < n; i++)
        max = fmax(max, fabs((double)a[i]));
    return max;
}

/* max |a - b| <= tolerance; a NaN anywhere refuses. */
static inline int near(const char *what, size_t n, const real *a, const real *b, double tolerance)
{
    for (size_t i = 0; i < n; i++)
        if (!(fabs((double)a[i] - (double)b[i]) <= tolerance))
            return err(ERR_FAILED, "%s: element %zu of %zu is %.17g, not %.17g (+- %.1e)", what, i,
                       n, (double)a[i], (double)b[i], tolerance);
    return 0;
}

/* ---- buffers between guards ---- */

/* A cache line on either side. Guards are NaN, so that what reads them shows in the result, and
 * each buffer's are its own, so that copying one guard onto another shows as well. */
enum { GUARD = 64 / sizeof(real) };

struct buffer {
    real *v, *was; /* n reals between guards; the same reals as they were at buffer_keep */
    size_t n;
    int id;
    real *memory; /* owned, with the guards; 64-byte aligned */
};

static inline real guard_word(int id)
{
    union {
        uint32_t u32;
        uint64_t u64;
        real r;
    } word = {.u64 = 0};

    if (sizeof(real) == 8)
        word.u64 = 0x7ff8000000005a00u + (unsigned)id;
    else
        word.u32 = 0x7fc05a00u + (unsigned)id;
    return word.r;
}

/* `odd` more guard words in front move v off its alignment: parameters have none. */
static inline void buffer_init(struct buffer *b, int id, size_t n, int odd)
{
    size_t bytes = (2 * GUARD + n + (size_t)odd) * sizeof(real);

    *b = (struct buffer){.n = n, .id = id};
    b->memory = aligned_alloc(64, (bytes + 63) / 64 * 64);
    b->was = calloc(n + 1, sizeof(real));
    if (!b->memory || !b->was)
        abort();
    b->v = b->memory + GUARD + odd;
    for (int i = 0; i < GUARD; i++)
        b->v[-1 - i] = b->v[n + (size_t)i] = guard_word(id);
    memset(b->v, 0, n * sizeof(real));
}

static inline void buffer_release(struct buffer *b)
{
    free(b->memory);
    free(b->was);
    *b = (struct buffer){0};
}

static inline bool buffer_guarded(const struct buffer *b)
{
    real word = guard_word(b->id);

    for (int i = 0; i < GUARD; i++)
        if (memcmp(b->v - 1 - i, &word, sizeof word) || memcmp(b->v + b->n + i, &word, sizeof word))
            return false;
    return true;
}

static inline void buffer_keep(struct buffer *b)
{
    memcpy(b->was, b->v, b->n * sizeof(real));
}

static inline bool buffer_kept(const struct buffer *b)
{
    return memcmp(b->was, b->v, b->n * sizeof(real)) == 0;
}

/* Every bit as `byte`: 0xff is NaN, 0x5a a large number. */
static inline void buffer_spoil(struct buffer *b, int byte)
{
    memset(b->v, byte, b->n * sizeof(real));
}

static inline bool buffer_finite(const struct buffer *b)
{
    for (size_t i = 0; i < b->n; i++)
        if (!isfinite(b->v[i]))
            return false;
    return true;
}

#endif
