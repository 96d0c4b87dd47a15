/* model_series.c - curves of at most POINTS_MAX points. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/err.h"
#include "observer/model/model_internal.h"

static bool series_is(const struct series *s, const struct series_key *k)
{
    return s->stage == k->stage && s->step == k->step && strcmp(s->field, k->field) == 0 &&
           strcmp(s->group, k->group) == 0 && strcmp(s->of, k->of) == 0;
}

static struct series *series_find(const struct run *r, const struct series_key *k)
{
    for (int i = 0; i < r->n_series; i++)
        if (series_is(r->series[i], k))
            return r->series[i];
    return NULL;
}

static struct series *series_new(const struct series_key *k)
{
    struct series *s = malloc(sizeof *s);

    if (!s)
        return NULL;
    *s = (struct series){.step = k->step, .stage = k->stage, .stride = 1};
    snprintf(s->group, sizeof s->group, "%s", k->group);
    snprintf(s->of, sizeof s->of, "%s", k->of);
    snprintf(s->field, sizeof s->field, "%s", k->field);
    return s;
}

void series_free(struct series *s)
{
    free(s->points);
    free(s);
}

/* Events of one kind name the same curves in the same order, so the search starts at the next
 * one. */
static struct series *series_follows(struct run *r, const struct series_key *k)
{
    int i = r->next_series < r->n_series ? r->next_series : 0;

    if (r->n_series == 0 || !series_is(r->series[i], k))
        for (i = 0; i < r->n_series && !series_is(r->series[i], k);)
            i++;
    r->next_series = i + 1;
    return i < r->n_series ? r->series[i] : NULL;
}

int series_get(struct run *r, const struct series_key *key, struct series **found)
{
    *found = series_follows(r, key);
    if (*found)
        return 1;
    if (r->n_series == SERIES_MAX) {
        model_left_out(r, OUT_SERIES);
        return 0;
    }
    if (strlen(key->field) >= NAME || strlen(key->group) >= 16) {
        r->refused++;
        return 0;
    }
    *found = series_new(key);
    if (!*found)
        return err(ERR_MEMORY, "no memory for a curve");
    r->series[r->n_series++] = *found;
    return 1;
}

/* Drops every second point, now and in future. */
static void series_halve(struct series *s)
{
    for (int i = 0; i < s->n / 2; i++)
        s->points[i] = s->points[2 * i];
    s->n /= 2;
    s->stride *= 2;
}

static void series_rewind(struct series *s, uint64_t round)
{
    while (s->n > 0 && s->points[s->n - 1].round >= round) {
        s->n--;
        s->provisional = false;
    }
    s->seen = (uint64_t)s->n * s->stride;
}

/* Room for one more point. */
static int series_grow(struct series *s)
{
    struct curve_point *points;

    if (s->n & (s->n - 1)) /* it doubles at 0, 1, 2, 4, 8 ... */
        return 0;
    points = realloc(s->points, (s->n ? 2 * (size_t)s->n : 1) * sizeof *points);
    if (!points)
        return err(ERR_MEMORY, "no memory for a curve");
    s->points = points;
    return 0;
}

int series_add(struct run *r, struct series *s, uint64_t round, double value, double spread)
{
    if (s->n > 0 && s->points[s->n - 1].round >= round)
        series_rewind(s, round);
    if (s->provisional)
        s->n--;
    if (s->n == POINTS_MAX)
        series_halve(s);
    TRY(series_grow(s));
    s->provisional = s->seen % s->stride != 0;
    s->points[s->n++] = (struct curve_point){round, value, spread, ++r->serial};
    s->seen++;
    return 0;
}

/* "accuracy_ci95" belongs to "accuracy". */
static double spread_of(const struct event *e, const char *key)
{
    char name[NAME + 8];

    snprintf(name, sizeof name, "%.*s_ci95", NAME, key);
    return event_number(e, name, NAN);
}

static bool is_left_out(const char *key, const char *const *names)
{
    size_t n = strlen(key);

    for (; *names; names++)
        if (strcmp(key, *names) == 0)
            return true;
    return n > 5 && strcmp(key + n - 5, "_ci95") == 0;
}

int series_event(struct run *r, const struct event *e, int stage, const char *of, int step,
                 const char *const *but)
{
    int64_t round = event_integer(e, "round", -1);

    if (stage < 0 || round < 0)
        return 0;
    for (struct value v = {0}; event_next(e, &v);) {
        const char *name = v.field->key;
        struct series_key key = {stage, e->kind, of, v.step >= 0 ? v.step : step, name};
        struct series *s;

        if (is_left_out(name, but))
            continue;
        int there = series_get(r, &key, &s);
        TRY(there);
        if (there)
            TRY(series_add(r, s, (uint64_t)round, v.number, spread_of(e, name)));
    }
    return 0;
}

const struct series *model_series(const struct run *r, int stage, const char *group, const char *of,
                                  int step, const char *field)
{
    return series_find(r, &(struct series_key){stage, group, of, step, field});
}

void series_name(const struct series *s, char *text, size_t n)
{
    char step[24] = "";
    bool plain = strcmp(s->group, "round") == 0;

    if (s->step >= 0)
        snprintf(step, sizeof step, plain ? "/step%d" : "step%d/", s->step);
    if (plain)
        snprintf(text, n, "%s%s", s->field, step);
    else
        snprintf(text, n, "%s/%s%s%s%s", s->group, s->of, *s->of ? "/" : "", step, s->field);
}

double series_last(const struct series *s)
{
    return s && s->n > 0 ? s->points[s->n - 1].value : NAN;
}

bool series_tells(const struct series *s)
{
    for (int i = 0; s && i < s->n; i++)
        if (s->points[i].value != 0)
            return true;
    return false;
}
