/* looks.c - sums over the pixels of images. */
#include "core/data/looks.h"

#include <math.h>

static double pixel(const struct store *s, size_t i)
{
    return s->u8 ? s->u8[i] / 255.0 : (double)s->f32[i];
}

static void add_pixel(struct looks *l, double x, int at_border)
{
    if (!isfinite(x))
        return;
    l->n++, l->sum += x, l->squares += x * x;
    if (at_border)
        l->n_border++, l->at_border += x;
}

void looks_add(struct looks *l, const struct store *s, size_t at)
{
    struct shape shape = s->shape;
    size_t i = at * shape_size(shape);

    l->sizes = s->sizes;
    for (int y = 0; y < shape.h; y++)
        for (int x = 0; x < shape.w; x++)
            for (int c = 0; c < shape.c; c++)
                add_pixel(l, pixel(s, i++),
                          y == 0 || x == 0 || y == shape.h - 1 || x == shape.w - 1);
}

void looks_close(struct looks *l)
{
    double n = l->n > 0 ? l->n : 1;

    l->mean = l->sum / n;
    l->deviation = sqrt(fmax(l->squares / n - l->mean * l->mean, 0));
    l->border = l->at_border / (l->n_border > 0 ? l->n_border : 1);
}
