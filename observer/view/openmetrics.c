/* openmetrics.c - /metrics: each family in one piece, with the latest value of every curve. */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "observer/view/api.h"

static void label(FILE *f, const char *name, const char *value, const char *end)
{
    fprintf(f, "%s=\"", name);
    for (; *value; value++)
        if (*value == '"' || *value == '\\')
            fprintf(f, "\\%c", *value);
        else
            fputc(*value, f);
    fprintf(f, "\"%s", end);
}

static void value_write(FILE *f, double x)
{
    if (isfinite(x))
        fprintf(f, " %.9g\n", x);
    else
        fputs(isnan(x) ? " NaN\n" : x > 0 ? " +Inf\n" : " -Inf\n", f);
}

static void family(FILE *f, const char *name, const char *type, const char *help)
{
    fprintf(f, "# TYPE %s %s\n# HELP %s %s\n", name, type, name, help);
}

/* Runs with the same name differ in their id. */
static void run_labels(FILE *f, const struct runs *runs, const struct run *r, const char *end)
{
    char key[KEY];

    run_key(runs, r, key, sizeof key);
    label(f, "run", r->name, ",");
    label(f, "run_id", key, ",");
    label(f, "source", r->source, end);
}

/* ---- of a run ---- */

static double run_up(const struct run *r)
{
    return r->state == RUN_LIVE;
}

static double run_ended(const struct run *r)
{
    return r->state == RUN_ENDED;
}

static double run_stage(const struct run *r)
{
    return r->stage;
}

static double run_round(const struct run *r)
{
    return r->stage < 0 ? NAN : (double)r->stages[r->stage].round;
}

static double run_rounds(const struct run *r)
{
    return r->stage < 0 ? NAN : (double)r->stages[r->stage].rounds;
}

static double run_events(const struct run *r)
{
    return (double)r->events;
}

static double run_failed(const struct run *r)
{
    return (double)r->failed;
}

static double run_lost(const struct run *r)
{
    return (double)r->lost;
}

static const struct {
    const char *name, *type, *suffix, *help;
    double (*value)(const struct run *r);
} of_run[] = {
    {"metaloop_run_live", "gauge", "", "1 while the run sends events", run_up},
    {"metaloop_run_ended", "gauge", "", "1 after the run has ended", run_ended},
    {"metaloop_run_stage", "gauge", "", "index of the current stage", run_stage},
    {"metaloop_run_round", "gauge", "", "rounds done in the current stage", run_round},
    {"metaloop_run_rounds", "gauge", "", "rounds of the current stage", run_rounds},
    {"metaloop_run_events", "counter", "_total", "events seen", run_events},
    {"metaloop_run_tasks_set_aside", "counter", "_total", "tasks that failed", run_failed},
    {"metaloop_run_events_missing", "counter", "_total", "events that were lost on the way",
     run_lost},
};

static void runs_write(FILE *f, const struct runs *runs)
{
    for (size_t k = 0; k < sizeof of_run / sizeof *of_run; k++) {
        family(f, of_run[k].name, of_run[k].type, of_run[k].help);
        for (int i = 0; i < runs->n; i++) {
            fprintf(f, "%s%s{", of_run[k].name, of_run[k].suffix);
            run_labels(f, runs, &runs->sources[i].run, "}");
            value_write(f, of_run[k].value(&runs->sources[i].run));
        }
    }
}

/* ---- of workers ---- */

static double worker_figure(const struct worker_seen *w, int k)
{
    const double figures[] = {w->up, w->tasks, w->tasks_per_second, w->busy,
                              w->memory_mib * 1048576};

    return figures[k];
}

static void workers_write(FILE *f, const struct runs *runs)
{
    static const char *const names[] = {"up", "tasks", "tasks_per_second", "busy_ratio",
                                        "memory_bytes"};
    char name[64];

    for (int k = 0; k < 5; k++) {
        snprintf(name, sizeof name, "metaloop_worker_%s", names[k]);
        family(f, name, "gauge", "latest value of a rank");
        for (int i = 0; i < runs->n; i++)
            for (int j = 0; j < runs->sources[i].run.n_workers; j++) {
                const struct worker_seen *w = &runs->sources[i].run.workers[j];

                if (!isfinite(worker_figure(w, k)))
                    continue;
                fprintf(f, "%s{rank=\"%" PRId64 "\",", name, w->rank);
                label(f, "host", w->host, ",");
                run_labels(f, runs, &runs->sources[i].run, "}");
                value_write(f, worker_figure(w, k));
            }
    }
}

/* ---- of curves ---- */

/* false: the name would collide with one of those above. */
static bool series_family(const struct series *s, char *name, size_t n)
{
    bool plain = strcmp(s->group, "round") == 0;

    if (plain && (strncmp(s->field, "run_", 4) == 0 || strncmp(s->field, "worker_", 7) == 0))
        return false;
    snprintf(name, n, "metaloop_%s%s%s", plain ? "" : s->group, plain ? "" : "_", s->field);
    return true;
}

static void series_write(FILE *f, const struct runs *runs, const struct run *r,
                         const struct series *s, const char *name)
{
    const struct curve_point *last = &s->points[s->n - 1];

    for (int spread = 0; spread <= isfinite(last->spread); spread++) {
        fprintf(f, "%s{", name);
        run_labels(f, runs, r, ",");
        label(f, "stage", r->stages[s->stage].name, "");
        if (*s->of)
            label(f, ",of", s->of, "");
        if (s->step >= 0)
            fprintf(f, ",step=\"%d\"", s->step);
        if (isfinite(last->spread))
            fprintf(f, ",statistic=\"%s\"", spread ? "ci95" : "mean");
        fputs("}", f);
        value_write(f, spread ? last->spread : last->value);
    }
}

static bool is_first(const struct runs *runs, int run, int series, const char *name)
{
    char other[160];

    for (int i = 0; i <= run; i++)
        for (int k = 0; k < (i == run ? series : runs->sources[i].run.n_series); k++)
            if (series_family(runs->sources[i].run.series[k], other, sizeof other) &&
                strcmp(other, name) == 0)
                return false;
    return true;
}

/* Writes a family's samples, when the first series with its name is reached. */
static void family_write(FILE *f, const struct runs *runs, const char *name)
{
    char other[160];

    family(f, name, "gauge", "latest value");
    for (int i = 0; i < runs->n; i++)
        for (int k = 0; k < runs->sources[i].run.n_series; k++) {
            const struct series *s = runs->sources[i].run.series[k];

            if (s->n > 0 && series_family(s, other, sizeof other) && strcmp(other, name) == 0)
                series_write(f, runs, &runs->sources[i].run, s, name);
        }
}

char *api_openmetrics(const struct runs *runs, size_t *n)
{
    char *text = NULL, name[160];
    FILE *f = open_memstream(&text, n);

    if (!f)
        return NULL;
    runs_write(f, runs);
    workers_write(f, runs);
    for (int i = 0; i < runs->n; i++)
        for (int k = 0; k < runs->sources[i].run.n_series; k++)
            if (series_family(runs->sources[i].run.series[k], name, sizeof name) &&
                is_first(runs, i, k, name))
                family_write(f, runs, name);
    fputs("# EOF\n", f);
    fclose(f);
    return text;
}
