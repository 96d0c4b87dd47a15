/* raster.c - from stored bytes or floats to reals. */
#include "core/data/raster.h"

#include <string.h>

struct shape raster_shape(const struct raster *r)
{
    struct shape s = r->inner;

    s.h += 2 * r->margin;
    s.w += 2 * r->margin;
    return s;
}

/* n numbers, `step` apart, from the at-th on. */
static void numbers_copy(const struct raster *r, size_t at, size_t n, size_t step, real *to)
{
    for (size_t m = 0; r->u8 && m < n; m++)
        to[m] = (real)r->u8[at + m * step] / 255;
    for (size_t m = 0; r->f32 && m < n; m++)
        to[m] = (real)r->f32[at + m * step];
    for (size_t m = 0; r->values && m < n; m++)
        to[m] = r->values[at + m * step];
}

void raster_copy(const struct raster *r, real *x)
{
    struct shape out = raster_shape(r);
    size_t row = (size_t)r->inner.w * r->inner.c, wide = (size_t)out.w * out.c;
    real *from = x + (size_t)r->margin * (wide + r->inner.c);

    if (r->margin == 0) {
        numbers_copy(r, 0, shape_size(r->inner), 1, x);
        return;
    }
    memset(x, 0, shape_size(out) * sizeof *x);
    for (int i = 0; i < r->inner.h; i++)
        numbers_copy(r, (size_t)i * row, row, 1, from + (size_t)i * wide);
}

void raster_line(const struct raster *r, int i, int j, int n, int k, real *to)
{
    int left, right;

    i -= r->margin;
    j -= r->margin;
    left = j < 0 ? -j : 0;
    right = j + n > r->inner.w ? r->inner.w - j : n;
    memset(to, 0, (size_t)n * sizeof *to);
    if (i < 0 || i >= r->inner.h || left >= right)
        return;
    numbers_copy(r, ((size_t)i * r->inner.w + j + left) * r->inner.c + k, (size_t)(right - left),
                 (size_t)r->inner.c, to + left);
}
