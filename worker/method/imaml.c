/* imaml.c - implicit MAML (Rajeswaran, Finn, Kakade, Levine 2019, algorithm 2): an inner loop
 * pulled towards theta, and the meta-gradient ((1 + damping) I + H / lambda)^-1 v by conjugate
 * gradients.                                                                     math.md (8.5) */
#include <string.h>

#include "core/base/err.h"
#include "core/math/cg.h"
#include "core/math/vec.h"
#include "worker/contract/method.h"

struct imaml_keys {
    double lambda, cg_damping;
    int64_t cg_steps;
};

#define KEY(f) offsetof(struct imaml_keys, f)
static const struct config_key imaml_keys[] = {
    {"stage", "lambda", CONFIG_REAL, "2", 1e-6, 1e6, NULL, KEY(lambda),
     "weight of the proximal term, which pulls inner steps back to the initial parameters"},
    {"stage", "cg_steps", CONFIG_INT, "5", 1, 10000, NULL, KEY(cg_steps),
     "conjugate gradient steps, one Hessian-vector product each"},
    {"stage", "cg_damping", CONFIG_REAL, "0", 0, 1e6, NULL, KEY(cg_damping),
     "number added to the diagonal of the linear system I + H / lambda"},
    {0}};

static int imaml_plan(struct stage *s, const struct setup *setup)
{
    (void)setup;
    for (int i = 0; i < s->net.n_layers; i++)
        if (strcmp(s->net.layers[i].ops->name, "dropout") == 0)
            return err(ERR_CONFIG,
                       "stage '%s': method 'imaml' cannot use dropout: its inner loop must have "
                       "one minimum",
                       s->config->name);
    return 0;
}

static void imaml_inner(const struct method *m, struct unroll_spec *s)
{
    const struct imaml_keys *k = config_own(m->setup->config, m->stage->shape, "method");

    s->second = SECOND_LAST;
    s->proximal = k->lambda;
    s->products = (int)k->cg_steps;
}

static void imaml_init(struct method *m, const struct method_spec *spec, struct arena *arena)
{
    if (!spec->evaluate)
        cg_init(m->state, m->net->layout.n, arena);
}

/* q = ((1 + damping) I + H / lambda) p */
static void apply(void *context, const real *p, real *q)
{
    const struct method *m = context;
    const struct imaml_keys *k = m->stage->own;

    unroll_hvp(m->inner, p, q);
    for (size_t i = 0; i < m->net->layout.n; i++)
        q[i] = (real)((1 + k->cg_damping) * p[i] + q[i] / k->lambda);
}

/* Statistics are not unknowns of the system: their part of the contribution is the query's. */
static int imaml_outer(struct method *m, const struct episode *ep, const real *theta, real *grad,
                       struct task_metrics *metrics)
{
    const struct imaml_keys *k = m->stage->own;
    const struct layout *l = &m->net->layout;
    struct unroll *u = m->inner;
    struct cg *s = m->state;

    TRY(unroll_forward(u, theta, ep, metrics));
    TRY(unroll_query(u, ep, metrics));
    vec_zero(l->n, s->r);
    layout_add_learnable(l, u->adjoint, s->r);
    vec_sub(l->n, s->r, u->adjoint);
    unroll_curvature(u, ep);
    cg_solve(s, l->n, k->cg_steps, apply, m);
    vec_add(l->n, u->adjoint, grad);
    vec_add(l->n, s->x, grad);
    return 0;
}

static const char *const imaml_takes[] = {TAKES_INNER_LOOP, NULL};

const struct method_ops method_imaml = {
    .name = "imaml",
    .summary = "implicit MAML: proximal inner loop, conjugate gradients (Rajeswaran et al. 2019)",
    .traits = {.draws = DRAW_EPISODES, .inner_loop = true, .plan = imaml_plan},
    .takes = imaml_takes,
    .keys = imaml_keys,
    .keys_size = sizeof(struct imaml_keys),
    .size = sizeof(struct cg),
    .inner = imaml_inner,
    .init = imaml_init,
    .outer = imaml_outer,
};
