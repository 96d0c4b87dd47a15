/* test_exact.c - the order-free sum: the same bits in any order and any partition, its limits, and
 * its
 * error against 128-bit integers.                                design.md, promise 2 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "core/math/exact.h"
#include "core/plan/round_sum.h"
#include "tests/lib/conform.h"

enum { N = 7, TERMS = 300 };

/* Terms of every size that fits: up to 2^22, down to far below the grid, both signs. */
static void fill_terms(size_t n, real *x, uint64_t *seed)
{
    for (size_t i = 0; i < n; i++)
        x[i] = (real)(draw_uniform(seed, -1, 1) * ldexp(1, (int)(draw_u64(seed) % 90) - 68));
}

static void fill_order(int *order, uint64_t *seed)
{
    for (int i = 0; i < TERMS; i++)
        order[i] = i;
    for (int i = TERMS; i > 1; i--) {
        int j = (int)(draw_u64(seed) % (uint64_t)i), swap = order[j];

        order[j] = order[i - 1];
        order[i - 1] = swap;
    }
}

static void test_order_and_partition(void **state)
{
    static real x[TERMS][N];
    int64_t plain[2 * N] = {0};
    int order[TERMS];
    uint64_t seed = 1;

    (void)state;
    fill_terms(TERMS * N, x[0], &seed);
    for (int k = 0; k < TERMS; k++)
        exact_add(N, x[k], plain);
    for (int parts = 1; parts <= 8; parts++) {
        int64_t part[8][2 * N] = {{0}}, whole[2 * N] = {0};

        fill_order(order, &seed);
        for (int k = 0; k < TERMS; k++)
            exact_add(N, x[order[k]], part[draw_u64(&seed) % (uint64_t)parts]);
        for (int p = parts; p > 0; p--)
            exact_merge(2 * N, part[p - 1], whole);
        assert_memory_equal(whole, plain, sizeof whole);
    }
}

static void test_order_one(void **state)
{
    double x[TERMS];
    int64_t up[2] = {0}, down[2] = {0};
    uint64_t seed = 2;

    (void)state;
    for (int k = 0; k < TERMS; k++)
        x[k] = draw_uniform(&seed, -1, 1) * ldexp(1, (int)(draw_u64(&seed) % 80) - 58);
    for (int k = 0; k < TERMS; k++) {
        exact_add_one(x[k], up);
        exact_add_one(x[TERMS - 1 - k], down);
    }
    assert_memory_equal(up, down, sizeof up);
    assert_true(exact_read_one(up) == exact_read_one(down));
}

/* ---- accuracy: x in units of 2^-80 is a 128-bit integer, cut below 2^-80 ---- */

__extension__ typedef __int128 wide;

static wide wide_of(double x)
{
    return (wide)ldexp(x, 80);
}

/* hi and lo in the same units */
static wide wide_sum(const int64_t *sum, size_t n)
{
    return sum[0] * ((wide)1 << 60) + sum[n] * ((wide)1 << 20);
}

static void test_accuracy(void **state)
{
    static real x[TERMS][N];
    int64_t sum[2 * N] = {0};
    real read[N];
    uint64_t seed = 3;

    (void)state;
    fill_terms(TERMS * N, x[0], &seed);
    for (int k = 0; k < TERMS; k++)
        exact_add(N, x[k], sum);
    exact_read(N, sum, sum + N, 3, read);
    for (int i = 0; i < N; i++) {
        wide want = 0, off;
        double mean;

        for (int k = 0; k < TERMS; k++)
            want += wide_of(x[k][i]);
        off = wide_sum(sum + i, N) - want;
        off = off < 0 ? -off : off;
        assert_true(off <= (wide)TERMS * ((wide)1 << 20)); /* 2^-60 a term; exact.h says 2^-61 */
        assert_true(off <= (wide)TERMS * ((wide)1 << 19) + TERMS);
        mean = (double)want * 0x1p-80 / 3;
        assert_true(fabs(read[i] - mean) <= 2 * REAL_EPS * fabs(mean) + TERMS * 0x1p-60);
    }
}

/* What lies on the grid comes back as it was. */
static void test_exact_on_grid(void **state)
{
    static const double on_grid[] = {0, 1, -1, 0.5, 0x1p-20, -0x1p-60, 0x1.8p21, 3.25, -0x1p21};

    (void)state;
    for (size_t i = 0; i < sizeof on_grid / sizeof *on_grid; i++) {
        real x = (real)on_grid[i], back;
        int64_t sum[2] = {0}, one[2] = {0};

        exact_add(1, &x, sum);
        exact_read(1, sum, sum + 1, 1, &back);
        assert_true(back == x);
        exact_add_one(on_grid[i], one);
        assert_true(exact_read_one(one) == on_grid[i]);
        assert_memory_equal(sum, one, sizeof sum);
    }
}

/* x and -x cancel to nothing, whatever x. */
static void test_cancel(void **state)
{
    real x[N], minus[N];
    int64_t sum[2 * N] = {0}, zero[2 * N] = {0};
    uint64_t seed = 4;

    (void)state;
    for (int k = 0; k < 100; k++) {
        fill_terms(N, x, &seed);
        for (int i = 0; i < N; i++)
            minus[i] = -x[i];
        exact_add(N, x, sum);
        exact_add(N, minus, sum);
    }
    assert_memory_equal(sum, zero, sizeof sum);
}

/* ---- limits ---- */

static void test_limits(void **state)
{
    const real below = (real)(0x1p22 * (1 - REAL_EPS / 2)), at = (real)0x1p22;
    const real refused[] = {at,        -at,       2 * at, (real)INFINITY, (real)-INFINITY,
                            (real)NAN, (real)-NAN};

    (void)state;
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++)
        for (size_t place = 0; place < 40; place++) {
            real x[40] = {0};

            assert_true(exact_fits(40, x));
            x[place] = refused[i];
            assert_false(exact_fits(40, x));
            assert_true(exact_fits(place, x)); /* looks no further than n */
            assert_false(exact_fits_one(refused[i]));
        }
    assert_true(below < at);
    assert_true(exact_fits(1, &below) && exact_fits_one(below) && exact_fits_one(-below));
    assert_true(exact_fits(0, NULL));
}

/* 2^20 copies of the largest term, added as one accumulator doubled twenty times. */
static void test_no_overflow(void **state)
{
    const real largest_term = (real)(0x1p22 * (1 - REAL_EPS / 2));

    (void)state;
    for (int sign = -1; sign <= 1; sign += 2) {
        real x = sign * largest_term, back;
        int64_t sum[2] = {0}, same[2];

        exact_add(1, &x, sum);
        for (int i = 0; i < 20; i++) {
            memcpy(same, sum, sizeof sum);
            exact_merge(2, same, sum);
        }
        exact_read(1, sum, sum + 1, 0x1p20, &back);
        assert_true(back == x);
        assert_true((sum[0] < 0) == (sign < 0));
    }
}

/* The worst of both words at once, one by one. */
static void test_many_terms(void **state)
{
    const double x = 0x1p22 - 0x1p-21 - 0x1p-30; /* hi rounds up to 2^42, lo is near -2^39 */
    int64_t sum[2] = {0};

    (void)state;
    assert_true(exact_fits_one(x));
    for (int i = 0; i < 1 << 20; i++)
        exact_add_one(x, sum);
    assert_true(wide_sum(sum, 1) == wide_of(x) * (1 << 20));
}

/* The checksum of a sum is the sum of the checksums; any one bit of any word changes it. */
static void test_checksum(void **state)
{
    enum { n_words = 50 };
    int64_t a[n_words], b[n_words], sum[n_words];
    uint64_t checksum;

    (void)state;
    for (int i = 0; i < n_words; i++) {
        a[i] = (int64_t)(0x9e3779b97f4a7c15u * (uint64_t)(i + 1));
        b[i] = (int64_t)(0xd1342543de82ef95u * (uint64_t)(i + 7));
        sum[i] = (int64_t)((uint64_t)a[i] + (uint64_t)b[i]);
    }
    checksum = round_sum_checksum(a, 0, n_words);
    assert_true(round_sum_checksum(sum, 0, n_words) ==
                checksum + round_sum_checksum(b, 0, n_words));
    assert_true(round_sum_checksum(a, 0, 17) + round_sum_checksum(a + 17, 17, n_words - 17) ==
                checksum);
    for (int i = 0; i < n_words; i++)
        for (int bit = 0; bit < 64; bit++) {
            int64_t kept = a[i];

            a[i] = (int64_t)((uint64_t)kept ^ 1ull << bit);
            assert_true(round_sum_checksum(a, 0, n_words) != checksum);
            a[i] = kept;
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_order_and_partition),
        cmocka_unit_test(test_order_one),
        cmocka_unit_test(test_accuracy),
        cmocka_unit_test(test_exact_on_grid),
        cmocka_unit_test(test_cancel),
        cmocka_unit_test(test_limits),
        cmocka_unit_test(test_no_overflow),
        cmocka_unit_test(test_many_terms),
        cmocka_unit_test(test_checksum),
    };

    return cmocka_run_group_tests_name("exact", tests, NULL, NULL);
}
