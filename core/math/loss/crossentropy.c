/* crossentropy.c - softmax cross-entropy: mean over samples of log sum exp(y) - y_label.
 *                                                                            math.md (3.1)
 *     g = (softmax(y) - onehot) w / W,   g.t = softmax * (y.t - <softmax, y.t>) w / W
 * over the outputs that stand for a class of the batch; 0 for the others. w is the sample's weight
 * (0 if it has no label), W the sum of them. */
#include <string.h>

#include "core/math/loss.h"
#include "core/math/loss/softmax.h"

static double weight_of(const struct batch *b, int k)
{
    return b->label[k] < 0 ? 0 : batch_weight(b, k);
}

static double total_weight(const struct batch *b)
{
    double sum = 0;

    for (int k = 0; k < b->n; k++)
        sum += weight_of(b, k);
    return sum;
}

static double crossentropy_value(const struct loss *l, const struct batch *b, int c, const real *y)
{
    double sum = 0, total = total_weight(b);
    int way = batch_classes(b, c);

    (void)l;
    for (int k = 0; k < b->n; k++, y += c)
        if (weight_of(b, k) > 0)
            sum += weight_of(b, k) * (softmax_log_sum(way, y, 1) - y[b->label[k]]);
    return total > 0 ? sum / total : 0;
}

static void crossentropy_grad(const struct loss *l, const struct batch *b, int c, const real *y,
                              real *gy)
{
    double total = total_weight(b);
    int way = batch_classes(b, c);

    (void)l;
    memset(gy, 0, (size_t)(b->n * c) * sizeof *gy);
    for (int k = 0; k < b->n; k++, y += c, gy += c) {
        double log_sum = softmax_log_sum(way, y, 1), w = weight_of(b, k);

        for (int i = 0; i < way && w > 0; i++)
            gy[i] = (real)((exp(y[i] - log_sum) - (i == b->label[k])) * w / total);
    }
}

static void crossentropy_grad_tangent(const struct loss *l, const struct batch *b, int c,
                                      const real *y, const real *yt, real *gyt)
{
    double total = total_weight(b);
    int way = batch_classes(b, c);

    (void)l;
    memset(gyt, 0, (size_t)(b->n * c) * sizeof *gyt);
    for (int k = 0; k < b->n; k++, y += c, yt += c, gyt += c) {
        double log_sum = softmax_log_sum(way, y, 1), mean = 0, w = weight_of(b, k);

        for (int i = 0; i < way; i++)
            mean += exp(y[i] - log_sum) * yt[i];
        for (int i = 0; i < way && w > 0; i++)
            gyt[i] = (real)(exp(y[i] - log_sum) * (yt[i] - mean) * w / total);
    }
}

/* If several outputs are largest, the first is the answer. */
static double crossentropy_accuracy(const struct loss *l, const struct batch *b, int c,
                                    const real *y)
{
    double right = 0, total = total_weight(b);
    int way = batch_classes(b, c);

    (void)l;
    for (int k = 0; k < b->n; k++, y += c) {
        int best = 0;

        for (int i = 1; i < way; i++)
            best = y[i] > y[best] ? i : best;
        right += best == b->label[k] ? weight_of(b, k) : 0;
    }
    return total > 0 ? right / total : 0;
}

const struct loss_ops loss_crossentropy = {
    .name = "cross_entropy",
    .summary = "softmax cross-entropy, mean over samples",
    .value = crossentropy_value,
    .grad = crossentropy_grad,
    .grad_tangent = crossentropy_grad_tangent,
    .accuracy = crossentropy_accuracy,
};
