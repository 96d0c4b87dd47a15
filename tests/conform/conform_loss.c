/* conform_loss.c - the suite over every entry of the loss table, over wrong losses, and what each
 * loss is known to give. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "core/config/config.h"
#include "core/math/loss/entry.h"
#include "tests/lib/conform_loss.h"
#include "worker/method/table.h"

/* A loss with keys of its own, as a stage has it; its parameters belong to c. ERR_CONFIG. */
static int form(struct loss *loss, struct config *c, const char *name, const char *keys)
{
    char text[256];

    snprintf(text, sizeof text, "data d { }\nstage s { data = d loss = %s %s }\n", name, keys);
    if (config_parse(c, text, "text", NULL, 0, stage_owner))
        fail_msg("%s", err_text());
    return loss_form(loss, name, config_own(c, &c->stages[0], "loss"));
}

static struct loss loss_of(struct config *c, const char *name, const char *keys)
{
    struct loss loss;

    if (form(&loss, c, name, keys))
        fail_msg("%s", err_text());
    return loss;
}

/* Each loss with its defaults, and those with keys also with others. */
static const struct {
    const char *name, *keys;
} variants[] = {
    {"huber", "huber_delta = 0.25"},   {"huber", "huber_delta = 7"}, /* beyond every error */
    {"quantile", "quantiles = {0.5}"}, {"quantile", "quantiles = {0.05, 0.8}"},
    {"bce", "positive_weight = 5"},
};

static void check(const char *name, const char *keys)
{
    struct config c;
    struct loss loss = loss_of(&c, name, keys);

    if (loss_check(&loss, true))
        fail_msg("%s: %s", keys, err_text());
    config_release(&c);
}

static void test_table(void **state)
{
    (void)state;
    assert_non_null(loss_table[0]);
    for (const struct loss_ops *const *ops = loss_table; *ops; ops++) {
        check((*ops)->name, "");
        assert_ptr_equal(loss_find((*ops)->name), *ops);
        assert_non_null((*ops)->summary);
    }
    assert_null(loss_find("no such loss"));
}

static void test_variants(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof variants / sizeof *variants; i++)
        check(variants[i].name, variants[i].keys);
}

static void test_differences(void **state)
{
    (void)state;
    if (can_difference) /* test_table did it */
        return;
    print_message("differences need REAL64: not run in " REAL_NAME "\n");
    skip();
}

/* ---- wrong losses, made from a right one: l = (y - target)^4 ---- */

static struct loss_term fourth_entry(const struct loss *l, int j, real y, real t)
{
    double d = (double)y - t;

    (void)l, (void)j;
    return (struct loss_term){pow(d, 4), (real)(4 * pow(d, 3)), (real)(12 * d * d)};
}

#define GRAD(name_, change_)                                                                       \
    static void name_##_grad(const struct loss *l, const struct batch *b, int c, const real *y,    \
                             real *gy)                                                             \
    {                                                                                              \
        real before = gy[0];                                                                       \
                                                                                                   \
        entry_grad(l, b, c, y, gy);                                                                \
        (void)before;                                                                              \
        change_;                                                                                   \
    }
#define TANGENT(name_, change_)                                                                    \
    static void name_##_tangent(const struct loss *l, const struct batch *b, int c, const real *y, \
                                const real *yt, real *gyt)                                         \
    {                                                                                              \
        entry_grad_tangent(l, b, c, y, yt, gyt);                                                   \
        change_;                                                                                   \
    }

static void times(int n, double by, real *g)
{
    for (int i = 0; i < n; i++)
        g[i] = (real)(g[i] * by);
}

GRAD(flipped, times(b->n *c, -1, gy))
GRAD(sum, times(b->n *c, b->n, gy))
GRAD(added, gy[0] += before)
GRAD(beyond, gy[b->n * c] = 0)
TANGENT(factor, times(b->n *c, 2, gyt))
TANGENT(curved, gyt[0] = fabs((double)yt[0]) > 1.5 ? 2 * gyt[0] : gyt[0])
TANGENT(skewed, for (int i = 1; i < b->n * c; i++) if (isfinite(yt[i - 1])) gyt[i] += yt[i - 1])

/* The mean over all entries, also those that are holes. */
static double share_of_holes(const struct batch *b, int c)
{
    int there = 0;

    for (int i = 0; i < b->n * c; i++)
        there += !isnan(b->target[i]);
    return (double)there / (b->n * c);
}

static double diluted_value(const struct loss *l, const struct batch *b, int c, const real *y)
{
    return entry_value(l, b, c, y) * share_of_holes(b, c);
}

GRAD(diluted, times(b->n *c, share_of_holes(b, c), gy))
TANGENT(diluted, times(b->n *c, share_of_holes(b, c), gyt))

/* Weights are not looked at. */
static double unweighted_value(const struct loss *l, const struct batch *b, int c, const real *y)
{
    struct batch all = *b;

    all.weight = NULL;
    return entry_value(l, &all, c, y);
}

#define FOURTH(name_, value_, grad_, tangent_)                                                     \
    {                                                                                              \
        name_, "", value_, grad_, tangent_, NULL, fourth_entry                                     \
    }
static const struct {
    struct loss_ops ops;
    const char *expected;
    bool only_differences;
} broken[] = {
    {FOURTH("right", entry_value, entry_grad, entry_grad_tangent), NULL, false},
    {FOURTH("right, first order", entry_value, entry_grad, NULL), NULL, false},
    {FOURTH("flipped", entry_value, flipped_grad, entry_grad_tangent), "grad misses", true},
    {FOURTH("a sum", entry_value, sum_grad, entry_grad_tangent), "not a mean", false},
    {FOURTH("adds", entry_value, added_grad, entry_grad_tangent), "garbage in gy", false},
    {FOURTH("beyond", entry_value, beyond_grad, entry_grad_tangent), "beyond gy", false},
    {FOURTH("factor 2", entry_value, entry_grad, factor_tangent), "grad_tangent misses", true},
    {FOURTH("skewed", entry_value, entry_grad, skewed_tangent), "not symmetric", false},
    {FOURTH("curved", entry_value, entry_grad, curved_tangent), "not ", false},
    {FOURTH("diluted", diluted_value, diluted_grad, diluted_tangent), "counts holes: val", false},
    {FOURTH("diluted grad", entry_value, diluted_grad, entry_grad_tangent), "counts holes", false},
    {FOURTH("diluted Hv", entry_value, entry_grad, diluted_tangent), "counts holes", false},
    {FOURTH("unweighted", unweighted_value, entry_grad, entry_grad_tangent), "counts holes", false},
};

static void test_broken(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof broken / sizeof *broken; i++) {
        const char *name = broken[i].ops.name, *expected = broken[i].expected;
        struct loss loss = {.ops = &broken[i].ops, .per_target = 1};
        int code = loss_check(&loss, true);

        if (broken[i].only_differences && !can_difference)
            continue;
        if (!expected && code)
            fail_msg("rejects the right loss: %s", err_text());
        if (expected && !code)
            fail_msg("accepts '%s'", name);
        if (expected && !strstr(err_text(), expected))
            fail_msg("rejects '%s' for another reason: %s", name, err_text());
    }
}

/* ---- known values ---- */

static void test_uniform_logits(void **state)
{
    real y[3 * C_MAX];
    int label[3] = {0, 1, 1};
    struct batch b = {.n = 3, .label = label};

    (void)state;
    for (int i = 0; i < 3 * C_MAX; i++)
        y[i] = (real)0.25;
    for (int c = 2; c <= C_MAX; c++)
        assert_true(fabs(loss_value(&cross_entropy, &b, c, y) - log(c)) < 1e-14);
}

/* softmax(0, log 2, log 5) = 1/8, 2/8, 5/8 */
static void test_softmax(void **state)
{
    real y[3] = {0, (real)log(2), (real)log(5)}, g[3], want[3] = {1.0 / 8, -6.0 / 8, 5.0 / 8};
    int label[1] = {1};
    struct batch b = {.n = 1, .label = label};

    (void)state;
    loss_grad(&cross_entropy, &b, 3, y, g);
    assert_int_equal(near("softmax", 3, g, want, 4 * REAL_EPS), 0);
    assert_true(fabs(loss_value(&cross_entropy, &b, 3, y) - log(4)) < 4 * REAL_EPS);
}

static void test_large_logits(void **state)
{
    real y[6] = {10000, -10000, 0, 10000, -10000, 0}, g[6], t[6];
    real yt[6] = {1, 1, 1, 1, 1, 1}, want[6] = {0, 0, 0, 0.5, -0.5, 0};
    int label[2] = {0, 1};
    struct batch b = {.n = 2, .label = label};

    (void)state;
    assert_true(fabs(loss_value(&cross_entropy, &b, 3, y) - 10000) < 1e-9);
    loss_grad(&cross_entropy, &b, 3, y, g);
    cross_entropy.ops->grad_tangent(&cross_entropy, &b, 3, y, yt, t);
    assert_int_equal(near("grad", 6, g, want, 0), 0);
    for (int i = 0; i < 6; i++)
        assert_true(t[i] == 0);
}

static void test_accuracy(void **state)
{
    real y[4 * 3] = {3, 1, 2, /**/ 1, 3, 2, /**/ 1, 2, 3, /**/ -1, -3, -2};
    real ties[2 * 3] = {1, 1, 1, /**/ 0, 2, 2};
    int right[4] = {0, 1, 2, 0}, wrong[4] = {1, 1, 2, 1};
    int first[2] = {0, 1}, last[2] = {2, 2};
    struct batch b = {.n = 4, .label = right};

    (void)state;
    assert_true(loss_accuracy(&cross_entropy, &b, 3, y) == 1);
    b.label = wrong;
    assert_true(loss_accuracy(&cross_entropy, &b, 3, y) == 0.5);
    b.n = 1;
    assert_true(loss_accuracy(&cross_entropy, &b, 3, y) == 0);
    b = (struct batch){.n = 2, .label = first}; /* of equals the first answers, as torch.argmax */
    assert_true(loss_accuracy(&cross_entropy, &b, 3, ties) == 1);
    b.label = last;
    assert_true(loss_accuracy(&cross_entropy, &b, 3, ties) == 0);
}

static void test_mse(void **state)
{
    struct loss mse = loss_plain("mse");
    real y[4] = {1, 2, 3, 4}, target[4] = {0, 4, 3, 1}, g[4], want[4] = {0.5, -1, 0, 1.5};
    struct batch b = {.n = 2, .target = target};

    (void)state;
    assert_non_null(mse.ops);
    assert_false(loss_has_accuracy(&mse));
    assert_true(loss_value(&mse, &b, 2, y) == 14.0 / 4);
    loss_grad(&mse, &b, 2, y, g);
    assert_int_equal(near("grad", 4, g, want, 0), 0);
}

/* y, target and, by hand, the value and the slope of one entry. */
static const struct {
    const char *name, *keys;
    int j; /* output, of as many as the loss has for a target */
    double y, target, value, slope;
} known[] = {
    {"mae", "", 0, 1, 3, 2, -1},
    {"mae", "", 0, 3, 1, 2, 1},
    {"mae", "", 0, 3, 3, 0, 0},
    {"huber", "huber_delta = 2", 0, 1.5, 0.5, 0.5, 1},
    {"huber", "huber_delta = 2", 0, 0, 5, 2 * (5 - 1), -2},
    {"huber", "huber_delta = 2", 0, 2, 0, 2, 2},
    {"quantile", "quantiles = {0.1, 0.9}", 0, 1, 3, 0.2, -0.1},
    {"quantile", "quantiles = {0.1, 0.9}", 1, 1, 3, 1.8, -0.9},
    {"quantile", "quantiles = {0.1, 0.9}", 1, 3, 1, 0.2, 0.1},
    {"quantile", "quantiles = {0.1, 0.9}", 1, 2, 2, 0, -0.4},
    {"poisson", "", 0, 0, 3, 1, -2},
    {"poisson", "", 0, 0.69314718055994531, 3, 2 - 3 * 0.69314718055994531, -1},
    {"bce", "", 0, 0, 1, 0.69314718055994531, -0.5},
    {"bce", "", 0, 1000, 0, 1000, 1},
    {"bce", "", 0, -1000, 1, 1000, -1},
    {"bce", "positive_weight = 3", 0, 0, 1, 3 * 0.69314718055994531, -1.5},
    {"bce", "positive_weight = 3", 0, 0, 0, 0.69314718055994531, 0.5},
};

static void test_known(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        struct config c;
        struct loss loss = loss_of(&c, known[i].name, known[i].keys);
        struct loss_term e =
            loss.ops->entry(&loss, known[i].j, (real)known[i].y, (real)known[i].target);

        if (!(fabs(e.value - known[i].value) <= 1e-6) || !(fabs(e.slope - known[i].slope) <= 1e-6))
            fail_msg("%s, y %g, target %g: %.12g, %.12g", known[i].name, known[i].y,
                     known[i].target, e.value, (double)e.slope);
        config_release(&c);
    }
}

/* Two targets with two quantiles each: outputs 0 and 1 answer to the first. */
static void test_outputs_of_targets(void **state)
{
    real y[4] = {1, 1, 10, 10}, target[2] = {1, 12}, g[4];
    real want[4] = {(real)((0.5 - 0.4) / 4), (real)((0.5 - 0.9) / 4), (real)(-0.4 / 4),
                    (real)(-0.9 / 4)};
    struct batch b = {.n = 1, .target = target};
    struct config c;
    struct loss loss = loss_of(&c, "quantile", "quantiles = {0.4, 0.9}");

    (void)state;
    assert_int_equal(loss.per_target, 2);
    assert_true(fabs(loss_value(&loss, &b, 4, y) - (0.8 + 1.8) / 4) < 1e-6);
    loss_grad(&loss, &b, 4, y, g);
    assert_int_equal(near("grad", 4, g, want, 4 * REAL_EPS), 0);
    config_release(&c);
}

/* The target that an output expects is the one for which no other output would be better. */
static void test_expected_targets(void **state)
{
    (void)state;
    for (const struct loss_ops *const *ops = loss_table; *ops; ops++) {
        struct config c;
        struct loss l = loss_of(&c, (*ops)->name, "");

        for (double y = -2; l.ops->entry && !l.ops->level && y < 2; y += 0.75) {
            double target = l.ops->expects ? l.ops->expects(y) : y;
            struct loss_term e = l.ops->entry(&l, 0, (real)y, (real)target);

            if (!(fabs((double)e.slope) < 8 * REAL_EPS))
                fail_msg("%s, y %g: target %g, slope %g", l.ops->name, y, target, (double)e.slope);
        }
        for (int r = 0; l.ops->level && r < l.per_target; r++)
            assert_true(fabs(l.ops->level(&l, r) - (r == 0 ? 0.1 : r == 1 ? 0.5 : 0.9)) < 1e-12);
        config_release(&c);
    }
}

/* Labels 1 0, 0 -, of which one is missing and one is answered wrongly. */
static void test_labels(void **state)
{
    real y[4] = {2, 3, -1, 5}, target[4] = {1, 0, 0, NAN};
    struct batch b = {.n = 2, .target = target};
    struct config c;
    struct loss loss = loss_of(&c, "bce", "");

    (void)state;
    assert_true(fabs(loss_accuracy(&loss, &b, 2, y) - 2.0 / 3) < 1e-12);
    config_release(&c);
}

static void test_refused(void **state)
{
    static const struct {
        const char *name, *keys, *sentence;
    } cases[] = {
        {"quantile", "quantiles = {}", "'quantiles' is empty"},
        {"quantile", "quantiles = {0.5, 0.5}", "'quantiles' has 0.5 after 0.5, must ascend"},
        {"quantile", "quantiles = {0.9, 0.1}", "'quantiles' has 0.1 after 0.9, must ascend"},
    };
    struct loss loss;

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct config c;

        assert_int_equal(form(&loss, &c, cases[i].name, cases[i].keys), ERR_CONFIG);
        assert_string_equal(err_text(), cases[i].sentence);
        config_release(&c);
    }
    assert_int_equal(loss_form(&loss, "nonsense", NULL), ERR_CONFIG);
    assert_null(loss_find("poisson")->refuses(0));
    assert_non_null(loss_find("poisson")->refuses(-1));
    assert_null(loss_find("bce")->refuses(1));
    assert_non_null(loss_find("bce")->refuses(2));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_table),
        cmocka_unit_test(test_variants),
        cmocka_unit_test(test_differences),
        cmocka_unit_test(test_broken),
        cmocka_unit_test(test_uniform_logits),
        cmocka_unit_test(test_softmax),
        cmocka_unit_test(test_large_logits),
        cmocka_unit_test(test_accuracy),
        cmocka_unit_test(test_mse),
        cmocka_unit_test(test_known),
        cmocka_unit_test(test_outputs_of_targets),
        cmocka_unit_test(test_expected_targets),
        cmocka_unit_test(test_labels),
        cmocka_unit_test(test_refused),
    };

    return cmocka_run_group_tests_name("conform_loss", tests, find_cross_entropy, NULL);
}
