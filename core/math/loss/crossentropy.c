/* crossentropy.c - softmax cross-entropy: mean over samples of log sum exp(y) - y_label.
 *                                                                            math.md (3.1)
 *     g = (softmax(y) - onehot) / n,   g.t = softmax * (y.t - <softmax, y.t>) / n            */
#include "core/math/loss.h"
#include "core/math/loss/softmax.h"

static double crossentropy_value(const struct batch *b, int c, const real *y)
{
    double sum = 0;

    for (int k = 0; k < b->n; k++, y += c)
        sum += softmax_log_sum(c, y, 1) - y[b->label[k]];
    return sum / b->n;
}

static void crossentropy_grad(const struct batch *b, int c, const real *y, real *gy)
{
    for (int k = 0; k < b->n; k++, y += c, gy += c) {
        double log_sum = softmax_log_sum(c, y, 1);

        for (int i = 0; i < c; i++)
            gy[i] = (real)((exp(y[i] - log_sum) - (i == b->label[k])) / b->n);
    }
}

static void crossentropy_grad_tangent(const struct batch *b, int c, const real *y, const real *yt,
                                      real *gyt)
{
    for (int k = 0; k < b->n; k++, y += c, yt += c, gyt += c) {
        double log_sum = softmax_log_sum(c, y, 1), mean = 0;

        for (int i = 0; i < c; i++)
            mean += exp(y[i] - log_sum) * yt[i];
        for (int i = 0; i < c; i++)
            gyt[i] = (real)(exp(y[i] - log_sum) * (yt[i] - mean) / b->n);
    }
}

/* If several outputs are largest, the first is the answer. */
static double crossentropy_accuracy(const struct batch *b, int c, const real *y)
{
    int right = 0;

    for (int k = 0; k < b->n; k++, y += c) {
        int best = 0;

        for (int i = 1; i < c; i++)
            best = y[i] > y[best] ? i : best;
        right += best == b->label[k];
    }
    return (double)right / b->n;
}

const struct loss_ops loss_crossentropy = {
    .name = "cross_entropy",
    .summary = "softmax cross-entropy, mean over samples",
    .value = crossentropy_value,
    .grad = crossentropy_grad,
    .grad_tangent = crossentropy_grad_tangent,
    .accuracy = crossentropy_accuracy,
};
