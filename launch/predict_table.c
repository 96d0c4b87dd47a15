/* predict_table.c - opens tables by the keys of the training section. */
#include "launch/predict_table.h"

#include <stdio.h>
#include <stdlib.h>

#include "core/base/err.h"
#include "core/data/csv_columns.h"

enum { NAME = 4096 };

static const struct data *trained_on(const struct predict_model *p)
{
    return &p->solo.setup.data[p->data];
}

static const char *target_name(const struct predict_model *p, int i)
{
    const struct data *d = trained_on(p);

    return d->ops->target_name ? d->ops->target_name(d, i) : NULL;
}

void predict_output_name(const struct predict_model *p, int i, char *name, size_t n)
{
    const struct loss *l = &p->solo.stage->net.loss;
    int target = i / l->per_target;
    const char *known = target_name(p, target);
    char number[32];

    snprintf(number, sizeof number, "target %d", target);
    if (l->ops->level && l->per_target > 1)
        snprintf(name, n, "%s %g", known ? known : number, l->ops->level(l, i % l->per_target));
    else
        snprintf(name, n, "%s", known ? known : number);
}

/* ---- columns ---- */

/* What the digest of the columns would be with the targets and the weight. */
static uint64_t whole_digest(const struct predict_table *t, const struct predict_model *p)
{
    const char *weight = p->section.weight;
    uint64_t digest = t->data.columns;

    for (int i = 0; !t->known && i < trained_on(p)->n_target && target_name(p, i); i++)
        digest = csv_name_digest(target_name(p, i), digest);
    return weight && *weight && !t->data.weighted ? csv_name_digest(weight, digest) : digest;
}

static int check_columns(const struct predict_table *t, const struct predict_model *p,
                         const char *path)
{
    const struct data *d = trained_on(p);
    const struct shape *a = &t->data.shape, *b = &p->solo.stage->net.in;

    if (a->h != b->h || a->w != b->w || a->c != b->c)
        return err(ERR_DATA, "'%s' has rows of %d x %d inputs, the model takes %d x %d", path, a->h,
                   a->c, b->h, b->c);
    if (!t->data.columns || !d->columns || whole_digest(t, p) == d->columns)
        return 0;
    return err(ERR_DATA,
               "'%s' has other columns than training section '%s' had: the same inputs are needed, "
               "in the same order",
               path, d->name);
}

/* ---- opening ---- */

/* Targets by their names, which patterns might not find. names: room for them. */
static void name_targets(const struct predict_model *p, struct data_config *c, char **names)
{
    int n = trained_on(p)->n_target;

    for (int i = 0; i < n; i++) {
        names[i] = (char *)target_name(p, i);
        if (!names[i])
            return;
    }
    c->targets = (struct strings){n, names};
}

static struct data_config without_weight(const struct data_config *from)
{
    struct data_config c = *from;

    c.weight = NULL;
    return c;
}

/* Without label and targets; tasks are told apart all the same. */
static struct data_config without_answers(const struct data_config *from)
{
    struct data_config c = without_weight(from);

    c.label = c.task;
    c.task = NULL;
    c.targets = (struct strings){0};
    return c;
}

/* The table as it was in training; of queries, the first of three that can be opened. */
static int open_first(struct predict_table *t, const struct data_config *c, bool wanted)
{
    const struct data_config less[] = {without_weight(c), without_answers(c)};
    int code = data_open(&t->data, c, "");

    t->known = true;
    for (int i = 0; i < 2 && code == ERR_CONFIG && !wanted; i++) {
        code = data_open(&t->data, &less[i], "");
        t->known = i == 0;
    }
    return code;
}

int predict_table_open(struct predict_table *t, const struct predict_model *p, const char *path,
                       bool wanted)
{
    struct data_config c = predict_section(p, path);
    char **names;
    int code;

    c.name = wanted ? "support" : "query";
    TRY(predict_there(path));
    names = calloc((size_t)trained_on(p)->n_target + 1, sizeof *names);
    if (!names)
        return err(ERR_MEMORY, "no memory for the names of targets");
    name_targets(p, &c, names);
    code = open_first(t, &c, wanted);
    free(names);
    TRY(code);
    code = check_columns(t, p, path);
    if (code < 0)
        data_close(&t->data);
    return code;
}

/* ---- rows one by one ---- */

static int give_row(struct flow *f, const struct predict_table *t, const char *path, uint32_t i)
{
    char file[NAME], label[NAME] = "";
    uint32_t class_id;

    if (f->taker.wants && !f->taker.wants(f->taker.context, f->n))
        return 0;
    TRY(data_read_flat(&t->data, i, f->x));
    TRY(data_label_flat(&t->data, i, &class_id));
    if (t->known)
        data_class_name(&t->data, class_id, label, sizeof label);
    snprintf(file, sizeof file, "%s:%u", path, i + 1);
    return f->taker.take(f->taker.context, &(struct flow_image){file, label, f->n, f->x});
}

int predict_table_flow(struct flow *f, const struct predict_model *p, const char *path)
{
    struct predict_table t;
    int code = predict_table_open(&t, p, path, false);

    TRY(code);
    for (uint32_t i = 0; i < t.data.n_samples && code >= 0; i++, f->n++)
        code = give_row(f, &t, path, i);
    data_close(&t.data);
    return code;
}
