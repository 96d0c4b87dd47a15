/* config_nearest.c - the key or section that was meant. */
#include <stdlib.h>
#include <string.h>

#include "core/base/err.h"
#include "core/base/nearest.h"
#include "core/config/config_internal.h"

enum { SHOWN = 60 }; /* bytes of a wrong word */

const char *config_nearest(const char *word, const char *const *words)
{
    return nearest_word(word, words);
}

static int unknown(const char *what, const char *name, const char *const *words)
{
    const char *near = config_nearest(name, words);

    if (near)
        return err(ERR_CONFIG, "%s, did you mean '%s'?", what, near);
    return err(ERR_CONFIG, "%s", what);
}

int config_unknown_key(const struct config_table *t, const char *section, const char *name)
{
    const char **words = calloc((size_t)t->n + 1, sizeof *words);
    char what[256];
    int n = 0;

    if (!words)
        return err(ERR_MEMORY, "out of memory");
    for (const struct config_key *k = t->rows; k->name; k++)
        if (strcmp(k->section, section) == 0)
            words[n++] = k->name;
    snprintf(what, sizeof what, "unknown key '%.*s' in section '%s'", SHOWN, name, section);
    n = unknown(what, name, words);
    free(words);
    return n;
}

int config_unknown_section(const struct config_table *t, const char *name)
{
    const char *words[CONFIG_SECTIONS + 1] = {0};
    char what[256];

    for (int i = 0; i < CONFIG_SECTIONS; i++)
        words[i] = config_sections[i].name;
    snprintf(what, sizeof what, "unknown section '%.*s'", SHOWN, name);
    for (const struct config_key *k = t->rows; k->name; k++)
        if (strcmp(k->name, name) == 0)
            return err(ERR_CONFIG, "%s; '%s' is a key of section '%s'", what, name, k->section);
    return unknown(what, name, words);
}
