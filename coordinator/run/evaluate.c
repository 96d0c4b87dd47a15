/* evaluate.c - evaluation: a round whose sum is a curve over inner steps. */
#include "coordinator/run/evaluate.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/err.h"
#include "core/plan/drawn.h"
#include "core/plan/scale.h"

enum { SHOWN = 4 }; /* targets */

static struct estimate estimate_of(const struct round_sum *t, int slot, double n)
{
    double mean = round_sum_read(t, slot) / n, squares = round_sum_read(t, slot + 1);
    double var = (squares - n * mean * mean) / (n - 1);

    return (struct estimate){mean, n > 1 ? 1.96 * sqrt(fmax(var, 0) / n) : NAN};
}

void estimate_text(const struct estimate *e, double scale, int digits, char *text, size_t n)
{
    int at = snprintf(text, n, "%.*f", digits, scale * e->mean);

    if (isfinite(e->ci95) && at >= 0 && (size_t)at < n)
        snprintf(text + at, n - (size_t)at, " +- %.*f", digits, scale * e->ci95);
}

static void list_text(const char *name, const char *format, const double *v, int n, char *text,
                      size_t room)
{
    size_t at = (size_t)snprintf(text, room, "  %s", name);

    for (int i = 0; i < n && i < SHOWN && at < room; i++) {
        at += (size_t)snprintf(text + at, room - at, i ? ", " : " ");
        if (at < room)
            at += (size_t)snprintf(text + at, room - at, format, v[i]);
    }
    if (n > SHOWN && at < room)
        snprintf(text + at, room - at, " ...");
}

void evaluation_fits_text(const struct evaluation *e, char *text, size_t n)
{
    size_t at;

    *text = '\0';
    if (e->n_fits == 0)
        return;
    list_text("rmse", "%.4g", e->rmse, e->n_fits, text, n);
    at = strlen(text);
    list_text("R2", "%.3f", e->r2, e->n_fits, text + at, n - at);
}

bool evaluate_round(const struct setup *s, const struct stage *stage, int data, int64_t episodes,
                    uint64_t round, const real *theta, const real *anchor, struct round *r)
{
    uint32_t amount = stage->measured->amount(s, stage, data, episodes);
    int model = stage_model(s, stage, data);

    *r = (struct round){
        .stage = stage,
        .purpose = PURPOSE_EVALUATE,
        .data = data,
        .round = round,
        .n_tasks = stage->measured->count(stage, amount),
        .amount = amount,
        .theta = theta + (size_t)(model > 0 ? model : 0) * stage->model.n,
        .anchor = anchor,
    };
    return model >= 0;
}

static int take_curve(struct evaluation *e)
{
    size_t n = (size_t)e->steps + 1, fits = 2 * (size_t)e->n_fits;

    e->loss = malloc(2 * n * sizeof *e->loss + fits * sizeof *e->rmse);
    if (!e->loss)
        return err(ERR_MEMORY, "no memory for a curve of %d inner steps", e->steps);
    e->accuracy = e->loss + n;
    e->rmse = (double *)(void *)(e->accuracy + n);
    e->r2 = e->rmse + e->n_fits;
    return 0;
}

static void take_fit(const struct round *r, const struct round_sum *t, int j, struct evaluation *e)
{
    struct target_scale scale = scale_targets(r->stage, r->theta);
    int at = r->stage->fit_metrics + FIT_SUMS * j;
    double n = round_sum_read(t, at + FIT_KNOWN), error = round_sum_read(t, at + FIT_ERROR);
    double sum = round_sum_read(t, at + FIT_SUM);
    double spread = round_sum_read(t, at + FIT_SQUARE) - (n > 0 ? sum * sum / n : 0);

    e->rmse[j] = n > 0 ? sqrt(error / n) * (scale.n ? scale.deviation[j] : 1) : NAN;
    e->r2[j] = spread > 0 ? 1 - error / spread : NAN;
}

int evaluation_of(const struct round *r, const struct round_sum *total, struct evaluation *e)
{
    const struct stage *stage = r->stage;
    double n = round_sum_measured(total, stage->measured->counted);

    *e = (struct evaluation){.steps = stage->evaluate_steps,
                             .kind = stage->measured,
                             .episodes = (uint64_t)n,
                             .failed = (uint64_t)round_sum_read(total, METRIC_FAILED),
                             .has_accuracy = loss_has_accuracy(&stage->net.loss),
                             .n_fits = stage->n_fits,
                             .transductive = stage_is_transductive(stage)};
    if (n == 0)
        return err(ERR_NONFINITE, "none of %u %s of stage '%s' had a finite loss to measure",
                   r->n_tasks, stage->measured->tasks, stage->config->name);
    for (int i = 0; i < 2; i++)
        e->sizes[i] = stage->drawn.n_sizes ? drawn_read(stage, total, i) : NAN;
    TRY(take_curve(e));
    for (int k = 0; k <= e->steps; k++) {
        e->loss[k] = estimate_of(total, metric_curve(k, CURVE_LOSS), n);
        e->accuracy[k] = estimate_of(total, metric_curve(k, CURVE_ACCURACY), n);
    }
    e->has_inductive = stage->inductive_metrics > 0;
    if (e->has_inductive) {
        e->inductive_loss = estimate_of(total, stage->inductive_metrics + CURVE_LOSS, n);
        e->inductive_accuracy = estimate_of(total, stage->inductive_metrics + CURVE_ACCURACY, n);
    }
    for (int j = 0; j < e->n_fits; j++)
        take_fit(r, total, j, e);
    return 0;
}

int evaluate(struct crew *c, const struct round *r, struct evaluation *e)
{
    struct round_sum total;

    TRY(crew_round(c, r, &total));
    return evaluation_of(r, &total, e);
}

void evaluation_release(struct evaluation *e)
{
    free(e->loss);
    *e = (struct evaluation){0};
}
