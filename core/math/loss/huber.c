/* huber.c - squared near the target, absolute far from it (Huber 1964), d = y - t:
 *     l = d^2 / 2 if |d| <= delta, else delta (|d| - delta / 2)                   math.md (3.8) */
#include <math.h>

#include "core/math/loss/entry.h"

struct huber_keys {
    double delta;
};

static const struct config_key huber_keys[] = {{"stage", "huber_delta", CONFIG_REAL, "1", 1e-9, 1e9,
                                                NULL, offsetof(struct huber_keys, delta),
                                                "error from which on the loss grows linearly"},
                                               {0}};

static struct loss_term huber_entry(const struct loss *l, int j, real y, real t)
{
    double delta = ((const struct huber_keys *)l->own)->delta, d = (double)y - t;

    (void)j;
    if (fabs(d) <= delta)
        return (struct loss_term){d * d / 2, (real)d, 1};
    return (struct loss_term){delta * (fabs(d) - delta / 2), (real)copysign(delta, d), 0};
}

const struct loss_ops loss_huber = {
    .name = "huber",
    .summary = "squared error, linear from huber_delta on; mean over samples and outputs",
    .value = entry_value,
    .grad = entry_grad,
    .grad_tangent = entry_grad_tangent,
    .entry = huber_entry,
    .direct = true,
    .keys = huber_keys,
    .keys_size = sizeof(struct huber_keys),
};
