/* table.c - finding a plug-in by its name. */
#include "core/base/table.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/nearest.h"

/* Entry i: a pointer to a struct, seen as one to its first member. NULL at the end. */
static const char *const *entry_at(const void *table, size_t i)
{
    const char *const *entry;

    memcpy(&entry, (const char *)table + i * sizeof entry, sizeof entry);
    return entry;
}

const void *table_find(const void *table, const char *name)
{
    size_t i = 0;

    while (entry_at(table, i) && strcmp(*entry_at(table, i), name) != 0)
        i++;
    return entry_at(table, i);
}

const char *table_hint(const void *table, const char *name, char *hint)
{
    const char **names;
    size_t n = 0;

    while (entry_at(table, n))
        n++;
    names = calloc(n + 1, sizeof *names);
    hint[0] = '\0';
    for (size_t i = 0; names && i < n; i++)
        names[i] = *entry_at(table, i);
    if (names)
        nearest_hint(name, names, hint);
    free(names);
    return hint;
}
