/* sgd.c - stochastic gradient descent with momentum, as torch.optim.SGD:
 *     g += decay w,   m = momentum m + g,   w -= rate m                      math.md (4.1) */
#include "core/math/optim.h"

static void sgd_step(const struct optim_spec *o, double rate, uint64_t t, size_t n, const real *g,
                     real *w, real *state, size_t stride)
{
    (void)t, (void)stride;
    for (size_t i = 0; i < n; i++) {
        double grad = g[i] + o->weight_decay * w[i];

        state[i] = (real)(o->momentum * state[i] + grad);
        w[i] = (real)(w[i] - rate * state[i]);
    }
}

static const char *const sgd_states[] = {"momentum_buffer"};

const struct optim_ops optim_sgd = {
    .name = "sgd",
    .summary = "gradient descent: rate, momentum, weight_decay",
    .n_state = 1,
    .state_names = sgd_states,
    .step = sgd_step,
};
