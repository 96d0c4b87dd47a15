/* test_config_table.c - print and parse are inverse, over every row of the table; no text
 * crashes. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/base/err.h"
#include "core/config/config_internal.h"

static struct config_table table; /* of core's rows */

static void accepted(struct config *c, const char *text)
{
    int code = config_parse(c, text, "f.conf", NULL, 0, NULL);

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

    if (strcmp(k->name, "name") == 0)
        strcpy(end, "'q\"s $ ${x} {y} # ,;='");
    else if (strcmp(k->name, "data") == 0)
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
    else if (k->type == CONFIG_REALS)
        sprintf(end, "{%.17g, %.17g}", k->min, k->max);
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

    if (config_key_is_list(k))
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
    assert_string_equal(first.run.directory, nasty);
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
        int code = config_parse(&c, text, "f.conf", NULL, 0, NULL);
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
        int code = config_parse(&c, text, "f.conf", NULL, 0, NULL);
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

/* Sets one key of a fresh section; the code. */
static int key_code(const struct config_key *k, const char *value)
{
    const struct config_section *s = config_section_find(k->section);
    void *base = calloc(1, s->size);
    int code;

    assert_non_null(base);
    assert_int_equal(config_section_init(&table, s, base), 0);
    *(char **)base = s->max ? strdup("e") : *(char **)base;
    code = config_key_set(k, base, value);
    config_section_release(&table, s, base);
    free(base);
    return code;
}

static void test_table(void **state)
{
    (void)state;
    for (const struct config_key *k = table.rows; k->name; k++) {
        const struct config_section *s = config_section_find(k->section);
        assert_non_null(s);
        assert_true(k->offset < s->size);
        assert_true(k->min <= k->max && k->doc && strlen(k->doc) > 5);
        assert_ptr_equal(config_key_find(&table, k->section, k->name), k); /* no two of one name */
        if (k->preset && key_code(k, k->preset) < 0)
            fail_msg("the default of '%s.%s': %s", k->section, k->name, err_text());
    }
}

static void test_document(void **state)
{
    (void)state;

    for (int markdown = 0; markdown <= 1; markdown++) {
        char *text = NULL, row[128];
        size_t n;
        FILE *out = open_memstream(&text, &n);
        config_document(out, markdown, NULL);
        fclose(out);
        char *at = text;
        for (const struct config_key *k = table.rows; k->name; k++) {
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

/* ---- words that are no keys, values at the bounds, over every row ---- */

/* A section with one line in it, in a file that is whole otherwise. */
static void section_text(char *text, size_t n, const struct config_section *s, const char *line)
{
    bool stage = strcmp(s->name, "stage") == 0;

    snprintf(text, n, "data d { }\nstage first { data = d }\n%s %s { %s %s }\n", s->name,
             s->max ? "e" : "", stage ? "data = d" : "", line);
}

static void refused(const char *text, const char *const *sets, int n_sets, const char *part)
{
    struct config c;

    assert_int_equal(config_parse(&c, text, "f.conf", sets, n_sets, NULL), ERR_CONFIG);
    if (!strstr(err_text(), part))
        fail_msg("'%s' is not in '%s'", part, err_text());
}

/* In the file and in --set: the section is named, and where a key is near, that one. */
static void unknown_key(const struct config_section *s, const char *word, const char *near)
{
    char text[512], line[128], set[128], part[256];
    const char *sets[] = {set};

    snprintf(line, sizeof line, "%s = 1", word);
    snprintf(part, sizeof part, "unknown key '%s' in section '%s'%s%s%s", word, s->name,
             near ? ", did you mean '" : "", near ? near : "", near ? "'?" : "");
    section_text(text, sizeof text, s, line);
    refused(text, NULL, 0, part);
    section_text(text, sizeof text, s, "");
    snprintf(set, sizeof set, "%s%s.%s=1", s->name, s->max ? ".e" : "", word);
    refused(text, sets, 1, part);
}

static void test_unknown_keys(void **state)
{
    (void)state;
    for (int i = 0; i < CONFIG_SECTIONS; i++) {
        const struct config_section *s = &config_sections[i];

        unknown_key(s, "zzzzzzzzzzzz", NULL);
        for (const struct config_key *k = table.rows; k->name; k++) {
            char wrong[64];

            snprintf(wrong, sizeof wrong, "%sq", k->name);
            if (strcmp(k->section, s->name) == 0)
                unknown_key(s, wrong, k->name);
        }
    }
}

/* A key belongs to its section alone. */
static void test_keys_of_other_sections(void **state)
{
    (void)state;
    for (int i = 0; i < CONFIG_SECTIONS; i++)
        for (const struct config_key *k = table.rows; k->name; k++) {
            const struct config_section *s = &config_sections[i];
            char text[512], line[128], set[128], part[256];
            const char *sets[] = {set};

            if (config_key_find(&table, s->name, k->name))
                continue;
            snprintf(line, sizeof line, "%s = 1", k->name);
            snprintf(part, sizeof part, "unknown key '%s' in section '%s'", k->name, s->name);
            section_text(text, sizeof text, s, line);
            refused(text, NULL, 0, part);
            section_text(text, sizeof text, s, "");
            snprintf(set, sizeof set, "%s%s.%s=1", s->name, s->max ? ".e" : "", k->name);
            refused(text, sets, 1, part);
        }
}

static void test_unknown_sections(void **state)
{
    (void)state;
    for (int i = 0; i < CONFIG_SECTIONS; i++) {
        const char *name = config_sections[i].name;
        char text[512], set[128], part[128];
        const char *sets[] = {set};

        snprintf(part, sizeof part, "unknown section '%sq', did you mean '%s'?", name, name);
        snprintf(text, sizeof text, "data d { }\nstage first { data = d }\n%sq { }\n", name);
        refused(text, NULL, 0, part);
        section_text(text, sizeof text, &config_sections[i], "");
        snprintf(set, sizeof set, "%sq.way=1", name);
        refused(text, sets, 1, part);
    }
}

static void expect_code(const struct config_key *k, const char *value, int code)
{
    int got = key_code(k, value);

    if (got != code)
        fail_msg("%s.%s = %s: %d, not %d", k->section, k->name, value, got, code);
    if (code < 0 && !strstr(err_text(), k->name))
        fail_msg("'%s' does not name '%s'", err_text(), k->name);
}

/* The first number beyond a bound, downwards or upwards. */
static void beyond(const struct config_key *k, double bound, int direction, char *text)
{
    if (k->type == CONFIG_REAL || k->type == CONFIG_REALS)
        sprintf(text, "%.17g", nextafter(bound, direction * INFINITY));
    else
        sprintf(text, "%lld", (long long)bound + direction);
}

/* Both bounds belong to the range, and what is next to them does not. */
static void test_bounds(void **state)
{
    char text[400];

    (void)state;
    for (const struct config_key *k = table.rows; k->name; k++) {
        bool is_real = k->type == CONFIG_REAL || k->type == CONFIG_REALS;

        if (k->type != CONFIG_INT && !is_real && k->type != CONFIG_WHOLES)
            continue;
        for (int high = 0; high < 2; high++) {
            double bound = high ? k->max : k->min;

            sprintf(text, is_real ? "%.17g" : "%.0f", bound);
            expect_code(k, text, 0);
            beyond(k, bound, high ? 1 : -1, text);
            expect_code(k, text, ERR_CONFIG);
        }
        expect_code(k, "many", ERR_CONFIG);
        expect_code(k, "1x", ERR_CONFIG);
        expect_code(k, is_real ? "nan" : "1.5", ERR_CONFIG);
    }
}

/* Every choice is taken, and nothing else; true and false, and nothing else. */
static void test_words(void **state)
{
    (void)state;
    for (const struct config_key *k = table.rows; k->name; k++) {
        char copy[128], *rest = copy;

        if (k->type == CONFIG_BOOL) {
            expect_code(k, "true", 0);
            expect_code(k, "false", 0);
            for (const char *const *w = (const char *const[]){"yes", "1", "True", "", NULL}; *w;
                 w++)
                expect_code(k, *w, ERR_CONFIG);
        }
        if (!k->choices)
            continue;
        snprintf(copy, sizeof copy, "%s", k->choices);
        while (rest) {
            char wrong[64], *word = strsep(&rest, "|");

            expect_code(k, word, 0);
            snprintf(wrong, sizeof wrong, "%sx", word);
            expect_code(k, wrong, ERR_CONFIG);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trip),
        cmocka_unit_test(test_truncation),
        cmocka_unit_test(test_mutations),
        cmocka_unit_test(test_table),
        cmocka_unit_test(test_document),
        cmocka_unit_test(test_unknown_keys),
        cmocka_unit_test(test_keys_of_other_sections),
        cmocka_unit_test(test_unknown_sections),
        cmocka_unit_test(test_bounds),
        cmocka_unit_test(test_words),
    };

    if (config_table_init(&table, NULL) < 0)
        return 1;
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    config_table_release(&table);
    return failed;
}
