/* config_compare.c - compares two configurations key by key, from the table. */
#include <stdlib.h>
#include <string.h>

#include "core/base/err.h"
#include "core/config/config_internal.h"

struct comparison {
    const struct config *before, *now;
    void (*each)(void *context, const struct config_change *change);
    void *context;
};

/* The value as text, as in a file; owned by the caller. NULL: no memory. */
static char *value_of(const struct config_key *k, const void *base)
{
    char *text = NULL;
    size_t n;
    FILE *out = open_memstream(&text, &n);

    if (!out)
        return NULL;
    config_key_print(k, base, out);
    if (fclose(out) == 0)
        return text;
    free(text);
    return NULL;
}

static int key_compare(const struct comparison *c, const struct config_key *k, const char *section,
                       int stage, const void *before, const void *now)
{
    char *old = value_of(k, before), *new = value_of(k, now), key[CONFIG_TITLE_MAX + 64];
    struct config_change change = {key, old, new, k->may_change, stage};
    bool same = old && new &&strcmp(old, new) == 0;

    snprintf(key, sizeof key, "%s.%s", section, k->name);
    if (old && new && !same)
        c->each(c->context, &change);
    free(old);
    free(new);
    return old && new ? 0 : err(ERR_MEMORY, "out of memory");
}

/* The name of a section in a key: "cluster", "stage.meta"; "model" for the model without a name. */
static void section_name(const struct config_section *s, const void *base, char *name, size_t n)
{
    const char *title = s->max ? *(char *const *)base : NULL;

    if (title && !(s->untitled && strcmp(title, s->untitled) == 0))
        snprintf(name, n, "%s.%s", s->name, title);
    else
        snprintf(name, n, "%s", s->name);
}

static int section_compare(const struct comparison *c, const struct config_section *s,
                           const void *before, const void *now)
{
    char name[CONFIG_TITLE_MAX + 16];
    bool is_stage = s->offset == offsetof(struct config, stages);
    int stage = is_stage ? (int)((const struct stage_config *)now - c->now->stages) : -1;

    section_name(s, now, name, sizeof name);
    for (const struct config_key *k = c->now->table->rows; k->name; k++)
        if (strcmp(k->section, s->name) == 0)
            TRY(key_compare(c, k, name, stage, before, now));
    return 0;
}

/* The section of the same title; NULL: there is none. */
static const void *section_like(const struct config_section *s, const struct config *in,
                                const void *base)
{
    for (int i = 0; i < config_section_count(s, in); i++) {
        const void *other = config_section_at(s, in, i);

        if (!s->max || strcmp(*(char *const *)other, *(char *const *)base) == 0)
            return other;
    }
    return NULL;
}

/* "meta, align" */
static void stage_names(const struct config *c, char *text, size_t n)
{
    size_t used = 0;

    *text = '\0';
    for (int i = 0; i < c->n_stages && used < n; i++)
        used += (size_t)snprintf(text + used, n - used, "%s%s", i ? ", " : "", c->stages[i].name);
}

static void stages_compare(const struct comparison *c)
{
    char before[CONFIG_STAGE_MAX * (CONFIG_TITLE_MAX + 2) + 1], now[sizeof before];
    struct config_change change = {"stages", before, now, false, -1};

    stage_names(c->before, before, sizeof before);
    stage_names(c->now, now, sizeof now);
    if (strcmp(before, now) != 0)
        c->each(c->context, &change);
}

/* The first model is used by the stages that name none. */
static void first_model_compare(const struct comparison *c)
{
    const char *before = c->before->models[0].name, *now = c->now->models[0].name;
    struct config_change change = {"the first model", before, now, false, -1};

    if (strcmp(before, now) != 0)
        c->each(c->context, &change);
}

int config_compare(const struct config *before, const struct config *now,
                   void (*each)(void *context, const struct config_change *change), void *context)
{
    const struct comparison c = {before, now, each, context};

    stages_compare(&c);
    first_model_compare(&c);
    for (int i = 0; i < CONFIG_SECTIONS; i++) {
        const struct config_section *s = &config_sections[i];

        for (int j = 0; j < config_section_count(s, now); j++) {
            const void *there = config_section_at(s, now, j);
            const void *old = section_like(s, before, there);

            if (old)
                TRY(section_compare(&c, s, old, there));
        }
    }
    return 0;
}
