/* test_discrepancy.c - what small sets of features are known to give, and what degenerate ones
 * do. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "core/math/discrepancy.h"
#include "tests/lib/conform.h"

static double scratch[512];

static double mmd(struct discrepancy_spec s, int ns, int nt, const real *xs, const real *xt,
                  real *gs)
{
    const struct discrepancy_ops *ops = discrepancy_find("mmd");

    assert_non_null(ops);
    assert_true(ops->scratch(&s, ns, nt, 1) <= sizeof scratch / sizeof *scratch);
    return ops->value_grad(&s, ns, nt, 1, xs, xt, gs, NULL, scratch);
}

/* Two points at distance 2: the bandwidth is 4, the kernels at 4 are exp(-4, -2, -1, -1/2, -1/4);
 * d value / d xs = -2 k'(4) 2 (xs - xt), k' = -mean exp(-4 / sigma) / sigma. */
static void test_two_points(void **state)
{
    real xs[1] = {1}, xt[1] = {3}, g[1];
    struct discrepancy_spec s = {.estimator = MMD_BIASED};
    double k = (exp(-4) + exp(-2) + exp(-1) + exp(-0.5) + exp(-0.25)) / 5;
    double slope = -(exp(-4) + exp(-2) / 2 + exp(-1) / 4 + exp(-0.5) / 8 + exp(-0.25) / 16) / 5;

    (void)state;
    assert_true(fabs(mmd(s, 1, 1, xs, xt, g) - (2 - 2 * k)) < 1e-15);
    assert_true(fabs(g[0] - -2 * slope * 2 * (1 - 3)) < 4 * REAL_EPS);
}

/* xs = 0, 1 and xt = 3, 5: distances 1, 4; 9, 25, 4, 16. Mean 59/6, median (4 + 9)/2. */
static void test_four_points(void **state)
{
    real xs[2] = {0, 1}, xt[2] = {3, 5}, g[2];
    struct discrepancy_spec s = {.estimator = MMD_UNBIASED, .bandwidth = MMD_MEDIAN};
    const struct discrepancy_ops *ops = discrepancy_find("mmd");
    double k[26] = {0}, width = 6.5;

    (void)state;
    assert_true(ops->bandwidth(&s, 2, 2, 1, xs, xt, scratch) == 6.5);
    for (int u = -2; u <= 2; u++)
        for (int d = 0; d < 26; d++)
            k[d] += exp(-d / (width * pow(2, u))) / 5;
    assert_true(fabs(mmd(s, 2, 2, xs, xt, g) - (k[1] + k[4] - (k[9] + k[25] + k[4] + k[16]) / 2)) <
                1e-15);
    s.estimator = MMD_BIASED;
    assert_true(fabs(mmd(s, 2, 2, xs, xt, g) -
                     (1 + (k[1] + k[4]) / 2 - (k[9] + k[25] + k[4] + k[16]) / 2)) < 1e-15);
    s.estimator = MMD_LINEAR;
    assert_true(fabs(mmd(s, 2, 2, xs, xt, g) - (k[1] + k[4] - k[25] - k[4])) < 1e-15);
    s.bandwidth = MMD_MEAN;
    assert_true(fabs(ops->bandwidth(&s, 2, 2, 1, xs, xt, scratch) - 59.0 / 6) < 1e-14);
}

/* The paper's family is sigma 2^-8, 2^-7.5, ..., 2^8. */
static void test_paper_family(void **state)
{
    real xs[1] = {1}, xt[1] = {3};
    struct discrepancy_spec s = {.estimator = MMD_BIASED, .family = MMD_PAPER, .sigma = 3};
    double k = 0;

    (void)state;
    for (double u = -8; u <= 8; u += 0.5)
        k += exp(-4 / (3 * pow(2, u))) / 33;
    assert_true(fabs(mmd(s, 1, 1, xs, xt, NULL) - (2 - 2 * k)) < 1e-15);
}

/* Equal rows have no width of their own: kernels of 1, no gradient; nor have mostly equal rows a
 * median. */
static void test_equal_rows(void **state)
{
    real xs[5] = {1, 1, 1, 1, 1}, xt[2] = {1, 1}, far[2] = {1, 2}, g[5];

    (void)state;
    for (int i = 0; i < 12; i++) {
        struct discrepancy_spec s = {.estimator = (enum mmd_estimator)(i % 3),
                                     .bandwidth = (enum mmd_bandwidth)(i / 3 % 2),
                                     .family = (enum mmd_family)(i / 6)};

        assert_true(fabs(mmd(s, 5, 2, xs, xt, g)) < 1e-15);
        for (int j = 0; j < 5; j++)
            assert_true(g[j] == 0);
    }
    assert_true(fabs(mmd((struct discrepancy_spec){.bandwidth = MMD_MEDIAN}, 5, 2, xs, far, g) -
                     (1 + 0.5 - 1)) < 1e-15);
    for (int j = 0; j < 5; j++)
        assert_true(g[j] == 0);
}

/* Rows of the linear estimator that no tuple has count for the bandwidth. */
static void test_left_over(void **state)
{
    real xs[5] = {0, 1, 2, 4, (real)NAN}, xt[4] = {1, 3, 2, 7}, g[5];
    struct discrepancy_spec s = {.estimator = MMD_LINEAR};

    (void)state;
    assert_true(isnan(mmd(s, 5, 4, xs, xt, g)));
    s.sigma = 2;
    assert_true(isfinite(mmd(s, 5, 4, xs, xt, g)));
    assert_true(g[4] == 0 && g[1] != 0);
}

/* An offset that both domains have and that float can add without loss: the same value, and a
 * gradient as good as before. */
static void test_offset(void **state)
{
    const struct discrepancy_ops *ops = discrepancy_find("mmd");
    struct discrepancy_spec s = {.estimator = MMD_BIASED};
    real x[2][12 * 6], g[2][12 * 6];
    uint64_t seed = 7;
    double value[2];

    (void)state;
    assert_true(ops->scratch(&s, 5, 7, 6) <= sizeof scratch / sizeof *scratch);
    for (int i = 0; i < 12 * 6; i++) {
        x[0][i] = (real)(rint(draw_uniform(&seed, -1, i < 5 * 6 ? 1 : 2) * 64) / 64);
        x[1][i] = x[0][i] + 4096;
    }
    for (int k = 0; k < 2; k++)
        value[k] = ops->value_grad(&s, 5, 7, 6, x[k], x[k] + 5 * 6, g[k], g[k] + 5 * 6, scratch);
    assert_true(fabs(value[0] - value[1]) < 1e-13);
    assert_int_equal(near("gradient", 12 * 6, g[1], g[0], 32 * REAL_EPS), 0);
}

/* Covariances [[2, 2], [2, 2]] of (0, 0), (2, 2) and [[2, -2], [-2, 2]] of (0, 2), (2, 0): D = [[0,
 * 4], [4, 0]], value 32/16; gs = (x - 1) D / (4 * 1). */
static void test_coral(void **state)
{
    real xs[4] = {0, 0, 2, 2}, xt[4] = {0, 2, 2, 0}, gs[4], gt[4];
    real want_s[4] = {-1, -1, 1, 1}, want_t[4] = {-1, 1, 1, -1};
    const struct discrepancy_ops *ops = discrepancy_find("coral");

    (void)state;
    assert_non_null(ops);
    assert_null(ops->bandwidth);
    assert_true(fabs(ops->value_grad(NULL, 2, 2, 2, xs, xt, gs, gt, scratch) - 2) < 8 * REAL_EPS);
    assert_int_equal(near("gs", 4, gs, want_s, 8 * REAL_EPS), 0);
    assert_int_equal(near("gt", 4, gt, want_t, 8 * REAL_EPS), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_two_points),   cmocka_unit_test(test_four_points),
        cmocka_unit_test(test_paper_family), cmocka_unit_test(test_equal_rows),
        cmocka_unit_test(test_left_over),    cmocka_unit_test(test_offset),
        cmocka_unit_test(test_coral),
    };

    return cmocka_run_group_tests_name("test_discrepancy", tests, NULL, NULL);
}
