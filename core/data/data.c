/* data.c - what is common to all formats: opening by name, checking ids, quarter turns. */
#include "core/data/data.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/err.h"
#include "core/base/nearest.h"
#include "core/base/table.h"
#include "core/config/config.h"

const struct data_ops *data_find(const char *name)
{
    return table_find(data_table, name);
}

static int unknown_format(const char *name)
{
    char hint[NEAREST_HINT];

    return err(ERR_CONFIG, "unknown format '%s'%s", name, table_hint(data_table, name, hint));
}

static int rotations_set(struct data *d, const char *rotations)
{
    if (!rotations || !*rotations || strcmp(rotations, "none") == 0)
        return 0;
    if (strcmp(rotations, "draw") != 0 && strcmp(rotations, "classes") != 0)
        return err(ERR_CONFIG, "rotations '%s' must be none, draw or classes", rotations);
    if (d->n_target > 0)
        return err(ERR_CONFIG, "rotations '%s' cannot be used with a regression set", rotations);
    if (d->shape.h != d->shape.w)
        return err(ERR_CONFIG, "rotations '%s' need square images, these have %d x %d pixels",
                   rotations, d->shape.h, d->shape.w);
    d->n_turns = 4;
    d->turned_classes = strcmp(rotations, "classes") == 0;
    if (!d->turned_classes)
        return 0;
    if (d->n_samples != DATA_ENDLESS && d->n_samples > DATA_ENDLESS / 4)
        return err(ERR_CONFIG, "rotations '%s' make too many of %u images, the limit is %u images",
                   rotations, d->n_samples, DATA_ENDLESS / 4);
    d->n_classes *= d->n_classes == DATA_ENDLESS ? 1 : 4;
    d->n_samples *= d->n_samples == DATA_ENDLESS ? 1 : 4;
    return 0;
}

static int open_as(struct data *d, const struct data_config *c, const char *root)
{
    if (!c->format || !(d->ops = data_find(c->format)))
        return unknown_format(c->format ? c->format : "");
    TRY(d->ops->open(d, c, root));
    return rotations_set(d, c->rotations);
}

static int open_named(struct data *d, const struct data_config *c, const char *root, bool streamed)
{
    int code;

    *d = (struct data){.n_turns = 1, .streamed = streamed};
    snprintf(d->name, sizeof d->name, "%s", c->name ? c->name : "");
    code = open_as(d, c, root);
    if (code < 0) {
        data_close(d);
        if (code == ERR_NOINPUT)
            err(code, "%s; the data root is '%s' (--data-root, else METALOOP_DATA, else data/)",
                err_text(), root);
        return err_within(code, "data '%s'", c->name ? c->name : "");
    }
    return 0;
}

int data_open(struct data *d, const struct data_config *c, const char *root)
{
    return open_named(d, c, root, false);
}

int data_open_streamed(struct data *d, const struct data_config *c, const char *root)
{
    return open_named(d, c, root, true);
}

void data_close(struct data *d)
{
    if (d->ops && d->state)
        d->ops->close(d);
    *d = (struct data){0};
}

static uint32_t class_base(const struct data *d, uint32_t class_id)
{
    return d->turned_classes ? class_id / 4 : class_id;
}

uint32_t data_class_size(const struct data *d, uint32_t class_id)
{
    return class_id < d->n_classes ? d->ops->class_size(d, class_base(d, class_id)) : 0;
}

void data_class_name(const struct data *d, uint32_t class_id, char *name, size_t n)
{
    size_t used;

    if (n == 0)
        return;
    *name = '\0';
    if (class_id >= d->n_classes)
        return;
    d->ops->class_name(d, class_base(d, class_id), name, n);
    used = strlen(name);
    if (d->turned_classes)
        snprintf(name + used, n - used, "/rot%03u", 90 * (class_id % 4));
}

/* One quarter turn counter-clockwise in place: new[i][j] = old[j][n - 1 - i]. */
static void turn_quarter(real *x, int n, int c)
{
    for (int i = 0; i < n / 2; i++)
        for (int j = 0; j < (n + 1) / 2; j++)
            for (int k = 0; k < c; k++) {
                real *a = x + (i * n + j) * c + k, *b = x + (j * n + n - 1 - i) * c + k;
                real *e = x + ((n - 1 - i) * n + n - 1 - j) * c + k;
                real *f = x + ((n - 1 - j) * n + i) * c + k, corner = *a;

                *a = *b;
                *b = *e;
                *e = *f;
                *f = corner;
            }
}

int data_check(const struct data *d, uint32_t class_id, uint32_t sample, int turns)
{
    uint32_t size;

    if (class_id >= d->n_classes)
        return err(ERR_DATA, "data '%s': class %u of %u", d->name, class_id, d->n_classes);
    size = data_class_size(d, class_id);
    if (sample >= size && (sample < DATA_GRID || sample - DATA_GRID >= d->n_grid))
        return err(ERR_DATA, "data '%s': sample %u of class %u, which has %u", d->name, sample,
                   class_id, size);
    if (turns % 4 != 0 && d->n_turns == 1)
        return err(ERR_DATA, "data '%s': a rotation of a set without rotations", d->name);
    return 0;
}

static void turn(const struct data *d, int turns, real *x)
{
    for (int i = 0; i < turns; i++)
        turn_quarter(x, d->shape.h, d->shape.c);
}

int data_read(const struct data *d, uint32_t class_id, uint32_t sample, int turns, real *x,
              real *target)
{
    TRY(data_check(d, class_id, sample, turns));
    TRY(d->ops->read(d, class_base(d, class_id), sample, x, target));
    turns = (turns % 4 + 4 + (d->turned_classes ? (int)(class_id % 4) : 0)) % 4;
    turn(d, turns, x);
    return 0;
}

int data_check_flat(const struct data *d, uint32_t index)
{
    if (!d->ops->read_flat)
        return err(ERR_CONFIG, "data '%s': format '%s' has no flat samples", d->name, d->ops->name);
    if (index >= d->n_samples)
        return err(ERR_DATA, "data '%s': sample %u of %u", d->name, index, d->n_samples);
    return 0;
}

int data_read_flat(const struct data *d, uint32_t index, real *x)
{
    TRY(data_check_flat(d, index));
    TRY(d->ops->read_flat(d, d->turned_classes ? index / 4 : index, x));
    turn(d, d->turned_classes ? (int)(index % 4) : 0, x);
    return 0;
}

uint32_t data_index_flat(const struct data *d, uint32_t class_id, uint32_t sample)
{
    if (!d->turned_classes)
        return d->ops->index_flat(d, class_id, sample);
    return 4 * d->ops->index_flat(d, class_id / 4, sample) + class_id % 4;
}

int data_label_flat(const struct data *d, uint32_t index, uint32_t *class_id)
{
    TRY(data_check_flat(d, index));
    *class_id = d->turned_classes ? 4 * d->ops->label_flat(d, index / 4) + index % 4
                                  : d->ops->label_flat(d, index);
    return 0;
}

int data_target_flat(const struct data *d, uint32_t index, real *target)
{
    TRY(data_check_flat(d, index));
    if (!d->ops->target_flat)
        return err(ERR_CONFIG, "data '%s': format '%s' has no targets", d->name, d->ops->name);
    d->ops->target_flat(d, index, target);
    return 0;
}

struct turning {          /* from the format's samples to those with quarter turns */
    const struct data *d; /* borrowed; likewise the rest */
    data_visit *visit;
    void *context;
    real *x; /* one sample, turned */
};

static int visit_turned(void *context, uint32_t index, const real *x)
{
    struct turning *t = context;

    if (!t->d->turned_classes)
        return t->visit(t->context, index, x);
    memcpy(t->x, x, shape_size(t->d->shape) * sizeof *x);
    for (uint32_t i = 0; i < 4; i++) {
        TRY(t->visit(t->context, 4 * index + i, t->x));
        turn(t->d, 1, t->x);
    }
    return 0;
}

static int each_in_order(const struct data *d, data_visit *visit, void *context, real *x)
{
    for (uint32_t i = 0; i < d->n_samples; i++) {
        TRY(data_read_flat(d, i, x));
        TRY(visit(context, i, x));
    }
    return 0;
}

int data_each(const struct data *d, data_visit *visit, void *context)
{
    struct turning t = {.d = d, .visit = visit, .context = context};
    int code;

    if (!d->ops->read_flat)
        return data_check_flat(d, 0);
    t.x = calloc(shape_size(d->shape), sizeof *t.x);
    if (!t.x)
        return err(ERR_MEMORY, "out of memory for a sample");
    code = d->streamed && d->ops->each ? d->ops->each(d, visit_turned, &t)
                                       : each_in_order(d, visit, context, t.x);
    free(t.x);
    return code;
}

real data_weight(const struct data *d, uint32_t class_id, uint32_t sample)
{
    return d->weighted ? d->ops->weight(d, class_base(d, class_id), sample) : 1;
}

real data_weight_flat(const struct data *d, uint32_t index)
{
    return d->weighted ? d->ops->weight_flat(d, index) : 1;
}
