/* method.c - functions that several methods share. */
#include "worker/contract/method.h"

#include <math.h>
#include <string.h>

#include "core/base/err.h"
#include "core/math/vec.h"

int method_through_steps(struct method *m, const struct episode *ep, const real *theta, real *grad,
                         struct task_metrics *metrics)
{
    struct unroll *u = m->inner;

    TRY(unroll_forward(u, theta, ep, metrics)); /* theta_0 ... theta_K */
    TRY(unroll_query(u, ep, metrics));          /* u->adjoint: the query's gradient at theta_K */
    unroll_adjoint(u, ep);                      /* ... and at theta_0 */
    vec_add(m->net->layout.n, u->adjoint, grad);
    return 0;
}

const real *method_forward(struct method *m, const struct episode *ep, const char *set,
                           const struct batch *b, const real *theta, struct tape *t)
{
    const real *y;

    t->noise = (struct noise){ep->seed, ep->round, ep->slot, strcmp(set, "query") == 0};
    y = net_forward(m->net, theta, b, t);
    pass_done(m->hook, (struct pass){PASS_FORWARD, 0, set, b->n, m->net, t, .loss = 0});
    return y;
}

int method_query(const struct method *m, const struct batch *query, int n_out, const real *y,
                 struct task_metrics *metrics)
{
    const struct loss *loss = &m->net->loss;
    double value = loss_value(loss, query, n_out, y);

    if (!isfinite(value))
        return err(ERR_NONFINITE, "the query loss is not finite");
    metrics->v[METRIC_LOSS] += value;
    metrics->v[METRIC_ACCURACY] += loss_accuracy(loss, query, n_out, y);
    return 0;
}
