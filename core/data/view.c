/* view.c - choosing images by class, and the index of what was chosen. */
#include "core/data/view.h"

#include <stdbool.h>
#include <stdlib.h>

#include "core/base/err.h"
#include "core/math/rng.h"

int store_count(const struct store *s, uint32_t n_classes, uint32_t **first)
{
    uint32_t *f = *first = calloc((size_t)n_classes + 1, sizeof *f);

    if (!f)
        return err(ERR_MEMORY, "out of memory for %u classes", n_classes);
    for (uint32_t i = 0; i < s->n; i++)
        f[s->labels[i] + 1]++;
    for (uint32_t i = 0; i < n_classes; i++)
        f[i + 1] += f[i];
    return 0;
}

static int classes_choose(struct store_view *v, const struct store *s, const struct choice *c)
{
    if (!c->selected && c->n_classes >= s->n_classes)
        return 0;
    v->class_of = malloc(s->n_classes * sizeof *v->class_of);
    if (!v->class_of)
        return err(ERR_MEMORY, "out of memory for %u classes", s->n_classes);
    for (uint32_t i = 0; i < s->n_classes; i++)
        v->class_of[i] = VIEW_NO_CLASS;
    for (uint32_t i = 0; i < c->n_classes; i++) {
        uint32_t from = c->selected ? c->selected[i] : i;

        if (from < s->n_classes)
            v->class_of[from] = i;
    }
    return 0;
}

static int images_choose(struct store_view *v, const struct store *s)
{
    uint32_t n = 0;

    for (uint32_t i = 0; i < s->n; i++)
        v->n += view_class(v, s->labels[i]) != VIEW_NO_CLASS;
    if (v->n == s->n)
        return 0;
    v->member = calloc((size_t)v->n + 1, sizeof *v->member);
    if (!v->member)
        return err(ERR_MEMORY, "out of memory for the index of %u images", v->n);
    for (uint32_t i = 0; i < s->n; i++)
        if (view_class(v, s->labels[i]) != VIEW_NO_CLASS)
            v->member[n++] = i;
    return 0;
}

/* A random permutation says which of the images; they stay in file order. */
static int subset_choose(struct store_view *v, const struct choice *c)
{
    uint32_t *member = calloc(c->subset, sizeof *member), n = 0;
    bool *taken = calloc(v->n, sizeof *taken);

    if (!member || !taken) {
        free(member);
        free(taken);
        return err(ERR_MEMORY, "out of memory for a subset of %u images", c->subset);
    }
    for (uint32_t i = 0; i < c->subset; i++)
        taken[rng_permute(c->seed, RNG_SUBSET, 0, v->n, i)] = true;
    for (uint32_t i = 0; i < v->n; i++)
        if (taken[i])
            member[n++] = view_image(v, i);
    free(taken);
    free(v->member);
    v->member = member;
    v->n = n;
    return 0;
}

static uint32_t class_at(const struct store_view *v, const struct store *s, uint32_t index)
{
    return view_class(v, s->labels[view_image(v, index)]);
}

/* Counting sort by class; within a class images keep their order. */
static int view_index(struct store_view *v, const struct store *s, uint32_t n_classes)
{
    uint32_t *next = calloc((size_t)n_classes + 1, sizeof *next);

    v->first = calloc((size_t)n_classes + 1, sizeof *v->first);
    v->order = calloc((size_t)v->n + 1, sizeof *v->order);
    if (!v->first || !v->order || !next) {
        free(next);
        return err(ERR_MEMORY, "out of memory for the index of %u images", v->n);
    }
    for (uint32_t i = 0; i < v->n; i++)
        v->first[class_at(v, s, i) + 1]++;
    for (uint32_t i = 0; i < n_classes; i++)
        next[i + 1] = v->first[i + 1] += v->first[i];
    for (uint32_t i = 0; i < v->n; i++)
        v->order[next[class_at(v, s, i)]++] = i;
    free(next);
    return 0;
}

int view_init(struct store_view *v, const struct store *s, const struct choice *c)
{
    *v = (struct store_view){0};
    TRY(classes_choose(v, s, c));
    TRY(images_choose(v, s));
    if (c->subset > v->n)
        return err(ERR_CONFIG, "subset is %u, but there are %u images", c->subset, v->n);
    if (c->subset > 0)
        TRY(subset_choose(v, c));
    return view_index(v, s, c->n_classes);
}

void view_release(struct store_view *v)
{
    free(v->member);
    free(v->class_of);
    free(v->first);
    free(v->order);
    *v = (struct store_view){0};
}

static int number_compare(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

    return (x > y) - (x < y);
}

bool view_find(const struct store_view *v, uint32_t image, uint32_t *index)
{
    const uint32_t *found;

    *index = image;
    if (!v->member)
        return true;
    found = bsearch(&image, v->member, v->n, sizeof image, number_compare);
    *index = found ? (uint32_t)(found - v->member) : 0;
    return found;
}
