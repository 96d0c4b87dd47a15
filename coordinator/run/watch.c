/* watch.c - runs the rounds that measure encoders, and acts on the result. */
#include "coordinator/run/watch.h"

#include <math.h>
#include <string.h>

#include "core/base/err.h"

enum { BATCHES = 8 };

/* Measures one model's encoder; theta are its parameters (P of a model). */
static int measure(struct crew *c, const struct stage_run *s, int model, const real *theta,
                   struct watch *w)
{
    struct round round = {
        .stage = s->stage,
        .purpose = PURPOSE_WATCH,
        .data = s->stage->target[model],
        .round = s->round,
        .n_tasks = BATCHES,
        .amount = BATCHES,
        .theta = theta,
        .anchor = stage_run_anchor(s),
    };
    struct round_sum total;
    double sums[WATCH_SUMS_MAX];

    TRY(crew_round(c, &round, &total));
    if (round_sum_read(&total, METRIC_DONE) == 0) {
        *w = (struct watch){.score = -INFINITY, .alarms = ALARM_COLLAPSE};
        return 0;
    }
    for (int i = 0; i < watch_sums(s->stage->net.n_out); i++)
        sums[i] = round_sum_read(&total, METRIC_CURVE + i);
    guard_judge(s->stage, sums, round_sum_read(&total, METRIC_DONE), w);
    return 0;
}

static int compare_inputs(const struct stage_run *s, struct report *r)
{
    const struct data *data = s->setup->data;
    struct inputs source, target;

    for (int b = 0; b < s->stage->n_models; b++) {
        TRY(inputs_read(&data[s->stage->data], &source));
        TRY(inputs_read(&data[s->stage->target[b]], &target));
        report_inputs(r, s, s->stage->target[b], &source, &target);
    }
    return 0;
}

/* Scores depend only on parameters, so the encoders of a checkpoint are scored again. */
static int open_model(struct crew *c, struct stage_run *s, int b)
{
    struct guard *g = &s->guard;
    const real *source = guard_source(g, s->stage, b, s->theta, stage_run_anchor(s));
    struct watch w;

    TRY(measure(c, s, b, source, &g->source_only[b]));
    TRY(measure(c, s, b, g->best + (size_t)b * s->stage->model.n, &w));
    g->best_score[b] = w.score;
    return 0;
}

int watch_open(struct crew *c, struct stage_run *s, struct report *r)
{
    if (!guard_wanted(s->stage))
        return 0;
    if (!s->guard.active) {
        TRY(compare_inputs(s, r));
        TRY(guard_take(&s->guard, s->stage));
        guard_begin(&s->guard, s->stage, s->theta, stage_run_anchor(s));
    }
    for (int b = 0; b < s->stage->n_models; b++)
        TRY(open_model(c, s, b));
    return 0;
}

static int watch_model(struct crew *c, struct stage_run *s, struct report *r, int b,
                       struct watch *w)
{
    size_t n = s->stage->model.n;
    const real *theta = s->theta + (size_t)b * n;

    TRY(measure(c, s, b, theta, w));
    guard_note(&s->guard, n, b, theta, w);
    report_watch(r, s, b, w);
    report_alarms(r, s, b, guard_news(&s->guard, w));
    return 0;
}

int watch_models(struct crew *c, struct stage_run *s, struct report *r)
{
    struct watch w;

    for (int b = 0; s->guard.active && b < s->stage->n_models; b++)
        TRY(watch_model(c, s, r, b, &w));
    return 0;
}

static int finish_model(struct crew *c, struct stage_run *s, struct report *r, int b)
{
    bool best = strcmp(s->stage->config->guard, "best") == 0;
    size_t n = s->stage->model.n, at = (size_t)b * n;
    struct watch w;

    TRY(watch_model(c, s, r, b, &w));
    if (guard_accepts(&s->guard, b, &w, best))
        return 0;
    memcpy(s->theta + at, s->guard.best + at, n * sizeof(real));
    report_replaced(r, s, b, &w);
    return 0;
}

int watch_finish(struct crew *c, struct stage_run *s, struct report *r)
{
    if (!s->guard.active || !s->stage->traits->keeps_best)
        return watch_models(c, s, r);
    for (int b = 0; b < s->stage->n_models; b++)
        TRY(finish_model(c, s, r, b));
    stage_run_rehash(s);
    return 0;
}
