/* trace.c - computes a task again and checks all values after each pass. The method decides what is
 * computed. */
#include "worker/trace.h"

#include <math.h>
#include <string.h>

#include "core/base/err.h"
#include "core/math/exact.h"
#include "core/math/net_trace.h"
#include "core/math/vec.h"
#include "worker/method_work.h"

struct tracer {
    const struct engine *engine;
    const struct task *task;
    const struct net *net;
    bool evaluate;
    struct arena arena;
    struct method method; /* the engine's inner loop, with tapes that keep everything */
    struct pass_hook hook;
    real *gradient; /* (P of a model) */
    struct task_metrics metrics;
    bool done; /* the first place has been found */
    struct trace *out;
};

static void tracer_layout(struct tracer *r, struct arena *arena)
{
    const struct engine *e = r->engine;
    struct method_spec spec = method_spec_of(e->setup, e->stage, r->evaluate);

    spec.traced = true;
    spec.memory = 0;
    r->gradient = arena_reals(arena, e->stage->model.n);
    r->metrics = stage_metrics(e->stage, arena);
    method_init(&r->method, e->setup, e->stage, &spec, arena);
    method_hook(&r->method, &r->hook);
    r->method.anchor = e->method.anchor;
}

/* Records a finding, unless there is one already. */
static void found(struct tracer *r, const struct pass *at, const char *pass, int layer)
{
    struct trace *f = r->out;

    if (f->kind == TRACE_NONE)
        f->kind = TRACE_COMPUTATION;
    r->done = true;
    f->step = at->step;
    f->set = at->set;
    f->pass = pass;
    if (layer < 0 || layer >= at->net->n_layers) /* the loss, or the parameters as a whole */
        return;
    f->layer = layer;
    f->type = at->net->layers[layer].ops->name;
    net_layer_name(at->net, layer, f->name, sizeof f->name);
}

/* Puts the first segment of v that is not finite into out->segment. */
static bool vector_bad(struct tracer *r, const struct layout *l, const real *v)
{
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

/* Evaluation sums the query loss and its square after every step. */
static void query_beyond(struct tracer *r, const struct pass *at)
{
    if (!beyond(r, "the query loss", at->loss) &&
        !beyond(r, "the square of the query loss", at->loss * at->loss))
        return;
    r->done = true;
    r->out->step = at->step;
    r->out->set = at->set;
}

static void look_forward(struct tracer *r, const struct pass *at)
{
    int layer = net_trace_forward(at->net, at->tape, at->n);

    if (layer != TRACE_CLEAN)
        found(r, at, "forward", layer);
    else if (!isfinite(at->loss))
        found(r, at, "loss", -1);
    else if (r->evaluate && strcmp(at->set, "query") == 0)
        query_beyond(r, at);
}

static void look_backward(struct tracer *r, const struct pass *at)
{
    int layer = net_trace_backward(at->net, at->tape, at->n, at->vector);

    if (layer != TRACE_CLEAN)
        found(r, at, "backward", layer);
}

static void look_hvp(struct tracer *r, const struct pass *at)
{
    int up = net_trace_forward_tangent(at->net, at->tape, at->n), down;

    if (up != TRACE_CLEAN) {
        found(r, at, "forward tangent", up);
        return;
    }
    down = net_trace_backward_tangent(at->net, at->tape, at->n, at->vector);
    if (down != TRACE_CLEAN)
        found(r, at, "backward tangent", down);
}

static void look_vector(struct tracer *r, const struct pass *at, const char *pass)
{
    if (vector_bad(r, &at->net->layout, at->vector))
        found(r, at, pass, -1);
}

static void on_pass(void *context, const struct pass *at)
{
    struct tracer *r = context;

    if (r->done)
        return;
    switch (at->kind) {
    case PASS_FORWARD:
        look_forward(r, at);
        break;
    case PASS_BACKWARD:
        look_backward(r, at);
        break;
    case PASS_STEP:
        look_vector(r, at, "step");
        break;
    case PASS_HVP:
        look_hvp(r, at);
        break;
    case PASS_ADJOINT:
        look_vector(r, at, "adjoint");
        break;
    }
}

static double largest(size_t n, const real *x)
{
    double most = 0;

    for (size_t i = 0; i < n; i++)
        most = fabs((double)x[i]) > fabs(most) ? (double)x[i] : most;
    return most;
}

/* The first segment of the contribution that the sum cannot hold. */
static void gradient_beyond(struct tracer *r)
{
    const struct layout *l = &r->engine->stage->model;

    for (int i = 0; i < l->n_segments; i++) {
        const struct segment *s = &l->segments[i];

        if (beyond(r, NULL, largest(s->n, r->gradient + s->offset))) {
            snprintf(r->out->segment, sizeof r->out->segment, "%s", s->name);
            return;
        }
    }
}

/* Computes the task by its method, whose own error says less than what the trace finds. */
static void compute(struct tracer *r, const real *theta)
{
    const struct episode *ep = &r->engine->episode;
    struct method *m = &r->method;

    if (r->evaluate) {
        method_evaluate(m, ep, theta, &r->metrics, NULL);
        return;
    }
    vec_zero(m->n, r->gradient);
    m->ops->outer(m, ep, theta, r->gradient, &r->metrics);
    if (!r->done &&
        !beyond(r, "the support loss before adaptation", r->metrics.v[METRIC_SUPPORT_LOSS]) &&
        !beyond(r, "the query loss", r->metrics.v[METRIC_LOSS]))
        gradient_beyond(r);
}

/* Checks the i-th sample of a part of the episode. */
static bool sample_bad(struct tracer *r, const struct batch *b, bool support, int i)
{
    const struct data *d = &r->engine->setup->data[r->task->data];
    const struct task *t = r->task;
    size_t each = shape_size(r->net->in), targets = (size_t)d->n_target;
    uint32_t k = (uint32_t)i / (support ? t->shot : t->query);

    const real *x = b->x + (size_t)i * each;

    if (trace_numbers_fine(each, x, d->holes) &&
        (!b->target || trace_numbers_fine(targets, b->target + (size_t)i * targets, true)))
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

/* Names a bad sample, and then searches for the first place that it affects. */
static void trace_all(struct tracer *r, const real *theta)
{
    if (vector_bad(r, &r->engine->stage->model, theta)) {
        r->out->kind = TRACE_PARAMETERS;
        return;
    }
    samples(r);
    compute(r, theta);
}

int trace_task(struct engine *e, const struct task *t, const real *theta, bool evaluate,
               struct trace *out)
{
    struct arena measure = arena_measuring();
    struct tracer r = {.engine = e,
                       .task = t,
                       .net = e->method.net,
                       .evaluate = evaluate,
                       .hook = {on_pass, &r},
                       .out = out};

    *out = (struct trace){.step = -1, .layer = -1};
    TRY(episode_read(&e->episode, &e->setup->data[t->data], t));
    episode_scale(&e->episode, scale_targets(e->stage, theta));
    tracer_layout(&r, &measure);
    TRY(arena_init(&r.arena, measure.peak));
    tracer_layout(&r, &r.arena);
    trace_all(&r, theta);
    arena_release(&r.arena);
    return 0;
}
