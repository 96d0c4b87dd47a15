/* conform_distill.c - losses against a teacher, held to the suite of losses: the target is the
 * teacher's. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "core/math/loss/distill.h"
#include "tests/lib/conform_loss.h"

static double temperature(const struct loss *l)
{
    return *(const double *)l->own;
}

static double distilled_value(const struct loss *l, const struct batch *b, int c, const real *y)
{
    return distill_value(b->n, c, temperature(l), y, b->target);
}

static void distilled_grad(const struct loss *l, const struct batch *b, int c, const real *y,
                           real *gy)
{
    distill_grad(b->n, c, temperature(l), y, b->target, gy);
}

static double hinted_value(const struct loss *l, const struct batch *b, int c, const real *y)
{
    (void)l;
    return hint_value(b->n, c, y, b->target);
}

static void hinted_grad(const struct loss *l, const struct batch *b, int c, const real *y, real *gy)
{
    (void)l;
    hint_grad(b->n, c, y, b->target, gy);
}

static void scaled_grad(const struct loss *l, const struct batch *b, int c, const real *y,
                        double factor, real *gy)
{
    distilled_grad(l, b, c, y, gy);
    for (int i = 0; i < b->n * c; i++)
        gy[i] = (real)(gy[i] * factor);
}

/* the gradient without 1 / temperature, and with temperature^2 */
static void no_temperature_grad(const struct loss *l, const struct batch *b, int c, const real *y,
                                real *gy)
{
    scaled_grad(l, b, c, y, temperature(l), gy);
}

static void hinton_grad(const struct loss *l, const struct batch *b, int c, const real *y, real *gy)
{
    scaled_grad(l, b, c, y, temperature(l) * temperature(l), gy);
}

static void teacher_grad(const struct loss *l, const struct batch *b, int c, const real *y,
                         real *gy)
{
    distill_grad(b->n, c, temperature(l), b->target, y, gy);
}

static void mse_like_grad(const struct loss *l, const struct batch *b, int c, const real *y,
                          real *gy)
{
    (void)l;
    hint_grad(b->n * c, 1, y, b->target, gy);
}

static const struct {
    struct loss_ops ops;
    double temperature;
    const char *expected;
} against_teacher[] = {
    {{"distill, 1/2", "", distilled_value, distilled_grad}, 0.5, NULL},
    {{"distill, 1", "", distilled_value, distilled_grad}, 1, NULL},
    {{"distill, 4", "", distilled_value, distilled_grad}, 4, NULL},
    {{"hint", "", hinted_value, hinted_grad}, 1, NULL},
    {{"no 1/temperature", "", distilled_value, no_temperature_grad}, 4, "grad misses"},
    {{"temperature^2 inside", "", distilled_value, hinton_grad}, 4, "grad misses"},
    {{"the teacher's gradient", "", distilled_value, teacher_grad}, 4, "grad misses"},
    {{"mean over outputs", "", hinted_value, mse_like_grad}, 1, "grad misses"},
};

static void test_against_teacher(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof against_teacher / sizeof *against_teacher; i++) {
        const char *expected = against_teacher[i].expected;
        struct loss loss = {&against_teacher[i].ops, &against_teacher[i].temperature, 1};
        int code = loss_check(&loss, false);

        if (expected && !can_difference)
            continue;
        if (!expected && code)
            fail_msg("rejects the right loss: %s", err_text());
        if (expected && (!code || !strstr(err_text(), expected)))
            fail_msg("'%s': %s", against_teacher[i].ops.name, code ? err_text() : "accepted");
    }
}

/* Temperature 2. Teacher 2 (0, log 2, log 5): p = (1, 2, 5)/8; student 2 (log 2, log 2, log 4): q =
 * (1, 1, 2)/4. Value log 4 - 5/8 log 2; gradient (q - p)/2 for each of one. Then a second sample
 * where both are p: its value is the entropy of p, its gradient 0. */
static void test_distill(void **state)
{
    double l2 = log(2), l5 = log(5), entropy = (l2 * 3 + 2 * l2 * 2 + 5 * (3 * l2 - l5)) / 8;
    real teacher[6] = {0, (real)(2 * l2),     (real)(2 * l5),
                       7, (real)(7 + 2 * l2), (real)(7 + 2 * l5)};
    real student[6] = {(real)(2 * l2), (real)(2 * l2), (real)(4 * l2), 0,
                       (real)(2 * l2), (real)(2 * l5)};
    real g[6], want[6] = {1.0 / 16, 0, -1.0 / 16}, half[6] = {1.0 / 32, 0, -1.0 / 32, 0, 0, 0};

    (void)state;
    assert_true(fabs(distill_value(1, 3, 2, student, teacher) - (2 * l2 - 5 * l2 / 8)) <
                4 * REAL_EPS);
    distill_grad(1, 3, 2, student, teacher, g);
    assert_int_equal(near("one", 3, g, want, 4 * REAL_EPS), 0);
    assert_true(fabs(distill_value(1, 3, 2, student + 3, teacher + 3) - entropy) < 8 * REAL_EPS);
    distill_grad(2, 3, 2, student, teacher, g);
    assert_int_equal(near("two", 6, g, half, 8 * REAL_EPS), 0);
}

/* A teacher that is sure, at temperature 1, is a label. */
static void test_distill_label(void **state)
{
    real y[6] = {1, -2, 0.5, 3, 0, -1}, sure[6] = {0, 2000, 0, 0, 0, 2000}, g[6], want[6];
    int label[2] = {1, 2};
    struct batch b = {.n = 2, .label = label};

    (void)state;
    assert_true(fabs(distill_value(2, 3, 1, y, sure) - loss_value(&cross_entropy, &b, 3, y)) <
                1e-14);
    distill_grad(2, 3, 1, y, sure, g);
    loss_grad(&cross_entropy, &b, 3, y, want);
    assert_int_equal(near("grad", 6, g, want, 2 * REAL_EPS), 0);
}

/* Logits of any size: 10000 apart. */
static void test_distill_large(void **state)
{
    real y[3] = {10000, -10000, 0}, teacher[3] = {-10000, 10000, 0}, g[3], want[3] = {0.5, -0.5, 0};

    (void)state;
    assert_true(fabs(distill_value(1, 3, 2, y, teacher) - 10000) < 1e-9);
    distill_grad(1, 3, 2, y, teacher, g);
    assert_int_equal(near("grad", 3, g, want, 0), 0);
}

static void test_hint(void **state)
{
    real y[4] = {1, 2, 3, 4}, hint[4] = {0, 4, 3, 1}, g[4], want[4] = {0.5, -1, 0, 1.5};

    (void)state;
    assert_true(hint_value(2, 2, y, hint) == 14.0 / 4);
    assert_true(hint_value(1, 4, y, hint) == 7);
    hint_grad(2, 2, y, hint, g);
    assert_int_equal(near("grad", 4, g, want, 0), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_against_teacher),
        cmocka_unit_test(test_distill),
        cmocka_unit_test(test_distill_label),
        cmocka_unit_test(test_distill_large),
        cmocka_unit_test(test_hint),
    };

    return cmocka_run_group_tests_name("conform_distill", tests, find_cross_entropy, NULL);
}
