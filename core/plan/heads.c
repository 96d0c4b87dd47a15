/* heads.c - finds the data sections that share a network's outputs, and checks that their classes
 * agree: by name, in the order of the section that the head was trained on; by number if one side
 * has no names. */
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "core/base/err.h"
#include "core/plan/setup.h"
#include "core/plan/task_kind.h"

enum { NAME = 4096 };

struct label {  /* a class by its name */
    char *name; /* owned */
    uint32_t id;
};

struct heads {
    struct setup *s;
    bool fixed[CONFIG_DATA_MAX]; /* a head depends on its order */
};

static uint32_t base_classes(const struct data *d)
{
    return d->turned_classes ? d->n_classes / 4 : d->n_classes;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const struct label *)a)->name, ((const struct label *)b)->name);
}

static void labels_free(struct label *v, uint32_t n)
{
    for (uint32_t i = 0; v && i < n; i++)
        free(v[i].name);
    free(v);
}

/* The classes (before quarter turns) in the order of their names; owned by the caller. NULL: no
 * memory. */
static struct label *labels_of(const struct data *d)
{
    uint32_t n = base_classes(d);
    struct label *v = calloc((size_t)n + 1, sizeof *v);

    for (uint32_t i = 0; v && i < n; i++) {
        char name[NAME];

        d->ops->class_name(d, i, name, NAME);
        v[i] = (struct label){strdup(name), i};
        if (!v[i].name) {
            labels_free(v, n);
            v = NULL;
        }
    }
    if (v)
        qsort(v, n, sizeof *v, by_name);
    return v;
}

/* order[class of a] = class of b with the same name. False: *lost is the first class of b that a
 * lacks (*of_b true), or of a that b lacks. */
static bool order_find(const struct label *a, uint32_t n_a, const struct label *b, uint32_t n_b,
                       uint32_t *order, const struct label **lost, bool *of_b)
{
    bool whole = true;

    *lost = NULL;
    for (uint32_t i = 0; i < n_b; i++) {
        const struct label *found = bsearch(&b[i], a, n_a, sizeof *a, by_name);

        if (found)
            order[found->id] = b[i].id;
        else if (whole || b[i].id < (*lost)->id)
            *lost = &b[i], *of_b = true, whole = false;
    }
    for (uint32_t i = 0; whole && i < n_a; i++)
        if (!bsearch(&a[i], b, n_b, sizeof *b, by_name))
            *lost = &a[i], *of_b = false, whole = false;
    return whole;
}

static int refuse(const struct stage *stage, const struct data *a, const struct label *la,
                  const struct data *b, const struct label *lost)
{
    for (uint32_t i = 0; i < base_classes(a); i++)
        if (strcasecmp(la[i].name, lost->name) == 0)
            return err(ERR_DATA,
                       "stage '%s': class '%s' of data '%s' and class '%s' of data '%s' differ "
                       "only in case: give them the same name",
                       stage->config->name, lost->name, b->name, la[i].name, a->name);
    return err(ERR_DATA,
               "stage '%s': class '%s' of data '%s' does not exist in data '%s', whose outputs it "
               "shares: use the same class names, or select common classes with 'classes'",
               stage->config->name, lost->name, b->name, a->name);
}

static bool is_identity(const uint32_t *order, uint32_t n)
{
    uint32_t i = 0;

    while (i < n && order[i] == i)
        i++;
    return i == n;
}

/* Orders the classes of b as in a. */
static int take_order(struct heads *h, const struct stage *stage, int a, int b,
                      const uint32_t *order)
{
    struct data *of_a = &h->s->data[a], *of_b = &h->s->data[b];

    if (h->s->matched[b] != MATCHED_ORDER)
        h->s->matched[b] = MATCHED_NAMES;
    if (is_identity(order, base_classes(of_b)))
        return 0;
    if (h->fixed[b] || !of_b->ops->reorder)
        return err(ERR_DATA,
                   "stage '%s': data '%s' and '%s' have the same classes in different orders, and "
                   "a head already depends on each: list them in the same order with 'classes'",
                   stage->config->name, of_a->name, of_b->name);
    h->s->matched[b] = MATCHED_ORDER;
    return of_b->ops->reorder(of_b, order);
}

/* Compares by name. 1: the names differ, and one side has none of its own. */
static int match_names(struct heads *h, const struct stage *stage, int a, int b, bool all)
{
    struct data *of_a = &h->s->data[a], *of_b = &h->s->data[b];
    struct label *la = labels_of(of_a), *lb = labels_of(of_b);
    uint32_t n_a = base_classes(of_a), n_b = base_classes(of_b),
             *order = calloc((size_t)n_a + 1, sizeof *order);
    const struct label *lost = NULL;
    bool of_b_lost = true;
    int code = 0;

    if (!la || !lb || !order)
        code = err(ERR_MEMORY, "no memory for %u class names", n_a);
    else if (order_find(la, n_a, lb, n_b, order, &lost, &of_b_lost))
        code = all ? take_order(h, stage, a, b, order) : 0;
    else if (!of_a->named || !of_b->named)
        code = 1;
    else if (of_b_lost)
        code = refuse(stage, of_a, la, of_b, lost);
    else if (all)
        code = refuse(stage, of_b, lb, of_a, lost);
    labels_free(la, n_a);
    labels_free(lb, n_b);
    free(order);
    return code;
}

static bool is_counted(const struct data *d)
{
    return d->ops && d->n_target == 0 && d->n_classes != DATA_ENDLESS;
}

/* Section b uses the outputs that section a has named. all: its labels are compared with the
 * outputs, so it must have all classes. */
static int meet(struct heads *h, const struct stage *stage, int a, int b, bool all)
{
    struct data *of_a = &h->s->data[a], *of_b = &h->s->data[b];
    int code = 0;

    h->fixed[a] = true;
    if (a == b || !is_counted(of_a) || !is_counted(of_b))
        return 0;
    if (of_a->turned_classes != of_b->turned_classes)
        return 0; /* other numbers of classes: refused where they are measured */
    if (of_a->named || of_b->named)
        code = match_names(h, stage, a, b, all);
    TRY(code);
    if (all && ((!of_a->named && !of_b->named) || code == 1))
        h->s->matched[b] = MATCHED_NUMBERS;
    if (all)
        h->s->matched_with[b] = a, h->fixed[b] = true;
    return 0;
}

/* True if the stage continues with the head of the stage it starts from. */
static bool keeps_head(const struct setup *s, const struct stage *stage)
{
    const struct layout *l = &stage->net.layout;

    if (stage->start < 0 || stage->traits->new_head)
        return false;
    if (stage->traits->inherits)
        return true;
    for (int i = 0; i < l->n_segments; i++) {
        const struct segment *own = &l->segments[i],
                             *before = layout_find(&s->stages[stage->start].layout, own->name);

        if (own->role == ROLE_HEAD && before &&
            memcmp(before->dims, own->dims, sizeof own->dims) == 0)
            return true;
    }
    return false;
}

int setup_head(const struct setup *s, const struct stage *stage)
{
    int before = keeps_head(s, stage) ? setup_head(s, &s->stages[stage->start]) : -1;

    if (stage->measured->few_shot)
        return -1;
    return before >= 0 ? before : stage->data;
}

/* Matches the sections that the stage trains on: its data, and those of a teacher. */
static int meet_in_training(struct heads *h, const struct stage *stage)
{
    int head = setup_head(h->s, stage);

    if (head < 0)
        return 0;
    TRY(meet(h, stage, head, stage->data, true));
    if (stage->traits->same_outputs) {
        int teacher = setup_head(h->s, &h->s->stages[stage->anchor]);

        if (teacher >= 0)
            TRY(meet(h, stage, teacher, head, true));
    }
    return 0;
}

static bool is_measured(const struct stage *stage, int data)
{
    for (int i = 0; i < stage->n_evaluate; i++)
        if (stage->evaluate_data[i] == data)
            return true;
    return false;
}

/* Matches the sections that the stage is measured on, and its targets. The labels of targets are
 * not used, so a target with one class may give it any name. */
static int meet_in_evaluation(struct heads *h, const struct stage *stage)
{
    int head = setup_head(h->s, stage), old = -1;

    if (head < 0)
        return 0;
    if (stage->n_old > 0 && stage->anchor >= 0)
        old = setup_head(h->s, &h->s->stages[stage->anchor]);
    for (int i = 0; i < stage->n_evaluate; i++) {
        int data = stage->evaluate_data[i], to = stage_measures_old(stage, data) ? old : head;

        if (to >= 0)
            TRY(meet(h, stage, to, data, true));
    }
    for (int i = 0; i < stage->n_targets; i++)
        if (!is_measured(stage, stage->target[i]) && h->s->data[stage->target[i]].n_classes > 1)
            TRY(meet(h, stage, head, stage->target[i], false));
    return 0;
}

int setup_heads(struct setup *s)
{
    struct heads h = {.s = s};

    for (int i = 0; i < s->n_stages; i++)
        TRY(meet_in_training(&h, &s->stages[i]));
    for (int i = 0; i < s->n_stages; i++)
        TRY(meet_in_evaluation(&h, &s->stages[i]));
    return 0;
}
