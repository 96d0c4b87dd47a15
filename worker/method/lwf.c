/* lwf.c - learning without forgetting (Li and Hoiem 2016): the new task's labels, while the old
 * head's outputs on the new samples stay those of the old model, which is frozen: recorded outputs,
 * made again where they are needed.
 *     loss = L_new + weight * H(softmax(old / T), softmax(old head / T))           math.md (7.6) */
#include <math.h>

#include "core/base/err.h"
#include "core/math/loss/distill.h"
#include "core/math/vec.h"
#include "worker/transfer/batch.h"

enum { DISCREPANCY }; /* the old outputs' term, before its weight */
static const char *const lwf_metrics[] = {"discrepancy", NULL};

static int lwf_plan(struct stage *s, const struct setup *setup)
{
    const struct stage *old = &setup->stages[s->anchor];
    struct layer_spec head = {.type = "dense", .head = true, .bias = true};

    return stage_add(s, "old", ROLE_OLD, &head, 1, s->net.layers[s->net.n_layers - 1].in,
                     old->net.n_out, "cross_entropy");
}

static void lwf_init(struct method *m, const struct method_spec *spec, struct arena *arena)
{
    const struct aux *old = stage_aux(m->stage, "old");

    batch_init(m, spec, arena);
    batch_init_anchor(m, spec->n_source, arena);
    batch_init_aux(m, old, spec->n_source, arena);
    m->passes->g_features = arena_reals(arena, (size_t)spec->n_source * shape_size(old->net.in));
}

static void scale(size_t n, double by, real *x)
{
    for (size_t i = 0; i < n; i++)
        x[i] = (real)(x[i] * by);
}

/* The old outputs' term; weight times its gradient into the old head and m->passes->g_features. */
static double keep_old(struct method *m, int n, const real *theta, const real *recorded,
                       double weight, real *grad)
{
    const struct aux *p = stage_aux(m->stage, "old");
    const struct net *old = &p->net;
    double t = m->stage->config->temperature;
    struct batch features = {.n = n, .x = m->passes->source.act[net_features(m->net)].v};
    const real *y = net_forward(old, theta + p->offset, &features, &m->passes->aux);
    struct inlet top = {old->n_layers, m->passes->g_aux};

    distill_grad(n, old->n_out, t, y, recorded, m->passes->g_aux);
    scale((size_t)(n * old->n_out), weight, m->passes->g_aux);
    net_backward_from(old, theta + p->offset, n, &m->passes->aux, &top, 1, grad + p->offset,
                      m->passes->g_features);
    return distill_value(n, old->n_out, t, y, recorded);
}

static int lwf_outer(struct method *m, const struct episode *ep, const real *theta, real *grad,
                     struct task_metrics *metrics)
{
    const real *recorded = batch_anchor(m, &ep->source);
    double loss = batch_supervise(
        m, &ep->source, batch_forward(m, ep, &ep->source, theta, &m->passes->source), metrics);
    double weight = stage_weight(m->stage, ep->round);
    double kept = keep_old(m, ep->source.n, theta, recorded, weight, grad);
    struct inlet inlets[] = {{m->net->n_layers, m->passes->g_outputs},
                             {net_features(m->net), m->passes->g_features}};

    if (!isfinite(loss) || !isfinite(kept))
        return err(ERR_NONFINITE, "the loss is not finite");
    metrics->v[METRIC_LOSS] += weight * kept;
    metrics->own[DISCREPANCY] += kept;
    net_backward_from(m->net, theta, ep->source.n, &m->passes->source, inlets, 2, grad, NULL);
    return 0;
}

static const char *const lwf_takes[] = {TAKES_WEIGHT, "anchor", "temperature",
                                        "warm_up",    "old",    NULL};

const struct method_ops method_lwf = {
    .name = "lwf",
    .summary = "learning without forgetting: a new task, the old outputs kept (Li and Hoiem 2016)",
    .traits = {.draws = DRAW_SOURCE,
               .needs_classes = true,
               .anchor = true,
               .new_head = true,
               .plan = lwf_plan,
               .metrics = lwf_metrics},
    .takes = lwf_takes,
    .size = sizeof(struct passes),
    .init = lwf_init,
    .outer = lwf_outer,
};
