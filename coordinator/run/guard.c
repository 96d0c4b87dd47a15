/* guard.c - scores, alarms, and the best safe encoder of a stage. */
#include "coordinator/run/guard.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/err.h"
#include "core/plan/metric.h"
#include "core/plan/task_kind.h"

#define COLLAPSED 0.5   /* of the source's spread of classes */
#define SWAP_SHARE 0.02 /* sure samples that a class needs to be judged */
#define WINS 0.98       /* share of the discriminator's right answers */

/* ---- a measurement ---- */

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

/* True if, for some class, more of the samples that the source encoder was sure of now go to one
 * other class than stay. */
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

static void watch_classes(const double *sums, int c, struct watch *w)
{
    double n = sums[WATCH_SAMPLES], ours[WATCH_CLASSES_MAX] = {0}, source[WATCH_CLASSES_MAX] = {0};

    for (int k = 0; k < c; k++)
        ours[k] = sums[WATCH_CLASSES + k] / n, source[k] = sums[WATCH_CLASSES + c + k] / n;
    w->spread = entropy_of(c, ours);
    w->prior = divergence(c, ours, source);
    w->score = w->spread - w->entropy - w->prior;
    if (w->spread < COLLAPSED * entropy_of(c, source))
        w->alarms |= ALARM_COLLAPSE;
    if (c <= WATCH_MOVES_MAX && is_swapped(c, sums + WATCH_CLASSES + 2 * c, sums[WATCH_SURE]))
        w->alarms |= ALARM_SWAP;
}

void guard_judge(const struct stage *stage, const double *sums, double batches, struct watch *w)
{
    double n = sums[WATCH_SAMPLES];

    *w = (struct watch){
        .entropy = sums[WATCH_ENTROPY] / n,
        .agreement = sums[WATCH_AGREE] / n,
        .discrepancy = sums[WATCH_DISCREPANCY] / batches,
        .right_source = sums[WATCH_DISCRIMINATOR_SOURCE] / n,
        .right_target = sums[WATCH_DISCRIMINATOR_TARGET] / n,
    };
    w->score = -w->discrepancy;
    if (!stage->measured->few_shot && stage->net.n_out <= WATCH_CLASSES_MAX)
        watch_classes(sums, stage->net.n_out, w);
    if ((w->right_source > WINS && w->right_target > WINS) ||
        w->right_source + w->right_target < 2 * (1 - WINS))
        w->alarms |= ALARM_DISCRIMINATOR;
}

/* ---- the best ---- */

static bool is_safe(const struct watch *w)
{
    return !(w->alarms & (ALARM_COLLAPSE | ALARM_SWAP));
}

static void keep_model(struct guard *g, size_t n, int b, const real *theta, double score)
{
    memcpy(g->best + (size_t)b * n, theta, n * sizeof(real));
    g->best_score[b] = score;
}

void guard_note(struct guard *g, size_t n, int b, const real *theta, const struct watch *w)
{
    if (is_safe(w) && w->score > g->best_score[b])
        keep_model(g, n, b, theta, w->score);
}

bool guard_accepts(const struct guard *g, int b, const struct watch *last, bool best)
{
    double least = g->source_only[b].score;

    if (best)
        least = fmax(least, g->best_score[b]);
    return is_safe(last) && last->score >= least;
}

unsigned guard_news(struct guard *g, const struct watch *w)
{
    unsigned news = w->alarms & ~g->told;

    g->told |= news;
    return news;
}

/* ---- room ---- */

bool guard_wanted(const struct stage *stage)
{
    return stage->traits->adapts && stage->anchor >= 0 && strcmp(stage->config->guard, "off") != 0;
}

int guard_take(struct guard *g, const struct stage *stage)
{
    *g = (struct guard){.active = true};
    g->best = malloc(stage->layout.n * sizeof(real));
    g->model = malloc(stage->model.n * sizeof(real));
    return g->best && g->model ? 0
                               : err(ERR_MEMORY, "no memory for %zu parameters", stage->layout.n);
}

const real *guard_source(struct guard *g, const struct stage *stage, int b, const real *theta,
                         const real *anchor)
{
    size_t n = stage->model.n;

    memcpy(g->model, theta + (size_t)b * n, n * sizeof(real));
    memcpy(g->model, anchor, stage->net.layout.n * sizeof(real));
    return g->model;
}

void guard_begin(struct guard *g, const struct stage *stage, const real *theta, const real *anchor)
{
    for (int b = 0; b < stage->n_models; b++)
        keep_model(g, stage->model.n, b, guard_source(g, stage, b, theta, anchor), -INFINITY);
}

void guard_close(struct guard *g)
{
    free(g->best);
    free(g->model);
    *g = (struct guard){0};
}
