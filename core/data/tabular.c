/* tabular.c - rows of numbers: features with labels, or regression within tasks. A table is a set
 * of images of one row, without limits to its numbers; what tells tasks apart is a class. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/err.h"
#include "core/base/plural.h"
#include "core/config/config.h"
#include "core/data/images.h"
#include "core/data/sheet.h"

/* ---- rows in the order of task and time ---- */

struct ordering { /* rows of a sheet */
    const struct sheet *sheet;
    uint32_t *order; /* owned; [n]: the row at each place */
};

static uint32_t class_of(const struct sheet *s, uint32_t row)
{
    return s->classes ? s->classes[row] : 0;
}

/* By class, then time, then place in the file. */
static int by_time(const void *a, const void *b, void *sheet)
{
    const struct sheet *s = sheet;
    uint32_t i = *(const uint32_t *)a, j = *(const uint32_t *)b;

    if (class_of(s, i) != class_of(s, j))
        return class_of(s, i) < class_of(s, j) ? -1 : 1;
    if (s->time && s->time[i] != s->time[j])
        return s->time[i] < s->time[j] ? -1 : 1;
    return (i > j) - (i < j);
}

/* Copies n elements of `each` bytes in the new order; *array is freed unless it is NULL. */
static int reorder_array(const struct ordering *o, size_t each, const void *from, void **array)
{
    uint32_t n = o->sheet->n;
    char *to;

    if (!from)
        return 0;
    to = calloc(n, each);
    if (!to)
        return err(ERR_MEMORY, "out of memory for %u rows", n);
    for (uint32_t i = 0; i < n; i++)
        memcpy(to + i * each, (const char *)from + o->order[i] * each, each);
    free(*array);
    *array = to;
    return 0;
}

static int reorder_inputs(struct sheet *s, const struct ordering *o)
{
    size_t each = shape_size(s->shape) * sizeof(float);
    void *to = NULL;

    TRY(reorder_array(o, each, s->x, &to));
    blob_release(&s->inputs);
    s->inputs = (struct blob){.bytes = to, .n = s->n * each};
    s->x = to;
    return 0;
}

static int reorder(struct sheet *s, const struct ordering *o)
{
    void *targets = s->targets, *classes = s->classes;
    int code = reorder_inputs(s, o);

    if (code >= 0)
        code = reorder_array(o, (size_t)s->n_target * sizeof(float), s->targets, &targets);
    s->targets = targets;
    if (code >= 0)
        code = reorder_array(o, sizeof *s->classes, s->classes, &classes);
    s->classes = classes;
    return code;
}

static int sort_rows(struct sheet *s)
{
    struct ordering o = {s, calloc(s->n, sizeof *o.order)};
    bool sorted = true;
    int code = 0;

    if (!o.order)
        return err(ERR_MEMORY, "out of memory for %u rows", s->n);
    for (uint32_t i = 0; i < s->n; i++)
        o.order[i] = i;
    qsort_r(o.order, s->n, sizeof *o.order, by_time, s);
    for (uint32_t i = 0; i < s->n; i++)
        sorted &= o.order[i] == i;
    if (!sorted)
        code = reorder(s, &o);
    free(o.order);
    return code;
}

/* ---- samples ---- */

/* Sample i of the store is row `row` of the sheet, which ends its window. */
static void put_sample(struct store *s, const struct sheet *t, uint32_t i, uint32_t row,
                       uint32_t window)
{
    size_t k = (size_t)t->n_target;

    if (s->at)
        s->at[i] = row - (window - 1);
    s->labels[i] = class_of(t, row);
    if (k > 0)
        memcpy(s->targets + i * k, t->targets + row * k, k * sizeof *s->targets);
}

/* The last of `window` rows of one class is a sample. */
static void put_samples(struct store *s, const struct sheet *t, uint32_t window)
{
    uint32_t run = 0;

    for (uint32_t row = 0; row < t->n; row++) {
        run = row > 0 && class_of(t, row) == class_of(t, row - 1) ? run + 1 : 1;
        if (window == 1 || run >= window)
            put_sample(s, t, s->n++, row, window);
    }
}

static int store_rows(struct store *s, struct sheet *t, uint32_t window)
{
    s->shape = window > 1 ? (struct shape){(int)window, 1, t->shape.c} : t->shape;
    s->stride = shape_size(t->shape);
    s->n_target = t->n_target;
    s->weighted = t->weighted;
    s->columns = t->columns;
    s->labels = calloc(t->n, sizeof *s->labels);
    s->targets = calloc((size_t)t->n * (size_t)t->n_target + 1, sizeof *s->targets);
    s->at = window > 1 ? calloc(t->n, sizeof *s->at) : NULL;
    if (!s->labels || !s->targets || (window > 1 && !s->at))
        return err(ERR_MEMORY, "out of memory for %u rows", t->n);
    put_samples(s, t, window);
    s->f32 = t->x;
    s->pixels = t->inputs;
    t->inputs = (struct blob){0};
    s->n_classes = t->n_classes;
    s->names = t->names;
    t->names = (struct names){0};
    s->goals = t->goals;
    t->goals = (struct names){0};
    if (*t->note)
        store_note(s, "%s", t->note);
    return 0;
}

static int windows(struct store *s, const struct store_source *src, struct sheet *t)
{
    uint32_t window = src->config->window > 1 ? (uint32_t)src->config->window : 1;

    if (window > 1 && t->shape.h > 1)
        return err(ERR_CONFIG, "'%s' has series of %d times, so the key 'window' is not used",
                   src->path, t->shape.h);
    if (t->time || window > 1)
        TRY(sort_rows(t));
    TRY(store_rows(s, t, window));
    if (s->n == 0)
        return err(ERR_DATA, "'%s' has no task of %u rows, which the key 'window' asks for",
                   src->path, window);
    return 0;
}

static bool is_given(const char *text)
{
    return text && *text;
}

static const char *or_empty(const char *text)
{
    return text ? text : "";
}

static int table_load(struct store *s, const struct store_source *src)
{
    const struct data_config *c = src->config;
    struct sheet_wanted w = {.inputs = &c->inputs,
                             .targets = &c->targets,
                             .classes = or_empty(is_given(c->task) ? c->task : c->label),
                             .time = or_empty(c->time),
                             .weight = or_empty(c->weight),
                             .missing = strcmp(or_empty(c->missing), "mean") == 0,
                             .root = src->root};
    struct sheet t;
    int code = sheet_read(&t, &w, src->path);

    if (code >= 0)
        code = windows(s, src, &t);
    sheet_release(&t);
    return code;
}

/* ---- the format ---- */

static int unused(const char *key)
{
    return err(ERR_CONFIG, "format 'table' does not use the key '%s'", key);
}

static int refuse_images_keys(const struct data_config *c)
{
    const struct {
        const char *key;
        bool given;
    } keys[] = {{"resize", c->resize != 0},
                {"margin", c->margin != 0},
                {"thicken", c->thicken != 0},
                {"rotate", c->rotate != 0},
                {"invert", c->invert},
                {"texture", c->texture != 0},
                {"rotations", c->rotations && strcmp(c->rotations, "none") != 0}};

    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
        if (keys[i].given)
            return unused(keys[i].key);
    return 0;
}

static int check_keys(const struct data_config *c)
{
    TRY(refuse_images_keys(c));
    TRY(framing_refuse(c));
    if (is_given(c->task) && is_given(c->label))
        return err(ERR_CONFIG, "'task' and 'label' exclude each other: classes are the tasks, or "
                               "are told apart");
    if (is_given(c->label) && c->targets.n > 0)
        return err(ERR_CONFIG, "'label' and 'targets' exclude each other: classes or a regression");
    if (is_given(c->task) && c->targets.n == 0)
        return err(ERR_CONFIG, "'task' needs 'targets', the columns to predict");
    if (is_given(c->time) && !is_given(c->task))
        return err(ERR_CONFIG, "'time' needs 'task', the column whose rows it orders");
    return 0;
}

static int table_open(struct data *d, const struct data_config *c, const char *root)
{
    TRY(check_keys(c));
    TRY(images_open(d, c, root, LABELS_NONE, table_load));
    d->holes = strcmp(or_empty(c->missing), "mean") == 0;
    d->timed = is_given(c->time);
    return 0;
}

const struct data_ops data_tabular = {
    .name = "table",
    .summary = "rows of numbers in .csv, .npy or .npz: features with labels, or regression within "
               "tasks",
    .open = table_open,
    .class_size = images_class_size,
    .class_name = images_class_name,
    .read = images_read,
    .read_flat = images_read_flat,
    .label_flat = images_label_flat,
    .index_flat = images_index_flat,
    .target_flat = images_target_flat,
    .weight = images_weight,
    .weight_flat = images_weight_flat,
    .target_name = images_target_name,
    .note = images_note,
    .where = images_where,
    .reorder = images_reorder,
    .survey = images_survey,
    .map = images_map,
    .close = images_close,
};
