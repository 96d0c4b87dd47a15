/* test_core.c - random numbers, arena, errors. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <pthread.h>
#include <stdio.h>

#include "core/base/arena.h"
#include "core/math/rng.h"
#include "tests/lib/conform.h"

/* ---- random numbers ---- */

/* Random123's kat_vectors, "philox4x32 10": zeros, and the digits of pi. */
static void test_rng_known(void **state)
{
    static const uint32_t zeros[4] = {0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8};
    static const uint32_t pi[4] = {0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1};
    struct rng r;

    (void)state;
    rng_init(&r, 0, 0, 0, 0);
    for (int i = 0; i < 4; i++)
        assert_int_equal(rng_u32(&r), zeros[i]);
    /* counter = (index / 4, slot, round, stream), key = (low, high) of the seed */
    rng_init(&r, 0x299f31d0a4093822, 0x03707344, 0x13198a2e, 0x85a308d3);
    r.index = 4 * 0x243f6a88u;
    for (int i = 0; i < 4; i++)
        assert_int_equal(rng_u32(&r), pi[i]);
}

/* Two cursors drawn from by turns give what each gives alone. */
static void test_rng_pure(void **state)
{
    uint32_t alone[20];
    struct rng a, b;

    (void)state;
    rng_init(&a, 7, RNG_TASK, 3, 5);
    for (int i = 0; i < 20; i++)
        alone[i] = rng_u32(&a);
    rng_init(&a, 7, RNG_TASK, 3, 5);
    rng_init(&b, 7, RNG_TASK, 3, 6);
    for (int i = 0; i < 20; i++) {
        for (int k = 0; k < i % 7; k++)
            rng_normal(&b);
        assert_int_equal(rng_u32(&a), alone[i]);
    }
}

/* Many words at a time are those of the cursor, from any block on. */
static void test_rng_words(void **state)
{
    uint32_t words[4 * 37];
    struct rng r;

    (void)state;
    rng_init(&r, 1ull << 40 | 9, RNG_DROPOUT | 5 << 8, 3, 5);
    rng_words(&r, 11, 37, words);
    r.index = 44;
    for (int i = 0; i < 4 * 37; i++)
        assert_int_equal(rng_u32(&r), words[i]);
    rng_words(&r, UINT32_MAX / 4, 1, words);
    r.index = UINT32_MAX - 3;
    assert_int_equal(rng_u32(&r), words[0]);
}

/* Every part of the key and the counter makes other numbers. */
static void test_rng_distinct(void **state)
{
    struct rng r[6];
    uint32_t first[6];

    (void)state;
    rng_init(&r[0], 1, 1, 1, 1);
    rng_init(&r[1], 2, 1, 1, 1);
    rng_init(&r[2], 1 + (1ull << 32), 1, 1, 1);
    rng_init(&r[3], 1, 2, 1, 1);
    rng_init(&r[4], 1, 1, 2, 1);
    rng_init(&r[5], 1, 1, 1, 2);
    for (int i = 0; i < 6; i++) {
        first[i] = rng_u32(&r[i]);
        for (int k = 0; k < i; k++)
            assert_int_not_equal(first[i], first[k]);
    }
}

/* Chi-square over k equally likely cells: within five standard deviations of its mean. The seeds
 * are fixed, so that this passes always or never. */
static void assert_even(const int *count, int k)
{
    double total = 0, chi = 0;

    for (int i = 0; i < k; i++)
        total += count[i];
    for (int i = 0; i < k; i++)
        chi += (count[i] - total / k) * (count[i] - total / k) / (total / k);
    if (!(chi < k - 1 + 5 * sqrt(2.0 * (k - 1))))
        fail_msg("chi-square of %d cells: %g", k, chi);
}

static void test_rng_below(void **state)
{
    int six[6] = {0}, thirds[3] = {0}, residues[3] = {0};
    struct rng r;

    (void)state;
    rng_init(&r, 11, RNG_TASK, 0, 0);
    for (int i = 0; i < 60000; i++) {
        uint32_t a = rng_below(&r, 6), b = rng_below(&r, 0xc0000000); /* 3/4 of all words */

        assert_true(a < 6 && b < 0xc0000000);
        six[a]++;
        thirds[b >> 30]++; /* a remainder would favour the small ones */
        residues[b % 3]++; /* a product, every third                  */
        assert_int_equal(rng_below(&r, 1), 0);
    }
    assert_even(six, 6);
    assert_even(thirds, 3);
    assert_even(residues, 3);
}

/* Every ordered choice of k from n is equally likely; so every subset, and every first one. */
static void choose_evenly(uint32_t n, uint32_t k, int cells)
{
    int *count = calloc(4096, sizeof *count), *seen = calloc((size_t)cells, sizeof *seen);
    uint32_t chosen[8];
    struct rng r;
    int n_seen = 0;

    assert_true(count && seen);
    rng_init(&r, 12, RNG_TASK, n, k);
    for (int i = 0; i < 500 * cells; i++) {
        uint32_t code = 0;

        rng_choose(&r, n, k, chosen);
        for (uint32_t a = 0; a < k; a++) {
            assert_true(chosen[a] < n);
            for (uint32_t b = 0; b < a; b++)
                assert_int_not_equal(chosen[a], chosen[b]);
            code = code * n + chosen[a];
        }
        count[code]++;
    }
    for (int i = 0; i < 4096; i++)
        if (count[i] && n_seen < cells)
            seen[n_seen++] = count[i];
    assert_int_equal(n_seen, cells);
    assert_even(seen, cells);
    free(count);
    free(seen);
}

static void test_rng_choose(void **state)
{
    uint32_t untouched = 9;
    struct rng r;

    (void)state;
    choose_evenly(5, 1, 5);
    choose_evenly(6, 3, 120);
    choose_evenly(4, 4, 24);
    choose_evenly(7, 4, 840);
    rng_init(&r, 1, RNG_TASK, 0, 0);
    rng_choose(&r, 3, 0, &untouched);
    assert_int_equal(untouched, 9);
}

static void test_rng_uniform(void **state)
{
    int cells[50] = {0}, bits[53] = {0};
    struct rng r;

    (void)state;
    rng_init(&r, 13, RNG_TASK, 0, 0);
    for (int i = 0; i < 100000; i++) {
        double x = rng_uniform(&r, -2, 3), u = rng_uniform(&r, 0, 1);

        assert_true(x >= -2 && x < 3 && u >= 0 && u < 1);
        cells[(int)((x + 2) * 10)]++;
        for (int k = 0; k < 53; k++)
            bits[k] += (uint64_t)(u * 0x1p53) >> k & 1;
    }
    assert_even(cells, 50);
    for (int k = 0; k < 53; k++) /* every bit is fair: sd sqrt(n) / 2 = 158 */
        assert_true(abs(bits[k] - 50000) < 5 * 158);
}

static void test_rng_normal(void **state)
{
    static const double moment[4] = {0, 1, 0, 3}, variance[4] = {1, 2, 15, 96}; /* of x^k */
    enum { DRAWS = 200000 };
    double sum[4] = {0};
    struct rng r;

    (void)state;
    rng_init(&r, 14, RNG_TASK, 0, 0);
    for (int i = 0; i < DRAWS; i++) {
        double x = rng_normal(&r), power = 1;

        for (int k = 0; k < 4; k++)
            sum[k] += power *= x;
    }
    for (int k = 0; k < 4; k++)
        assert_true(fabs(sum[k] / DRAWS - moment[k]) < 5 * sqrt(variance[k] / DRAWS));
}

/* ---- arena ---- */

enum { TAKES = 8 };

/* Some work with an overlay in the middle; where each piece lies, from the base. */
static void arena_work(struct arena *a, size_t at[TAKES])
{
    size_t mark;

    at[0] = a->used, arena_take(a, 1);
    at[1] = a->used, arena_reals(a, 100);
    mark = arena_mark(a);
    at[2] = a->used, arena_take(a, 1000);
    at[3] = a->used, arena_take(a, 63);
    arena_keep(a, 70), at[6] = a->kept;
    arena_reset(a, mark);
    at[4] = a->used, arena_take(a, 0);
    at[5] = a->used, arena_take(a, 65);
    arena_keep(a, 1), at[7] = a->kept;
}

static void test_arena_plan(void **state)
{
    struct arena plan = arena_measuring(), real_one;
    size_t planned[TAKES], taken[TAKES];

    (void)state;
    assert_null(plan.base);
    assert_null(arena_take(&plan, 10));
    plan = arena_measuring();
    arena_work(&plan, planned);
    assert_int_equal(arena_init(&real_one, plan.peak), 0);
    arena_work(&real_one, taken);
    assert_memory_equal(planned, taken, sizeof taken);
    assert_int_equal(plan.peak, real_one.peak);
    assert_int_equal(plan.used, real_one.used);
    assert_int_equal(planned[4], planned[2]); /* overlaid */
    assert_true(plan.peak >= planned[3] + 63 + planned[7]);
    assert_true(planned[6] == 128 && planned[7] == 192);
    arena_release(&real_one);
    assert_null(real_one.base);
}

static void test_arena_memory(void **state)
{
    struct arena a;
    char *first, *second, *again;
    size_t mark;

    (void)state;
    assert_int_equal(arena_init(&a, 10000), 0);
    first = arena_take(&a, 3);
    mark = arena_mark(&a);
    second = arena_take(&a, 5000);
    assert_true((uintptr_t)first % 64 == 0 && (uintptr_t)second % 64 == 0);
    assert_true(second >= first + 3);
    for (int i = 0; i < 5000; i++)
        assert_int_equal(second[i], 0);
    memset(first, 1, 3);
    memset(second, 2, 5000);
    assert_int_equal(first[2], 1);
    arena_reset(&a, mark);
    again = arena_take(&a, 10);
    assert_ptr_equal(again, second);
    assert_true(a.peak >= 5003);
    arena_release(&a);
}

/* What is kept is overlaid by nothing until the arena is cleared; then the same memory does for the
 * same work again. */
static void test_arena_keep(void **state)
{
    struct arena plan = arena_measuring(), a;
    size_t at[TAKES];

    (void)state;
    arena_work(&plan, at);
    assert_int_equal(arena_init(&a, plan.peak), 0);
    for (int again = 0; again < 2; again++) {
        char *kept = arena_keep(&a, 70), *taken;
        size_t mark = arena_mark(&a);

        memset(kept, 7, 70);
        for (int i = 0; i < 2; i++) {
            taken = arena_take(&a, 1000);
            memset(taken, i, 1000);
            arena_reset(&a, mark);
        }
        assert_true((uintptr_t)kept % 64 == 0 && kept >= taken + 1000);
        for (int i = 0; i < 70; i++)
            assert_int_equal(kept[i], 7);
        arena_clear(&a);
        assert_true(a.used == 0 && a.kept == 0);
        arena_work(&a, at);
        assert_int_equal(a.peak, plan.peak);
        arena_clear(&a);
    }
    arena_release(&a);
}

static void test_arena_refused(void **state)
{
    struct arena a;

    (void)state;
#ifdef __SANITIZE_ADDRESS__
    skip(); /* its allocator aborts where another returns NULL */
#endif
    assert_int_equal(arena_init(&a, (size_t)1 << 60), ERR_MEMORY);
    assert_null(a.base);
}

/* ---- errors ---- */

static void *other_thread(void *text)
{
    snprintf(text, 64, "%s", err_text());
    err(ERR_IO, "another thread's");
    return NULL;
}

static void test_err_text(void **state)
{
    char other[64] = "none", long_word[5000];
    pthread_t thread;

    (void)state;
    assert_int_equal(err(ERR_DATA, "'%s' is %d", "file", 3), ERR_DATA);
    assert_string_equal(err_text(), "'file' is 3");
    assert_int_equal(err_within(ERR_CONFIG, "line %d", 7), ERR_CONFIG);
    assert_string_equal(err_text(), "line 7: 'file' is 3");
    err_within(ERR_CONFIG, "conf");
    assert_string_equal(err_text(), "conf: line 7: 'file' is 3");
    err(ERR_IO, "again: %s", err_text()); /* its own text as an argument */
    assert_string_equal(err_text(), "again: conf: line 7: 'file' is 3");
    assert_int_equal(pthread_create(&thread, NULL, other_thread, other), 0);
    pthread_join(thread, NULL);
    assert_string_equal(other, "");
    assert_string_equal(err_text(), "again: conf: line 7: 'file' is 3");
    memset(long_word, 'x', sizeof long_word - 1);
    long_word[sizeof long_word - 1] = 0;
    err(ERR_IO, "%s", long_word);
    err_within(ERR_IO, "%s", long_word);
    assert_true(strlen(err_text()) > 100 && strlen(err_text()) < sizeof long_word);
}

static void test_err_status(void **state)
{
    static const int table[][2] = {
        {0, 0},
        {ERR_FAILED, 1},
        {ERR_USAGE, 64},
        {ERR_DATA, 65},
        {ERR_NOINPUT, 66},
        {ERR_CANTCREAT, 73},
        {ERR_IO, 74},
        {ERR_STOPPED, 75},
        {ERR_CONFIG, 78},
        {ERR_MEMORY, 1},
        {ERR_NONFINITE, 1},
        {ERR_LOST, 1},
        {-1000, 1},
        {5, 0},
    };

    (void)state;
    for (size_t i = 0; i < sizeof table / sizeof *table; i++)
        assert_int_equal(err_exit_status(table[i][0]), table[i][1]);
}

static int tried(int code)
{
    TRY(code);
    return 1;
}

static void test_err_try(void **state)
{
    (void)state;
    assert_int_equal(tried(ERR_LOST), ERR_LOST);
    assert_int_equal(tried(0), 1);
    assert_int_equal(tried(3), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rng_known),   cmocka_unit_test(test_rng_pure),
        cmocka_unit_test(test_rng_words),   cmocka_unit_test(test_rng_distinct),
        cmocka_unit_test(test_rng_below),   cmocka_unit_test(test_rng_choose),
        cmocka_unit_test(test_rng_uniform), cmocka_unit_test(test_rng_normal),
        cmocka_unit_test(test_arena_plan),  cmocka_unit_test(test_arena_memory),
        cmocka_unit_test(test_arena_keep),  cmocka_unit_test(test_arena_refused),
        cmocka_unit_test(test_err_text),    cmocka_unit_test(test_err_status),
        cmocka_unit_test(test_err_try),
    };

    return cmocka_run_group_tests_name("core", tests, NULL, NULL);
}
