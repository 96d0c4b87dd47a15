/* chart.c - a table of the curves that share a chart. */
#include "observer/view/chart.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/stream/event.h"

static const struct {
    const char *title;
    bool share, noisy;
    const char *group;
    const char *fields[4], *names[3];
} table[] = {
    {"loss", false, true, "round", {"loss", "support_loss"}, {"after", "before"}},
    {"accuracy", true, true, "round", {"accuracy"}, {"after"}},
    {"discriminator", false, true, "adaptation", {"discriminator_loss"}, {"loss"}},
    {"discriminator right",
     true,
     true,
     "adaptation",
     {"right_source", "right_target"},
     {"source", "target"}},
    {"discrepancy", false, true, "adaptation", {"discrepancy"}, {"discrepancy"}},
    {"target score", false, false, "watch", {"score", "score_best"}, {"score", "best"}},
    {"gradient norm", false, true, "round", {"gradient_norm"}, {"norm"}},
    {"tasks per second", false, true, "round", {"tasks_per_second"}, {"tasks/s"}},
    {"learning rate", false, false, "round", {"rate"}, {"rate"}},
};
/* Those of the table, one of evaluations, two of inner steps; and the one being looked at. */
enum { FIXED = sizeof table / sizeof *table + 4 };

static void chart_add(struct chart *c, const struct series *s, const char *name)
{
    if (!series_tells(s))
        return;
    if (c->n == CHART_CURVES) {
        c->left_out++;
        return;
    }
    c->curves[c->n] = s;
    c->names[c->n++] = name;
}

/* Evaluations after the last inner step, one curve per data section. */
static void chart_evaluations(const struct run *r, int stage, const char *field, struct chart *c)
{
    for (int i = 0; i < r->n_series; i++) {
        const struct series *s = r->series[i];

        if (s->stage == stage && strcmp(s->group, "evaluation") == 0 &&
            strcmp(s->field, field) == 0 &&
            !model_series(r, stage, "evaluation", s->of, s->step + 1, field))
            chart_add(c, s, s->of);
    }
}

static void chart_fill(const struct run *r, int stage, const char *group, const char *field,
                       const char *name, struct chart *c)
{
    for (int i = 0; i < r->n_series; i++) {
        const struct series *s = r->series[i];

        if (s->stage == stage && strcmp(s->group, group) == 0 && strcmp(s->field, field) == 0)
            chart_add(c, s, name);
    }
}

static int charts_evaluated(const struct run *r, int stage, struct chart *charts)
{
    *charts = (struct chart){.title = "evaluation accuracy", .share = true};
    chart_evaluations(r, stage, "accuracy", charts);
    if (charts->n)
        return 1;
    *charts = (struct chart){.title = "evaluation loss"};
    chart_evaluations(r, stage, "loss", charts);
    return charts->n > 0;
}

/* Values before each of the first inner steps. If there is only one, it is before the
 * adaptation. */
static int charts_steps(const struct run *r, int stage, struct chart *charts)
{
    static const char *const fields[] = {"support_losses", "support_accuracies"},
                             *const titles[] = {"support loss by step", "support accuracy by step"},
                             *const names[] = {"step 0", "step 1", "step 2", "step 3", "step 4"};
    int n = 0;

    for (int i = 0; i < 2; i++) {
        struct chart *c = &charts[n];

        *c = (struct chart){.title = titles[i], .share = i == 1, .noisy = true};
        for (int k = 0; k < 5; k++)
            chart_add(c, model_series(r, stage, "round", "", k, fields[i]), names[k]);
        n += c->n > 1;
    }
    return n;
}

static bool is_in_table(const char *field)
{
    for (size_t i = 0; i < sizeof table / sizeof *table; i++)
        for (int k = 0; k < 3 && table[i].fields[k]; k++)
            if (strcmp(table[i].group, "round") == 0 && strcmp(table[i].fields[k], field) == 0)
                return true;
    return false;
}

/* A metric of the stage's method: a number of its rounds that Event has no field for. */
static bool is_own(const struct series *s, int stage)
{
    return s->stage == stage && strcmp(s->group, "round") == 0 && s->step < 0 &&
           !is_in_table(s->field) && !stream_event_has("round", s->field);
}

/* charts: room for one of each curve of the run. */
static int charts_own(const struct run *r, int stage, struct chart *charts)
{
    int n = 0;

    for (int i = 0; i < r->n_series; i++) {
        const struct series *s = r->series[i];

        if (!is_own(s, stage))
            continue;
        charts[n] = (struct chart){.title = s->field, .noisy = true};
        chart_add(&charts[n], s, s->field);
        n += charts[n].n > 0;
    }
    return n;
}

/* charts: room for FIXED. */
static int charts_fixed(const struct run *r, int stage, struct chart *charts)
{
    int n = 0;

    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        struct chart *c = &charts[n];

        *c = (struct chart){
            .title = table[i].title, .share = table[i].share, .noisy = table[i].noisy};
        for (int k = 0; k < 3 && table[i].fields[k]; k++)
            chart_fill(r, stage, table[i].group, table[i].fields[k], table[i].names[k], c);
        n += c->n > 0;
        if (i == 1) {
            n += charts_evaluated(r, stage, &charts[n]);
            n += charts_steps(r, stage, &charts[n]);
        }
    }
    return n;
}

struct chart *charts_of(const struct run *r, int stage, int *n)
{
    struct chart *charts = malloc((FIXED + (size_t)r->n_series) * sizeof *charts);

    *n = 0;
    if (!charts)
        return NULL;
    *n = charts_fixed(r, stage, charts);
    *n += charts_own(r, stage, charts + *n);
    return charts;
}

void chart_name(char *text, size_t n, const struct chart *c)
{
    if (c->left_out > 0)
        snprintf(text, n, "%s (%d more)", c->title, c->left_out);
    else
        snprintf(text, n, "%s", c->title);
}

double range_value(const struct range *g, double value)
{
    if (!isfinite(value) || (g->log && value <= 0))
        return NAN;
    return g->log ? log10(value) : value;
}

double range_place(const struct range *g, uint64_t round)
{
    return g->last > g->first ? (double)(round - g->first) / (double)(g->last - g->first) : 0.5;
}

static void range_take(struct range *g, const struct series *s)
{
    for (int i = 0; i < s->n; i++) {
        const struct curve_point *p = &s->points[i];
        double spread = isfinite(p->spread) ? p->spread : 0;

        g->low = fmin(g->low, range_value(g, p->value - spread)); /* fmin and fmax skip NAN */
        g->high = fmax(g->high, range_value(g, p->value + spread));
    }
    if (s->points[0].round < g->first)
        g->first = s->points[0].round;
    if (s->points[s->n - 1].round > g->last)
        g->last = s->points[s->n - 1].round;
}

static bool all_positive(const struct chart *c)
{
    for (int k = 0; k < c->n; k++)
        for (int i = 0; i < c->curves[k]->n; i++)
            if (!(c->curves[k]->points[i].value > 0))
                return false;
    return true;
}

/* Adds a margin, but not below 0, nor above 1 for a share, if no value is there. */
static void range_widen(struct range *g, bool share)
{
    double top = g->log ? 0 : 1;
    double margin = g->high > g->low    ? 0.02 * (g->high - g->low)
                    : fabs(g->high) > 0 ? 0.1 * fabs(g->high)
                                        : 1;

    g->low = !g->log && g->low >= 0 && g->low < margin ? 0 : g->low - margin;
    g->high = share && g->high <= top && g->high + margin > top ? top : g->high + margin;
}

struct range chart_range(const struct chart *c, bool log)
{
    struct range g = {
        .low = INFINITY, .high = -INFINITY, .first = UINT64_MAX, .log = log && all_positive(c)};

    for (int k = 0; k < c->n; k++)
        range_take(&g, c->curves[k]);
    if (!(g.low <= g.high))
        g.low = g.high = 0;
    range_widen(&g, c->share);
    return g;
}

void chart_figure(char *text, size_t n, const struct chart *c, double value)
{
    double size = fabs(value);

    if (!isfinite(value))
        snprintf(text, n, "-");
    else if (c->share)
        snprintf(text, n, "%.1f %%", 100 * value);
    else if (size != 0 && (size < 0.001 || size >= 1e6))
        snprintf(text, n, "%.1e", value);
    else
        snprintf(text, n, "%.*f", size >= 100 ? 0 : size >= 10 ? 1 : 3, value);
}
