/* method.c - what all methods share. */
#include "worker/method.h"

#include <math.h>
#include <string.h>

#include "core/base/err.h"
#include "core/base/plural.h"
#include "core/math/vec.h"

static void init_train(struct method *m, const struct method_spec *spec, struct arena *arena)
{
    const struct stage_config *shape = m->stage->shape;
    struct unroll_spec s = {
        .steps = (int)shape->inner_steps,
        .rate = m->rate,
        .second = m->ops->second,
        .n_support = spec->n_support,
        .n_query = spec->n_query,
        .memory = spec->memory,
    };

    if (m->ops->form.draws & DRAW_EPISODES)
        unroll_init(&m->train, m->net, &s, arena);
    if (m->ops->init)
        m->ops->init(m, spec, arena);
}

static void init_evaluate(struct method *m, const struct method_spec *spec, struct arena *arena)
{
    struct unroll_spec s = {
        .steps = spec->evaluate_steps,
        .rate = m->rate,
        .evaluate = true,
        .n_support = spec->n_support,
        .n_query = spec->n_evaluate,
    };
    const struct aux *old = stage_aux(m->stage, "old");

    if (m->stage->few_shot) {
        unroll_init(&m->evaluate, m->net, &s, arena);
        return;
    }
    tape_init(&m->measure, m->net, spec->n_measure, TAPE_GRADIENT,
              tape_scratch(m->net, spec->n_measure, arena), arena);
    m->measure.evaluate = true;
    if (old) {
        tape_init(&m->measure_old, &old->net, spec->n_measure, TAPE_VALUES,
                  tape_scratch(&old->net, spec->n_measure, arena), arena);
        m->measure_old.evaluate = true;
    }
}

void method_init(struct method *m, const struct setup *setup, const struct stage *stage,
                 const struct method_spec *spec, struct arena *arena)
{
    size_t mark;

    *m = (struct method){
        .ops = method_find(stage->config->method),
        .setup = setup,
        .stage = stage,
        .net = &stage->net,
        .anchor_net = stage->anchor >= 0 ? &setup->stages[stage->anchor].net : NULL,
        .n = stage->model.n,
    };
    m->rate = unroll_rates(m->net, stage->shape->inner_rate, arena);
    mark = arena_mark(arena);
    init_train(m, spec, arena);
    arena_reset(arena, mark);
    init_evaluate(m, spec, arena);
}

/* The query at theta_k: four sums of the curve, and the outputs. */
static int evaluate_step(struct unroll *u, int k, const struct batch *query, struct tally *tally,
                         real *outputs)
{
    const struct net *net = u->net;
    const real *y = net_forward(net, u->theta[k], query, &u->query);
    double loss = net->loss->value(query, net->n_out, y);
    double accuracy = net->loss->accuracy ? net->loss->accuracy(query, net->n_out, y) : 0;
    double *curve = &tally->v[tally_curve(k, CURVE_LOSS)];

    if (!isfinite(loss))
        return err(ERR_NONFINITE, "the query loss after %d inner step%s is not finite", k,
                   plural(k));
    curve[CURVE_LOSS] += loss, curve[CURVE_LOSS_SQUARE] += loss * loss;
    curve[CURVE_ACCURACY] += accuracy, curve[CURVE_ACCURACY_SQUARE] += accuracy * accuracy;
    if (k == u->spec.steps)
        tally->v[TALLY_LOSS] += loss, tally->v[TALLY_ACCURACY] += accuracy;
    if (outputs)
        vec_copy((size_t)(query->n * net->n_out), y, outputs + k * query->n * net->n_out);
    return 0;
}

int method_evaluate(struct method *m, const struct episode *ep, const real *theta,
                    struct tally *tally, real *outputs)
{
    struct unroll *u = &m->evaluate;

    u->theta[0] = theta;
    for (int k = 0; k < u->spec.steps; k++) {
        TRY(evaluate_step(u, k, &ep->query, tally, outputs));
        unroll_step(u, k, &ep->support, NULL);
    }
    return evaluate_step(u, u->spec.steps, &ep->query, tally, outputs);
}

/* Sums over samples, each by itself. */
static int measure_samples(const struct net *net, const struct batch *b, const real *y,
                           struct tally *tally)
{
    double *curve = &tally->v[tally_curve(0, CURVE_LOSS)];

    for (int i = 0; i < b->n; i++) {
        struct batch one = {.n = 1, .label = b->label + i};
        const real *outputs = y + (size_t)i * (size_t)net->n_out;
        double loss = net->loss->value(&one, net->n_out, outputs);
        double right = net->loss->accuracy(&one, net->n_out, outputs);

        if (!isfinite(loss))
            return err(ERR_NONFINITE, "the loss of a sample is not finite");
        curve[CURVE_LOSS] += loss, curve[CURVE_LOSS_SQUARE] += loss * loss;
        curve[CURVE_ACCURACY] += right, curve[CURVE_ACCURACY_SQUARE] += right * right;
    }
    tally->v[TALLY_SAMPLES] += b->n;
    return 0;
}

/* The old task's outputs from the features of the last forward. */
static const real *old_outputs(struct method *m, const struct aux *old, const real *theta, int n)
{
    struct batch features = {.n = n, .x = m->measure.act[net_features(m->net)].v};

    return net_forward(&old->net, theta + old->offset, &features, &m->measure_old);
}

int method_measure(struct method *m, const struct episode *ep, int data, const real *theta,
                   struct tally *tally, real *outputs)
{
    const struct net *net = m->net;
    const struct aux *old = stage_aux(m->stage, "old");
    const real *y = net_forward(net, theta, &ep->source, &m->measure);

    if (old && stage_measures_old(m->stage, data)) {
        y = old_outputs(m, old, theta, ep->source.n);
        net = &old->net;
    }
    if (outputs)
        vec_copy((size_t)ep->source.n * (size_t)net->n_out, y, outputs);
    return measure_samples(net, &ep->source, y, tally);
}

double method_flops(const struct method *m)
{
    const struct unroll_spec *s = &m->train.spec;
    double support = net_flops_gradient(m->net, s->n_support);

    if (!(m->ops->form.draws & DRAW_EPISODES))
        return net_flops_gradient(m->net, (int)(m->stage->batch + m->stage->target_batch));
    return s->steps * support * (s->second ? 3 : 1) + net_flops_gradient(m->net, s->n_query);
}
