/* bce.c - binary cross-entropy over several labels, each with a logit of its own; t is 0 or 1, or a
 * share between. With p = positive_weight, s = 1 / (1 + exp(-y)), b = 1 + (p - 1) t:
 *     l = (1 - t) y + b log(1 + exp(-y)),   l' = (1 - t) - b (1 - s),   l'' = b s (1 - s)
 *                                                                           math.md (3.11) */
#include <math.h>

#include "core/math/loss/entry.h"

struct bce_keys {
    double positive_weight;
};

static const struct config_key bce_keys[] = {{"stage", "positive_weight", CONFIG_REAL, "1", 1e-6,
                                              1e6, NULL, offsetof(struct bce_keys, positive_weight),
                                              "weight of a label that is there (1), beside 1"},
                                             {0}};

/* log(1 + exp(-y)), 1 / (1 + exp(-y)) and 1 / (1 + exp(y)) never overflow: exp is of -|y|. */
static struct loss_term bce_entry(const struct loss *l, int j, real y, real t)
{
    double p = ((const struct bce_keys *)l->own)->positive_weight, b = 1 + (p - 1) * t;
    double e = exp(-fabs((double)y)), near = 1 / (1 + e), far = e / (1 + e);
    double not_s = y > 0 ? far : near;

    (void)j;
    return (struct loss_term){(1 - (double)t) * y + b * (log1p(e) + fmax(-(double)y, 0)),
                              (real)((1 - (double)t) - b * not_s), (real)(b * near * far)};
}

static bool bce_right(real y, real t)
{
    return (y > 0) == (t >= 0.5);
}

static double bce_accuracy(const struct loss *l, const struct batch *b, int c, const real *y)
{
    return entry_share(l, b, c, y, bce_right);
}

static const char *bce_refuses(real target)
{
    return target >= 0 && target <= 1 ? NULL : "is no label of loss 'bce', 0 to 1";
}

static double bce_expects(double y)
{
    return 1 / (1 + exp(-y));
}

const struct loss_ops loss_bce = {
    .name = "bce",
    .summary = "binary cross-entropy over several labels, from logits: positive_weight",
    .value = entry_value,
    .grad = entry_grad,
    .grad_tangent = entry_grad_tangent,
    .accuracy = bce_accuracy,
    .entry = bce_entry,
    .keys = bce_keys,
    .keys_size = sizeof(struct bce_keys),
    .refuses = bce_refuses,
    .expects = bce_expects,
};
