/* mse.c - squared error, l = (y - t)^2.                                            math.md (3.2) */
#include "core/math/loss/entry.h"

static struct loss_term mse_entry(const struct loss *l, int j, real y, real t)
{
    double d = (double)y - t;

    (void)l, (void)j;
    return (struct loss_term){d * d, 2 * (y - t), 2};
}

const struct loss_ops loss_mse = {
    .name = "mse",
    .summary = "mean squared error over samples and outputs",
    .value = entry_value,
    .grad = entry_grad,
    .grad_tangent = entry_grad_tangent,
    .entry = mse_entry,
    .direct = true,
};
