/* recall.c - to JSON and back. */
#include "core/data/recall.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/err.h"

enum { NAME = 4096 };

/* ---- to text ---- */

static json_t *names_json(const struct data *d)
{
    json_t *names = json_array();
    char name[NAME];
    size_t room = RECALL_NAMES;

    for (uint32_t i = 0; i < d->n_classes; i++) {
        data_class_name(d, i, name, sizeof name);
        if (strlen(name) + 1 > room || json_array_append_new(names, json_string(name)) < 0) {
            json_decref(names);
            return NULL;
        }
        room -= strlen(name) + 1;
    }
    return names;
}

/* Of a table: names of its targets, and what its columns were. */
static void add_table(json_t *o, const struct data *d)
{
    json_t *names = json_array();
    char digest[20];

    for (int i = 0; i < d->n_target && d->ops->target_name && d->ops->target_name(d, i); i++)
        json_array_append_new(names, json_string(d->ops->target_name(d, i)));
    if (d->n_target > 0 && json_array_size(names) == (size_t)d->n_target)
        json_object_set(o, "target_names", names);
    json_decref(names);
    snprintf(digest, sizeof digest, "%016" PRIx64, d->columns);
    if (d->columns)
        json_object_set_new(o, "columns", json_string(digest));
    if (d->holes)
        json_object_set_new(o, "holes", json_true());
}

static json_t *looks_json(const struct looks *l)
{
    const struct sizes *z = &l->sizes;

    return json_pack("{s:f, s:f, s:f, s:[i,i], s:[i,i], s:I, s:I}", "mean", l->mean, "deviation",
                     l->deviation, "border", l->border, "heights", z->h[0], z->h[1], "widths",
                     z->w[0], z->w[1], "grey", (json_int_t)z->grey, "colour",
                     (json_int_t)z->colour);
}

static json_t *section_json(const struct recalled *r)
{
    const struct data *d = r->data;
    json_t *o =
        json_pack("{s:[i,i,i], s:I, s:I, s:i, s:I}", "shape", d->shape.h, d->shape.w, d->shape.c,
                  "classes", (json_int_t)d->n_classes, "samples", (json_int_t)d->n_samples,
                  "targets", d->n_target, "grid", (json_int_t)d->n_grid);

    if (r->named && d->named && d->n_classes != DATA_ENDLESS)
        json_object_set_new(o, "names", names_json(d));
    add_table(o, d);
    if (r->survey->looks.n > 0)
        json_object_set_new(o, "looks", looks_json(&r->survey->looks));
    return o;
}

char *recall_text(const struct recalled *each, int n)
{
    json_t *all = json_object();
    char *text;

    for (int i = 0; i < n; i++)
        json_object_set_new(all, each[i].data->name, section_json(&each[i]));
    text = json_dumps(all, JSON_COMPACT | JSON_REAL_PRECISION(9));
    json_decref(all);
    return text;
}

/* ---- and back ---- */

struct recollection {
    struct survey survey;
    json_t *names;   /* owned; NULL: classes are numbers */
    json_t *targets; /* owned; their names; NULL: they have none */
};

static uint32_t recalled_size(const struct data *d, uint32_t class_id)
{
    (void)d, (void)class_id;
    return DATA_ENDLESS; /* nobody draws of it, so no class is too small */
}

static void recalled_name(const struct data *d, uint32_t class_id, char *name, size_t n)
{
    const json_t *names = ((const struct recollection *)d->state)->names;

    if (names)
        snprintf(name, n, "%s", json_string_value(json_array_get(names, class_id)));
    else
        snprintf(name, n, "%u", class_id);
}

static const char *recalled_target(const struct data *d, int i)
{
    return json_string_value(
        json_array_get(((const struct recollection *)d->state)->targets, (size_t)i));
}

static int recalled_read(const struct data *d, uint32_t class_id, uint32_t sample, real *x,
                         real *target)
{
    (void)class_id, (void)sample, (void)x, (void)target;
    return err(ERR_DATA, "data '%s' is remembered without its samples", d->name);
}

static int recalled_read_flat(const struct data *d, uint32_t index, real *x)
{
    return recalled_read(d, 0, index, x, NULL);
}

static uint32_t recalled_label(const struct data *d, uint32_t index)
{
    (void)d, (void)index;
    return 0;
}

static int recalled_survey(const struct data *d, struct survey *s)
{
    *s = ((const struct recollection *)d->state)->survey;
    return 0;
}

static void recalled_close(struct data *d)
{
    struct recollection *m = d->state;

    json_decref(m->names);
    json_decref(m->targets);
    free(m);
}

static const struct data_ops ops = {
    .name = "recalled",
    .summary = "what a checkpoint remembers of a set",
    .class_size = recalled_size,
    .class_name = recalled_name,
    .read = recalled_read,
    .read_flat = recalled_read_flat,
    .label_flat = recalled_label,
    .target_name = recalled_target,
    .survey = recalled_survey,
    .close = recalled_close,
};

const struct survey *data_recalled(const struct data *d)
{
    return d->ops == &ops ? &((const struct recollection *)d->state)->survey : NULL;
}

static bool names_fit(const json_t *names, uint32_t n)
{
    size_t i;
    json_t *name;

    if (!json_is_array(names) || json_array_size(names) != n)
        return false;
    json_array_foreach(names, i, name) if (!json_is_string(name)) return false;
    return true;
}

static void looks_recall(json_t *o, struct looks *l)
{
    struct sizes *z = &l->sizes;
    json_int_t grey = 0, colour = 0;

    if (json_unpack(o, "{s:F, s:F, s:F, s:[i,i], s:[i,i], s:I, s:I}", "mean", &l->mean, "deviation",
                    &l->deviation, "border", &l->border, "heights", &z->h[0], &z->h[1], "widths",
                    &z->w[0], &z->w[1], "grey", &grey, "colour", &colour) < 0) {
        *l = (struct looks){0};
        return;
    }
    z->grey = (uint32_t)grey, z->colour = (uint32_t)colour;
    l->n = 1;
}

static bool is_side(int n)
{
    return n >= 1 && n <= 1 << 20;
}

static void table_recall(struct data *d, json_t *o)
{
    const char *columns = json_string_value(json_object_get(o, "columns"));

    d->columns = columns ? strtoull(columns, NULL, 16) : 0;
    d->holes = json_is_true(json_object_get(o, "holes"));
}

static int section_recall(struct data *d, json_t *o)
{
    struct recollection *m = d->state;
    json_int_t classes, samples, grid;
    struct shape *s = &d->shape;
    json_t *names = json_object_get(o, "names"), *targets = json_object_get(o, "target_names");

    if (json_unpack(o, "{s:[i,i,i], s:I, s:I, s:i, s:I}", "shape", &s->h, &s->w, &s->c, "classes",
                    &classes, "samples", &samples, "targets", &d->n_target, "grid", &grid) < 0 ||
        !is_side(s->h) || !is_side(s->w) || !is_side(s->c) || classes < 1 ||
        classes > DATA_ENDLESS || samples < 0 || samples > DATA_ENDLESS || d->n_target < 0 ||
        d->n_target > 1 << 20 || grid < 0 || grid > 1 << 20 ||
        (names && !names_fit(names, (uint32_t)classes)) ||
        (targets && !names_fit(targets, (uint32_t)d->n_target)))
        return err(ERR_DATA, "what it remembers of data '%s' cannot be understood", d->name);
    d->n_classes = (uint32_t)classes, d->n_samples = (uint32_t)samples;
    d->n_grid = (uint32_t)grid;
    d->named = names != NULL;
    m->names = json_incref(names);
    m->targets = json_incref(targets);
    table_recall(d, o);
    m->survey = (struct survey){.shape = *s, .n_classes = d->n_classes, .n_samples = d->n_samples};
    looks_recall(json_object_get(o, "looks"), &m->survey.looks);
    return 0;
}

int data_recall(struct data *d, const char *text, const char *name)
{
    json_t *all = json_loads(text, JSON_REJECT_DUPLICATES, NULL), *o = json_object_get(all, name);
    int code;

    *d = (struct data){0};
    if (!json_is_object(all)) {
        json_decref(all);
        return err(ERR_DATA, "what it remembers of its data is not a JSON object");
    }
    if (!o) {
        json_decref(all);
        return 1;
    }
    *d = (struct data){.ops = &ops, .n_turns = 1, .state = calloc(1, sizeof(struct recollection))};
    snprintf(d->name, sizeof d->name, "%s", name);
    code = d->state ? section_recall(d, o) : err(ERR_MEMORY, "no memory for data '%s'", name);
    json_decref(all);
    if (code < 0)
        data_close(d);
    return code;
}
