/* poisson.c - counts: the output is the logarithm of the rate, l = exp(y) - t y, the negative log
 * likelihood without log t!, which no parameter changes.                         math.md (3.10) */
#include <math.h>

#include "core/math/loss/entry.h"

static struct loss_term poisson_entry(const struct loss *l, int j, real y, real t)
{
    double rate = exp(y);

    (void)l, (void)j;
    return (struct loss_term){rate - (double)t * y, (real)(rate - t), (real)rate};
}

static const char *poisson_refuses(real target)
{
    return target >= 0 ? NULL : "is below 0, and loss 'poisson' takes counts";
}

static double poisson_expects(double y)
{
    return exp(y);
}

const struct loss_ops loss_poisson = {
    .name = "poisson",
    .summary = "Poisson likelihood of counts; the output is the rate's logarithm",
    .value = entry_value,
    .grad = entry_grad,
    .grad_tangent = entry_grad_tangent,
    .entry = poisson_entry,
    .refuses = poisson_refuses,
    .expects = poisson_expects,
};
