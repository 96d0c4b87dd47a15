/* silu.c - y = x s with s = 1 / (1 + exp(-x)), also called swish (Elfwing, Uchibe, Doya 2018).
 *     y' = s (1 + x (1 - s)),   y'' = s (1 - s) (2 + x (1 - 2 s))               math.md (2.12) */
#include <math.h>

#include "core/math/layer/pointwise.h"
#include "core/math/layer/torch.h"

static struct smooth_point silu_at(double x)
{
    double e = exp(-fabs(x)), near = 1 / (1 + e), far = e / (1 + e);
    double s = x > 0 ? near : far, rest = x > 0 ? far : near; /* s + rest = 1 */

    return (struct smooth_point){x * s, s * (1 + x * rest), s * rest * (2 + x * (rest - s))};
}

static void silu_torch(const struct layer *l, const char *name, struct torch_text *t)
{
    (void)l, (void)name;
    torch_function(t, "F.silu(x)");
}

const struct layer_ops layer_silu = {
    .name = "silu",
    .summary = "x times its logistic function (swish)",
    .kind = LAYER_ACTIVATION,
    .plan = pointwise_plan,
    .forward = pointwise_forward,
    .backward = pointwise_backward,
    .forward_tangent = pointwise_forward_tangent,
    .backward_tangent = pointwise_backward_tangent,
    .pointwise = silu_at,
    .torch = silu_torch,
};
