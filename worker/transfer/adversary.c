/* adversary.c - features of both encoders forward, the discriminator's two losses, and the gradient
 * of inverted labels backward. */
#include "worker/transfer/adversary.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "core/base/err.h"
#include "core/math/vec.h"
#include "worker/transfer/align.h"

enum { TARGET = 0, SOURCE = 1 }; /* the discriminator's classes */

const char *const adversary_metrics[] = {
    [ADVERSARY_DISCREPANCY] = "discrepancy",
    [ADVERSARY_LOSS] = "discriminator_loss",
    [ADVERSARY_SOURCE] = "right_source",
    [ADVERSARY_TARGET] = "right_target",
    [ADVERSARY_METRICS] = NULL,
};

/* specs (2 widths->n + 1) */
static int hidden_specs(const struct strings *widths, struct layer_spec *specs)
{
    int n = 0;

    for (int i = 0; i < widths->n; i++) {
        specs[n++] =
            (struct layer_spec){.type = "dense", .filters = atoi(widths->items[i]), .bias = true};
        specs[n++] = (struct layer_spec){.type = "relu"};
    }
    specs[n++] = (struct layer_spec){.type = "dense", .head = true, .bias = true};
    return n;
}

/* The discriminator's rate, as a factor of the stage's rate if that is above 0. */
static void set_rates(struct stage *s)
{
    const struct stage_config *c = s->config;

    if (c->discriminator_rate > 0 && c->rate > 0)
        s->optim.factor[ROLE_DISCRIMINATOR] = c->discriminator_rate / c->rate;
    else
        s->optim.own[ROLE_DISCRIMINATOR] = c->discriminator_rate;
    if (c->beta1 < 0)
        s->optim.beta1 = 0.5;
}

/* Adds the discriminator of an activation. */
static int add_discriminator(struct stage *s, int act)
{
    const struct strings *widths = &s->config->discriminator;
    struct layer_spec *specs = calloc(2 * (size_t)widths->n + 1, sizeof *specs);
    struct shape seen = s->net.layers[act - 1].out;
    int first = s->model.n_segments, code;

    if (!specs)
        return err(ERR_MEMORY, "no memory for a discriminator of %d hidden layers", widths->n);
    code = stage_add(s, "discriminator", ROLE_DISCRIMINATOR, specs, hidden_specs(widths, specs),
                     (struct shape){1, 1, (int)shape_size(seen)}, 2, "cross_entropy");
    free(specs);
    TRY(code);
    s->model.segments[first].positions = (size_t)(seen.h * seen.w); /* a map in memory order */
    return 0;
}

int adversary_plan(struct stage *s, const struct setup *setup)
{
    const struct stage_config *c = s->config;
    const struct net *anchor = &setup->stages[s->anchor].net;
    int act, theirs;

    if (taps_count(s) > 1)
        return err(ERR_CONFIG, "stage '%s': the discriminator must see exactly one layer", c->name);
    TRY(act = tap_find(s, &s->net, 0));
    if (layout_digest(&anchor->layout) != layout_digest(&s->net.layout))
        return err(ERR_CONFIG, "stage '%s': its model is not that of stage '%s', its anchor",
                   c->name, setup->stages[s->anchor].config->name);
    TRY(theirs = tap_find(s, anchor, 0));
    if (net_act_size(anchor, theirs) != net_act_size(&s->net, act))
        return err(ERR_CONFIG,
                   "stage '%s': the discriminator's layer has another size in its anchor", c->name);
    set_rates(s);
    return add_discriminator(s, act);
}

void adversary_init(struct method *m, const struct method_spec *spec, struct arena *arena)
{
    const struct aux *d = stage_aux(m->stage, "discriminator");
    int n = spec->n_source > spec->n_target ? spec->n_source : spec->n_target;
    size_t watch, labels;

    batch_begin(m);
    m->passes->act = tap_find(m->stage, m->net, 0);
    m->passes->anchor_act = tap_find(m->stage, m->anchor_net, 0);
    tape_init(&m->passes->target, m->net, spec->n_target, TAPE_GRADIENT,
              tape_scratch(m->net, spec->n_target, arena), arena);
    batch_init_anchor(m, spec->n_source, arena);
    batch_init_aux(m, d, n, arena);
    m->passes->g_features = arena_reals(arena, (size_t)spec->n_target * shape_size(d->net.in));
    m->passes->spare = arena_reals(arena, d->net.layout.n);
    watch = adversary_watch_scratch(m, spec);
    labels = (size_t)n * sizeof(int); /* of a domain */
    m->passes->scratch = arena_take(arena, watch > labels ? watch : labels);
}

static struct batch all_of(struct method *m, int domain, int n, const real *features)
{
    int *label = (int *)(void *)m->passes->scratch;

    for (int i = 0; i < n; i++)
        label[i] = domain;
    return (struct batch){.n = n, .x = features, .label = label};
}

/* The loss if the last forward pass's features are labelled `domain`; adds `by` times its gradient
 * back through the discriminator. */
static double call_them(struct method *m, const struct batch *b, const real *w, double by, real *gw,
                        real *gx)
{
    const struct net *d = &stage_aux(m->stage, "discriminator")->net;
    const real *y = net_outputs(d, &m->passes->aux);
    struct inlet top = {d->n_layers, m->passes->g_aux};

    loss_grad(&d->loss, b, d->n_out, y, m->passes->g_aux);
    vec_scale((size_t)(b->n * d->n_out), by, m->passes->g_aux);
    net_backward_from(d, w, b->n, &m->passes->aux, &top, 1, gw, gx);
    return loss_value(&d->loss, b, d->n_out, y);
}

double adversary_grad(struct method *m, const struct episode *ep, const real *theta, double encoder,
                      double discriminator, real *grad, struct task_metrics *metrics)
{
    const struct aux *p = stage_aux(m->stage, "discriminator");
    const struct net *d = &p->net;
    const real *w = theta + p->offset;
    int act = m->passes->act;
    struct inlet in = {act, m->passes->g_features};
    struct batch b;
    double loss, deceived;

    batch_anchor(m, &ep->source);
    b = all_of(m, SOURCE, ep->source.n, m->passes->anchor.act[m->passes->anchor_act].v);
    net_forward(d, w, &b, &m->passes->aux);
    metrics->own[ADVERSARY_SOURCE] +=
        loss_accuracy(&d->loss, &b, d->n_out, net_outputs(d, &m->passes->aux));
    loss = call_them(m, &b, w, discriminator, grad + p->offset, NULL);

    batch_forward(m, ep, &ep->target, theta, &m->passes->target);
    b = all_of(m, TARGET, ep->target.n, m->passes->target.act[act].v);
    net_forward(d, w, &b, &m->passes->aux);
    metrics->own[ADVERSARY_TARGET] +=
        loss_accuracy(&d->loss, &b, d->n_out, net_outputs(d, &m->passes->aux));
    loss += call_them(m, &b, w, discriminator, grad + p->offset, NULL);
    metrics->own[ADVERSARY_LOSS] += loss;

    b = all_of(m, SOURCE, ep->target.n, m->passes->target.act[act].v);
    deceived = call_them(m, &b, w, encoder, m->passes->spare, m->passes->g_features);
    net_backward_from(m->net, theta, ep->target.n, &m->passes->target, &in, 1, grad, NULL);
    return isfinite(loss) ? deceived : NAN;
}
