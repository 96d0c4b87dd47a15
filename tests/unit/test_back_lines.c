/* test_back_lines.c - read backwards, the lines are those that are read forwards. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/base/back_lines.h"

/* A file of these bytes that has no name. */
static FILE *file_of(const char *text, size_t n)
{
    FILE *f = tmpfile();

    assert_non_null(f);
    assert_int_equal(fwrite(text, 1, n, f), n);
    fflush(f);
    return f;
}

/* Goes through text from its end by itself, and compares every line. */
static void compare(const char *text, size_t n)
{
    FILE *f = file_of(text, n);
    struct back_lines b;
    struct back_line line;
    size_t end = n;

    assert_int_equal(back_lines_open(&b, fileno(f)), 0);
    while (end > 0) {
        bool whole = text[end - 1] == '\n';
        size_t stop = end - whole, start = stop;

        while (start > 0 && text[start - 1] != '\n')
            start--;
        assert_int_equal(back_lines_next(&b, &line), 1);
        assert_int_equal(line.whole, whole);
        assert_int_equal(line.start, start);
        assert_int_equal(line.n, stop - start);
        if (line.n <= BACK_LINE_MOST / 2)
            assert_non_null(line.text);
        if (line.text)
            assert_memory_equal(line.text, text + start, line.n);
        end = start;
    }
    assert_int_equal(back_lines_next(&b, &line), 0);
    back_lines_close(&b);
    fclose(f);
}

static void test_ends(void **unused)
{
    (void)unused;
    static const char *const texts[] = {"", "\n", "\n\n", "a", "a\n", "\na", "a\nb", "a\n\nb\n"};

    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        compare(texts[i], strlen(texts[i]));
}

/* Lengths about those that are read at once, and lines that lie across their borders. */
static void test_lengths(void **unused)
{
    (void)unused;
    enum { ROOM = 4 << 20 };
    static const size_t lengths[] = {0, 1, 100, 4095, 65534, 65535, 65536, 65537, 131072, 200000};
    char *text = malloc(ROOM);
    uint64_t x = 1;

    for (int round = 0; round < 20; round++) {
        size_t n = 0;

        while (n < ROOM / 2) {
            size_t length = lengths[(x >> 40) % 10];

            x = x * 6364136223846793005u + 1442695040888963407u;
            for (size_t i = 0; i < length; i++)
                text[n++] = (char)('a' + (x + i) % 26);
            text[n++] = '\n';
        }
        compare(text, n);
        compare(text, n - 7);
    }
    free(text);
}

/* Longer than what is kept: told with its place and length. */
static void test_a_line_that_is_too_long(void **unused)
{
    (void)unused;
    size_t n = 3 * (size_t)BACK_LINE_MOST;
    char *text = malloc(n);

    memset(text, 'x', n);
    memcpy(text, "first\n", 6);
    memcpy(text + n - 6, "\nlast\n", 6);
    compare(text, n);
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ends),
        cmocka_unit_test(test_lengths),
        cmocka_unit_test(test_a_line_that_is_too_long),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
