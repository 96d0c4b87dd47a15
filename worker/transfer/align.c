/* align.c - two batches forward, discrepancies at several layers, two gradients backward. */
#include "worker/transfer/align.h"

#include <math.h>
#include <stdlib.h>

#include "core/base/err.h"
#include "core/base/nearest.h"
#include "core/math/vec.h"

static void tap_insert(struct taps *t, int act)
{
    int i = t->n++;

    for (; i > 0 && t->act[i - 1] < act; i--)
        t->act[i] = t->act[i - 1];
    t->act[i] = act;
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

int taps_find(const struct stage *s, const struct net *net, struct taps *t)
{
    const struct strings *layers = &s->config->layers;

    *t = (struct taps){0};
    if (layers->n == 0)
        tap_insert(t, net_features(net));
    if (layers->n > TAPS_MAX)
        return err(ERR_CONFIG, "stage '%s': more than %d layers", s->config->name, TAPS_MAX);
    for (int i = 0; i < layers->n; i++) {
        int act = net_tap(net, layers->items[i]);

        if (act == 0)
            return tap_unknown(s, "model", net, layers->items[i]);
        tap_insert(t, act);
    }
    return 0;
}

int align_plan(const struct align *a, struct stage *s)
{
    uint32_t least = (uint32_t)a->ops->n_min(&a->spec);
    struct taps t;

    if (s->batch < least || s->target_batch < least)
        return err(ERR_CONFIG, "stage '%s': method '%s' needs batches of at least %u samples",
                   s->config->name, s->config->method, least);
    return taps_find(s, &s->net, &t);
}

void align_init(const struct align *a, struct method *m, const struct method_spec *spec,
                struct arena *arena)
{
    size_t most = 0;

    batch_init(m, spec, arena);
    m->passes->source.source = true;
    taps_find(m->stage, m->net, &m->passes->taps);
    for (int i = 0; i < m->passes->taps.n; i++) {
        size_t d = net_act_size(m->net, m->passes->taps.act[i]);
        size_t need = a->ops->scratch(&a->spec, spec->n_source, spec->n_target, (int)d);

        m->passes->taps.source[i] = arena_reals(arena, (size_t)spec->n_source * d);
        m->passes->taps.target[i] = arena_reals(arena, (size_t)spec->n_target * d);
        most = need > most ? need : most;
    }
    m->passes->scratch = arena_take(arena, most * sizeof(double));
}

/* The sum of the discrepancies; the taps' gradients are multiplied by weight. */
static double compare(const struct align *a, struct method *m, const struct episode *ep,
                      double weight)
{
    int ns = ep->source.n, nt = ep->target.n;
    double sum = 0;

    for (int i = 0; i < m->passes->taps.n; i++) {
        int act = m->passes->taps.act[i];
        size_t d = net_act_size(m->net, act);

        sum += a->ops->value_grad(&a->spec, ns, nt, (int)d, m->passes->source.act[act].v,
                                  m->passes->target.act[act].v, m->passes->taps.source[i],
                                  m->passes->taps.target[i], m->passes->scratch);
        vec_scale((size_t)ns * d, weight, m->passes->taps.source[i]);
        vec_scale((size_t)nt * d, weight, m->passes->taps.target[i]);
    }
    return sum;
}

int align_grad(const struct align *a, struct method *m, const struct episode *ep, const real *theta,
               real *grad, struct task_metrics *metrics)
{
    double weight = stage_weight(m->stage, ep->round), loss, distance;
    struct inlet source[TAPS_MAX + 1] = {{m->net->n_layers, m->passes->g_outputs}},
                                   target[TAPS_MAX];
    int n = m->passes->taps.n;

    loss = batch_supervise(m, &ep->source,
                           batch_forward(m, ep, &ep->source, theta, &m->passes->source), metrics);
    batch_forward(m, ep, &ep->target, theta, &m->passes->target);
    distance = compare(a, m, ep, weight);
    if (!isfinite(loss) || !isfinite(distance))
        return err(ERR_NONFINITE, "the loss is not finite");
    for (int i = 0; i < n; i++) {
        source[i + 1] = (struct inlet){m->passes->taps.act[i], m->passes->taps.source[i]};
        target[i] = (struct inlet){m->passes->taps.act[i], m->passes->taps.target[i]};
    }
    net_backward_from(m->net, theta, ep->source.n, &m->passes->source, source, n + 1, grad, NULL);
    net_backward_from(m->net, theta, ep->target.n, &m->passes->target, target, n, grad, NULL);
    metrics->v[METRIC_LOSS] += weight * distance;
    metrics->own[ALIGN_DISCREPANCY] += distance;
    return 0;
}
