/* test_dropout.c - the mask: a pure function of seed, round, slot, pass, layer, sample and element,
 * whose mean is 1. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "tests/lib/probe.h"

enum { MASK = 5 * 8 * 6 * 7 }; /* 5 samples of 8 x 6 x 7 */

/* The mask of n samples under `noise` at place `index` of the network: the outputs of ones. */
static void mask_of(struct noise noise, uint32_t index, int percent, int n, real *mask)
{
    struct layer_case c = {{.percent = percent}, {8, 6, 7}, false};
    struct probe p;
    struct io io;

    assert_int_equal(probe_init(&p, layer_find("dropout"), &c, n), 0);
    for (size_t i = 0; i < p.b[X].n; i++)
        p.b[X].v[i] = 1;
    io = probe_io(&p, 0, false);
    io.noise = noise, io.index = index;
    p.l.ops->forward(&p.l, &io);
    memcpy(mask, p.b[Y].v, p.b[Y].n * sizeof *mask);
    probe_release(&p);
}

static int differing(const real *a, const real *b)
{
    int n = 0;

    for (int i = 0; i < MASK; i++)
        n += a[i] != b[i];
    return n;
}

/* Independent masks of one half differ in half of their m = 1,680 elements, +- 5 sqrt(m) / 2. */
static void assert_independent(const real *a, const real *b, const char *what)
{
    if (abs(differing(a, b) - MASK / 2) > 5 * sqrt(MASK) / 2)
        fail_msg("another %s: %d of %d elements differ", what, differing(a, b), MASK);
}

static void test_mask_is_pure(void **state)
{
    static const struct {
        struct noise noise;
        uint32_t index;
        const char *what;
    } others[] = {{{2, 20, 30, 40}, 5, "seed"},       {{1ull << 32 | 1, 20, 30, 40}, 5, "seed"},
                  {{1, 21, 30, 40}, 5, "round"},      {{1, 20, 31, 40}, 5, "slot"},
                  {{1, 20, 30, 41}, 5, "pass"},       {{1, 20, 30, 40}, 6, "layer"},
                  {{1, 20, 30, 40 + 256}, 5, "pass"}, {{1, 20, 30, 40 + 32768}, 5, "pass"},
                  {{1, 20, 30, 40}, 5 + 128, "layer"}};
    struct noise noise = {1, 20, 30, 40};
    real mask[MASK], again[MASK];

    (void)state;
    mask_of(noise, 5, 50, 5, mask);
    mask_of(noise, 5, 50, 5, again);
    assert_memory_equal(mask, again, sizeof mask);
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        mask_of(others[i].noise, others[i].index, 50, 5, again);
        assert_independent(mask, again, others[i].what);
    }
    mask_of(noise, 5, 50, 2, again); /* a sample's mask does not depend on how many follow */
    assert_memory_equal(mask, again, 2 * MASK / 5 * sizeof *mask);
    memcpy(again, mask + MASK / 5, (MASK - MASK / 5) * sizeof *mask); /* the next sample's mask */
    memcpy(again + MASK - MASK / 5, mask, MASK / 5 * sizeof *mask);
    assert_independent(mask, again, "sample");
}

/* Exactly two values, for kept and for dropped; the mean is 1 +- 5 standard deviations. */
static void test_mask_mean(void **state)
{
    (void)state;
    for (int percent = 1; percent < 100; percent += 14) {
        double q = 1 - (percent * 65536 + 50) / 100 / 65536.0, sum = 0;
        int rounds = 40;
        real mask[MASK];

        for (int round = 0; round < rounds; round++) {
            mask_of((struct noise){3, (uint32_t)round, 1, 0}, 0, percent, 5, mask);
            for (int i = 0; i < MASK; i++) {
                sum += mask[i];
                assert_true(mask[i] == 0 || mask[i] == (real)(1 / q));
            }
        }
        sum /= rounds * MASK;
        if (!(fabs(sum - 1) <= 5 * sqrt((1 - q) / q / (rounds * MASK))))
            fail_msg("percent %d: the mask's mean is %g", percent, sum);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_mask_is_pure),
        cmocka_unit_test(test_mask_mean),
    };

    return cmocka_run_group_tests_name("dropout", tests, NULL, NULL);
}
