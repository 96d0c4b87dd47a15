/* test_base.c - UTF-8, and tables of plug-ins. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "core/base/nearest.h"
#include "core/base/table.h"
#include "core/base/utf8.h"

/* ---- UTF-8 ---- */

/* RFC 3629, section 3; 0: a surrogate, or beyond U+10FFFF. */
static int encode(uint32_t code, char text[5])
{
    int n = code < 0x80 ? 1 : code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
    static const unsigned char first[] = {0, 0, 0xc0, 0xe0, 0xf0};

    memset(text, 0, 5);
    for (int i = n - 1; i > 0; i--, code >>= 6)
        text[i] = (char)(0x80 | (code & 0x3f));
    text[0] = (char)(first[n] | code);
    return n;
}

static void test_utf8_all(void **state)
{
    char text[5];

    (void)state;
    for (uint32_t code = 0; code <= 0x10ffff; code++) {
        bool surrogate = code >= 0xd800 && code < 0xe000;
        uint32_t got = 1;
        int n = encode(code, text);

        if (utf8_read(text, &got) != (surrogate ? 0 : n) || (!surrogate && got != code))
            fail_msg("U+%04X", code);
    }
}

/* Each text begins with bytes that are no character. */
static void test_utf8_refused(void **state)
{
    static const char *const wrong[] = {
        "\x80",             /* a continuation byte alone */
        "\xbf",             /* the last of them */
        "\xc3",             /* cut off before NUL */
        "\xe2\x82",         /* */
        "\xf0\x9f\x98",     /* */
        "\xc3(",            /* the second byte is none */
        "\xe2\x28\xa1",     /* */
        "\xe2\x82\x28",     /* the third */
        "\xf0\x9f\x98\x28", /* the fourth */
        "\xc3\xc3",         /* a first byte again */
        "\xe2\x82\xff",     /* */
        "\xc0\x80",         /* NUL, overlong */
        "\xc1\xbf",         /* U+007F, overlong */
        "\xe0\x9f\xbf",     /* U+07FF, overlong */
        "\xf0\x8f\xbf\xbf", /* U+FFFF, overlong */
        "\xed\xa0\x80",     /* U+D800 */
        "\xed\xbf\xbf",     /* U+DFFF */
        "\xf4\x90\x80\x80", /* U+110000 */
        "\xf5\x80\x80\x80",
        "\xf8\x88\x80\x80\x80",
        "\xfe",
        "\xff",
    };

    (void)state;
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        if (utf8_read(wrong[i], NULL) != 0)
            fail_msg("accepts text %zu", i);
    assert_int_equal(utf8_read("", NULL), 1);
}

/* ---- tables ---- */

struct plug {
    const char *name;
    int value;
};

static const struct plug ink = {"ink", 1}, chalk = {"chalk", 2}, pencil = {"pencil", 3};
static const struct plug *const table[] = {&ink, &chalk, &pencil, NULL}, *const none[] = {NULL};

static void test_table_find(void **state)
{
    (void)state;
    assert_ptr_equal(table_find(table, "ink"), &ink);
    assert_ptr_equal(table_find(table, "pencil"), &pencil);
    assert_null(table_find(table, "pen"));
    assert_null(table_find(table, "pencils"));
    assert_null(table_find(table, ""));
    assert_null(table_find(none, "ink"));
}

static void test_table_hint(void **state)
{
    char hint[NEAREST_HINT];

    (void)state;
    assert_string_equal(table_hint(table, "chalks", hint), ", did you mean 'chalk'?");
    assert_string_equal(table_hint(table, "watercolour", hint), "; there is ink, chalk, pencil");
    assert_ptr_equal(table_hint(none, "ink", hint), hint);
    assert_string_equal(hint, "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_utf8_all),
        cmocka_unit_test(test_utf8_refused),
        cmocka_unit_test(test_table_find),
        cmocka_unit_test(test_table_hint),
    };

    return cmocka_run_group_tests_name("base", tests, NULL, NULL);
}
