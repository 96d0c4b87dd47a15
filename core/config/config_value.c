/* config_value.c - reads a field from text as its row says, or explains what is wrong with the
 * text. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/err.h"
#include "core/base/utf8.h"
#include "core/config/config_internal.h"

enum { SHOWN = 60 }; /* bytes of a wrong word */

static int range_error(const struct config_key *k, const char *value)
{
    int digits = k->type == CONFIG_REAL || k->type == CONFIG_REALS ? 15 : 16;

    return err(ERR_CONFIG, "'%s' is %.*s, must be between %.*g and %.*g", k->name, SHOWN, value,
               digits, k->min, digits, k->max);
}

static int kind_error(const struct config_key *k, const char *value, const char *kind)
{
    return err(ERR_CONFIG, "'%s' is '%.*s', must be %s", k->name, SHOWN, value, kind);
}

static int whole_parse(const struct config_key *k, const char *value, int64_t *x)
{
    const char *digits = value + (*value == '-');
    size_t n = strspn(digits, "0123456789");

    if (n == 0 || digits[n])
        return kind_error(k, value, "a whole number");
    errno = 0;
    *x = strtoll(value, NULL, 10);
    if (errno || *x < (int64_t)k->min || *x > (int64_t)k->max)
        return range_error(k, value);
    return 0;
}

static int real_parse(const struct config_key *k, const char *value, double *x)
{
    char *end;

    *x = strtod(value, &end);
    if (end == value || *end || value[strspn(value, "0123456789+-.eE")])
        return kind_error(k, value, "a number");
    if (!(*x >= k->min && *x <= k->max))
        return range_error(k, value);
    return 0;
}

static int bool_parse(const struct config_key *k, const char *value, bool *x)
{
    *x = strcmp(value, "true") == 0;
    if (!*x && strcmp(value, "false") != 0)
        return kind_error(k, value, "true or false");
    return 0;
}

/* Text ends up in JSON. */
static int utf8_check(const struct config_key *k, const char *value)
{
    for (int n; *value; value += n)
        if ((n = utf8_read(value, NULL)) == 0)
            return err(ERR_CONFIG, "'%s' is not UTF-8 (byte 0x%02x)", k->name,
                       (unsigned char)*value);
    return 0;
}

/* Splits "a|b|c" in place. */
static int choices_split(char *choices, const char **words)
{
    int n = 0;

    for (char *bar = choices; bar; choices = bar) {
        bar = strchr(choices, '|');
        if (bar)
            *bar++ = '\0';
        words[n++] = choices;
    }
    words[n] = NULL;
    return n;
}

static int choice_check(const struct config_key *k, const char *value)
{
    char copy[128], list[256] = "";
    const char *words[16];

    snprintf(copy, sizeof copy, "%s", k->choices);
    for (int i = 0, n = choices_split(copy, words); i < n; i++) {
        if (strcmp(words[i], value) == 0)
            return 0;
        size_t used = strlen(list);
        snprintf(list + used, sizeof list - used, "%s%s", i ? ", " : "",
                 *words[i] ? words[i] : "''");
    }
    const char *near = config_nearest(value, words);
    return err(ERR_CONFIG, "'%s' is '%.*s', must be one of %s%s%s%s", k->name, SHOWN, value, list,
               near ? "; did you mean '" : "", near ? near : "", near ? "'?" : "");
}

static int string_set(const struct config_key *k, char **field, const char *value)
{
    size_t n = strlen(value);

    if (k->choices)
        TRY(choice_check(k, value));
    if ((double)n < k->min || (double)n > k->max)
        return err(ERR_CONFIG, "'%s' has %zu bytes, must have %.16g to %.16g", k->name, n, k->min,
                   k->max);
    TRY(utf8_check(k, value));
    char *copy = strdup(value);
    if (!copy)
        return err(ERR_MEMORY, "out of memory");
    free(*field);
    *field = copy;
    return 0;
}

int config_key_check_item(const struct config_key *k, const char *item, int n)
{
    int64_t x;
    double real;

    if (n >= CONFIG_ITEMS_MAX)
        return err(ERR_CONFIG, "'%s' has more than %d items", k->name, CONFIG_ITEMS_MAX);
    if (k->type == CONFIG_WHOLES)
        return whole_parse(k, item, &x);
    if (k->type == CONFIG_REALS)
        return real_parse(k, item, &real);
    return utf8_check(k, item);
}

static int strings_add(struct strings *s, const char *item)
{
    bool full = (s->n & (s->n - 1)) == 0; /* room doubles at 0, 1, 2, 4, 8 ... */
    char **items = s->items, *copy = strdup(item);

    if (full)
        items = realloc(items, sizeof *items * (s->n ? 2 * (size_t)s->n : 1));
    if (items)
        s->items = items;
    if (!items || !copy) {
        free(copy);
        return err(ERR_MEMORY, "out of memory");
    }
    items[s->n++] = copy;
    return 0;
}

static int reals_add(struct reals *r, const char *item)
{
    double *v = realloc(r->v, ((size_t)r->text.n + 1) * sizeof *v);

    if (!v)
        return err(ERR_MEMORY, "out of memory");
    r->v = v;
    v[r->text.n] = strtod(item, NULL);
    return strings_add(&r->text, item);
}

int config_list_add(const struct config_key *k, void *field, const char *item)
{
    return k->type == CONFIG_REALS ? reals_add(field, item) : strings_add(field, item);
}

void config_list_release(const struct config_key *k, void *field)
{
    struct strings *s = field;

    for (int i = 0; i < s->n; i++)
        free(s->items[i]);
    free(s->items);
    *s = (struct strings){0};
    if (k->type != CONFIG_REALS)
        return;
    free(((struct reals *)field)->v);
    ((struct reals *)field)->v = NULL;
}

static int list_set(const struct config_key *k, void *field, const char *value)
{
    struct reals fresh = {0}; /* the longest of lists */
    char *copy = strdup(value), *rest = copy;
    int code = copy ? 0 : err(ERR_MEMORY, "out of memory");

    while (code == 0 && *value && rest) {
        const char *item = strsep(&rest, ",");
        code = config_key_check_item(k, item, fresh.text.n);
        if (code == 0)
            code = config_list_add(k, &fresh, item);
    }
    free(copy);
    if (code == 0) {
        config_list_release(k, field);
        memcpy(field, &fresh, k->type == CONFIG_REALS ? sizeof fresh : sizeof fresh.text);
        return 0;
    }
    config_list_release(k, &fresh);
    return code;
}

int config_key_set(const struct config_key *k, void *base, const char *value)
{
    void *field = config_key_field(k, base);

    switch (k->type) {
    case CONFIG_INT:
        return whole_parse(k, value, field);
    case CONFIG_REAL:
        return real_parse(k, value, field);
    case CONFIG_BOOL:
        return bool_parse(k, value, field);
    case CONFIG_STRING:
        return string_set(k, field, value);
    case CONFIG_LIST:
    case CONFIG_WHOLES:
    case CONFIG_REALS:
        return list_set(k, field, value);
    }
    return err(ERR_FAILED, "'%s' has no type", k->name);
}

/* Room for the owners' keys. */
static int own_init(const struct config_table *t, struct stage_config *stage)
{
    stage->own = calloc(1, t->own + 1);
    return stage->own ? 0 : err(ERR_MEMORY, "out of memory");
}

static bool has_own(const struct config_section *s)
{
    return strcmp(s->name, "stage") == 0;
}

int config_section_init(const struct config_table *t, const struct config_section *s, void *base)
{
    if (has_own(s))
        TRY(own_init(t, base));
    for (const struct config_key *k = t->rows; k->name; k++)
        if (strcmp(k->section, s->name) == 0 && k->preset)
            TRY(config_key_set(k, base, k->preset));
    return 0;
}

int config_section_add(const struct config_section *s, struct config *c, const char *title)
{
    int *n = (int *)((char *)c + s->n_offset);

    if (*n == s->max)
        return err(ERR_CONFIG, "more than %d '%s' sections", s->max, s->name);
    void *base = config_section_at(s, c, (*n)++);
    TRY(config_section_init(c->table, s, base));
    *(char **)base = strdup(title);
    return *(char **)base ? 0 : err(ERR_MEMORY, "out of memory");
}

static void key_release(const struct config_key *k, void *field)
{
    if (k->type == CONFIG_STRING)
        free(*(char **)field);
    else if (config_key_is_list(k))
        config_list_release(k, field);
}

void config_section_release(const struct config_table *t, const struct config_section *s,
                            void *base)
{
    bool complete = !has_own(s) || ((struct stage_config *)base)->own;

    for (const struct config_key *k = t->rows; k->name && complete; k++)
        if (strcmp(k->section, s->name) == 0)
            key_release(k, config_key_field(k, base));
    if (has_own(s))
        free(((struct stage_config *)base)->own);
    if (s->max)
        free(*(char **)base); /* the title */
}
