/* state_order.c - names by the order of modules. */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/file/state_dict.h"

struct module {       /* one that has a weight */
    const char *name; /* of the weight; borrowed, the module's is the first `length` of it */
    int length;
    int n_dims;
    const size_t *dims; /* of the weight, borrowed */
};

struct modules {
    int n;
    struct module *each; /* owned */
};

/* Adds the module that a parameter belongs to, if the parameter is its weight. */
static void add(struct modules *m, const char *name, int n_dims, const size_t *dims)
{
    size_t n = strlen(name), end = strlen(".weight");

    if (n > end && strcmp(name + n - end, ".weight") == 0)
        m->each[m->n++] = (struct module){name, (int)(n - end), n_dims, dims};
}

/* Whether tensors of one type, as they lie in the file, are sorted by name. */
static bool is_sorted(const struct state_dict *d)
{
    for (int i = 1; i < d->n; i++) {
        const struct tensor *a = d->entries[i - 1].tensor, *b = d->entries[i].tensor;

        if (a->dtype == b->dtype && strcmp(a->name, b->name) > 0)
            return false;
    }
    return true;
}

static int by_numbers(const void *a, const void *b)
{
    return strverscmp(((const struct module *)a)->name, ((const struct module *)b)->name);
}

static bool same_dims(const struct module *a, const struct module *b)
{
    return memcmp(a->dims, b->dims, (size_t)a->n_dims * sizeof *a->dims) == 0;
}

/* Whether two names differ in numbers alone. */
static bool same_stem(const char *a, const char *b)
{
    for (;;) {
        while (isdigit((unsigned char)*a))
            a++;
        while (isdigit((unsigned char)*b))
            b++;
        if (*a != *b || !*a)
            return *a == *b;
        a++, b++;
    }
}

static int count(const struct modules *m, int n_dims)
{
    int n = 0;

    for (int i = 0; i < m->n; i++)
        n += m->each[i].n_dims == n_dims;
    return n;
}

static int next_of(const struct modules *m, int n_dims, int from)
{
    while (from < m->n && m->each[from].n_dims != n_dims)
        from++;
    return from;
}

static bool is_head(const struct module *m)
{
    return m->length == 4 && memcmp(m->name, "head", 4) == 0;
}

/* Pairs the modules whose weights have so many dimensions; pair (ours) gets indices of theirs, -1:
 * none. sorted: the order of theirs is that of numbers in their names. */
static bool pair_kind(const struct modules *ours, const struct modules *theirs, int n_dims,
                      bool sorted, int *pair)
{
    int n = count(ours, n_dims), i = next_of(ours, n_dims, 0), k = next_of(theirs, n_dims, 0),
        before = -1;

    if (n == 1 && is_head(&ours->each[i]) && count(theirs, n_dims) != 1)
        return true; /* a head is not found among others */
    if (n != count(theirs, n_dims))
        return false;
    for (; i < ours->n; i = next_of(ours, n_dims, i + 1), k = next_of(theirs, n_dims, k + 1)) {
        const struct module *a = &ours->each[i], *b = &theirs->each[k];

        if (!same_dims(a, b) && !is_head(a))
            return false;
        if (sorted && before >= 0 && same_dims(b, &theirs->each[before]) &&
            !same_stem(b->name, theirs->each[before].name))
            return false; /* either may be the first */
        pair[i] = before = k;
    }
    return true;
}

/* The entries of module `theirs` take the name of module `ours`. */
static bool rename_module(struct state_dict *d, const char *theirs, int length,
                          const struct module *ours)
{
    for (int i = 0; i < d->n; i++) {
        struct state_entry *e = &d->entries[i];
        char *name;

        if (strncmp(e->name, theirs, (size_t)length) != 0 || e->name[length] != '.' ||
            strchr(e->name + length + 1, '.'))
            continue;
        if (asprintf(&name, "%.*s%s", ours->length, ours->name, e->name + length) < 0)
            return false;
        free(e->name);
        e->name = name;
    }
    return true;
}

static bool pair_all(const struct modules *ours, const struct modules *theirs, bool sorted,
                     int *pair)
{
    for (int i = 0; i < ours->n; i++)
        pair[i] = -1;
    for (int n_dims = 1; n_dims <= 6; n_dims++)
        if (!pair_kind(ours, theirs, n_dims, sorted, pair))
            return false;
    return true;
}

static bool rename_all(struct state_dict *d, const struct modules *ours,
                       const struct modules *theirs, const int *pair)
{
    bool whole = true;

    for (int i = 0; i < ours->n && whole; i++) {
        const struct module *m = pair[i] < 0 ? NULL : &theirs->each[pair[i]];
        char *name = m ? strndup(m->name, (size_t)m->length) : NULL; /* an entry's may change */

        whole = !m || (name && rename_module(d, name, m->length, &ours->each[i]));
        free(name);
    }
    return whole;
}

bool state_dict_order(struct state_dict *d, const struct layout *l)
{
    struct modules ours = {0, calloc((size_t)l->n_segments + 1, sizeof(struct module))},
                   theirs = {0, calloc((size_t)d->n + 1, sizeof(struct module))};
    int *pair = calloc((size_t)l->n_segments + 1, sizeof *pair);
    bool sorted = is_sorted(d), found = ours.each && theirs.each && pair;

    for (int i = 0; i < l->n_segments && found; i++)
        add(&ours, l->segments[i].name, l->segments[i].n_dims, l->segments[i].dims);
    for (int i = 0; i < d->n && found; i++)
        add(&theirs, d->entries[i].name, d->entries[i].tensor->n_dims, d->entries[i].tensor->dims);
    if (found && sorted)
        qsort(theirs.each, (size_t)theirs.n, sizeof *theirs.each, by_numbers);
    found = found && ours.n > 0 && pair_all(&ours, &theirs, sorted, pair) &&
            rename_all(d, &ours, &theirs, pair);
    free(ours.each);
    free(theirs.each);
    free(pair);
    return found;
}
