/* quantile.c - quantile regression (Koenker and Bassett 1978): several quantiles of each target at
 * once. Output r + i R answers for quantile q_r of target i, d = t - y:
 *     l = q d if d > 0, else (q - 1) d                                            math.md (3.9)
 * Where d = 0 the slope is 1/2 - q, the middle of all slopes there. Nothing keeps the quantiles of
 * a target in order. */
#include "core/base/err.h"
#include "core/math/loss/entry.h"

struct quantile_keys {
    struct reals quantiles;
};

static const struct config_key quantile_keys[] = {
    {"stage", "quantiles", CONFIG_REALS, "0.1,0.5,0.9", 1e-6, 0.999999, NULL,
     offsetof(struct quantile_keys, quantiles),
     "quantiles that the outputs stand for, ascending: targets x quantiles outputs"},
    {0}};

static int quantile_per_target(const void *own)
{
    const struct reals *q = &((const struct quantile_keys *)own)->quantiles;

    if (q->text.n == 0)
        return err(ERR_CONFIG, "'quantiles' is empty");
    for (int i = 1; i < q->text.n; i++)
        if (!(q->v[i] > q->v[i - 1]))
            return err(ERR_CONFIG, "'quantiles' has %s after %s, must ascend", q->text.items[i],
                       q->text.items[i - 1]);
    return q->text.n;
}

static struct loss_term quantile_entry(const struct loss *l, int j, real y, real t)
{
    double q = ((const struct quantile_keys *)l->own)->quantiles.v[j % l->per_target];
    double d = (double)t - y;

    if (d == 0)
        return (struct loss_term){0, (real)(0.5 - q), 0};
    return (struct loss_term){d > 0 ? q * d : (q - 1) * d, (real)(d > 0 ? -q : 1 - q), 0};
}

static double quantile_level(const struct loss *l, int r)
{
    return ((const struct quantile_keys *)l->own)->quantiles.v[r];
}

const struct loss_ops loss_quantile = {
    .name = "quantile",
    .summary = "pinball loss of several quantiles of each target: quantiles",
    .value = entry_value,
    .grad = entry_grad,
    .grad_tangent = entry_grad_tangent,
    .entry = quantile_entry,
    .keys = quantile_keys,
    .keys_size = sizeof(struct quantile_keys),
    .per_target = quantile_per_target,
    .level = quantile_level,
};
