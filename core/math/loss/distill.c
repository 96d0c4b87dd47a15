/* distill.c - the softened cross-entropy of Hinton et al. (2015)                     math.md (3.3)
 * and the hint regression of FitNets, eq. (3) (Romero et al. 2015).                 math.md (3.4)
 *
 * Li and Hoiem (2016, section 3, the loss of the old outputs) write the softened outputs as
 * y_k^(1/T) / sum y_j^(1/T) with y = softmax(logits): exp(logit_k / T) over their sum, the same
 * numbers. */
#include "core/math/loss/distill.h"

#include "core/math/loss/softmax.h"

double distill_value(int n, int c, double temperature, const real *student, const real *teacher)
{
    double sum = 0;

    for (int i = 0; i < n; i++, student += c, teacher += c) {
        double log_p = softmax_log_sum(c, teacher, temperature);
        double log_q = softmax_log_sum(c, student, temperature);

        for (int k = 0; k < c; k++)
            sum += exp(teacher[k] / temperature - log_p) * (log_q - student[k] / temperature);
    }
    return sum / n;
}

void distill_grad(int n, int c, double temperature, const real *student, const real *teacher,
                  real *g)
{
    for (int i = 0; i < n; i++, student += c, teacher += c, g += c) {
        double log_p = softmax_log_sum(c, teacher, temperature);
        double log_q = softmax_log_sum(c, student, temperature);

        for (int k = 0; k < c; k++)
            g[k] = (real)((exp(student[k] / temperature - log_q) -
                           exp(teacher[k] / temperature - log_p)) /
                          (temperature * n));
    }
}

double hint_value(int n, int width, const real *y, const real *hint)
{
    double sum = 0;

    for (long i = 0; i < (long)n * width; i++) {
        double d = (double)y[i] - (double)hint[i];

        sum += d * d;
    }
    return sum / (2.0 * n);
}

void hint_grad(int n, int width, const real *y, const real *hint, real *g)
{
    for (long i = 0; i < (long)n * width; i++)
        g[i] = (real)(((double)y[i] - (double)hint[i]) / n);
}
