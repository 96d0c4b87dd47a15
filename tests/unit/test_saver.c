/* test_saver.c - the saver never waits, tries again, and says so once. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "coordinator/run/saver.h"
#include "core/base/clock.h"
#include "core/base/err.h"
#include "core/file/checkpoint_files.h"

enum { N = 1 << 20 };

static char directory[] = "/tmp/test_saver_XXXXXX", away[sizeof directory + 8];
static struct layout layout;
static const struct optim_ops *sgd;
static real *theta, *state;

static int setup(void **unused)
{
    (void)unused;
    if (!mkdtemp(directory))
        return -1;
    snprintf(away, sizeof away, "%s.away", directory);
    sgd = optim_find("sgd");
    theta = calloc(N, sizeof *theta);
    state = calloc(N * (size_t)sgd->n_state, sizeof *state);
    return layout_add(&layout, (struct segment){.name = "w", .n_dims = 1, .dims = {N}});
}

static int teardown(void **unused)
{
    (void)unused;
    checkpoint_erase(directory);
    free(theta);
    free(state);
    return rmdir(directory);
}

static void start(struct saver *s, int keep)
{
    assert_int_equal(saver_open(s, directory, keep, N * (1 + (size_t)sgd->n_state)), 0);
}

static void save(struct saver *s, uint64_t round)
{
    real *scratch = malloc(N * sizeof *scratch);
    struct checkpoint_info info = {.round = round, .configuration = "x"};

    theta[0] = (real)round;
    info.hash = layout_hash(&layout, theta, scratch);
    free(scratch);
    assert_int_equal(saver_save(s, &layout, theta, sgd, state, &info), 0);
}

static void save_and_wait(struct saver *s, uint64_t round)
{
    save(s, round);
    assert_int_equal(saver_wait(s, 60), 0);
    assert_true(saver_poll(s));
}

static void test_owed(void **unused)
{
    (void)unused;
    struct saver s;

    start(&s, 2);
    assert_true(saver_cost(&s) == 0);
    assert_false(saver_ready(&s, false));
    assert_true(saver_ready(&s, true));
    save(&s, 1);
    save(&s, 2); /* the first is still being written, or has not been told of */
    assert_true(s.owed);
    assert_false(saver_ready(&s, true));
    assert_int_equal(saver_wait(&s, 60), 0);
    assert_false(saver_ready(&s, true));
    assert_true(saver_poll(&s));
    assert_int_equal(s.last.code, 0);
    assert_int_equal(s.last.info.round, 1);
    assert_false(saver_poll(&s));
    assert_true(saver_ready(&s, false));
    save_and_wait(&s, 3);
    assert_false(saver_ready(&s, false));
    assert_string_equal(s.say, "");
    assert_true(saver_cost(&s) >= s.last.seconds && s.last.seconds > 0);
    save_and_wait(&s, 4);
    assert_int_equal(checkpoint_count(directory), 2);
    saver_close(&s);
    saver_close(&s);
}

/* The directory is gone for a while. */
static void test_trouble(void **unused)
{
    (void)unused;
    struct saver s;

    start(&s, 2);
    assert_int_equal(rename(directory, away), 0);
    for (int i = 0; i < 9; i++) {
        double before = clock_seconds();

        save_and_wait(&s, 5);
        assert_int_equal(s.last.code, ERR_CANTCREAT);
        assert_true(i == 0 ? strstr(s.say, "warning: cannot create '") != NULL : s.say[0] == '\0');
        assert_true(s.again >= before + (i < 6 ? 1 << i : 60));
        assert_true(s.again <= clock_seconds() + (i < 6 ? 1 << i : 60));
        assert_false(saver_ready(&s, false));
        s.again = clock_seconds();
        assert_true(saver_ready(&s, false)); /* owed, though nothing is due */
    }
    assert_int_equal(rename(away, directory), 0);
    save_and_wait(&s, 6);
    assert_int_equal(s.last.code, 0);
    assert_non_null(strstr(s.say, "checkpoints are written again: '"));
    assert_non_null(strstr(s.say, "after 9 failures"));
    assert_false(saver_ready(&s, false));
    save_and_wait(&s, 7);
    assert_string_equal(s.say, "");
    saver_close(&s);
}

/* What a run of before has left counts only where it is good: the damaged one does not push out the
 * good one. */
static void test_prune(void **unused)
{
    (void)unused;
    struct saver s;
    char path[1280], pushed[1280];
    FILE *f;

    checkpoint_erase(directory);
    start(&s, 9);
    for (uint64_t i = 1; i <= 3; i++)
        save_and_wait(&s, i);
    saver_close(&s);
    checkpoint_path(directory, 0, 3, path, sizeof path);
    f = fopen(path, "r+b");
    fseek(f, 20000, SEEK_SET);
    fputc(1, f);
    fclose(f);
    start(&s, 2);
    save_and_wait(&s, 4);
    checkpoint_path(directory, 0, 2, path, sizeof path);
    checkpoint_path(directory, 0, 1, pushed, sizeof pushed);
    assert_int_equal(access(path, F_OK), 0);
    assert_int_not_equal(access(pushed, F_OK), 0);
    saver_close(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_owed),
        cmocka_unit_test(test_trouble),
        cmocka_unit_test(test_prune),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
