/* batch.c - functions that methods on batches share: passes, and the supervised loss. */
#include "worker/transfer/batch.h"

#include "core/base/err.h"
#include "core/math/vec.h"

static int larger(int a, int b)
{
    return a > b ? a : b;
}

void batch_begin(struct method *m)
{
    m->passes = m->state;
}

void batch_init(struct method *m, const struct method_spec *spec, struct arena *arena)
{
    int n = larger(spec->n_source, spec->n_target);
    real *scratch = tape_scratch(m->net, n, arena);

    batch_begin(m);
    tape_init(&m->passes->source, m->net, spec->n_source, TAPE_GRADIENT, scratch, arena);
    m->passes->g_outputs = arena_reals(arena, (size_t)n * (size_t)m->net->n_out);
    if (m->ops->traits.draws & DRAW_TARGET)
        tape_init(&m->passes->target, m->net, spec->n_target, TAPE_GRADIENT, scratch, arena);
}

void batch_init_anchor(struct method *m, int n, struct arena *arena)
{
    real *scratch = tape_scratch(m->anchor_net, n, arena);

    tape_init(&m->passes->anchor, m->anchor_net, n, TAPE_GRADIENT, scratch, arena);
    m->passes->anchor.evaluate = true;
}

void batch_init_aux(struct method *m, const struct aux *p, int n, struct arena *arena)
{
    real *scratch = tape_scratch(&p->net, n, arena);

    tape_init(&m->passes->aux, &p->net, n, TAPE_GRADIENT, scratch, arena);
    m->passes->g_aux = arena_reals(arena, (size_t)n * (size_t)p->net.n_out);
}

const real *batch_forward(struct method *m, const struct episode *ep, const struct batch *b,
                          const real *theta, struct tape *t)
{
    t->fixed = ep->round <= m->stage->optim.still;
    t->noise =
        (struct noise){ep->seed, ep->round, ep->slot, 2 * ep->pass + (t == &m->passes->target)};
    return net_forward(m->net, theta, b, t);
}

const real *batch_anchor(struct method *m, const struct batch *b)
{
    return net_forward(m->anchor_net, m->anchor, b, &m->passes->anchor);
}

double batch_supervise(struct method *m, const struct batch *b, const real *y,
                       struct task_metrics *metrics)
{
    const struct loss *l = &m->net->loss;
    double loss = loss_value(l, b, m->net->n_out, y);

    loss_grad(l, b, m->net->n_out, y, m->passes->g_outputs);
    metrics->v[METRIC_LOSS] += loss;
    metrics->v[METRIC_ACCURACY] += loss_accuracy(l, b, m->net->n_out, y);
    return loss;
}

void batch_backward(struct method *m, const struct batch *b, struct tape *t, const real *theta,
                    real *grad)
{
    struct inlet top = {m->net->n_layers, m->passes->g_outputs};

    net_backward_from(m->net, theta, b->n, t, &top, 1, grad, NULL);
}
