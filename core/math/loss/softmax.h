/* softmax.h - softmax(y / temperature), safe for any finite y. */
#ifndef CORE_MATH_LOSS_SOFTMAX_H
#define CORE_MATH_LOSS_SOFTMAX_H

#include <math.h>

#include "core/base/real.h"

/* log of the sum of exp(y / temperature); softmax is exp(y / temperature - this). */
static inline double softmax_log_sum(int c, const real *y, double temperature)
{
    double top = y[0], sum = 0;

    for (int i = 1; i < c; i++)
        top = y[i] > top ? y[i] : top;
    for (int i = 0; i < c; i++)
        sum += exp((y[i] - top) / temperature);
    return top / temperature + log(sum);
}

#endif
