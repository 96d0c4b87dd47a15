/* entry.c - three sums over the entries that are there. */
#include "core/math/loss/entry.h"

#include <math.h>

/* The target of output j of sample k. */
static real target_at(const struct loss *l, const struct batch *b, int c, int k, int j)
{
    return b->target[k * loss_targets(l, c) + j / l->per_target];
}

/* Its weight: 0 if it is a hole. */
static real weight_at(const struct loss *l, const struct batch *b, int c, int k, int j)
{
    return isnan(target_at(l, b, c, k, j)) ? 0 : batch_weight(b, k);
}

static double total_weight(const struct loss *l, const struct batch *b, int c)
{
    double sum = 0;

    for (int k = 0; k < b->n; k++)
        for (int j = 0; j < c; j++)
            sum += weight_at(l, b, c, k, j);
    return sum;
}

double entry_value(const struct loss *l, const struct batch *b, int c, const real *y)
{
    double sum = 0, total = total_weight(l, b, c);

    for (int k = 0; k < b->n; k++)
        for (int j = 0; j < c; j++) {
            real w = weight_at(l, b, c, k, j);

            if (w > 0)
                sum += w * l->ops->entry(l, j, y[k * c + j], target_at(l, b, c, k, j)).value;
        }
    return total > 0 ? sum / total : 0;
}

void entry_grad(const struct loss *l, const struct batch *b, int c, const real *y, real *gy)
{
    real total = (real)total_weight(l, b, c);

    for (int k = 0; k < b->n; k++)
        for (int j = 0; j < c; j++) {
            real w = weight_at(l, b, c, k, j), *g = &gy[k * c + j];

            *g = 0;
            if (w > 0)
                *g = l->ops->entry(l, j, y[k * c + j], target_at(l, b, c, k, j)).slope * w / total;
        }
}

void entry_grad_tangent(const struct loss *l, const struct batch *b, int c, const real *y,
                        const real *yt, real *gyt)
{
    real total = (real)total_weight(l, b, c);

    for (int k = 0; k < b->n; k++)
        for (int j = 0; j < c; j++) {
            real w = weight_at(l, b, c, k, j), *g = &gyt[k * c + j];

            *g = 0;
            if (w > 0)
                *g = l->ops->entry(l, j, y[k * c + j], target_at(l, b, c, k, j)).curve *
                     yt[k * c + j] * w / total;
        }
}

double entry_share(const struct loss *l, const struct batch *b, int c, const real *y,
                   bool (*right)(real y, real t))
{
    double sum = 0, total = total_weight(l, b, c);

    for (int k = 0; k < b->n; k++)
        for (int j = 0; j < c; j++)
            if (right(y[k * c + j], target_at(l, b, c, k, j)))
                sum += weight_at(l, b, c, k, j);
    return total > 0 ? sum / total : 0;
}
