/* api.c - the model as JSON; numbers that are not finite become null. */
#include "observer/view/api.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "observer/view/chart.h"

enum { NOTES_SENT = 60 };

static json_t *number(double x)
{
    return isfinite(x) ? json_real(x) : json_null();
}

static json_t *count(uint64_t n)
{
    return json_integer((json_int_t)n);
}

static int index_of(const struct run *r, const struct series *s)
{
    int i = 0;

    while (r->series[i] != s)
        i++;
    return i;
}

static json_t *chart_json(const struct run *r, const struct chart *c)
{
    json_t *curves = json_array();
    char title[CHART_NAME];

    for (int k = 0; k < c->n; k++)
        json_array_append_new(curves, json_pack("{s:s, s:i}", "name", c->names[k], "series",
                                                index_of(r, c->curves[k])));
    chart_name(title, sizeof title, c);
    return json_pack("{s:s, s:b, s:b, s:o}", "title", title, "share", c->share, "noisy", c->noisy,
                     "curves", curves);
}

static json_t *charts_json(const struct run *r, int stage)
{
    int n;
    struct chart *charts = charts_of(r, stage, &n);
    json_t *all = json_array();

    for (int i = 0; i < n; i++)
        json_array_append_new(all, chart_json(r, &charts[i]));
    free(charts);
    return all;
}

static json_t *stages_json(const struct run *r)
{
    json_t *all = json_array();

    for (int i = 0; i < r->n_stages; i++) {
        const struct stage_seen *s = &r->stages[i];

        json_array_append_new(all, json_pack("{s:s, s:s, s:b, s:o, s:o, s:o, s:o, s:o}", "name",
                                             s->name, "method", s->method, "started", s->started,
                                             "from", count(s->from), "rounds", count(s->rounds),
                                             "round", count(s->round), "parameters",
                                             count(s->parameters), "charts", charts_json(r, i)));
    }
    return all;
}

static json_t *workers_json(const struct run *r)
{
    json_t *all = json_array();

    for (int i = 0; i < r->n_workers; i++) {
        const struct worker_seen *w = &r->workers[i];

        json_array_append_new(
            all, json_pack("{s:I, s:s, s:s, s:b, s:o, s:o, s:o, s:o}", "rank", (json_int_t)w->rank,
                           "host", w->host, "state", w->state, "up", w->up, "tasks",
                           number(w->tasks), "tasks_per_second", number(w->tasks_per_second),
                           "busy", number(w->busy), "memory_mib", number(w->memory_mib)));
    }
    return all;
}

static json_t *evaluations_json(const struct run *r)
{
    json_t *all = json_array();

    for (int i = 0; i < r->n_evaluations; i++) {
        const struct evaluated *v = &r->evaluations[i];

        json_array_append_new(all, json_pack("{s:i, s:s, s:i, s:o, s:o, s:b, s:o, s:o, s:o, s:o}",
                                             "stage", v->stage, "data", v->data, "step", v->step,
                                             "round", count(v->round), "n", count(v->n), "samples",
                                             v->samples, "accuracy", number(v->accuracy),
                                             "accuracy_ci95", number(v->accuracy_ci95), "loss",
                                             number(v->loss), "loss_ci95", number(v->loss_ci95)));
    }
    return all;
}

static json_t *notes_json(const struct run *r)
{
    static const char *const levels[] = {"log", "alarm", "fault"};
    uint64_t kept = r->n_notes < NOTES_MAX ? r->n_notes : NOTES_MAX,
             n = kept < NOTES_SENT ? kept : NOTES_SENT;
    json_t *all = json_array();

    for (uint64_t i = r->n_notes - n; i < r->n_notes; i++) {
        const struct note *o = &r->notes[i % NOTES_MAX];

        json_array_append_new(all, json_pack("{s:s, s:f, s:i, s:o, s:o, s:s}", "level",
                                             levels[o->level], "time", o->time, "stage", o->stage,
                                             "round", count(o->round), "count", count(o->count),
                                             "text", o->text));
    }
    return all;
}

/* The last values of curves that belong to a target: the guard's measurements. */
static json_t *watch_json(const struct run *r)
{
    json_t *all = json_array();

    for (int i = 0; i < r->n_series; i++) {
        const struct series *s = r->series[i];

        if (s->n > 0 && strcmp(s->group, "watch") == 0)
            json_array_append_new(all, json_pack("{s:i, s:s, s:s, s:o, s:o}", "stage", s->stage,
                                                 "target", s->of, "field", s->field, "round",
                                                 count(s->points[s->n - 1].round), "value",
                                                 number(series_last(s))));
    }
    return all;
}

static json_t *facts_json(const struct run *r)
{
    json_t *all = json_object();

    for (int i = 0; i < r->n_facts; i++)
        json_object_set_new(all, r->facts[i].key, json_string(r->facts[i].value));
    return all;
}

static json_t *run_json(const struct runs *runs, const struct run *r, double now)
{
    char key[KEY], label[NAME + KEY];

    run_key(runs, r, key, sizeof key);
    run_label(runs, r, label, sizeof label);
    json_t *o = json_pack("{s:s, s:s, s:s, s:b, s:s, s:s, s:s, s:i}", "name", r->name, "source",
                          r->source, "state", run_state_name(r), "well", r->well, "end", r->end,
                          "digest", r->digest, "checkpoint", r->checkpoint, "stage", r->stage);
    const struct {
        const char *key;
        json_t *value;
    } more[] = {
        {"run_id", json_string(key)},
        {"label", json_string(label)},
        {"left", number(run_left(r, now))},
        {"time", number(r->time)},
        {"generation", count(r->generation)},
        {"serial", count(r->serial)},
        {"events", count(r->events)},
        {"refused", count(r->refused)},
        {"failed", count(r->failed)},
        {"lost", count(r->lost)},
        {"stages", stages_json(r)},
        {"workers", workers_json(r)},
        {"evaluations", evaluations_json(r)},
        {"watch", watch_json(r)},
        {"notes", notes_json(r)},
        {"facts", facts_json(r)},
        {"configuration", json_boolean(r->configuration != NULL)},
    };

    for (size_t i = 0; i < sizeof more / sizeof *more; i++)
        json_object_set_new(o, more[i].key, more[i].value);
    return o;
}

json_t *api_runs(const struct runs *runs, double now)
{
    json_t *all = json_array();

    for (int i = 0; i < runs->n; i++)
        json_array_append_new(all, run_json(runs, &runs->sources[i].run, now));
    return json_pack("{s:o}", "runs", all);
}

static void number_write(FILE *f, double x)
{
    if (isfinite(x))
        fprintf(f, "%.9g", x);
    else
        fputs("null", f);
}

/* Written directly, because a tree of many points would take too much memory. */
static void points_write(FILE *f, const struct series *s, uint64_t since)
{
    int from = s->n;

    while (from > 0 && s->points[from - 1].serial > since)
        from--;
    for (int i = from; i < s->n; i++) {
        const struct curve_point *p = &s->points[i];

        fprintf(f, "%s[%" PRIu64 ",", i > from ? "," : "", p->round);
        number_write(f, p->value);
        fputc(',', f);
        number_write(f, p->spread);
        fputc(']', f);
    }
}

static bool series_write(FILE *f, const struct run *r, int i, uint64_t since, bool first)
{
    const struct series *s = r->series[i];
    char name[4 * NAME], *head;

    if (s->n == 0 || s->points[s->n - 1].serial <= since)
        return false;
    series_name(s, name, sizeof name);
    json_t *o =
        json_pack("{s:i, s:i, s:s, s:s, s:s, s:i, s:s}", "series", i, "stage", s->stage, "name",
                  name, "kind", s->group, "of", s->of, "step", s->step, "field", s->field);
    head = o ? json_dumps(o, JSON_COMPACT) : NULL;
    json_decref(o);
    if (!head)
        return false;
    fprintf(f, "%s%.*s,\"points\":[", first ? "" : ",", (int)strlen(head) - 1, head);
    points_write(f, s, since);
    fputs("]}", f);
    free(head);
    return true;
}

void api_series(FILE *f, const struct runs *runs, int run, uint64_t since)
{
    const struct run *r = &runs->sources[run].run;
    bool first = true;

    fprintf(f, "{\"run\":%d,\"generation\":%" PRIu64 ",\"serial\":%" PRIu64 ",\"series\":[", run,
            r->generation, r->serial);
    for (int i = 0; i < r->n_series; i++)
        first &= !series_write(f, r, i, since, first);
    fputs("]}", f);
}
