/* reptile.c - Reptile (Nichol, Achiam, Schulman 2018): the outer step goes along theta_0 - theta_K,
 * the way that an inner loop on the support has gone. The query is measured; nothing is learned
 * from it.                                                                       math.md (8.3) */
#include <string.h>

#include "core/base/err.h"
#include "core/math/vec.h"
#include "worker/contract/method.h"

struct reptile_keys {
    char *inner_optimizer;
    int64_t inner_batch;
};

#define KEY(f) offsetof(struct reptile_keys, f)
static const struct config_key reptile_keys[] = {
    {"stage", "inner_optimizer", CONFIG_STRING, "sgd", 0, CONFIG_LENGTH, "sgd|adam",
     KEY(inner_optimizer),
     "optimizer of the inner loop; adam has beta1 = 0 and starts afresh in each task"},
    {"stage", "inner_batch", CONFIG_INT, "0", 0, 65536, NULL, KEY(inner_batch),
     "support samples per inner step, in random order; 0: all"},
    {0}};

static void reptile_inner(const struct method *m, struct unroll_spec *s)
{
    const struct reptile_keys *k = config_own(m->setup->config, m->stage->shape,
                                              "method"); /* also for stages that start here */

    s->adam = strcmp(k->inner_optimizer, "adam") == 0;
    s->minibatch = (int)k->inner_batch;
}

/* Statistics have no displacement: their contribution is the query's stat - observed, as in every
 * method. */
static int reptile_outer(struct method *m, const struct episode *ep, const real *theta, real *grad,
                         struct task_metrics *metrics)
{
    struct unroll *u = m->inner;
    const struct layout *l = &m->net->layout;
    const real *last;

    TRY(unroll_forward(u, theta, ep, metrics));
    TRY(unroll_query(u, ep, metrics));
    last = unroll_theta(u, u->spec.steps);
    for (size_t i = 0; i < l->n; i++)
        u->gradient[i] = theta[i] - last[i];
    layout_add_learnable(l, u->gradient, grad);
    for (int i = 0; i < l->n_segments; i++)
        if (l->segments[i].role == ROLE_STAT)
            vec_add(l->segments[i].n, u->adjoint + l->segments[i].offset,
                    grad + l->segments[i].offset);
    return 0;
}

static const char *reptile_unproved(const struct stage *s)
{
    (void)s;
    return "steps along a displacement, which is not the gradient of a loss";
}

static const char *const reptile_takes[] = {TAKES_INNER_LOOP, NULL};

const struct method_ops method_reptile = {
    .name = "reptile",
    .summary = "first-order steps towards adapted parameters (Nichol et al. 2018)",
    .traits = {.draws = DRAW_EPISODES, .inner_loop = true},
    .takes = reptile_takes,
    .keys = reptile_keys,
    .keys_size = sizeof(struct reptile_keys),
    .unproved = reptile_unproved,
    .inner = reptile_inner,
    .outer = reptile_outer,
};
