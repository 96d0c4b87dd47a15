/* fomaml.c - first-order MAML (Finn, Abbeel, Levine 2017, section 5.2): the query gradient at
 * theta_K, taken as if d theta_K / d theta_0 were the identity.                  math.md (5.4) */
#include "core/base/err.h"
#include "core/math/vec.h"
#include "worker/contract/method.h"

static void fomaml_inner(const struct method *m, struct unroll_spec *s)
{
    (void)m;
    s->second = SECOND_NONE;
}

static int fomaml_outer(struct method *m, const struct episode *ep, const real *theta, real *grad,
                        struct task_metrics *metrics)
{
    struct unroll *u = m->inner;

    TRY(unroll_forward(u, theta, ep, metrics));
    TRY(unroll_query(u, ep, metrics));
    vec_add(m->net->layout.n, u->adjoint, grad);
    return 0;
}

static const char *fomaml_unproved(const struct stage *s)
{
    (void)s;
    return "is first order by definition";
}

static const char *const fomaml_takes[] = {TAKES_INNER_LOOP, NULL};

const struct method_ops method_fomaml = {
    .name = "fomaml",
    .summary = "first-order MAML (Finn et al. 2017)",
    .traits = {.draws = DRAW_EPISODES, .inner_loop = true},
    .takes = fomaml_takes,
    .unproved = fomaml_unproved,
    .inner = fomaml_inner,
    .outer = fomaml_outer,
};
