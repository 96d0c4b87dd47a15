/* state_dict.c - entries and their names. */
#include "core/file/state_dict.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "core/base/err.h"
#include "core/file/checkpoint.h"

struct rule {
    const char *text, *ours; /* borrowed: "theirs=ours", and what is behind the sign */
    size_t length;           /* of theirs */
    bool used;
};

static bool begins(const char *text, const char *with)
{
    return strncmp(text, with, strlen(with)) == 0;
}

static bool ends(const char *text, const char *with)
{
    size_t n = strlen(text), m = strlen(with);

    return n >= m && strcmp(text + n - m, with) == 0;
}

static const char *without_module(const char *name)
{
    while (begins(name, "module."))
        name += strlen("module.");
    return name;
}

static bool rule_fits(const struct rule *r, const char *name)
{
    return strncmp(name, r->text, r->length) == 0 &&
           (name[r->length] == '\0' || name[r->length] == '.' || r->length == 0);
}

/* The longest rule that fits the tensor's name, with or without "module."; NULL: none. *name: the
 * one of both that it fits. */
static struct rule *rule_of(struct rule *rules, int n, const char **name)
{
    const char *names[] = {*name, without_module(*name)};
    struct rule *best = NULL;

    for (int k = 0; k < 2; k++)
        for (int i = 0; i < n; i++)
            if (rule_fits(&rules[i], names[k]) && (!best || rules[i].length > best->length)) {
                best = &rules[i];
                *name = names[k];
            }
    return best;
}

/* `ours`, and what of the name is behind `theirs`, with one dot between them. */
static char *joined(const char *ours, const char *rest)
{
    size_t room;
    char *name;

    rest += *rest == '.';
    room = strlen(ours) + strlen(rest) + 2;
    name = malloc(room);
    if (name)
        snprintf(name, room, "%s%s%s", ours, *ours && *rest ? "." : "", rest);
    return name;
}

/* Adds the tensor, if it is an entry. */
static int add(struct state_dict *d, const struct tensor *t, struct rule *rules, int n)
{
    const char *name = t->name;
    struct rule *rule = ends(name, ".num_batches_tracked") ? NULL : rule_of(rules, n, &name);
    struct state_entry *e = &d->entries[d->n];

    if (ends(name, ".num_batches_tracked") ||
        (!rule && (begins(name, "optimizer.") || begins(name, "kept."))))
        return 0;
    *e = (struct state_entry){.tensor = t};
    e->name = rule ? joined(rule->ours, name + rule->length) : strdup(without_module(name));
    if (!e->name)
        return err(ERR_MEMORY, "no memory for the name of a tensor");
    if (rule)
        rule->used = true;
    d->n++;
    return 0;
}

static int by_name(const void *a, const void *b)
{
    return strcmp((*(struct state_entry *const *)a)->name, (*(struct state_entry *const *)b)->name);
}

/* No two entries have one name. */
static int check_twice(const struct state_dict *d, const char *path)
{
    struct state_entry **sorted = calloc((size_t)d->n + 1, sizeof(struct state_entry *));
    int code = sorted ? 0 : err(ERR_MEMORY, "no memory for the tensors of '%s'", path);

    for (int i = 0; i < d->n && sorted; i++)
        sorted[i] = &d->entries[i];
    if (sorted)
        qsort(sorted, (size_t)d->n, sizeof(struct state_entry *), by_name);
    for (int i = 1; i < d->n && code == 0; i++)
        if (strcmp(sorted[i - 1]->name, sorted[i]->name) == 0)
            code = err(ERR_DATA, "'%s': tensors '%s' and '%s' would both be '%s'", path,
                       sorted[i - 1]->tensor->name, sorted[i]->tensor->name, sorted[i]->name);
    free(sorted);
    return code;
}

static int rules_read(char *const *texts, int n, struct rule *rules)
{
    for (int i = 0; i < n; i++) {
        const char *text = texts[i], *sign = strchr(text, '=');

        if (!sign)
            return err(ERR_CONFIG, "init_map: '%s' is not theirs=ours", text);
        rules[i] = (struct rule){text, sign + 1, (size_t)(sign - text), false};
    }
    return 0;
}

static int fill(struct state_dict *d, const char *path, struct rule *rules, char *const *texts,
                int n)
{
    TRY(rules_read(texts, n, rules));
    TRY(safetensors_open(&d->file, path));
    TRY(checkpoint_check(&d->file, path));
    d->digest = XXH64(d->file.bytes, d->file.n_bytes, 0);
    d->entries = calloc((size_t)d->file.n_tensors + 1, sizeof *d->entries);
    if (!d->entries)
        return err(ERR_MEMORY, "no memory for the tensors of '%s'", path);
    for (int i = 0; i < d->file.n_tensors; i++)
        TRY(add(d, &d->file.tensors[i], rules, n));
    for (int i = 0; i < n; i++)
        if (!rules[i].used)
            return err(ERR_CONFIG,
                       "init_map: '%s': '%s' has no tensor or module '%.*s' (metaloop inspect "
                       "--all lists them)",
                       rules[i].text, path, (int)rules[i].length, rules[i].text);
    return check_twice(d, path);
}

int state_dict_open(struct state_dict *d, const char *path, char *const *rules, int n_rules)
{
    struct rule *room = calloc((size_t)n_rules + 1, sizeof *room);
    int code;

    *d = (struct state_dict){0};
    code = room ? fill(d, path, room, rules, n_rules) : err(ERR_MEMORY, "no memory for init_map");
    free(room);
    if (code < 0)
        state_dict_close(d);
    return code;
}

void state_dict_close(struct state_dict *d)
{
    for (int i = 0; i < d->n; i++)
        free(d->entries[i].name);
    free(d->entries);
    safetensors_close(&d->file);
    *d = (struct state_dict){0};
}

struct state_entry *state_dict_find(const struct state_dict *d, const char *name)
{
    for (int i = 0; i < d->n; i++)
        if (strcmp(d->entries[i].name, name) == 0)
            return &d->entries[i];
    return NULL;
}

bool state_entry_fits(const struct state_entry *e, const struct segment *s)
{
    return segment_has_shape(s, e->tensor->n_dims, e->tensor->dims);
}
