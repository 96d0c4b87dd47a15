/* config_print.c - the table as a configuration file, and as documentation. */
#include <stdlib.h>
#include <string.h>

#include "core/base/err.h"
#include "core/config/config_internal.h"

static void string_print(const char *s, FILE *out)
{
    fputc('"', out);
    for (; *s; s++) {
        unsigned char byte = (unsigned char)*s;
        if (byte < 0x20 || byte == 0x7f)
            fprintf(out, "\\x%02x", byte);
        else if (byte == '"' || byte == '\\' || byte == '$')
            fprintf(out, "\\%c", byte);
        else
            fputc(byte, out);
    }
    fputc('"', out);
}

/* The shortest digits that read back to x. */
static void real_print(double x, FILE *out)
{
    char text[32];

    for (int digits = 6; digits <= 17; digits++) {
        snprintf(text, sizeof text, "%.*g", digits, x);
        if (strtod(text, NULL) == x)
            break;
    }
    fputs(text, out);
}

static void list_print(const struct strings *s, FILE *out)
{
    fputc('{', out);
    for (int i = 0; i < s->n; i++) {
        fputs(i ? ", " : "", out);
        string_print(s->items[i], out);
    }
    fputc('}', out);
}

void config_key_print(const struct config_key *k, const void *base, FILE *out)
{
    const void *field = config_key_field(k, base);

    switch (k->type) {
    case CONFIG_INT:
        fprintf(out, "%lld", (long long)*(const int64_t *)field);
        break;
    case CONFIG_REAL:
        real_print(*(const double *)field, out);
        break;
    case CONFIG_BOOL:
        fputs(*(const bool *)field ? "true" : "false", out);
        break;
    case CONFIG_STRING:
        string_print(*(char *const *)field, out);
        break;
    case CONFIG_LIST:
    case CONFIG_WHOLES:
    case CONFIG_REALS:
        list_print(field, out);
        break;
    }
}

static void key_print(const struct config_key *k, const void *base, FILE *out)
{
    fprintf(out, "    %s = ", k->name);
    config_key_print(k, base, out);
    fputc('\n', out);
}

static void section_print(const struct config *c, const struct config_section *s, const void *base,
                          FILE *out)
{
    const char *title = s->max ? *(char *const *)base : NULL;

    if (title && !(s->untitled && strcmp(title, s->untitled) == 0))
        fprintf(out, "%s %s {\n", s->name, title);
    else
        fprintf(out, "%s {\n", s->name);
    for (const struct config_key *k = c->table->rows; k->name; k++)
        if (strcmp(k->section, s->name) == 0 && config_key_is_taken(c->table, k, base))
            key_print(k, base, out);
    fputs("}\n", out);
}

void config_print(const struct config *c, FILE *out)
{
    for (int i = 0; i < CONFIG_SECTIONS; i++)
        for (int j = 0; j < config_section_count(&config_sections[i], c); j++)
            section_print(c, &config_sections[i], config_section_at(&config_sections[i], c, j),
                          out);
}

char *config_text(const struct config *c)
{
    char *text = NULL;
    size_t n;
    FILE *out = open_memstream(&text, &n);

    if (!out)
        return NULL;
    config_print(c, out);
    bool failed = ferror(out);
    if (fclose(out) != 0 || failed) {
        free(text);
        return NULL;
    }
    return text;
}

static const char *type_name(enum config_type type)
{
    static const char *const names[] = {
        [CONFIG_INT] = "whole",
        [CONFIG_REAL] = "number",
        [CONFIG_BOOL] = "true, false",
        [CONFIG_STRING] = "string",
        [CONFIG_LIST] = "list",
        [CONFIG_WHOLES] = "list of wholes",
        [CONFIG_REALS] = "list of numbers",
    };
    return names[type];
}

/* "0 .. 100", "a, b, c" or "" */
static void range_text(const struct config_key *k, char *text, size_t n)
{
    bool real = k->type == CONFIG_REAL || k->type == CONFIG_REALS;
    int digits = real ? 15 : 16;

    *text = '\0';
    if (k->type == CONFIG_INT || real || k->type == CONFIG_WHOLES)
        snprintf(text, n, "%.*g .. %.*g", digits, k->min, digits, k->max);
    if (!k->choices)
        return;
    size_t used = 0;
    const char *c = *k->choices == '|' ? k->choices + 1 : k->choices;
    for (; *c && used + 3 < n; c++) {
        if (*c == '|')
            text[used++] = ',';
        text[used++] = *c == '|' ? ' ' : *c;
    }
    text[used] = '\0';
}

/* As it would stand in a file. */
static void default_text(const struct config_key *k, char *text, size_t n)
{
    if (!k->preset)
        snprintf(text, n, "required");
    else if (config_key_is_list(k))
        snprintf(text, n, "{%s}", k->preset);
    else if (k->type == CONFIG_STRING)
        snprintf(text, n, "\"%s\"", k->preset);
    else
        snprintf(text, n, "%s", k->preset);
}

static void key_document(const struct config_table *t, const struct config_key *k, FILE *out,
                         bool markdown)
{
    char range[128], preset[128], methods[256];

    range_text(k, range, sizeof range);
    default_text(k, preset, sizeof preset);
    config_key_owners(t, k, methods, sizeof methods);
    if (*methods)
        snprintf(methods + strlen(methods), sizeof methods - strlen(methods), ": ");
    if (markdown)
        fprintf(out, "| `%s` | %s | %s%s%s | %s | %s | %s%s |\n", k->name, type_name(k->type),
                k->preset ? "`" : "", preset, k->preset ? "`" : "", range,
                k->may_change ? "yes" : "no", methods, k->doc);
    else
        fprintf(out, "    %-14s %-14s %-18s %-26s %s%s\n", k->name, type_name(k->type), preset,
                range, methods, k->doc);
}

static void section_document(const struct config_table *t, const struct config_section *s,
                             FILE *out, bool markdown)
{
    const char *title = s->untitled ? " [NAME]" : s->max ? " NAME" : "";
    bool first = s == config_sections;

    if (markdown)
        fprintf(out, "%s### `%s%s`\n\n%s.\n\n%s", first ? "" : "\n", s->name, title, s->doc,
                "| key | type | default | values | may change on `--resume` | meaning |\n"
                "| --- | --- | --- | --- | --- | --- |\n");
    else
        fprintf(out, "%s%s%s: %s\n", first ? "" : "\n", s->name, title, s->doc);
    for (const struct config_key *k = t->rows; k->name; k++)
        if (strcmp(k->section, s->name) == 0)
            key_document(t, k, out, markdown);
}

int config_document(FILE *out, bool markdown, config_owners *owners)
{
    struct config_table t;

    TRY(config_table_init(&t, owners));
    for (int i = 0; i < CONFIG_SECTIONS; i++)
        section_document(&t, &config_sections[i], out, markdown);
    config_table_release(&t);
    return 0;
}
