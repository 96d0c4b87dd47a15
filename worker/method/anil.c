/* anil.c - almost no inner loop (Raghu, Raghu, Bengio, Vinyals 2020): the inner loop moves the head
 * alone. The outer gradient is exact, through the head's steps and the features that they see.
 *                                                                                math.md (8.1) */
#include "core/base/err.h"
#include "core/math/vec.h"
#include "worker/contract/method.h"

static void anil_inner(const struct method *m, struct unroll_spec *s)
{
    s->second = SECOND_THROUGH;
    s->above = net_features(m->net);
}

static int anil_outer(struct method *m, const struct episode *ep, const real *theta, real *grad,
                      struct task_metrics *metrics)
{
    struct unroll *u = m->inner;

    TRY(unroll_forward(u, theta, ep, metrics));
    TRY(unroll_query(u, ep, metrics));
    unroll_adjoint(u, ep);
    vec_add(m->net->layout.n, u->adjoint, grad);
    return 0;
}

static const char *const anil_takes[] = {TAKES_INNER_LOOP, NULL};

const struct method_ops method_anil = {
    .name = "anil",
    .summary = "MAML whose inner loop moves the head alone (Raghu et al. 2020)",
    .traits = {.draws = DRAW_EPISODES, .inner_loop = true},
    .takes = anil_takes,
    .inner = anil_inner,
    .outer = anil_outer,
};
