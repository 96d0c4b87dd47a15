/* adam.c - Kingma and Ba (2015), Algorithm 1, as torch.optim.Adam:
 *     g += decay w
 *     m = b1 m + (1 - b1) g,   v = b2 v + (1 - b2) g^2
 *     w -= rate / (1 - b1^t) m / (sqrt(v / (1 - b2^t)) + eps)                math.md (4.2) */
#include <math.h>

#include "core/math/optim.h"

static void adam_step(const struct optim_spec *o, double rate, uint64_t t, size_t n, const real *g,
                      real *w, real *state, size_t stride)
{
    real *m = state, *v = state + stride;
    double step = rate / (1 - pow(o->beta1, (double)t)),
           debias = 1 / (1 - pow(o->beta2, (double)t));

    for (size_t i = 0; i < n; i++) {
        double grad = g[i] + o->weight_decay * w[i];

        m[i] = (real)(o->beta1 * m[i] + (1 - o->beta1) * grad);
        v[i] = (real)(o->beta2 * v[i] + (1 - o->beta2) * grad * grad);
        w[i] = (real)(w[i] - step * m[i] / (sqrt(v[i] * debias) + o->epsilon));
    }
}

static const char *const adam_states[] = {"exp_avg", "exp_avg_sq"};

const struct optim_ops optim_adam = {
    .name = "adam",
    .summary = "Adam: rate, beta1, beta2, epsilon, weight_decay",
    .n_state = 2,
    .state_names = adam_states,
    .step = adam_step,
};
