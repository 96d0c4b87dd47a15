/* leak_check.c - training and evaluation sections, two by two. */
#include "launch/leak_check.h"

#include <stdio.h>
#include <stdlib.h>

#include "core/base/err.h"
#include "core/base/plural.h"
#include "core/data/overlap.h"
#include "core/plan/task_kind.h"

struct leaks {
    const struct setup *s; /* borrowed */
    struct prints prints[CONFIG_DATA_MAX];
    bool printed[CONFIG_DATA_MAX];                   /* prints are there */
    bool compared[CONFIG_DATA_MAX][CONFIG_DATA_MAX]; /* by an earlier stage */
};

typedef int leak_pair(struct leaks *l, const struct stage *stage, int trained, int measured);

/* Adds the sections whose labels the stage, or one before it, is trained on. */
static void trained_add(const struct setup *s, const struct stage *stage, bool *trained)
{
    trained[stage->data] = true;
    for (int i = 0; i < stage->n_mixed; i++)
        trained[stage->mixed[i].data] = true;
    if (stage->start >= 0)
        trained_add(s, &s->stages[stage->start], trained);
    if (stage->anchor >= 0)
        trained_add(s, &s->stages[stage->anchor], trained);
}

static int stage_pairs(struct leaks *l, const struct stage *stage, leak_pair *pair)
{
    bool trained[CONFIG_DATA_MAX] = {false};

    trained_add(l->s, stage, trained);
    for (int k = 0; k < stage->n_evaluate; k++)
        for (int i = 0; i < l->s->n_data; i++) {
            int measured = stage->evaluate_data[k];

            if (trained[i] && !l->compared[i][measured])
                TRY(pair(l, stage, i, measured));
            l->compared[i][measured] |= trained[i];
        }
    return 0;
}

static int each_pair(struct leaks *l, leak_pair *pair)
{
    for (int i = 0; i < l->s->n_stages; i++)
        TRY(stage_pairs(l, &l->s->stages[i], pair));
    return 0;
}

static int class_warn(struct leaks *l, const struct stage *stage, int trained, int measured)
{
    const struct data *a = &l->s->data[trained], *b = &l->s->data[measured];
    char *name;

    if (trained == measured || !stage->measured->few_shot)
        return 0;
    TRY(overlap_class(a, b, &name));
    if (name)
        fprintf(stderr,
                "warning: stage '%s' is measured on '%s', which has the class '%s' of '%s', on "
                "which it is trained: it is not measured on new classes\n",
                stage->config->name, b->name, name, a->name);
    free(name);
    return 0;
}

int leak_warn(const struct setup *s)
{
    struct leaks l = {.s = s};

    return each_pair(&l, class_warn);
}

static int class_check(const struct stage *stage, const struct data *a, const struct data *b)
{
    char *name;
    int found = overlap_class(a, b, &name);

    if (found == 1)
        err(ERR_DATA,
            "stage '%s': '%s', on which it is trained, and '%s', on which it is measured, share "
            "the class '%s'",
            stage->config->name, a->name, b->name, name);
    free(name);
    return found == 1 ? ERR_DATA : found;
}

/* "'x.npy' image 3 of class 'cat'" */
static void image_name(const struct data *d, uint32_t index, char *text, size_t n)
{
    uint32_t flat = d->turned_classes ? 4 * index : index, class_id = 0;
    char where[300], name[200];

    d->ops->where(d, index, where, sizeof where);
    data_label_flat(d, flat, &class_id);
    data_class_name(d, class_id, name, sizeof name);
    snprintf(text, n, "%s of class '%s'", where, name);
}

static int prints_fill(struct leaks *l, int data)
{
    if (l->printed[data])
        return 0;
    l->printed[data] = true;
    return prints_of(&l->s->data[data], &l->prints[data]);
}

static int image_check(struct leaks *l, const struct stage *stage, int trained, int measured)
{
    const struct data *a = &l->s->data[trained], *b = &l->s->data[measured];
    char in_a[520], in_b[520];
    uint32_t i, k;

    TRY(prints_fill(l, trained));
    TRY(prints_fill(l, measured));
    if (!overlap_image(&l->prints[trained], &l->prints[measured], &i, &k))
        return 0;
    image_name(a, i, in_a, sizeof in_a);
    image_name(b, k, in_b, sizeof in_b);
    return err(ERR_DATA,
               "stage '%s': '%s', on which it is trained, and '%s', on which it is measured, share "
               "an image: %s is %s",
               stage->config->name, a->name, b->name, in_a, in_b);
}

static int pair_check(struct leaks *l, const struct stage *stage, int trained, int measured)
{
    const struct data *a = &l->s->data[trained], *b = &l->s->data[measured];
    bool few_shot = stage->measured->few_shot;

    if (!a->ops->digest || !b->ops->digest) {
        printf("stage '%s': '%s' and '%s' are not both stored images: nothing to compare\n",
               stage->config->name, a->name, b->name);
        return 0;
    }
    if (trained == measured)
        return err(ERR_DATA,
                   "stage '%s' is measured on '%s', on which it is trained: name another section "
                   "in evaluate.data",
                   stage->config->name, a->name);
    if (few_shot)
        TRY(class_check(stage, a, b));
    TRY(image_check(l, stage, trained, measured));
    printf("stage '%s': '%s' and '%s' share no %s (%u and %u images)\n", stage->config->name,
           a->name, b->name,
           !few_shot              ? "image"
           : a->named && b->named ? "class and no image"
                                  : "image; classes without names are not compared",
           l->prints[trained].n, l->prints[measured].n);
    return 0;
}

int leak_check(const struct setup *s)
{
    struct leaks l = {.s = s};
    int code = each_pair(&l, pair_check);

    for (int i = 0; i < s->n_data; i++)
        prints_release(&l.prints[i]);
    return code;
}
