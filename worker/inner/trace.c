/* trace.c - the inner loop and its adjoint (math.md, 5) once more, slowly. */
#include "worker/inner/trace.h"

#include <math.h>
#include <string.h>

#include "core/base/err.h"
#include "core/math/exact.h"
#include "core/math/net_trace.h"
#include "core/math/vec.h"

struct tracer {
    const struct engine *engine;
    const struct task *task;
    const struct net *net;
    const struct unroll *unroll; /* rates and steps of the real one; its buffers are left alone */
    bool second, evaluate;
    struct arena arena;
    const real *theta[STEPS_MAX + 1];
    real *room[STEPS_MAX + 1];
    struct tape support, query, tangents;
    real *gradient, *adjoint, *direction;
    struct trace *out;
};

static void tracer_layout(struct tracer *r, struct arena *arena)
{
    const struct unroll_spec *s = &r->unroll->spec;
    int n_most = s->n_support > s->n_query ? s->n_support : s->n_query;
    real *scratch = tape_scratch(r->net, n_most, arena);

    for (int k = 1; k <= s->steps; k++)
        r->theta[k] = r->room[k] = arena_reals(arena, r->net->layout.n);
    r->gradient = arena_reals(arena, r->net->layout.n);
    r->adjoint = arena_reals(arena, r->net->layout.n);
    r->direction = arena_reals(arena, r->net->layout.n);
    tape_init(&r->support, r->net, s->n_support, TAPE_SECOND, scratch, arena);
    tape_init(&r->query, r->net, s->n_query, TAPE_SECOND, scratch, arena);
    net_trace_tangents(&r->tangents, r->net, s->n_support, arena);
    r->support.evaluate = r->query.evaluate = s->evaluate;
}

/* A finding: where nothing was found yet. Returns true. */
static bool found(struct tracer *r, int k, const struct tape *t, const char *pass, int layer)
{
    struct trace *f = r->out;

    if (f->kind == TRACE_NONE)
        f->kind = TRACE_COMPUTATION;
    f->step = k;
    f->set = t == &r->query ? "query" : "support";
    f->pass = pass;
    if (layer < 0 || layer >= r->net->n_layers) /* the loss, or the parameters as a whole */
        return true;
    f->layer = layer;
    f->type = r->net->layers[layer].ops->name;
    net_layer_name(r->net, layer, f->name, sizeof f->name);
    return true;
}

/* The first segment that is not finite into out->segment. */
static bool vector_bad(struct tracer *r, const real *v)
{
    const struct layout *l = &r->net->layout;

    for (int i = 0; i < l->n_segments; i++)
        if (!vec_finite(l->segments[i].n, v + l->segments[i].offset)) {
            snprintf(r->out->segment, sizeof r->out->segment, "%s", l->segments[i].name);
            return true;
        }
    return false;
}

static bool beyond(struct tracer *r, const char *quantity, double value)
{
    if (exact_fits_one(value))
        return false;
    r->out->kind = TRACE_SUM;
    r->out->quantity = quantity;
    r->out->value = value;
    return true;
}

static bool values(struct tracer *r, int k, const struct batch *b, struct tape *t, double *loss)
{
    int layer;

    t->noise = (struct noise){r->task->seed, r->task->round, r->task->slot, (uint32_t)k};
    *loss = r->net->loss->value(b, r->net->n_out, net_forward(r->net, r->theta[k], b, t));
    layer = net_trace_forward(r->net, t, b->n);
    if (layer != TRACE_CLEAN)
        return found(r, k, t, "forward", layer);
    return !isfinite(*loss) && found(r, k, t, "loss", -1);
}

static bool gradient(struct tracer *r, int k, const struct batch *b, struct tape *t, real *gw)
{
    int layer;

    vec_zero(r->net->layout.n, gw);
    net_backward(r->net, r->theta[k], b, t, gw);
    layer = net_trace_backward(r->net, t, b->n, gw);
    return layer != TRACE_CLEAN && found(r, k, t, "backward", layer);
}

/* math.md (5.1) */
static bool inner_step(struct tracer *r, int k, double *loss)
{
    const struct batch *b = &r->engine->episode.support;

    if (values(r, k, b, &r->support, loss) || gradient(r, k, b, &r->support, r->gradient))
        return true;
    vec_step(r->net->layout.n, r->theta[k], r->unroll->rate, r->gradient, r->room[k + 1]);
    return vector_bad(r, r->theta[k + 1]) && found(r, k, &r->support, "step", -1);
}

/* math.md (5.3), step k: the tape is made again, as it was. */
static bool adjoint_step(struct tracer *r, int k)
{
    const struct batch *b = &r->engine->episode.support;
    size_t n = r->net->layout.n;
    double loss;
    int layer;

    if (values(r, k, b, &r->support, &loss) || gradient(r, k, b, &r->support, r->gradient))
        return true;
    vec_mul(n, r->unroll->rate, r->adjoint, r->direction);
    vec_zero(n, r->gradient);
    net_hvp(r->net, r->theta[k], r->direction, b, &r->support, &r->tangents, r->gradient);
    layer = net_trace_forward_tangent(r->net, &r->tangents, b->n);
    if (layer != TRACE_CLEAN)
        return found(r, k, &r->support, "forward tangent", layer);
    layer = net_trace_backward_tangent(r->net, &r->tangents, b->n, r->gradient);
    if (layer != TRACE_CLEAN)
        return found(r, k, &r->support, "backward tangent", layer);
    vec_sub(n, r->gradient, r->adjoint);
    return vector_bad(r, r->adjoint) && found(r, k, &r->support, "adjoint", -1);
}

static double largest(size_t n, const real *x)
{
    double most = 0;

    for (size_t i = 0; i < n; i++)
        most = fabs((double)x[i]) > fabs(most) ? (double)x[i] : most;
    return most;
}

/* The first segment of the outer gradient that the sum cannot hold. */
static bool gradient_beyond(struct tracer *r)
{
    const struct layout *l = &r->net->layout;

    for (int i = 0; i < l->n_segments; i++) {
        const struct segment *s = &l->segments[i];

        if (beyond(r, NULL, largest(s->n, r->adjoint + s->offset))) {
            snprintf(r->out->segment, sizeof r->out->segment, "%s", s->name);
            return true;
        }
    }
    return false;
}

static bool training(struct tracer *r)
{
    const struct batch *query = &r->engine->episode.query;
    int steps = r->unroll->spec.steps;
    double loss, first = 0;

    for (int k = 0; k < steps; k++) {
        if (inner_step(r, k, &loss))
            return true;
        first = k == 0 ? loss : first;
    }
    if (values(r, steps, query, &r->query, &loss) ||
        gradient(r, steps, query, &r->query, r->adjoint))
        return true;
    for (int k = steps - 1; k >= 0 && r->second; k--)
        if (adjoint_step(r, k))
            return true;
    return beyond(r, "the support loss before adaptation", first) ||
           beyond(r, "the query loss", loss) || gradient_beyond(r);
}

static bool evaluation_query(struct tracer *r, int k)
{
    double loss;

    if (values(r, k, &r->engine->episode.query, &r->query, &loss))
        return true;
    if (!beyond(r, "the query loss", loss) &&
        !beyond(r, "the square of the query loss", loss * loss))
        return false;
    r->out->step = k;
    r->out->set = "query";
    return true;
}

static bool evaluation(struct tracer *r)
{
    int steps = r->unroll->spec.steps;
    double loss;

    for (int k = 0; k < steps; k++)
        if (evaluation_query(r, k) || inner_step(r, k, &loss))
            return true;
    return evaluation_query(r, steps);
}

/* The i-th sample of a part of the episode, if it is not finite. */
static bool sample_bad(struct tracer *r, const struct batch *b, bool support, int i)
{
    const struct data *d = &r->engine->setup->data[r->task->data];
    const struct task *t = r->task;
    size_t each = shape_size(r->net->in), targets = (size_t)d->n_target;
    uint32_t k = (uint32_t)i / (support ? t->shot : t->query);

    if (vec_finite(each, b->x + (size_t)i * each) &&
        (!b->target || vec_finite(targets, b->target + (size_t)i * targets)))
        return false;
    r->out->kind = TRACE_SAMPLE;
    r->out->sample = (struct trace_sample){.support = support,
                                           .position = i,
                                           .class_id = t->classes[k],
                                           .id = support ? t->support[i] : t->queries[i],
                                           .turns = t->turns[k]};
    return true;
}

static bool samples(struct tracer *r)
{
    const struct episode *e = &r->engine->episode;

    for (int i = 0; i < e->support.n; i++)
        if (sample_bad(r, &e->support, true, i))
            return true;
    for (int i = 0; i < e->query.n; i++)
        if (sample_bad(r, &e->query, false, i))
            return true;
    return false;
}

/* A bad sample is named, and the search goes on to where it is first felt. */
static void trace_all(struct tracer *r)
{
    if (vector_bad(r, r->theta[0])) {
        r->out->kind = TRACE_PARAMETERS;
        return;
    }
    samples(r);
    if (r->evaluate)
        evaluation(r);
    else
        training(r);
}

int trace_task(struct engine *e, const struct task *t, const real *theta, bool evaluate,
               struct trace *out)
{
    const struct method *m = &e->method;
    struct arena measure = arena_measuring();
    struct tracer r = {
        .engine = e,
        .task = t,
        .net = m->net,
        .unroll = evaluate ? &m->evaluate : &m->train,
        .second = m->ops->second,
        .evaluate = evaluate,
        .out = out,
    };

    *out = (struct trace){.step = -1, .layer = -1};
    TRY(episode_read(&e->episode, &e->setup->data[t->data], t));
    tracer_layout(&r, &measure);
    TRY(arena_init(&r.arena, measure.peak));
    tracer_layout(&r, &r.arena);
    r.theta[0] = theta;
    trace_all(&r);
    arena_release(&r.arena);
    return 0;
}
