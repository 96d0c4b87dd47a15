/* align.c - two batches forward, discrepancies at several layers, two gradients backward. */
#include "worker/transfer/align.h"

#include <math.h>
#include <stdlib.h>

#include "core/base/err.h"
#include "core/base/nearest.h"
#include "core/math/vec.h"

/* Into the n there are, which go from high to low. */
static void tap_insert(struct tap *taps, int n, struct tap tap)
{
    int i = n;

    for (; i > 0 && taps[i - 1].act < tap.act; i--)
        taps[i] = taps[i - 1];
    taps[i] = tap;
}

int tap_unknown(const struct stage *s, const char *whose, const struct net *net, const char *name)
{
    char(*text)[48] = calloc((size_t)net->n_layers, sizeof *text), hint[NEAREST_HINT];
    const char **names = calloc((size_t)net->n_layers + 1, sizeof *names);
    int code;

    for (int i = 0, n = 0; text && names && i < net->n_layers; i++) {
        net_layer_name(net, i, text[n], sizeof text[n]);
        if (net_tap(net, text[n]) > 0)
            names[n] = text[n], n++;
    }
    code = err(ERR_CONFIG, "stage '%s': the %s has no layer '%s'%s", s->config->name, whose, name,
               text && names ? nearest_hint(name, names, hint) : "");
    free(text);
    free(names);
    return code;
}

int taps_count(const struct stage *s)
{
    return s->config->layers.n > 0 ? s->config->layers.n : 1;
}

int tap_find(const struct stage *s, const struct net *net, int i)
{
    const struct strings *layers = &s->config->layers;
    int act;

    if (layers->n == 0)
        return net_features(net);
    act = net_tap(net, layers->items[i]);
    return act > 0 ? act : tap_unknown(s, "model", net, layers->items[i]);
}

int align_plan(const struct align *a, struct stage *s)
{
    uint32_t least = (uint32_t)a->ops->n_min(&a->spec);

    if (s->batch < least || s->target_batch < least)
        return err(ERR_CONFIG, "stage '%s': method '%s' needs batches of at least %u samples",
                   s->config->name, s->config->method, least);
    for (int i = 0; i < taps_count(s); i++)
        TRY(tap_find(s, &s->net, i));
    return 0;
}

/* Gradients of n taps, and the list of them, which no measuring arena holds. */
static void taps_init(struct method *m, const struct method_spec *spec, int n, struct arena *arena)
{
    struct passes *p = m->passes;

    p->n_taps = n;
    p->taps = arena_take(arena, (size_t)n * sizeof *p->taps);
    p->inlets = arena_take(arena, ((size_t)n + 1) * sizeof *p->inlets);
    for (int i = 0; i < n; i++) {
        int act = tap_find(m->stage, m->net, i);
        size_t d = net_act_size(m->net, act);
        real *source = arena_reals(arena, (size_t)spec->n_source * d);
        real *target = arena_reals(arena, (size_t)spec->n_target * d);

        if (p->taps)
            tap_insert(p->taps, i, (struct tap){act, source, target});
    }
}

void align_init(const struct align *a, struct method *m, const struct method_spec *spec,
                struct arena *arena)
{
    int n = taps_count(m->stage);
    size_t most = 0;

    batch_init(m, spec, arena);
    m->passes->source.source = true;
    taps_init(m, spec, n, arena);
    for (int i = 0; i < n; i++) {
        size_t d = net_act_size(m->net, tap_find(m->stage, m->net, i));
        size_t need = a->ops->scratch(&a->spec, spec->n_source, spec->n_target, (int)d);

        most = need > most ? need : most;
    }
    m->passes->scratch = arena_take(arena, most * sizeof(double));
}

/* The sum of the discrepancies; the taps' gradients are multiplied by weight. */
static double compare(const struct align *a, struct method *m, const struct episode *ep,
                      double weight)
{
    const struct passes *p = m->passes;
    int ns = ep->source.n, nt = ep->target.n;
    double sum = 0;

    for (const struct tap *t = p->taps; t < p->taps + p->n_taps; t++) {
        size_t d = net_act_size(m->net, t->act);

        sum += a->ops->value_grad(&a->spec, ns, nt, (int)d, p->source.act[t->act].v,
                                  p->target.act[t->act].v, t->source, t->target, p->scratch);
        vec_scale((size_t)ns * d, weight, t->source);
        vec_scale((size_t)nt * d, weight, t->target);
    }
    return sum;
}

/* Both batches' gradients, back from the outputs and from every tap. */
static void backward(struct method *m, const struct episode *ep, const real *theta, real *grad)
{
    struct passes *p = m->passes;
    struct inlet *in = p->inlets;
    int n = p->n_taps;

    in[0] = (struct inlet){m->net->n_layers, p->g_outputs};
    for (int i = 0; i < n; i++)
        in[i + 1] = (struct inlet){p->taps[i].act, p->taps[i].source};
    net_backward_from(m->net, theta, ep->source.n, &p->source, in, n + 1, grad, NULL);
    for (int i = 0; i < n; i++)
        in[i] = (struct inlet){p->taps[i].act, p->taps[i].target};
    net_backward_from(m->net, theta, ep->target.n, &p->target, in, n, grad, NULL);
}

int align_grad(const struct align *a, struct method *m, const struct episode *ep, const real *theta,
               real *grad, struct task_metrics *metrics)
{
    double weight = stage_weight(m->stage, ep->round), loss, distance;

    loss = batch_supervise(m, &ep->source,
                           batch_forward(m, ep, &ep->source, theta, &m->passes->source), metrics);
    batch_forward(m, ep, &ep->target, theta, &m->passes->target);
    distance = compare(a, m, ep, weight);
    if (!isfinite(loss) || !isfinite(distance))
        return err(ERR_NONFINITE, "the loss is not finite");
    backward(m, ep, theta, grad);
    metrics->v[METRIC_LOSS] += weight * distance;
    metrics->own[ALIGN_DISCREPANCY] += distance;
    return 0;
}
