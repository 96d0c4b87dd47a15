/* test_options.c - the command line: values, flags, places, and what is said of a wrong one. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "core/base/err.h"
#include "launch/verbs.h"

/* Reads `metaloop train CONF WORDS...`; NULL ends the words. */
static int read_words(struct options *o, const char *const *words)
{
    char *argv[16] = {"metaloop", "train", "CONF"};
    int n = 3;

    for (; *words; words++)
        argv[n++] = (char *)(uintptr_t)*words;
    return options_read(o, &verb_train, n, argv);
}

static void seconds(const char *text, double want)
{
    const char *apart[] = {"--time-limit", text, NULL};
    struct options o;

    assert_int_equal(read_words(&o, apart), 0);
    assert_true(o.time_limit == want);
}

static void durations(void **state)
{
    (void)state;
    seconds("90", 90);
    seconds("15:07", 15 * 60 + 7);
    seconds("2:03:04", 2 * 3600 + 3 * 60 + 4);
    seconds("1-12:00:05", 86400 + 12 * 3600 + 5);
    seconds("10-00:00:01", 864001);
}

static void wrong(const char *option, const char *value, const char *part)
{
    const char *words[] = {option, value, NULL};
    struct options o;

    assert_int_equal(read_words(&o, words), ERR_USAGE);
    if (!strstr(err_text(), part))
        fail_msg("'%s' is not in '%s'", part, err_text());
}

static void wrong_durations(void **state)
{
    static const char *const texts[] = {"",    "0",     "-5", "1:",  ":1",
                                        "1-5", "1-2:3", "x",  "1 2", "5m"};

    (void)state;
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        wrong("--time-limit", texts[i], "'--time-limit'");
}

static void values_and_flags(void **state)
{
    const char *const words[] = {"--resume",  "--set=a.b=c=d", "--set", "e.f=g",
                                 "--run=DIR", "--json",        NULL};
    struct options o;

    (void)state;
    assert_int_equal(read_words(&o, words), 0);
    assert_true(o.resume && o.json && !o.overwrite && !o.quiet);
    assert_int_equal(o.n_sets, 2);
    assert_string_equal(o.sets[0], "a.b=c=d");
    assert_string_equal(o.sets[1], "e.f=g");
    assert_string_equal(o.run, "DIR");
    assert_int_equal(o.n_places, 1);
    wrong("--resume=yes", NULL, "'--resume' takes no value");
    wrong("--run", NULL, "'--run' needs a value: DIR");
    wrong("--checkpoint", "x", "'train' has no option '--checkpoint'");
    wrong("another", NULL, "'train' does not take 'another'");
}

static void numbers(void **state)
{
    static const char *const bad[] = {"0", "-1", "1.5", "many", "", "99999999999999999999"};
    char *argv[] = {"metaloop", "check", "CONF", "--tasks", "3"};
    struct options o;

    (void)state;
    assert_int_equal(options_read(&o, &verb_check, 5, argv), 0);
    assert_int_equal(o.tasks, 3);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        argv[4] = (char *)(uintptr_t)bad[i];
        assert_int_equal(options_read(&o, &verb_check, 5, argv), ERR_USAGE);
        assert_non_null(strstr(err_text(), "'--tasks' needs a number of at least 1"));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(durations),
        cmocka_unit_test(wrong_durations),
        cmocka_unit_test(values_and_flags),
        cmocka_unit_test(numbers),
    };

    return cmocka_run_group_tests_name("options", tests, NULL, NULL);
}
