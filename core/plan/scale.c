/* scale.c - given numbers, or those of the training section, into a stage's constants. */
#include "core/plan/scale.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/err.h"
#include "core/base/plural.h"
#include "core/data/moments.h"
#include "core/plan/hand_over.h"

/* ---- what is asked for ---- */

static bool is_computed(const struct strings *list)
{
    return scale_wanted(list) && strcmp(list->items[0], "computed") == 0;
}

static bool same_lists(const struct strings *a, const struct strings *b)
{
    for (int i = 0; i < a->n && a->n == b->n; i++)
        if (strcmp(a->items[i], b->items[i]) != 0)
            return false;
    return a->n == b->n;
}

/* Item i of a list of numbers: the means of all columns, then their deviations. */
static double number(const struct strings *list, int i)
{
    return strtod(list->items[i], NULL);
}

static int check_number(const char *where, const char *key, const struct strings *list, int i)
{
    const char *item = list->items[i];
    char *end;
    double x = strtod(item, &end);

    if (end == item || *end || item[strspn(item, "0123456789+-.eE")] || !isfinite(x))
        return err(ERR_CONFIG,
                   "stage '%s': '%s' is '%s', must be none, computed, or means and deviations",
                   where, key, item);
    if (i >= list->n / 2 && x <= 0)
        return err(ERR_CONFIG, "stage '%s': '%s' has the deviation %s, must be above 0", where, key,
                   item);
    return 0;
}

static int check_list(const char *where, const char *key, const struct strings *list, int columns)
{
    bool word = strcmp(list->items[0], "none") == 0 || is_computed(list);

    if (word && list->n == 1)
        return 0;
    for (int i = 0; i < list->n; i++)
        TRY(check_number(where, key, list, i));
    if (list->n == 2 || list->n == 2 * columns)
        return 0;
    return err(ERR_CONFIG,
               "stage '%s': '%s' has %d number%s, must have a mean and a deviation of all, or %d "
               "means and then %d deviations",
               where, key, list->n, plural(list->n), columns, columns);
}

/* The stage's own list, if it has one, or that of the stage that it starts from. */
static int choose(const char *where, const char *key, const struct strings *own,
                  const struct strings *before, int columns, const struct strings **list)
{
    *list = own->n > 0 || !before ? own : before;
    if (own->n == 0)
        return 0;
    if (before && scale_wanted(own) && scale_wanted(before) && !same_lists(own, before))
        return err(ERR_CONFIG,
                   "stage '%s': '%s' differs from that of the stage it starts from, whose numbers "
                   "it keeps: leave it out",
                   where, key);
    return check_list(where, key, own, columns);
}

int scale_form(const struct setup *s, struct stage *stage)
{
    const struct stage_config *c = stage->config;
    const struct data *d = &s->data[stage->data];
    const struct stage *before = stage->start >= 0 ? &s->stages[stage->start] : NULL;

    if (d->holes && !scale_wanted(c->normalize.n || !before ? &c->normalize : before->normalize))
        return err(ERR_CONFIG,
                   "stage '%s': data '%s' has missing = \"mean\", which needs normalize = "
                   "\"computed\"",
                   c->name, d->name);
    if (d->n_target == 0 && scale_wanted(&c->normalize_targets))
        return err(ERR_CONFIG, "stage '%s': data '%s' has classes, no targets to normalize",
                   c->name, d->name);
    TRY(choose(c->name, "normalize", &c->normalize, before ? before->normalize : NULL, d->shape.c,
               &stage->normalize));
    return choose(c->name, "normalize_targets", &c->normalize_targets,
                  before ? before->normalize_targets : NULL, d->n_target,
                  &stage->normalize_targets);
}

/* ---- the targets' segments ---- */

int scale_add_targets(const struct setup *s, struct stage *stage)
{
    size_t n = (size_t)s->data[stage->data].n_target;
    struct segment mean = {
        .name = "targets.mean", .n_dims = 1, .dims = {n}, .role = ROLE_SCALE, .scale = 0};
    struct segment deviation = {
        .name = "targets.deviation", .n_dims = 1, .dims = {n}, .role = ROLE_SCALE, .scale = 1};

    if (n == 0 || !scale_wanted(stage->normalize_targets))
        return 0;
    TRY(layout_add(&stage->model, mean));
    return layout_add(&stage->model, deviation);
}

struct target_scale scale_targets(const struct stage *stage, const real *theta)
{
    const struct segment *mean = layout_find(&stage->model, "targets.mean");
    const struct segment *deviation = layout_find(&stage->model, "targets.deviation");

    if (!mean || !deviation)
        return (struct target_scale){0};
    return (struct target_scale){(int)mean->n, theta + mean->offset, theta + deviation->offset};
}

void scale_apply(struct target_scale s, int n, real *targets)
{
    for (int i = 0; i < n * s.n; i++)
        targets[i] = (targets[i] - s.mean[i % s.n]) / s.deviation[i % s.n];
}

/* ---- their values ---- */

struct filling {
    const struct setup *setup;
    const struct stage *stage;
    const struct data *data;
    int n_models;
    real *theta;
    struct scale_note *note;
    struct moments moments[2]; /* owned: of inputs, of targets */
};

static const char *const names[2][2] = {{"normalize1.mean", "normalize1.deviation"},
                                        {"targets.mean", "targets.deviation"}};

static void put(const struct filling *f, const char *name, const double *values)
{
    const struct segment *to = layout_find(&f->stage->model, name);

    for (int b = 0; to && b < f->n_models; b++)
        for (size_t k = 0; k < to->n; k++)
            f->theta[(size_t)b * f->stage->model.n + to->offset + k] = (real)values[k];
}

static int given(const struct strings *list, size_t n, struct moments *m)
{
    *m = (struct moments){.n = n,
                          .mean = calloc(n + 1, sizeof *m->mean),
                          .deviation = calloc(n + 1, sizeof *m->deviation)};
    if (!m->mean || !m->deviation)
        return err(ERR_MEMORY, "no memory for the means of %zu columns", n);
    for (size_t k = 0; k < n; k++) {
        int column = list->n == 2 ? 0 : (int)k;

        m->mean[k] = number(list, column);
        m->deviation[k] = number(list, list->n / 2 + column);
    }
    return 0;
}

static void note_constant(const struct filling *f, int which)
{
    const struct moments *m = &f->moments[which];

    if (m->n_constant > 0 && !*f->note->text)
        snprintf(f->note->text, sizeof f->note->text,
                 "%u %s%s of data '%s' never var%s (the first is number %u): deviation 1",
                 m->n_constant, which ? "target" : "input", plural(m->n_constant), f->data->name,
                 m->n_constant == 1 ? "ies" : "y", m->constant + 1);
}

/* Whether the stage has these constants, and no earlier stage hands them over. */
static bool is_new(const struct filling *f, int which, bool all)
{
    const struct segment *segment = layout_find(&f->stage->model, names[which][0]);

    return segment && (all || f->stage->start < 0 || !hand_over(f->setup, f->stage, segment));
}

static int fill(struct filling *f, bool all)
{
    const struct strings *lists[] = {f->stage->normalize, f->stage->normalize_targets};
    bool wanted[] = {is_new(f, 0, all), is_new(f, 1, all)};
    bool computed[] = {wanted[0] && is_computed(lists[0]), wanted[1] && is_computed(lists[1])};
    struct moments *m = f->moments;

    if (computed[0] || computed[1])
        TRY(moments_of(f->data, computed[0] ? &m[0] : NULL, computed[1] ? &m[1] : NULL));
    for (int i = 0; i < 2; i++) {
        if (!wanted[i])
            continue;
        if (!computed[i])
            TRY(given(lists[i], (size_t)(i ? f->data->n_target : f->data->shape.c), &m[i]));
        put(f, names[i][0], m[i].mean);
        put(f, names[i][1], m[i].deviation);
        note_constant(f, i);
    }
    return 0;
}

int scale_fill(const struct setup *s, const struct stage *stage, int n_models, bool all,
               real *theta, struct scale_note *note)
{
    struct filling f = {s, stage, &s->data[stage->data], n_models, theta, note, {{0}, {0}}};
    int code;

    *note->text = '\0';
    code = fill(&f, all);
    moments_release(&f.moments[0]);
    moments_release(&f.moments[1]);
    return code < 0 ? err_within(code, "stage '%s'", stage->config->name) : 0;
}
