/* gelu.c - y = x Phi(x) with the normal distribution's Phi by erf, not its approximation by tanh
 * (Hendrycks and Gimpel 2016); phi is its density.
 *     y' = Phi + x phi,   y'' = phi (2 - x^2)                                    math.md (2.12) */
#include <math.h>

#include "core/math/layer/pointwise.h"
#include "core/math/layer/torch.h"

static struct smooth_point gelu_at(double x)
{
    double Phi = 0.5 * erfc(-x * M_SQRT1_2), phi = exp(-0.5 * x * x) * 0.5 * M_SQRT1_2 * M_2_SQRTPI;

    return (struct smooth_point){x * Phi, Phi + x * phi, phi * (2 - x * x)};
}

static void gelu_torch(const struct layer *l, const char *name, struct torch_text *t)
{
    (void)l, (void)name;
    torch_function(t, "F.gelu(x)");
}

const struct layer_ops layer_gelu = {
    .name = "gelu",
    .summary = "x times the normal distribution at x, by erf",
    .kind = LAYER_ACTIVATION,
    .plan = pointwise_plan,
    .forward = pointwise_forward,
    .backward = pointwise_backward,
    .forward_tangent = pointwise_forward_tangent,
    .backward_tangent = pointwise_backward_tangent,
    .pointwise = gelu_at,
    .torch = gelu_torch,
};
