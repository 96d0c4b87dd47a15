/* csv_columns.c - names and patterns to columns. */
#include "core/data/csv_columns.h"

#include <fnmatch.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "core/base/err.h"
#include "core/base/nearest.h"
#include "core/base/plural.h"
#include "core/data/csv_number.h"

void csv_columns_release(struct csv_columns *c)
{
    for (uint32_t i = 0; i < c->n; i++)
        free(c->each[i].name);
    free(c->each);
    *c = (struct csv_columns){0};
}

int csv_columns_add(struct csv_columns *c, const char *name, size_t n, const char *path)
{
    if (c->n == SHEET_COLUMNS_MAX)
        return err(ERR_DATA, "'%s' has more than %d columns", path, SHEET_COLUMNS_MAX);
    if (memchr(name, '\0', n))
        return err(ERR_DATA, "'%s' has a zero byte in its header: it is no text file", path);
    if (c->n == c->room) {
        uint32_t room = c->room ? 2 * c->room : 16;
        struct csv_column *more = realloc(c->each, room * sizeof *more);

        if (!more)
            return err(ERR_MEMORY, "out of memory for %u columns", room);
        c->each = more;
        c->room = room;
    }
    c->each[c->n] = (struct csv_column){.name = strndup(name, n), .input = -1, .target = -1};
    return c->each[c->n++].name ? 0 : err(ERR_MEMORY, "out of memory for a column's name");
}

/* ---- a header that cannot be one ---- */

static int by_name(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static int check_twice(const struct csv_columns *c, const char *path)
{
    char **names = calloc(c->n, sizeof *names);
    int code = names ? 0 : err(ERR_MEMORY, "out of memory for %u columns", c->n);

    for (uint32_t i = 0; names && i < c->n; i++)
        names[i] = c->each[i].name;
    if (names)
        qsort(names, c->n, sizeof *names, by_name);
    for (uint32_t i = 1; i < c->n && code == 0; i++)
        if (*names[i] && strcmp(names[i - 1], names[i]) == 0)
            code = err(ERR_DATA, "'%s' has two columns '%s'", path, names[i]);
    free(names);
    return code;
}

static int check_header(const struct csv_columns *c, const char *path)
{
    uint32_t n_numbers = 0;
    double x;

    for (uint32_t i = 0; i < c->n; i++)
        n_numbers += csv_number(c->each[i].name, strlen(c->each[i].name), &x) == FIELD_NUMBER;
    if (n_numbers == c->n)
        return err(ERR_DATA, "'%s' has only numbers in its first line, which must name the columns",
                   path);
    return check_twice(c, path);
}

/* ---- choosing ---- */

static struct csv_column *find(const struct csv_columns *c, const char *name)
{
    for (uint32_t i = 0; i < c->n; i++)
        if (strcmp(c->each[i].name, name) == 0)
            return &c->each[i];
    return NULL;
}

static int unknown(const struct csv_columns *c, const char *key, const char *name, const char *path)
{
    const char **names = calloc((size_t)c->n + 1, sizeof *names);
    char hint[NEAREST_HINT] = "";

    for (uint32_t i = 0; names && i < c->n; i++)
        names[i] = c->each[i].name;
    if (names)
        nearest_hint(name, names, hint);
    free(names);
    return err(ERR_CONFIG, "%s: '%s' has no column '%s'%s", key, path, name, hint);
}

static int both(const struct csv_column *k, const char *one, const char *other)
{
    return err(ERR_CONFIG, "column '%s' cannot be %s and %s", k->name, one, other);
}

static int choose_class(struct csv_columns *c, const char *name, const char *path)
{
    struct csv_column *k = find(c, name);

    if (!*name)
        return 0;
    if (!k)
        return unknown(c, "task, label", name, path);
    k->classes = true;
    return 0;
}

static int choose_time(struct csv_columns *c, const char *name, const char *path)
{
    struct csv_column *k = find(c, name);

    if (!*name)
        return 0;
    if (!k)
        return unknown(c, "time", name, path);
    k->time = true;
    return k->classes ? both(k, "task or label", "time") : 0;
}

/* It is the last of the targets. */
static int choose_weight(struct csv_columns *c, const char *name, const char *path)
{
    struct csv_column *k = find(c, name);

    if (!*name)
        return 0;
    if (!k)
        return unknown(c, "weight", name, path);
    if (k->classes || k->time || k->target >= 0)
        return both(k, k->target >= 0 ? "a target" : "task, label or time", "weight");
    k->target = c->n_targets++;
    k->weight = true;
    return 0;
}

static bool is_free(const struct csv_column *k)
{
    return k->input < 0 && k->target < 0 && !k->classes && !k->time && *k->name;
}

static bool is_pattern(const char *item)
{
    return item[strcspn(item, "*?[")] != '\0';
}

static int target_item(struct csv_columns *c, const char *item, const char *path)
{
    struct csv_column *exact = find(c, item);
    int before = c->n_targets;

    if (exact && !is_free(exact))
        return both(exact, "a target",
                    exact->target >= 0 ? "another target" : "task, label or time");
    for (uint32_t i = 0; i < c->n; i++)
        if (exact ? exact == &c->each[i]
                  : is_pattern(item) && is_free(&c->each[i]) &&
                        fnmatch(item, c->each[i].name, 0) == 0)
            c->each[i].target = c->n_targets++;
    return c->n_targets > before ? 0 : unknown(c, "targets", item, path);
}

/* An exact name may be that of the time. */
static int input_item(struct csv_columns *c, const char *item, const char *path)
{
    struct csv_column *exact = find(c, item);
    int before = c->n_inputs;

    if (exact && (exact->target >= 0 || exact->classes))
        return both(exact, "an input",
                    exact->classes  ? "task or label"
                    : exact->weight ? "weight"
                                    : "a target");
    if (exact && exact->input >= 0)
        return both(exact, "an input", "another input");
    for (uint32_t i = 0; i < c->n; i++)
        if (exact ? exact == &c->each[i]
                  : is_pattern(item) && is_free(&c->each[i]) &&
                        fnmatch(item, c->each[i].name, 0) == 0)
            c->each[i].input = c->n_inputs++;
    return c->n_inputs > before ? 0 : unknown(c, "inputs", item, path);
}

int csv_columns_choose(struct csv_columns *c, const struct sheet_wanted *w, const char *path)
{
    TRY(check_header(c, path));
    TRY(choose_class(c, w->classes, path));
    TRY(choose_time(c, w->time, path));
    for (int i = 0; i < w->targets->n; i++)
        TRY(target_item(c, w->targets->items[i], path));
    TRY(choose_weight(c, w->weight, path));
    for (int i = 0; i < w->inputs->n; i++)
        TRY(input_item(c, w->inputs->items[i], path));
    for (uint32_t i = 0; w->inputs->n == 0 && i < c->n; i++)
        if (is_free(&c->each[i]))
            c->each[i].input = c->n_inputs++;
    if (c->n_inputs == 0)
        return err(ERR_CONFIG, "'%s' has %u column%s, and none is left for the inputs", path, c->n,
                   plural(c->n));
    return 0;
}

/* The column at that place. */
static const char *name_at(const struct csv_columns *c, bool target, int place)
{
    for (uint32_t i = 0; i < c->n; i++)
        if ((target ? c->each[i].target : c->each[i].input) == place)
            return c->each[i].name;
    return "";
}

uint64_t csv_name_digest(const char *name, uint64_t digest)
{
    return XXH3_64bits_withSeed(name, strlen(name) + 1, digest);
}

uint64_t csv_columns_digest(const struct csv_columns *c)
{
    uint64_t digest = (uint64_t)c->n_inputs;

    for (int i = 0; i < c->n_inputs + c->n_targets; i++) {
        bool target = i >= c->n_inputs;
        const char *name = name_at(c, target, target ? i - c->n_inputs : i);

        digest = csv_name_digest(name, digest);
    }
    return digest;
}

int csv_columns_targets(const struct csv_columns *c, struct names *names)
{
    size_t text = 0;
    char *to;

    for (int i = 0; i < c->n_targets; i++)
        text += strlen(name_at(c, true, i)) + 1;
    *names = (struct names){.items = calloc((size_t)c->n_targets + 1, sizeof *names->items),
                            .text = calloc(text + 1, 1)};
    if (!names->items || !names->text)
        return err(ERR_MEMORY, "out of memory for the names of %d targets", c->n_targets);
    to = names->text;
    for (int i = 0; i < c->n_targets; i++) {
        names->items[names->n++] = to;
        to = stpcpy(to, name_at(c, true, i)) + 1;
    }
    return 0;
}
