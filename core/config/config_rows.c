/* config_rows.c - core's rows and the methods', in one table; which method takes which. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/err.h"
#include "core/config/config_internal.h"

enum { ALIGN = sizeof(max_align_t) };

static struct config_method method_at(const struct config_table *t, int i)
{
    return t->methods ? t->methods(i) : (struct config_method){0};
}

/* ---- one table ---- */

static int count(const struct config_key *rows)
{
    int n = 0;

    while (rows && rows[n].name)
        n++;
    return n;
}

static size_t block_size(const struct config_method *m)
{
    return (m->size + ALIGN - 1) / ALIGN * ALIGN;
}

/* Adds a method's rows after core's rows of the same section. */
static void add_method(struct config_table *t, const struct config_method *m)
{
    for (const struct config_key *k = m->keys; k && k->name; k++) {
        struct config_key *row = &t->rows[t->n++];

        *row = *k;
        row->offset += t->own;
        row->owner = m->name;
    }
    t->own += block_size(m);
}

static void add_section(struct config_table *t, const char *section)
{
    struct config_method m;

    for (const struct config_key *k = config_keys; k->name; k++)
        if (strcmp(k->section, section) == 0)
            t->rows[t->n++] = *k;
    if (strcmp(section, "stage") != 0)
        return;
    for (int i = 0; (m = method_at(t, i)).name; i++)
        add_method(t, &m);
}

int config_table_init(struct config_table *t, config_methods *methods)
{
    struct config_method m;
    int n = count(config_keys);

    *t = (struct config_table){.methods = methods};
    for (int i = 0; (m = method_at(t, i)).name; i++)
        n += count(m.keys);
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

size_t config_table_own(const struct config_table *t, const char *method)
{
    struct config_method m;
    size_t at = 0;

    for (int i = 0; (m = method_at(t, i)).name && strcmp(m.name, method) != 0; i++)
        at += block_size(&m);
    return at;
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

static bool takes(const struct config_method *m, const struct config_key *k)
{
    if (k->owner)
        return strcmp(k->owner, m->name) == 0;
    for (const char *const *name = m->takes; name && *name; name++)
        if (strcmp(*name, k->name) == 0)
            return true;
    return false;
}

/* True if `method` takes the key, or is unknown; *anybody: true if some method takes it. */
static bool is_taken_by(const struct config_table *t, const struct config_key *k,
                        const char *method, bool *anybody)
{
    struct config_method m;
    bool known = false, taken = false;

    *anybody = false;
    for (int i = 0; (m = method_at(t, i)).name; i++) {
        bool its = takes(&m, k), asked = strcmp(m.name, method) == 0;

        *anybody |= its;
        known |= asked;
        taken |= asked && its;
    }
    return taken || !known;
}

bool config_key_is_taken(const struct config_table *t, const struct config_key *k,
                         const char *method)
{
    bool anybody, taken;

    if (strcmp(k->section, "stage") != 0)
        return true;
    taken = is_taken_by(t, k, method, &anybody);
    return taken || !anybody;
}

void config_key_methods(const struct config_table *t, const struct config_key *k, char *text,
                        size_t n)
{
    struct config_method m;
    size_t used = 0;

    *text = '\0';
    for (int i = 0; strcmp(k->section, "stage") == 0 && (m = method_at(t, i)).name; i++)
        if (takes(&m, k) && used < n)
            used += (size_t)snprintf(text + used, n - used, "%s%s", used ? ", " : "", m.name);
}

int config_key_refuse(const struct config_table *t, const struct config_key *k, const char *method)
{
    char methods[256];

    config_key_methods(t, k, methods, sizeof methods);
    return err(ERR_CONFIG, "'%s' is a key of method%s %s, not of '%s'", k->name,
               strchr(methods, ',') ? "s" : "", methods, method);
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
