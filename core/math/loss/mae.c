/* mae.c - absolute error, l = |y - t|; where y = t the slope is 0, the middle of all slopes there.
 *                                                                            math.md (3.7) */
#include <math.h>

#include "core/math/loss/entry.h"

static struct loss_term mae_entry(const struct loss *l, int j, real y, real t)
{
    double d = (double)y - t;

    (void)l, (void)j;
    return (struct loss_term){fabs(d), (real)((d > 0) - (d < 0)), 0};
}

const struct loss_ops loss_mae = {
    .name = "mae",
    .summary = "mean absolute error over samples and outputs",
    .value = entry_value,
    .grad = entry_grad,
    .grad_tangent = entry_grad_tangent,
    .entry = mae_entry,
    .direct = true,
};
