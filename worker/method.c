/* method.c - what all methods share. */
#include "worker/method.h"

#include <math.h>
#include <string.h>

#include "core/err.h"
#include "core/vec.h"

void method_init(struct method *m, const struct method_ops *ops, const struct net *net,
                 const struct method_spec *spec, struct arena *arena)
{
    struct unroll_spec s = {
        .steps = spec->inner_steps,
        .rate = spec->inner_rate,
        .second = ops->second,
        .n_support = spec->n_support,
        .n_query = spec->n_query,
        .memory = spec->memory,
    };
    size_t mark = arena_mark(arena);

    *m = (struct method){.ops = ops, .net = net, .n = net->layout.n};
    unroll_init(&m->train, net, &s, arena);
    arena_reset(arena, mark);
    s.second = false, s.evaluate = true;
    s.steps = spec->evaluate_steps, s.n_query = spec->n_evaluate;
    unroll_init(&m->evaluate, net, &s, arena);
}

/* The query at theta_k: four sums of the curve, and the outputs. */
static int evaluate_step(struct unroll *u, int k, const struct batch *query, struct tally *tally,
                         real *outputs)
{
    const struct net *net = u->net;
    const real *y = net_forward(net, u->theta[k], query, &u->query);
    double loss = net->loss->value(query, net->n_out, y);
    double accuracy = net->loss->accuracy ? net->loss->accuracy(query, net->n_out, y) : 0;
    double *curve = &tally->v[TALLY_CURVE + 4 * k];

    if (!isfinite(loss))
        return err(ERR_NONFINITE, "the query loss after %d inner steps is not finite", k);
    curve[0] += loss, curve[1] += loss * loss;
    curve[2] += accuracy, curve[3] += accuracy * accuracy;
    if (k == u->spec.steps)
        tally->v[TALLY_LOSS] += loss, tally->v[TALLY_ACCURACY] += accuracy;
    if (outputs)
        vec_copy((size_t)(query->n * net->n_out), y, outputs + k * query->n * net->n_out);
    return 0;
}

int method_evaluate(struct method *m, const struct episode *ep, const real *theta,
                    struct tally *tally, real *outputs)
{
    struct unroll *u = &m->evaluate;

    u->theta[0] = theta;
    for (int k = 0; k < u->spec.steps; k++) {
        TRY(evaluate_step(u, k, &ep->query, tally, outputs));
        unroll_step(u, k, &ep->support);
    }
    return evaluate_step(u, u->spec.steps, &ep->query, tally, outputs);
}

double method_flops(const struct method *m)
{
    const struct unroll_spec *s = &m->train.spec;
    double support = net_flops_gradient(m->net, s->n_support);

    return s->steps * support * (s->second ? 3 : 1) + net_flops_gradient(m->net, s->n_query);
}
