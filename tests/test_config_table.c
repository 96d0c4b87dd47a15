/* test_config_table.c - print and parse are inverse, over every row of the table; no text crashes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/config_table.h"
#include "core/err.h"

static void accepted(struct config *c, const char *text)
{
    int code = config_parse(c, text, "f.conf", NULL, 0);

    if (code < 0)
        print_error("%s\n", err_text());
    assert_int_equal(code, 0);
}

/* ---- print and parse ---- */

static const char nasty[] = "q\"'\\ $ ${x} {y} # // /* | + é\n\r\t\x01\x7f"
                            "0\xf0\x9f\x98\x80,;=";

static void string_append(char *text, const char *s)
{
    char *end = text + strlen(text);

    *end++ = '\'';
    for (; *s; s++) {
        if (*s == '\'' || *s == '\\')
            *end++ = '\\';
        *end++ = *s;
    }
    *end++ = '\'';
    *end = '\0';
}

static void other_choice(char *text, const struct config_key *k)
{
    const char *last = strrchr(k->choices, '|') + 1;

    if (strcmp(last, k->preset) != 0)
        strcpy(text, last);
    else
        sprintf(text, "%.*s", (int)strcspn(k->choices, "|"), k->choices);
}

/* Lists of data sections. */
static bool is_data_list(const struct config_key *k)
{
    static const char *const names[] = {"target", "old", "evaluate"};

    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strcmp(k->name, names[i]) == 0)
            return true;
    return false;
}

/* Sets key k to something else than its default. */
static void other_value(char *text, const struct config_key *k)
{
    char *end = text + strlen(text);

    if (strcmp(k->name, "data") == 0)
        sprintf(end, k->type == CONFIG_LIST ? "{d, e}" : "e");
    else if (is_data_list(k))
        strcpy(end, "{d, e}");
    else if (strcmp(k->name, "model") == 0 || strcmp(k->name, "domain") == 0)
        strcpy(end, "e");
    else if (strcmp(k->name, "start") == 0 || strcmp(k->name, "anchor") == 0)
        strcpy(end, "first");
    else if (strcmp(k->name, "endpoint") == 0 || strcmp(k->name, "snapshot") == 0)
        sprintf(end, "'tcp://127.0.0.1:%d'", *k->name);
    else if (k->type == CONFIG_INT)
        sprintf(end, "%.0f", atof(k->preset) == k->max ? k->min : k->max);
    else if (k->type == CONFIG_REAL)
        sprintf(end, "%.17g",
                strstr(k->name, "_max") ? k->max / 3 : k->min + (k->max - k->min) / 7e3);
    else if (k->type == CONFIG_BOOL)
        strcpy(end, strcmp(k->preset, "true") ? "true" : "false");
    else if (k->type == CONFIG_WHOLES)
        sprintf(end, "{7, 8, %.0f}", k->max);
    else if (k->type == CONFIG_LIST)
        strcpy(end, "{\"a,b\", ''}");
    else if (k->choices)
        other_choice(end, k);
    else
        string_append(text, nasty);
}

static char *full_text(void)
{
    char *text = calloc(1, 65536);

    strcpy(text, "data d { }\nmodel { filters = 3 }\nstage first { data = \"d\" }\n");
    for (int i = 0; i < CONFIG_SECTIONS; i++) {
        const struct config_section *s = &config_sections[i];
        sprintf(text + strlen(text), "%s %s {\n", s->name, s->max ? "e" : "");
        for (const struct config_key *k = config_keys; k->name; k++) {
            if (strcmp(k->section, s->name) != 0)
                continue;
            sprintf(text + strlen(text), "  %s = ", k->name);
            other_value(text, k);
            strcat(text, " # as\n");
        }
        strcat(text, "}\n");
    }
    return text;
}

static bool strings_equal(const struct strings *a, const struct strings *b)
{
    for (int i = 0; a->n == b->n && i < a->n; i++)
        if (strcmp(a->items[i], b->items[i]) != 0)
            return false;
    return a->n == b->n;
}

static bool field_equal(const struct config_key *k, const void *a, const void *b)
{
    const char *x = (const char *)a + k->offset, *y = (const char *)b + k->offset;

    if (k->type == CONFIG_LIST || k->type == CONFIG_WHOLES)
        return strings_equal((const struct strings *)x, (const struct strings *)y);
    if (k->type == CONFIG_STRING)
        return strcmp(*(char *const *)x, *(char *const *)y) == 0;
    return memcmp(x, y, k->type == CONFIG_BOOL ? sizeof(bool) : 8) == 0;
}

static void configs_equal(const struct config *a, const struct config *b)
{
    for (int i = 0; i < CONFIG_SECTIONS; i++) {
        const struct config_section *s = &config_sections[i];
        assert_int_equal(config_section_count(s, a), config_section_count(s, b));
        for (int j = 0; j < config_section_count(s, a); j++)
            for (const struct config_key *k = config_keys; k->name; k++)
                if (strcmp(k->section, s->name) == 0)
                    assert_true(
                        field_equal(k, config_section_at(s, a, j), config_section_at(s, b, j)));
        for (int j = 0; s->max && j < config_section_count(s, a); j++)
            assert_string_equal(*(char **)config_section_at(s, a, j),
                                *(char **)config_section_at(s, b, j));
    }
}

static void test_round_trip(void **state)
{
    (void)state;
    struct config first, again, plain;
    char *text = full_text();

    accepted(&first, text);
    assert_string_equal(first.run.name, nasty);
    char *printed = config_text(&first);
    assert_non_null(strstr(printed, "}\nmodel {\n"));
    assert_non_null(strstr(printed, "}\nmodel e {\n"));
    accepted(&again, printed);
    configs_equal(&first, &again);
    assert_string_equal(again.stages[1].name, "e");
    char *reprinted = config_text(&again);
    assert_string_equal(printed, reprinted);

    accepted(&plain, "data d {} data e {} model {} model e {} stage e { data = d }");
    for (int i = 0; i < CONFIG_SECTIONS; i++) /* every key was another */
        for (const struct config_key *k = config_keys; k->name; k++)
            if (strcmp(k->section, config_sections[i].name) == 0) {
                const struct config_section *s = &config_sections[i];
                int j = config_section_count(s, &first) - 1;
                int i_plain = config_section_count(s, &plain) - 1;
                if (field_equal(k, config_section_at(s, &first, j),
                                config_section_at(s, &plain, i_plain)))
                    fail_msg("'%s.%s' was left at its default", k->section, k->name);
            }
    config_release(&first);
    config_release(&again);
    config_release(&plain);
    free(text);
    free(printed);
    free(reprinted);
}

static void test_truncation(void **state)
{
    (void)state;
    char *text = full_text();
    struct config c;
    int n_accepted = 0;

    for (size_t n = strlen(text); n > 0; n--) {
        text[n - 1] = '\0';
        int code = config_parse(&c, text, "f.conf", NULL, 0);
        assert_true(code == 0 || code == ERR_CONFIG);
        if (code < 0)
            assert_memory_equal(err_text(), "f.conf:", 7);
        n_accepted += code == 0;
        config_release(&c);
    }
    assert_in_range(n_accepted, 1, 40); /* between sections */
    free(text);
}

static void test_mutations(void **state)
{
    (void)state;
    char *text = full_text();
    size_t n = strlen(text);
    uint64_t x = 1;
    struct config c;

    for (int i = 0; i < 5000; i++) {
        x = x * 6364136223846793005u + 1442695040888963407u;
        size_t at = (x >> 33) % n;
        char kept = text[at];
        text[at] = "{}=+,\"'\\#/*$|\n\x80\x01"
                   "0a "[(x >> 20) % 19];
        int code = config_parse(&c, text, "f.conf", NULL, 0);
        assert_true(code == 0 || code == ERR_CONFIG);
        if (code < 0)
            assert_memory_equal(err_text(), "f.conf:", 7);
        config_release(&c);
        text[at] = kept;
    }
    accepted(&c, text);
    config_release(&c);
    free(text);
}

/* ---- the table ---- */

static void test_table(void **state)
{
    (void)state;
    struct config c = {0};

    for (const struct config_key *k = config_keys; k->name; k++) {
        const struct config_section *s = config_section_find(k->section);
        assert_non_null(s);
        assert_true(k->offset < s->size);
        assert_true(k->min <= k->max && k->doc && strlen(k->doc) > 5);
        assert_ptr_equal(config_key_find(k->section, k->name), k); /* no two of one name */
        void *base = config_section_at(s, &c, 0);
        if (k->preset && config_key_set(k, base, k->preset) < 0)
            fail_msg("the default of '%s.%s': %s", k->section, k->name, err_text());
    }
    c.n_data = c.n_models = c.n_stages = 1;
    config_release(&c);
}

static void test_document(void **state)
{
    (void)state;

    for (int markdown = 0; markdown <= 1; markdown++) {
        char *text = NULL, row[128];
        size_t n;
        FILE *out = open_memstream(&text, &n);
        config_document(out, markdown);
        fclose(out);
        char *at = text;
        for (const struct config_key *k = config_keys; k->name; k++) {
            snprintf(row, sizeof row, markdown ? "\n| `%s` |" : "\n    %s ", k->name);
            at = strstr(at, row); /* in the table's order */
            if (!at)
                fail_msg("'%s.%s' is not documented", k->section, k->name);
            assert_non_null(strstr(at, k->doc));
        }
        assert_true(!markdown || strstr(text, "### `stage NAME`"));
        assert_true(!markdown || strstr(text, "### `model [NAME]`"));
        free(text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trip), cmocka_unit_test(test_truncation),
        cmocka_unit_test(test_mutations),  cmocka_unit_test(test_table),
        cmocka_unit_test(test_document),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
