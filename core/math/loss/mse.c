/* mse.c - mean squared error over samples and outputs, |y - target|^2 / (n c).  math.md (3.2) */
#include "core/math/loss.h"

static double mse_value(const struct batch *b, int c, const real *y)
{
    double sum = 0;

    for (int i = 0; i < b->n * c; i++) {
        double d = (double)y[i] - b->target[i];

        sum += d * d;
    }
    return sum / (b->n * c);
}

static void mse_grad(const struct batch *b, int c, const real *y, real *gy)
{
    for (int i = 0; i < b->n * c; i++)
        gy[i] = 2 * (y[i] - b->target[i]) / (real)(b->n * c);
}

static void mse_grad_tangent(const struct batch *b, int c, const real *y, const real *yt, real *gyt)
{
    (void)y;
    for (int i = 0; i < b->n * c; i++)
        gyt[i] = 2 * yt[i] / (real)(b->n * c);
}

const struct loss_ops loss_mse = {
    .name = "mse",
    .summary = "mean squared error over samples and outputs",
    .value = mse_value,
    .grad = mse_grad,
    .grad_tangent = mse_grad_tangent,
};
