/* metasgd.c - Meta-SGD (Li, Zhou, Chen, Li 2017): MAML with an inner rate of its own for every
 * parameter. The outer loop learns the rates beside the parameters; exact second order.
 *                                                                                math.md (8.2) */
#include <stdio.h>
#include <string.h>

#include "core/base/err.h"
#include "core/math/vec.h"
#include "worker/contract/method.h"

struct metasgd_keys {
    char *rates;
};

static const struct config_key metasgd_keys[] = {
    {"stage", "rates", CONFIG_STRING, "uniform", 0, CONFIG_LENGTH, "uniform|constant",
     offsetof(struct metasgd_keys, rates),
     "initial inner rates: drawn between 0.005 and 0.1, or all equal to inner_rate"},
    {0}};

/* After the network's segments, one segment of rates for each that learns: "rate.conv1.weight". */
static int metasgd_plan(struct stage *s, const struct setup *setup)
{
    bool drawn = strcmp(((const struct metasgd_keys *)s->own)->rates, "uniform") == 0;

    (void)setup;
    for (int i = 0; i < s->net.layout.n_segments; i++) {
        struct segment rate = s->net.layout.segments[i];
        char name[128];

        if (!role_learns(rate.role))
            continue;
        snprintf(name, sizeof name, "rate.%s", s->net.layout.segments[i].name);
        rate.name = name;
        rate.role = ROLE_RATE;
        rate.init = drawn ? INIT_RANGE : INIT_CONSTANT;
        rate.low = 0.005;
        rate.scale = drawn ? 0.1 : s->config->inner_rate;
        TRY(layout_add(&s->model, rate));
    }
    return 0;
}

/* Copies n reals of each learnable segment of the network from or to its rates, which follow in the
 * same order. */
static void each_rate(const struct net *net, const real *from, real *to, bool gather)
{
    size_t at = net->layout.n;

    for (int i = 0; i < net->layout.n_segments; i++) {
        const struct segment *s = &net->layout.segments[i];

        if (!role_learns(s->role))
            continue;
        if (gather)
            vec_copy(s->n, from + at, to + s->offset);
        else
            vec_add(s->n, from + s->offset, to + at);
        at += s->n;
    }
}

static void metasgd_rates(const void *net, const real *theta, real *rate)
{
    each_rate(net, theta, rate, true);
}

static void metasgd_inner(const struct method *m, struct unroll_spec *s)
{
    s->second = SECOND_THROUGH;
    s->rate_gradient = true;
    s->rates = metasgd_rates;
    s->context = m->net;
}

static int metasgd_outer(struct method *m, const struct episode *ep, const real *theta, real *grad,
                         struct task_metrics *metrics)
{
    TRY(method_through_steps(m, ep, theta, grad, metrics));
    each_rate(m->net, m->inner->g_rate, grad, false);
    return 0;
}

static const char *const metasgd_takes[] = {TAKES_INNER_LOOP, NULL};

const struct method_ops method_metasgd = {
    .name = "metasgd",
    .summary = "MAML with a learned inner rate for every parameter (Li et al. 2017)",
    .traits = {.draws = DRAW_EPISODES, .inner_loop = true, .plan = metasgd_plan},
    .takes = metasgd_takes,
    .keys = metasgd_keys,
    .keys_size = sizeof(struct metasgd_keys),
    .inner = metasgd_inner,
    .outer = metasgd_outer,
};
