/* guard.c - looks, alarms, the best safe encoder. */
#include "coordinator/run/guard.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "coordinator/run/train_internal.h"
#include "core/base/err.h"

enum { BATCHES = 8, INPUTS = 256 };

#define COLLAPSED 0.5   /* of the source's spread of classes */
#define SWAP_SHARE 0.02 /* of the sure samples, for a class to be judged by */
#define WINS 0.98       /* share of the discriminator's right answers */
#define RANGE_APART 0.4 /* of the domains' mean input, which is within 0..1 */

/* ---- inputs ---- */

struct inputs {
    double low, high, mean;
};

static int inputs_of(const struct data *d, struct inputs *in)
{
    size_t size = shape_size(d->shape);
    uint32_t n = d->n_samples < INPUTS ? d->n_samples : INPUTS;
    real *x = malloc(size * sizeof *x);
    int code = x ? 0 : err(ERR_MEMORY, "no memory for a sample");

    *in = (struct inputs){INFINITY, -INFINITY, 0};
    for (uint32_t i = 0; i < n && code >= 0; i++) {
        code = data_read_flat(d, i, x);
        for (size_t k = 0; k < size && code >= 0; k++) {
            in->low = fmin(in->low, (double)x[k]);
            in->high = fmax(in->high, (double)x[k]);
            in->mean += (double)x[k] / ((double)size * n);
        }
    }
    free(x);
    return code;
}

static int compare_inputs(struct train *t, int target)
{
    const struct data *s = &t->setup->data[t->stage->data], *d = &t->setup->data[target];
    struct inputs a, b;

    TRY(inputs_of(s, &a));
    TRY(inputs_of(d, &b));
    report_inputs(t, target, a.low, a.high, a.mean, b.low, b.high, b.mean);
    if (fabs(a.mean - b.mean) > RANGE_APART || b.high - b.low < (a.high - a.low) / 2 ||
        a.high - a.low < (b.high - b.low) / 2)
        progress_warn(
            t->progress,
            "warning: stage '%s': inputs of '%s' are %.2f .. %.2f, %.2f on average, those "
            "of '%s' %.2f .. %.2f, %.2f: is one inverted, or scaled otherwise?",
            t->stage->config->name, s->name, a.low, a.high, a.mean, d->name, b.low, b.high, b.mean);
    return 0;
}

/* ---- a look ---- */

static double entropy_of(int c, const double *p)
{
    double sum = 0;

    for (int k = 0; k < c; k++)
        sum -= p[k] > 0 ? p[k] * log(p[k]) : 0;
    return sum;
}

static double divergence(int c, const double *p, const double *q)
{
    double sum = 0;

    for (int k = 0; k < c; k++)
        sum += p[k] > 0 ? p[k] * log(p[k] / fmax(q[k], 1e-6)) : 0;
    return sum;
}

/* Whether the sure samples of some class have gone to another as one. */
static bool is_swapped(int c, const double *moved, double sure)
{
    for (int a = 0; a < c; a++) {
        const double *to = moved + a * c;
        double n = 0, most = 0;

        for (int b = 0; b < c; b++)
            n += to[b], most = fmax(most, to[b]);
        if (n > SWAP_SHARE * sure && to[a] < most)
            return true;
    }
    return false;
}

static void watch_classes(const double *w, int c, struct watch *l)
{
    double n = w[WATCH_SAMPLES], ours[WATCH_CLASSES_MAX] = {0}, source[WATCH_CLASSES_MAX] = {0};

    for (int k = 0; k < c; k++)
        ours[k] = w[WATCH_CLASSES + k] / n, source[k] = w[WATCH_CLASSES + c + k] / n;
    l->spread = entropy_of(c, ours);
    l->prior = divergence(c, ours, source);
    l->score = l->spread - l->entropy - l->prior;
    if (l->spread < COLLAPSED * entropy_of(c, source))
        l->alarms |= ALARM_COLLAPSE;
    if (c <= WATCH_MOVES_MAX && is_swapped(c, w + WATCH_CLASSES + 2 * c, w[WATCH_SURE]))
        l->alarms |= ALARM_SWAP;
}

void guard_judge(const struct stage *s, const double *w, double batches, struct watch *l)
{
    double n = w[WATCH_SAMPLES];

    *l = (struct watch){
        .entropy = w[WATCH_ENTROPY] / n,
        .agreement = w[WATCH_AGREE] / n,
        .discrepancy = w[WATCH_DISCREPANCY] / batches,
        .right_source = w[WATCH_DISCRIMINATOR_SOURCE] / n,
        .right_target = w[WATCH_DISCRIMINATOR_TARGET] / n,
    };
    l->score = -l->discrepancy;
    if (!s->few_shot && s->net.n_out <= WATCH_CLASSES_MAX)
        watch_classes(w, s->net.n_out, l);
    if ((l->right_source > WINS && l->right_target > WINS) ||
        l->right_source + l->right_target < 2 * (1 - WINS))
        l->alarms |= ALARM_DISCRIMINATOR;
}

/* At one model's parameters. */
static int watch_model(struct train *t, int model, const real *theta, struct watch *l)
{
    struct round r = {
        .stage = t->stage,
        .purpose = PURPOSE_WATCH,
        .data = t->stage->target[model],
        .round = t->round,
        .n_tasks = BATCHES,
        .theta = theta,
        .anchor = train_anchor(t),
    };
    struct round_sum total;
    double w[METRIC_N - METRIC_CURVE];

    TRY(crew_round(t->crew, &r, &total));
    if (round_sum_read(&total, METRIC_DONE) == 0) {
        *l = (struct watch){.score = -INFINITY, .alarms = ALARM_COLLAPSE};
        return 0;
    }
    for (int i = 0; i < METRIC_N - METRIC_CURVE; i++)
        w[i] = round_sum_read(&total, METRIC_CURVE + i);
    guard_judge(t->stage, w, round_sum_read(&total, METRIC_DONE), l);
    return 0;
}

/* ---- the best ---- */

static bool is_safe(const struct watch *l)
{
    return !(l->alarms & (ALARM_COLLAPSE | ALARM_SWAP));
}

static const real *model_of(const struct train *t, const real *theta, int b)
{
    return theta + (size_t)b * t->stage->model.n;
}

static void keep_model(struct guard *g, size_t n, int b, const real *theta, double score)
{
    memcpy(g->best + (size_t)b * n, theta, n * sizeof(real));
    g->best_score[b] = score;
}

void guard_note(struct guard *g, size_t n, int b, const real *theta, const struct watch *l)
{
    if (is_safe(l) && l->score > g->best_score[b])
        keep_model(g, n, b, theta, l->score);
}

bool guard_accepts(const struct guard *g, int b, const struct watch *last, bool best)
{
    double least = g->source_only[b].score;

    if (best)
        least = fmax(least, g->best_score[b]);
    return is_safe(last) && last->score >= least;
}

/* The model at hand with the source encoder in its place. */
static const real *source_encoder(struct train *t, int b)
{
    real *model = t->guard.model;

    memcpy(model, model_of(t, t->theta, b), t->stage->model.n * sizeof *model);
    memcpy(model, train_anchor(t), t->stage->net.layout.n * sizeof *model);
    return model;
}

static void tell_alarms(struct train *t, int b, const struct watch *l)
{
    static const char *const texts[] = {
        "predictions of the target have collapsed onto few classes",
        "a class that the source encoder was sure of has become another",
        "the discriminator is never wrong, or always: the encoder learns nothing from it",
    };

    for (int i = 0; i < 3; i++) {
        unsigned alarm = 1u << i;

        if (!(l->alarms & alarm) || (t->guard.told & alarm))
            continue;
        t->guard.told |= alarm;
        progress_warn(t->progress, "warning: stage '%s', round %" PRIu64 ", target '%s': %s",
                      t->stage->config->name, t->round, t->setup->data[t->stage->target[b]].name,
                      texts[i]);
    }
}

int guard_take(struct train *t)
{
    struct guard *g = &t->guard;
    const struct stage *s = t->stage;

    *g = (struct guard){.active = true};
    g->best = malloc(s->layout.n * sizeof(real));
    g->model = malloc(s->model.n * sizeof(real));
    return g->best && g->model ? 0 : err(ERR_MEMORY, "no memory for %zu parameters", s->layout.n);
}

/* The source encoder is the first best of every model, before anything that a signal may interrupt. */
static void begin_models(struct train *t)
{
    for (int b = 0; b < t->stage->n_models; b++)
        keep_model(&t->guard, t->stage->model.n, b, source_encoder(t, b), -INFINITY);
}

/* Scores follow from parameters alone, so what a checkpoint kept is scored again. */
static int open_model(struct train *t, int b, bool restored)
{
    struct guard *g = &t->guard;
    struct watch l;

    TRY(watch_model(t, b, source_encoder(t, b), &g->source_only[b]));
    if (!restored)
        TRY(compare_inputs(t, t->stage->target[b]));
    TRY(watch_model(t, b, model_of(t, g->best, b), &l));
    g->best_score[b] = l.score;
    return 0;
}

bool guard_wanted(const struct stage *s)
{
    return s->form->adapts && s->anchor >= 0 && strcmp(s->config->guard, "off") != 0;
}

int guard_open(struct train *t)
{
    bool restored = t->guard.active;

    if (!guard_wanted(t->stage))
        return 0;
    if (!restored) {
        TRY(guard_take(t));
        begin_models(t);
    }
    for (int b = 0; b < t->stage->n_models; b++)
        TRY(open_model(t, b, restored));
    return 0;
}

int guard_watch(struct train *t)
{
    for (int b = 0; t->guard.active && b < t->stage->n_models; b++) {
        const real *theta = model_of(t, t->theta, b);
        struct watch l;

        TRY(watch_model(t, b, theta, &l));
        guard_note(&t->guard, t->stage->model.n, b, theta, &l);
        report_watch(t, b, &l);
        tell_alarms(t, b, &l);
    }
    return 0;
}

/* Whether the model's last encoder may stand. */
static int finish_model(struct train *t, int b)
{
    struct guard *g = &t->guard;
    bool best = strcmp(t->stage->config->guard, "best") == 0;
    real *theta = t->theta + (size_t)b * t->stage->model.n;
    struct watch l;

    TRY(watch_model(t, b, theta, &l));
    guard_note(g, t->stage->model.n, b, theta, &l);
    report_watch(t, b, &l);
    tell_alarms(t, b, &l);
    if (guard_accepts(g, b, &l, best))
        return 0;
    memcpy(theta, model_of(t, g->best, b), t->stage->model.n * sizeof(real));
    progress_say(t->progress,
                 "%s  target '%s': ends with its best encoder, score %.4f (last %.4f, source "
                 "encoder %.4f)",
                 t->stage->config->name, t->setup->data[t->stage->target[b]].name, g->best_score[b],
                 l.score, g->source_only[b].score);
    return 0;
}

int guard_finish(struct train *t)
{
    if (!t->guard.active || !t->stage->form->keeps_best)
        return guard_watch(t);
    for (int b = 0; b < t->stage->n_models; b++)
        TRY(finish_model(t, b));
    t->hash = layout_hash(&t->stage->layout, t->theta, t->scratch);
    return 0;
}

void guard_close(struct guard *g)
{
    free(g->best);
    free(g->model);
    *g = (struct guard){0};
}
