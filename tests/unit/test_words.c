/* test_words.c - the words of a sum as they travel: packed and merged they are the same, each block
 * takes the bytes it needs, and what is no packed sum is refused whole. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/math/exact.h"
#include "proto/comm/words.h"
#include "tests/lib/conform.h"

enum { MOST = 5 * WORDS_BLOCK };

struct packed { /* as a message holds it */
    size_t n;
    uint8_t bytes[1024 + MOST * 8];
};

static struct packed pack(const int64_t *words, size_t n)
{
    struct packed p = {0};
    struct packed halves = {0};
    int64_t half[MOST], rest[MOST];

    assert_true(words_room(n) <= sizeof p.bytes && words_head(n) % 8 == 0);
    p.n = words_pack(words, NULL, n, p.bytes);
    for (size_t i = 0; i < n; i++) { /* as the sum of two vectors, which wraps around */
        half[i] = (int64_t)(0x9e3779b97f4a7c15u * (i + 1));
        rest[i] = (int64_t)((uint64_t)words[i] - (uint64_t)half[i]);
    }
    halves.n = words_pack(half, rest, n, halves.bytes);
    assert_int_equal(halves.n, p.n);
    assert_memory_equal(halves.bytes, p.bytes, p.n);
    return p;
}

/* Packs, merges into a sum that is not zero, and compares. */
static struct packed check_same(const int64_t *words, size_t n)
{
    struct packed p = pack(words, n);
    int64_t sum[MOST + 1];

    for (size_t i = 0; i <= n; i++)
        sum[i] = 1000 * (int64_t)i + 7;
    assert_int_equal(words_merge(p.bytes, p.n, sum, n), 0);
    for (size_t i = 0; i < n; i++)
        assert_true((uint64_t)sum[i] == (uint64_t)words[i] + 1000 * i + 7);
    assert_true(sum[n] == 1000 * (int64_t)n + 7); /* nothing beyond */
    return p;
}

/* A word of so many bits with its sign, the rest zeros below. */
static int64_t draw_word(int bits, int shift, uint64_t *seed)
{
    int64_t v = (int64_t)(draw_u64(seed) << (64 - bits)) >> (64 - bits);

    return (int64_t)((uint64_t)v << shift);
}

static void test_every_width_and_shift(void **state)
{
    uint64_t seed = 1;

    (void)state;
    for (int bits = 1; bits <= 64; bits++)
        for (int shift = 0; shift + bits <= 64; shift++) {
            int64_t words[WORDS_BLOCK];
            struct packed p;

            for (int i = 0; i < WORDS_BLOCK; i++)
                words[i] = draw_word(bits, shift, &seed);
            words[3] = (int64_t)(~0ull << (bits - 1) << shift); /* the lowest of so many bits */
            words[9] = (int64_t)(1ull << shift);
            if (bits == 1)
                words[9] = words[3];
            p = check_same(words, WORDS_BLOCK);
            assert_int_equal(p.n, words_head(WORDS_BLOCK) + (size_t)(bits + 7) / 8 * WORDS_BLOCK);
        }
}

static void test_every_length(void **state)
{
    static const size_t lengths[] = {0, 1, 2, 63, 64, 65, 127, 128, 200, MOST - 1, MOST};
    uint64_t seed = 2;

    (void)state;
    for (size_t k = 0; k < sizeof lengths / sizeof *lengths; k++) {
        int64_t words[MOST + 1];

        for (size_t i = 0; i < lengths[k]; i++)
            words[i] = draw_word(1 + (int)(draw_u64(&seed) % 64), 0, &seed) & ~3;
        check_same(words, lengths[k]);
        memset(words, 0, sizeof words);
        assert_int_equal(check_same(words, lengths[k]).n, words_head(lengths[k]));
    }
}

static void test_extremes(void **state)
{
    static const int64_t words[] = {INT64_MIN, INT64_MAX, 0, -1, 1, INT64_MIN + 1};

    (void)state;
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        for (size_t n = 1; i + n <= sizeof words / sizeof *words; n++)
            check_same(words + i, n);
}

/* What it is for: a float takes at most 3 bytes in each of its two words where its neighbours are
 * of its size. */
static void test_contributions_are_narrow(void **state)
{
    enum { n = WORDS_BLOCK };
    real x[n];
    int64_t words[2 * n] = {0};
    uint64_t seed = 3;

    (void)state;
    for (int i = 0; i < n; i++)
        x[i] = (real)(float)(draw_uniform(&seed, 1, 2) * 0x1p-8 * (draw_u64(&seed) % 2 ? 1 : -1));
    exact_add(n, x, words);
    assert_true(check_same(words, 2 * n).n <= words_head(2 * n) + (2 + 3) * n);
}

static void check_refused(const struct packed *p, size_t n_bytes, size_t n)
{
    int64_t sum[MOST];

    memset(sum, 0x11, sizeof sum);
    assert_int_equal(words_merge(p->bytes, n_bytes, sum, n), ERR_DATA);
    for (size_t i = 0; i < n; i++)
        assert_true(sum[i] == 0x1111111111111111);
}

static void test_damage_is_refused(void **state)
{
    enum { n = 200 };
    int64_t words[n];
    struct packed p;
    uint64_t seed = 4;

    (void)state;
    for (int i = 0; i < n; i++)
        words[i] = draw_word(1 + 10 * (i / WORDS_BLOCK), 0, &seed);
    p = check_same(words, n);
    for (size_t bytes = 0; bytes < p.n; bytes++)
        check_refused(&p, bytes, n);
    check_refused(&p, p.n + 1, n);
    check_refused(&p, p.n, n + WORDS_BLOCK);
    check_refused(&p, p.n, n - WORDS_BLOCK);
    for (int block = 0; block < 4; block++)
        for (int value = 0; value < 256; value++) {
            struct packed q = p;

            q.bytes[2 * block] = (uint8_t)value; /* another width: other sizes */
            if (q.bytes[2 * block] != p.bytes[2 * block])
                check_refused(&q, q.n, n);
            q = p;
            q.bytes[2 * block + 1] = (uint8_t)value;
            if (value > 63)
                check_refused(&q, q.n, n);
        }
}

/* Bytes that are well formed and mean words of any size: no overflow that is not defined. */
static void test_wraps_around(void **state)
{
    int64_t words[1] = {INT64_MAX}, sum[1] = {INT64_MAX};
    struct packed p = pack(words, 1);

    (void)state;
    assert_int_equal(words_merge(p.bytes, p.n, sum, 1), 0);
    assert_true(sum[0] == -2);
    p.bytes[1] = 63; /* shift */
    sum[0] = 0;
    assert_int_equal(words_merge(p.bytes, p.n, sum, 1), 0);
    assert_true(sum[0] == INT64_MIN);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_width_and_shift),
        cmocka_unit_test(test_every_length),
        cmocka_unit_test(test_extremes),
        cmocka_unit_test(test_contributions_are_narrow),
        cmocka_unit_test(test_damage_is_refused),
        cmocka_unit_test(test_wraps_around),
    };

    return cmocka_run_group_tests_name("words", tests, NULL, NULL);
}
