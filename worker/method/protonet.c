/* protonet.c - prototypical networks (Snell, Swersky, Zemel 2017): a query belongs to the class
 * whose mean of support features is nearest. Features are the head's input; the head is idle.
 *                                                                                math.md (8.4) */
#include "core/base/err.h"
#include "core/math/loss/prototype.h"
#include "core/math/vec.h"
#include "worker/contract/method.h"

struct protonet_keys {
    int64_t evaluate_way;
};

static const struct config_key protonet_keys[] = {
    {"stage", "evaluate_way", CONFIG_INT, "0", 0, 4096, NULL,
     offsetof(struct protonet_keys, evaluate_way),
     "classes per evaluation episode; 0: the same as way"},
    {0}};

struct protonet {
    struct tape support, query;
    struct prototypes classes;
    real *below;      /* (P) the support's part of the gradient */
    real *statistics; /* (net_statistics) of the support; NULL: there are none, or in training */
};

static int protonet_plan(struct stage *s, const struct setup *setup)
{
    (void)setup;
    s->evaluate_way = (uint32_t)((const struct protonet_keys *)s->own)->evaluate_way;
    stage_idle_behind(s, net_features(&s->net));
    return 0;
}

static void protonet_init(struct method *m, const struct method_spec *spec, struct arena *arena)
{
    int n = spec->n_support > spec->n_query ? spec->n_support : spec->n_query;
    real *scratch = tape_scratch(m->net, n, arena);
    enum tape_use use = spec->traced ? TAPE_SECOND : TAPE_GRADIENT;
    struct protonet *p = m->state;

    tape_init(&p->support, m->net, spec->n_support, use, scratch, arena);
    tape_init(&p->query, m->net, spec->n_query, use, scratch, arena);
    p->support.evaluate = p->query.evaluate = spec->evaluate;
    p->below = arena_reals(arena, m->net->layout.n);
    if (spec->evaluate && net_is_coupled(m->net))
        p->statistics = arena_reals(arena, net_statistics(m->net));
    prototypes_init(&p->classes, net_act_size(m->net, net_features(m->net)), spec->n_support,
                    spec->n_query, arena);
}

/* The class means of the support, which answers need beside theta. */
static void protonet_adapt(struct method *m, const struct episode *ep, struct adapted *a)
{
    struct protonet *p = m->state;

    p->support.statistics = p->statistics;
    method_forward(m, ep, "support", &ep->support, a->theta, &p->support);
    a->statistics = p->statistics;
    prototypes_means(&p->classes, &ep->support, p->support.act[net_features(m->net)].v);
    a->memory = p->classes.mean;
    a->n_out = p->classes.way;
}

static const real *protonet_answer(struct method *m, const struct episode *ep,
                                   const struct adapted *a)
{
    struct protonet *p = m->state;

    p->query.statistics = (real *)a->statistics, p->query.given = a->statistics != NULL;
    method_forward(m, ep, "query", &ep->query, a->theta, &p->query);
    prototypes_distances(&p->classes, a->memory, a->n_out, ep->query.n,
                         p->query.act[net_features(m->net)].v);
    return p->classes.y;
}

static size_t protonet_remembers(const struct method *m)
{
    return net_act_size(m->net, net_features(m->net));
}

static int protonet_outer(struct method *m, const struct episode *ep, const real *theta, real *grad,
                          struct task_metrics *metrics)
{
    struct protonet *p = m->state;
    struct prototypes *c = &p->classes;
    int act = net_features(m->net), n = ep->query.n;
    struct inlet support = {act, c->g_support}, query = {act, c->g_query};
    struct adapted a = {.theta = theta};

    protonet_adapt(m, ep, &a);
    protonet_answer(m, ep, &a);
    TRY(method_query(m, &ep->query, c->way, c->y, metrics));
    loss_grad(&m->net->loss, &ep->query, c->way, c->y, c->gy);
    prototypes_backward(c, &ep->support, n, p->query.act[act].v);
    vec_zero(m->net->layout.n, p->below);
    net_backward_from(m->net, theta, ep->support.n, &p->support, &support, 1, p->below, NULL);
    layout_add_learnable(&m->net->layout, p->below, grad); /* statistics are the query's */
    net_backward_from(m->net, theta, n, &p->query, &query, 1, grad, NULL);
    return 0;
}

const struct method_ops method_protonet = {
    .name = "protonet",
    .summary = "distances to class means in feature space, no inner loop (Snell et al. 2017)",
    .traits = {.draws = DRAW_EPISODES, .needs_classes = true, .plan = protonet_plan},
    .keys = protonet_keys,
    .keys_size = sizeof(struct protonet_keys),
    .size = sizeof(struct protonet),
    .init = protonet_init,
    .outer = protonet_outer,
    .remembers = protonet_remembers,
    .adapt = protonet_adapt,
    .answer = protonet_answer,
};
