/* config_rows.c - core's rows and those of methods and losses, in one table; who takes which. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/err.h"
#include "core/config/config_internal.h"

enum { ALIGN = sizeof(max_align_t) };

static struct config_owner owner_at(const struct config_table *t, int i)
{
    return t->owners ? t->owners(i) : (struct config_owner){0};
}

/* ---- one table ---- */

static int count(const struct config_key *rows)
{
    int n = 0;

    while (rows && rows[n].name)
        n++;
    return n;
}

static size_t block_size(const struct config_owner *o)
{
    return (o->size + ALIGN - 1) / ALIGN * ALIGN;
}

/* Adds an owner's rows after core's rows of the same section. */
static void add_owner(struct config_table *t, const struct config_owner *o)
{
    for (const struct config_key *k = o->keys; k && k->name; k++) {
        struct config_key *row = &t->rows[t->n++];

        *row = *k;
        row->offset += t->own;
        row->owner = o->name;
    }
    t->own += block_size(o);
}

static void add_section(struct config_table *t, const char *section)
{
    struct config_owner o;

    for (const struct config_key *k = config_keys; k->name; k++)
        if (strcmp(k->section, section) == 0)
            t->rows[t->n++] = *k;
    if (strcmp(section, "stage") != 0)
        return;
    for (int i = 0; (o = owner_at(t, i)).name; i++)
        add_owner(t, &o);
}

int config_table_init(struct config_table *t, config_owners *owners)
{
    struct config_owner o;
    int n = count(config_keys);

    *t = (struct config_table){.owners = owners};
    for (int i = 0; (o = owner_at(t, i)).name; i++)
        n += count(o.keys);
    t->rows = calloc((size_t)n + 1, sizeof *t->rows);
    if (!t->rows)
        return err(ERR_MEMORY, "out of memory");
    for (int i = 0; i < CONFIG_SECTIONS; i++)
        add_section(t, config_sections[i].name);
    return 0;
}

void config_table_release(struct config_table *t)
{
    free(t->rows);
    *t = (struct config_table){0};
}

const struct config_key *config_key_find(const struct config_table *t, const char *section,
                                         const char *name)
{
    for (const struct config_key *k = t->rows; k->name; k++)
        if (strcmp(k->section, section) == 0 && strcmp(k->name, name) == 0)
            return k;
    return NULL;
}

void *config_key_field(const struct config_key *k, const void *base)
{
    if (k->owner)
        base = ((const struct stage_config *)base)->own;
    return (char *)base + k->offset;
}

/* ---- whose key it is ---- */

/* What the stage names by that key. */
static const char *chosen(const struct config_table *t, const struct stage_config *s,
                          const char *kind)
{
    return *(char *const *)config_key_field(config_key_find(t, "stage", kind), s);
}

size_t config_table_own(const struct config_table *t, const struct stage_config *s,
                        const char *kind)
{
    const char *name = chosen(t, s, kind);
    struct config_owner o;
    size_t at = 0;

    for (int i = 0; (o = owner_at(t, i)).name; i++) {
        if (strcmp(o.chosen_by, kind) == 0 && strcmp(o.name, name) == 0)
            break;
        at += block_size(&o);
    }
    return at;
}

static bool takes(const struct config_owner *o, const struct config_key *k)
{
    if (k->owner)
        return strcmp(k->owner, o->name) == 0;
    for (const char *const *name = o->takes; name && *name; name++)
        if (strcmp(*name, k->name) == 0)
            return true;
    return false;
}

/* The kind of owners that take a key of a stage; NULL: it is everybody's. */
static const char *kind_of(const struct config_table *t, const struct config_key *k)
{
    struct config_owner o;

    for (int i = 0; strcmp(k->section, "stage") == 0 && (o = owner_at(t, i)).name; i++)
        if (takes(&o, k))
            return o.chosen_by;
    return NULL;
}

bool config_key_is_taken(const struct config_table *t, const struct config_key *k, const void *base)
{
    const char *kind = kind_of(t, k), *name = kind ? chosen(t, base, kind) : NULL;
    struct config_owner o;

    if (!kind)
        return true;
    for (int i = 0; (o = owner_at(t, i)).name; i++)
        if (strcmp(o.chosen_by, kind) == 0 && strcmp(o.name, name) == 0)
            return takes(&o, k);
    return *name != '\0'; /* an unknown one is refused elsewhere */
}

void config_key_owners(const struct config_table *t, const struct config_key *k, char *text,
                       size_t n)
{
    struct config_owner o;
    size_t used = 0;

    *text = '\0';
    for (int i = 0; strcmp(k->section, "stage") == 0 && (o = owner_at(t, i)).name; i++)
        if (takes(&o, k) && used < n)
            used += (size_t)snprintf(text + used, n - used, "%s%s", used ? ", " : "", o.name);
}

int config_key_refuse(const struct config_table *t, const struct config_key *k,
                      const struct stage_config *s)
{
    const char *kind = kind_of(t, k);
    char owners[256];

    config_key_owners(t, k, owners, sizeof owners);
    return err(ERR_CONFIG, "'%s' is a key of %s%s %s, not of '%s'", k->name, kind,
               strchr(owners, ',') ? "s" : "", owners, chosen(t, s, kind));
}

/* ---- who gives it ---- */

int config_origins_note(struct config_origins *o, const struct config *c,
                        const struct config_key *k, const void *base, const char *set)
{
    ptrdiff_t i = (const struct stage_config *)base - c->stages;

    if (strcmp(k->section, "stage") != 0)
        return 0;
    if (!o->given[i])
        o->given[i] = calloc((size_t)c->table->n, sizeof *o->given[i]);
    if (!o->given[i])
        return err(ERR_MEMORY, "out of memory");
    o->given[i][k - c->table->rows] = set;
    return 0;
}
