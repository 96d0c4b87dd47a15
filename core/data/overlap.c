/* overlap.c - sorted names and sorted digests, merged. */
#include "core/data/overlap.h"

#include <stdlib.h>
#include <string.h>

#include "core/base/err.h"

enum { NAME_BYTES = 4096 };

struct print {
    uint64_t digest;
    uint32_t index;
};

static uint32_t before_turns(const struct data *d, uint32_t n)
{
    return d->turned_classes ? n / 4 : n;
}

static int text_compare(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static void texts_free(char **texts, uint32_t n)
{
    for (uint32_t i = 0; texts && i < n; i++)
        free(texts[i]);
    free(texts);
}

/* The names of all classes, sorted; owned by the caller. NULL: no memory. */
static char **names_sorted(const struct data *d, uint32_t n)
{
    char **names = calloc((size_t)n + 1, sizeof *names), name[NAME_BYTES];

    for (uint32_t i = 0; names && i < n; i++) {
        d->ops->class_name(d, i, name, sizeof name);
        names[i] = strdup(name);
        if (!names[i]) {
            texts_free(names, i);
            return NULL;
        }
    }
    if (names)
        qsort(names, n, sizeof *names, text_compare);
    return names;
}

/* The first text that both have; borrowed. NULL: none. */
static const char *first_common(char **a, uint32_t n_a, char **b, uint32_t n_b)
{
    for (uint32_t i = 0, k = 0; i < n_a && k < n_b;) {
        int order = strcmp(a[i], b[k]);

        if (order == 0)
            return b[k];
        i += order < 0;
        k += order > 0;
    }
    return NULL;
}

int overlap_class(const struct data *a, const struct data *b, char **name)
{
    uint32_t n_a = before_turns(a, a->n_classes), n_b = before_turns(b, b->n_classes);
    char **in_a, **in_b;
    const char *common = NULL;

    *name = NULL;
    if (!a->named || !b->named || a->n_classes == DATA_ENDLESS || b->n_classes == DATA_ENDLESS)
        return 0;
    in_a = names_sorted(a, n_a);
    in_b = in_a ? names_sorted(b, n_b) : NULL;
    if (in_b) {
        common = first_common(in_a, n_a, in_b, n_b);
        *name = common ? strdup(common) : NULL;
    }
    texts_free(in_a, n_a);
    texts_free(in_b, n_b);
    if (!in_b || (common && !*name))
        return err(ERR_MEMORY, "out of memory for the names of %u classes", n_a + n_b);
    return common != NULL;
}

static int print_compare(const void *a, const void *b)
{
    const struct print *x = a, *y = b;

    return x->digest != y->digest ? (x->digest > y->digest) - (x->digest < y->digest)
                                  : (x->index > y->index) - (x->index < y->index);
}

int prints_of(const struct data *d, struct prints *p)
{
    uint32_t n = before_turns(d, d->n_samples);

    *p = (struct prints){0};
    if (!d->ops->digest || d->n_samples == DATA_ENDLESS)
        return 0;
    p->items = calloc((size_t)n + 1, sizeof *p->items);
    if (!p->items)
        return err(ERR_MEMORY, "out of memory for digests of %u images", n);
    for (uint32_t i = 0; i < n; i++) {
        p->items[i].index = i;
        TRY(d->ops->digest(d, i, &p->items[i].digest));
    }
    p->n = n;
    qsort(p->items, n, sizeof *p->items, print_compare);
    return 0;
}

void prints_release(struct prints *p)
{
    free(p->items);
    *p = (struct prints){0};
}

int overlap_image(const struct prints *a, const struct prints *b, uint32_t *in_a, uint32_t *in_b)
{
    int found = 0;

    for (uint32_t i = 0, k = 0; i < a->n && k < b->n;) {
        const struct print *x = &a->items[i], *y = &b->items[k];

        if (x->digest == y->digest && (!found || y->index < *in_b)) {
            found = 1;
            *in_a = x->index;
            *in_b = y->index;
        }
        i += x->digest < y->digest;
        k += x->digest >= y->digest;
    }
    return found;
}
