/* fitnet.c - FitNets' first stage (Romero et al. 2015, eq. (3)): a student's guided layer learns,
 * through a regressor, to predict a teacher's hint layer; `kd` is the second.
 *     loss = mean |hint(x) - regressor(guided(x))|^2 / 2                           math.md (7.8) */
#include <math.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "core/base/err.h"
#include "core/math/loss/distill.h"
#include "worker/transfer/align.h"

struct fitnet_keys {
    char *hint;
};

static const struct config_key fitnet_keys[] = {
    {"stage", "hint", CONFIG_STRING, "", 0, CONFIG_LENGTH, NULL, offsetof(struct fitnet_keys, hint),
     "teacher's layer to predict; empty: the input of its head"},
    {0}};

static int hint_act(const struct stage *s, const struct net *teacher)
{
    const char *hint = ((const struct fitnet_keys *)s->own)->hint;
    int act = *hint ? net_tap(teacher, hint) : net_features(teacher);

    return act ? act : tap_unknown(s, "teacher", teacher, hint);
}

/* The nonlinearity that limits an activation's values, "relu" or "tanh"; "": none does. */
static const char *range_of(const struct net *net, int act)
{
    for (int i = act - 1; i >= 0; i--) {
        const struct layer *l = &net->layers[i];

        if (l->ops->range)
            return l->ops->range;
        if (l->n_w > 0)
            break;
    }
    return "";
}

/* The regressor: a dense layer from features to features, or a convolution without padding from map
 * to map; then the hint's nonlinearity (section 2.2). */
static int fitnet_plan(struct stage *s, const struct setup *setup)
{
    const struct net *teacher = &setup->stages[s->anchor].net;
    struct layer_spec specs[2] = {{.type = "dense", .head = true, .bias = true}};
    const char *last;
    struct shape from, to;
    int act = hint_act(s, teacher), guided;

    TRY(act);
    if (taps_count(s) > 1)
        return err(ERR_CONFIG, "stage '%s': exactly one layer must be guided", s->config->name);
    TRY(guided = tap_find(s, &s->net, 0));
    stage_idle_behind(s, guided);
    from = s->net.layers[guided - 1].out, to = teacher->layers[act - 1].out;
    if (from.h < to.h || from.w < to.w || from.h - to.h != from.w - to.w)
        return err(ERR_CONFIG,
                   "stage '%s': no convolution takes the guided layer's %d x %d to the hint's "
                   "%d x %d",
                   s->config->name, from.h, from.w, to.h, to.w);
    if (from.h > 1)
        specs[0] = (struct layer_spec){.type = "conv",
                                       .filters = to.c,
                                       .kernel = from.h - to.h + 1,
                                       .stride = 1,
                                       .bias = true};
    last = range_of(teacher, act);
    snprintf(specs[1].type, sizeof specs[1].type, "%s", last);
    return stage_add(s, "regressor", ROLE_REGRESSOR, specs, *last ? 2 : 1, from,
                     (int)shape_size(to), "mse");
}

static void fitnet_init(struct method *m, const struct method_spec *spec, struct arena *arena)
{
    const struct aux *p = stage_aux(m->stage, "regressor");

    batch_init(m, spec, arena);
    m->passes->act = tap_find(m->stage, m->net, 0);
    batch_init_anchor(m, spec->n_source, arena);
    batch_init_aux(m, p, spec->n_source, arena);
    m->passes->g_features = arena_reals(arena, (size_t)spec->n_source * shape_size(p->net.in));
}

static int fitnet_outer(struct method *m, const struct episode *ep, const real *theta, real *grad,
                        struct task_metrics *metrics)
{
    const struct aux *p = stage_aux(m->stage, "regressor");
    int n = ep->source.n, act = m->passes->act, width = p->net.n_out;
    struct batch guided = {.n = n};
    struct inlet top = {p->net.n_layers, m->passes->g_aux}, in = {act, m->passes->g_features};
    const real *hint, *y;
    double loss;

    batch_anchor(m, &ep->source);
    hint = m->passes->anchor.act[hint_act(m->stage, m->anchor_net)].v;
    batch_forward(m, ep, &ep->source, theta, &m->passes->source);
    guided.x = m->passes->source.act[act].v;
    y = net_forward(&p->net, theta + p->offset, &guided, &m->passes->aux);
    loss = hint_value(n, width, y, hint);
    if (!isfinite(loss))
        return err(ERR_NONFINITE, "the hint's loss is not finite");
    hint_grad(n, width, y, hint, m->passes->g_aux);
    net_backward_from(&p->net, theta + p->offset, n, &m->passes->aux, &top, 1, grad + p->offset,
                      m->passes->g_features);
    net_backward_from(m->net, theta, n, &m->passes->source, &in, 1, grad, NULL);
    metrics->v[METRIC_LOSS] += loss;
    return 0;
}

static const char *const fitnet_takes[] = {"anchor", "layers", NULL};
/* It has no other metric than its loss. */
static const char *const fitnet_metrics[] = {"discrepancy", NULL};

const struct method_ops method_fitnet = {
    .name = "fitnet",
    .summary = "a student's layer learns to predict a teacher's; kd follows (Romero 2015)",
    .traits = {.draws = DRAW_SOURCE,
               .anchor = true,
               .plan = fitnet_plan,
               .metrics = fitnet_metrics},
    .takes = fitnet_takes,
    .keys = fitnet_keys,
    .keys_size = sizeof(struct fitnet_keys),
    .size = sizeof(struct passes),
    .init = fitnet_init,
    .outer = fitnet_outer,
};
