/* method_work.c - prepares a stage's method for tasks, and calls it. */
#include "worker/method_work.h"

#include <math.h>
#include <stddef.h>
#include <string.h>

#include "core/base/err.h"
#include "core/base/plural.h"
#include "core/math/vec.h"
#include "core/plan/task_kind.h"
#include "worker/method/table.h"

/* ---- work space ---- */

static struct unroll_spec inner_spec(const struct method *m, const struct method_spec *spec)
{
    struct unroll_spec s = {
        .steps = spec->steps,
        .rate = m->stage->shape->inner_rate,
        .evaluate = spec->evaluate,
        .n_support = spec->n_support,
        .n_query = spec->n_query,
        .memory = spec->memory,
        .traced = spec->traced,
    };

    m->ops->inner(m, &s);
    if (spec->evaluate) /* nothing is differentiated */
        s.second = SECOND_NONE, s.rate_gradient = false;
    return s;
}

static void init_inner(struct method *m, const struct method_spec *spec, struct arena *arena)
{
    struct unroll_spec s = inner_spec(m, spec);
    struct unroll measured;

    m->inner = arena_take(arena, sizeof *m->inner);
    unroll_init(m->inner ? m->inner : &measured, m->net, &s, arena);
}

/* Work space for whole sets. */
static void init_measure(struct method *m, const struct method_spec *spec, struct arena *arena)
{
    const struct aux *old = stage_aux(m->stage, "old");

    tape_init(&m->measure, m->net, spec->n_measure, TAPE_GRADIENT,
              tape_scratch(m->net, spec->n_measure, arena), arena);
    m->measure.evaluate = true;
    if (!old)
        return;
    tape_init(&m->measure_old, &old->net, spec->n_measure, TAPE_VALUES,
              tape_scratch(&old->net, spec->n_measure, arena), arena);
    m->measure_old.evaluate = true;
}

/* The method's own state; while the arena measures, a temporary one. */
static void init_own(struct method *m, const struct method_spec *spec, struct arena *arena)
{
    max_align_t measured[m->ops->size / sizeof(max_align_t) + 1];

    m->state = arena_take(arena, m->ops->size);
    if (!m->state)
        m->state = measured;
    memset(m->state, 0, m->ops->size);
    if (m->ops->init)
        m->ops->init(m, spec, arena);
    if (m->state == measured)
        m->state = m->passes = NULL;
}

struct method_spec method_spec_of(const struct setup *s, const struct stage *stage, bool evaluates)
{
    struct task_size size = evaluates ? stage->evaluate : stage->train;

    return (struct method_spec){
        .evaluate = evaluates,
        .steps = evaluates ? stage->evaluate_steps : stage->inner_steps,
        .n_support = (int)(size.way * size.shot),
        .n_query = (int)(size.way * size.query),
        .n_source = (int)stage->batch,
        .n_target = (int)stage->target_batch,
        .n_measure = (int)stage->evaluate.source,
        .memory = (size_t)s->config->cluster.memory << 20,
    };
}

void method_init(struct method *m, const struct setup *setup, const struct stage *stage,
                 const struct method_spec *spec, struct arena *arena)
{
    /* A stage that takes its few-shot tasks from another stage is measured like that stage. */
    const char *name = (spec->evaluate ? stage->shape : stage->config)->method;

    *m = (struct method){
        .ops = method_find(name),
        .setup = setup,
        .stage = stage,
        .net = &stage->net,
        .anchor_net = stage->anchor >= 0 ? &setup->stages[stage->anchor].net : NULL,
        .n = stage->model.n,
    };
    if (spec->evaluate && !stage->measured->few_shot) {
        init_measure(m, spec, arena);
        return;
    }
    if (m->ops->inner)
        init_inner(m, spec, arena);
    init_own(m, spec, arena);
}

void method_hook(struct method *m, const struct pass_hook *hook)
{
    m->hook = hook;
    if (m->inner)
        m->inner->hook = hook;
}

/* ---- evaluation ---- */

/* The mean of target j over the samples that have it. */
static double known_mean(const struct batch *b, int n_targets, int j)
{
    double sum = 0;
    int n = 0;

    for (int i = 0; i < b->n; i++) {
        real t = b->target[i * n_targets + j];

        if (!isnan(t))
            sum += t, n++;
    }
    return n ? sum / n : 0;
}

/* How outputs y fit each target; within: its spread is that about the batch's own mean. */
static void add_fits(const struct stage *s, const struct batch *b, const real *y, bool within,
                     struct task_metrics *metrics)
{
    for (int j = 0; j < s->n_fits; j++) {
        double *fit = &metrics->v[s->fit_metrics + FIT_SUMS * j];
        double mean = within ? known_mean(b, s->n_fits, j) : 0;

        for (int i = 0; i < b->n; i++) {
            double t = b->target[i * s->n_fits + j], error = y[i * s->n_fits + j] - t;

            if (isnan(t))
                continue;
            fit[FIT_KNOWN] += 1, fit[FIT_ERROR] += error * error;
            fit[FIT_SUM] += within ? 0 : t, fit[FIT_SQUARE] += (t - mean) * (t - mean);
        }
    }
}

/* The queries answered by the support's statistics. A loss that the grid of the sum cannot hold
 * counts as its end: the figures beside it stay. */
static void add_inductive(struct method *m, const struct episode *ep, const struct adapted *a,
                          struct task_metrics *metrics)
{
    double *sum = &metrics->v[m->stage->inductive_metrics];
    const real *y = method_answer(m, ep, a);
    double loss = loss_value(&m->net->loss, &ep->query, a->n_out, y);
    double accuracy = loss_accuracy(&m->net->loss, &ep->query, a->n_out, y);

    metric_add_curve(fmin(loss, sqrt(CURVE_LOSS_MAX)), accuracy, sum);
}

/* Query sums of step k of `steps` into the curve, and of the last into METRIC_LOSS and
 * METRIC_ACCURACY; y: the outputs of n_out columns, copied to outputs if not NULL. */
static int add_step(const struct loss *loss, const struct batch *query, int n_out, const real *y,
                    int k, int steps, struct task_metrics *metrics, real *outputs)
{
    double value = loss_value(loss, query, n_out, y);
    double accuracy = loss_accuracy(loss, query, n_out, y);

    if (!isfinite(value))
        return err(ERR_NONFINITE, "the query loss after %d inner step%s is not finite", k,
                   plural(k));
    metric_add_curve(value, accuracy, &metrics->v[metric_curve(k, CURVE_LOSS)]);
    if (k == steps)
        metrics->v[METRIC_LOSS] += value, metrics->v[METRIC_ACCURACY] += accuracy;
    if (outputs)
        vec_copy((size_t)(query->n * n_out), y, outputs + (size_t)k * (size_t)(query->n * n_out));
    return 0;
}

/* By methods without an inner loop: one step of the curve. */
static int evaluate_once(struct method *m, const struct episode *ep, const real *theta,
                         struct task_metrics *metrics, real *outputs)
{
    struct adapted a = {.theta = theta}, together;

    m->ops->adapt(m, ep, &a);
    together = a, together.statistics = NULL;
    TRY(add_step(&m->net->loss, &ep->query, a.n_out, m->ops->answer(m, ep, &together), 0, 0,
                 metrics, outputs));
    if (m->stage->inductive_metrics)
        add_inductive(m, ep, &a, metrics);
    return 0;
}

/* What the inner loop, which is done, has made of the support. */
static struct adapted inner_adapted(struct method *m, const struct episode *ep)
{
    const real *theta = unroll_theta(m->inner, m->inner->spec.steps);

    return (struct adapted){
        .theta = theta, .n_out = m->net->n_out, .statistics = unroll_observe(m->inner, theta, ep)};
}

int method_evaluate(struct method *m, const struct episode *ep, const real *theta,
                    struct task_metrics *metrics, real *outputs)
{
    struct unroll *u = m->inner;
    const struct net *net = m->net;

    if (m->ops->adapt)
        return evaluate_once(m, ep, theta, metrics, outputs);
    unroll_begin(u, theta, ep);
    for (int k = 0; k <= u->spec.steps; k++) {
        const real *y = unroll_outputs(u, k, ep);

        TRY(add_step(&net->loss, &ep->query, net->n_out, y, k, u->spec.steps, metrics, outputs));
        if (k < u->spec.steps)
            unroll_step(u, k, ep, NULL);
        else
            add_fits(m->stage, &ep->query, y, true, metrics);
    }
    if (m->stage->inductive_metrics) {
        struct adapted a = inner_adapted(m, ep);

        add_inductive(m, ep, &a, metrics);
    }
    return 0;
}

/* ---- answers ---- */

int method_adapt(struct method *m, const struct episode *ep, const real *theta, struct adapted *a)
{
    struct unroll *u = m->inner;

    *a = (struct adapted){.theta = theta};
    if (m->ops->adapt) {
        m->ops->adapt(m, ep, a);
        return 0;
    }
    unroll_begin(u, theta, ep);
    for (int k = 0; k < u->spec.steps; k++)
        unroll_step(u, k, ep, NULL);
    *a = inner_adapted(m, ep);
    return vec_finite(m->net->layout.n, a->theta)
               ? 0
               : err(ERR_NONFINITE, "the adapted parameters are not finite");
}

const real *method_answer(struct method *m, const struct episode *ep, const struct adapted *a)
{
    return m->ops->answer ? m->ops->answer(m, ep, a)
                          : unroll_outputs_at(m->inner, a->theta, ep, a->statistics);
}

/* Adds the loss and accuracy of each sample that has something to measure; they weigh the same. */
static int measure_samples(const struct net *net, const struct batch *b, const real *y,
                           struct task_metrics *metrics)
{
    const struct loss *l = &net->loss;
    int targets = loss_targets(l, net->n_out);
    double *curve = &metrics->v[metric_curve(0, CURVE_LOSS)];

    for (int i = 0; i < b->n; i++) {
        struct batch one = batch_sample(b, i, targets);
        const real *outputs = y + (size_t)i * (size_t)net->n_out;
        double loss = loss_value(l, &one, net->n_out, outputs);
        double right = loss_accuracy(l, &one, net->n_out, outputs);

        if (!isfinite(loss))
            return err(ERR_NONFINITE, "the loss of a sample is not finite");
        metric_add_curve(loss, right, curve);
        metrics->v[METRIC_SAMPLES] += !batch_is_empty(&one, targets);
    }
    return 0;
}

/* The outputs for the old task, from the features of the last forward pass. */
static const real *old_outputs(struct method *m, const struct aux *old, const real *theta, int n)
{
    struct batch features = {.n = n, .x = m->measure.act[net_features(m->net)].v};

    return net_forward(&old->net, theta + old->offset, &features, &m->measure_old);
}

/* The network whose outputs count for samples of that section. */
static const struct net *measuring_net(const struct method *m, int data)
{
    const struct aux *old = stage_aux(m->stage, "old");

    return old && stage_measures_old(m->stage, data) ? &old->net : m->net;
}

const real *method_label(struct method *m, const struct episode *ep, int data, const real *theta,
                         int *n_out)
{
    const struct net *net = measuring_net(m, data);
    const real *y = net_forward(m->net, theta, &ep->source, &m->measure);

    *n_out = net->n_out;
    return net == m->net ? y : old_outputs(m, stage_aux(m->stage, "old"), theta, ep->source.n);
}

int method_measure(struct method *m, const struct episode *ep, int data, const real *theta,
                   struct task_metrics *metrics, real *outputs)
{
    int n_out;
    const real *y = method_label(m, ep, data, theta, &n_out);

    if (outputs)
        vec_copy((size_t)ep->source.n * (size_t)n_out, y, outputs);
    add_fits(m->stage, &ep->source, y, false, metrics);
    return measure_samples(measuring_net(m, data), &ep->source, y, metrics);
}

/* ---- what it costs, what it claims ---- */

/* True if a method has no work space. */
static struct method unready(const struct setup *setup, const struct stage *stage)
{
    return (struct method){.ops = method_find(stage->config->method),
                           .setup = setup,
                           .stage = stage,
                           .net = &stage->net,
                           .n = stage->model.n};
}

/* Samples of a few-shot task of middle way, with least to most of each class. */
static int middle_samples(const struct stage *s, uint32_t least, uint32_t most)
{
    return (int)(((s->train_least.way + s->train.way) * (least + most) + 2) / 4);
}

double method_flops(const struct setup *setup, const struct stage *stage)
{
    struct method m = unready(setup, stage);
    struct method_spec spec = {
        .steps = stage->inner_steps,
        .n_support = middle_samples(stage, stage->train_least.shot, stage->train.shot),
        .n_query = middle_samples(stage, stage->train.query, stage->train.query),
    };
    struct unroll_spec s;

    if (!m.ops->inner)
        return net_flops_gradient(m.net, (int)(stage->batch + stage->target_batch)) +
               net_flops_gradient(m.net, spec.n_support + spec.n_query);
    s = inner_spec(&m, &spec);
    return unroll_flops(m.net, &s);
}
