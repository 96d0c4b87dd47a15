/* maml.c - model-agnostic meta-learning (Finn, Abbeel, Levine 2017), exact second order: the query
 * loss at theta_K, differentiated through every inner step.                    math.md (5.2) */
#include "core/base/err.h"
#include "core/math/vec.h"
#include "worker/method.h"

static int maml_grad(struct method *m, const struct episode *ep, const real *theta, real *grad,
                     struct tally *tally)
{
    struct unroll *u = &m->train;

    TRY(unroll_forward(u, theta, &ep->support, tally));
    TRY(unroll_query(u, &ep->query, tally));
    unroll_adjoint(u, &ep->support);
    vec_add(m->net->layout.n, u->adjoint, grad);
    return 0;
}

const struct method_ops method_maml = {
    .name = "maml",
    .summary = "MAML, exact second order (Finn et al. 2017)",
    .second = true,
    .form = {.draws = DRAW_EPISODES},
    .grad = maml_grad,
};
