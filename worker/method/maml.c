/* maml.c - model-agnostic meta-learning (Finn, Abbeel, Levine 2017), exact second order: the query
 * loss at theta_K, differentiated through every inner step.                    math.md (5.2) */
#include "core/base/err.h"
#include "core/math/vec.h"
#include "worker/contract/method.h"

static void maml_inner(const struct method *m, struct unroll_spec *s)
{
    (void)m;
    s->second = SECOND_THROUGH;
}

static int maml_outer(struct method *m, const struct episode *ep, const real *theta, real *grad,
                      struct task_metrics *metrics)
{
    struct unroll *u = m->inner;

    TRY(unroll_forward(u, theta, ep, metrics));
    TRY(unroll_query(u, ep, metrics));
    unroll_adjoint(u, ep);
    vec_add(m->net->layout.n, u->adjoint, grad);
    return 0;
}

static const char *const maml_takes[] = {TAKES_INNER_LOOP, NULL};

const struct method_ops method_maml = {
    .name = "maml",
    .summary = "MAML, exact second order (Finn et al. 2017)",
    .traits = {.draws = DRAW_EPISODES, .inner_loop = true},
    .takes = maml_takes,
    .inner = maml_inner,
    .outer = maml_outer,
};
