/* trace_batch.c - checks the results of a failed task's passes over batches, in their order. */
#include <math.h>
#include <stdio.h>

#include "core/base/err.h"
#include "core/math/exact.h"
#include "core/math/net_trace.h"
#include "core/math/vec.h"
#include "worker/trace.h"
#include "worker/transfer/batch.h"

struct walk {
    const struct engine *engine;
    const struct task *task;
    const real *theta;
    struct trace *out;
};

/* The first segment of v (P of the model) that is not finite. */
static bool segment_bad(struct walk *l, const real *v)
{
    const struct layout *model = &l->engine->stage->model;

    for (int i = 0; i < model->n_segments; i++)
        if (!vec_finite(model->segments[i].n, v + model->segments[i].offset)) {
            snprintf(l->out->segment, sizeof l->out->segment, "%s", model->segments[i].name);
            return true;
        }
    return false;
}

static bool parameters_bad(struct walk *l)
{
    if (!segment_bad(l, l->theta))
        return false;
    l->out->kind = TRACE_PARAMETERS;
    return true;
}

/* Names a bad sample, and then searches for the first place that it affects. */
static void find_sample(struct walk *l, const struct batch *b, const char *set, const uint32_t *ids)
{
    size_t each = shape_size(l->engine->method.net->in);
    bool holes = l->engine->setup->data[l->task->data].holes;

    for (int i = 0; i < b->n && l->out->kind == TRACE_NONE; i++) {
        if (trace_numbers_fine(each, b->x + (size_t)i * each, holes))
            continue;
        l->out->kind = TRACE_SAMPLE;
        l->out->sample = (struct trace_sample){.batch = set, .position = i, .id = ids[i]};
    }
}

static void find_samples(struct walk *l)
{
    const struct episode *e = &l->engine->episode;
    size_t step = e->pass;

    find_sample(l, &e->source, "source", l->task->source + step * (size_t)e->source.n);
    find_sample(l, &e->target, "target", l->task->targets + step * (size_t)e->target.n);
}

static bool found(struct walk *l, const struct net *net, const char *set, const char *pass,
                  int layer)
{
    struct trace *f = l->out;

    if (f->kind == TRACE_NONE)
        f->kind = TRACE_COMPUTATION;
    f->set = set;
    f->pass = pass;
    f->step = l->engine->stage->steps ? (int)l->engine->episode.pass : -1;
    if (layer < 0 || layer >= net->n_layers)
        return true;
    f->layer = layer;
    f->type = net->layers[layer].ops->name;
    net_layer_name(net, layer, f->name, sizeof f->name);
    return true;
}

static bool forward_bad(struct walk *l, const struct net *net, const struct tape *t, int n,
                        const char *set)
{
    int layer = net && t->act && t->act[1].v && n > 0 ? net_trace_forward(net, t, n) : TRACE_CLEAN;

    return layer != TRACE_CLEAN && found(l, net, set, "forward", layer);
}

static bool passes_bad(struct walk *l)
{
    const struct method *m = &l->engine->method;
    const struct episode *e = &l->engine->episode;

    return forward_bad(l, m->anchor_net, &m->passes->anchor, e->source.n,
                       "source, by the anchor") ||
           forward_bad(l, m->net, &m->passes->source, e->source.n, "source") ||
           forward_bad(l, m->net, &m->passes->target, e->target.n, "target");
}

/* The first segment of the gradient that is not finite, or that the sum cannot hold. */
static bool gradient_bad(struct walk *l)
{
    const struct layout *model = &l->engine->stage->model;
    const real *g = l->engine->gradient;

    if (segment_bad(l, g))
        return found(l, l->engine->method.net, "source", "backward", -1);
    for (int i = 0; i < model->n_segments; i++)
        for (size_t k = 0; k < model->segments[i].n; k++) {
            double value = (double)g[model->segments[i].offset + k];

            if (exact_fits_one(value))
                continue;
            l->out->kind = TRACE_SUM;
            l->out->value = value;
            snprintf(l->out->segment, sizeof l->out->segment, "%s", model->segments[i].name);
            return true;
        }
    return false;
}

/* True if the passes need to be checked: parameters and samples have been. */
static bool begin(struct walk *l)
{
    *l->out = (struct trace){.step = -1, .layer = -1};
    if (parameters_bad(l))
        return false;
    find_samples(l);
    return true;
}

void trace_batch(const struct engine *e, const struct task *t, const real *theta, struct trace *out)
{
    struct walk l = {e, t, theta, out};

    if (begin(&l) && !passes_bad(&l))
        gradient_bad(&l);
}

void trace_measure(const struct engine *e, const struct task *t, const real *theta,
                   struct trace *out)
{
    struct walk l = {e, t, theta, out};

    if (begin(&l))
        forward_bad(&l, e->method.net, &e->method.measure, e->episode.source.n, "source");
}
