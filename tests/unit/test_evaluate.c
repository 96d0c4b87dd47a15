/* test_evaluate.c - what an evaluation says of metrics that are made up: means, and 1.96 s /
 * sqrt(n) with n - 1. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "coordinator/run/evaluate.h"
#include "core/base/err.h"
#include "core/math/loss.h"
#include "core/plan/metric.h"

enum { STEPS = 2 };

static struct stage stage;
static int64_t words[4096];
static double values[METRIC_CURVE + CURVE_SUMS * (STEPS + 1)];
enum { N = sizeof values / sizeof *values };

static struct round_sum begin(bool few_shot)
{
    static const struct stage_config config = {.name = "s"};

    stage = (struct stage){.config = &config,
                           .measured = few_shot ? &kind_evaluation_episode : &kind_whole_set,
                           .evaluate_steps = few_shot ? STEPS : 0};
    stage.net.loss = loss_plain("cross_entropy");
    assert_true(round_sum_words(0, N) <= sizeof words / sizeof *words);
    return round_sum_begin(words, 0, N);
}

static struct task_metrics none(void)
{
    memset(values, 0, sizeof values);
    return (struct task_metrics){N, values, values + N};
}

static void add(struct task_metrics *t, int k, double loss, double accuracy)
{
    double *curve = &t->v[metric_curve(k, CURVE_LOSS)];

    curve[CURVE_LOSS] += loss, curve[CURVE_LOSS_SQUARE] += loss * loss;
    curve[CURVE_ACCURACY] += accuracy, curve[CURVE_ACCURACY_SQUARE] += accuracy * accuracy;
}

static struct evaluation evaluated(const struct round_sum *t)
{
    struct round r = {.stage = &stage, .purpose = PURPOSE_EVALUATE};
    struct evaluation e;

    assert_int_equal(evaluation_of(&r, t, &e), 0);
    return e;
}

static void near(double got, double want)
{
    if (!(fabs(got - want) <= 1e-9))
        fail_msg("%.12g, not %.12g", got, want);
}

/* Four episodes, whose losses after step k are those here plus k. By hand: mean 3, squared
 * deviations 4 + 1 + 0 + 9 = 14, variance 14 / 3, interval 1.96 sqrt(14 / 3 / 4) = 2.117042.
 * Accuracies 0.2, 0.4, 0.6, 0.6: mean 0.45, deviations 0.0625 + 0.0025 + 0.0225 + 0.0225 = 0.11,
 * interval 1.96 sqrt(0.11 / 3 / 4) = 0.187656. */
static void episodes(void **state)
{
    static const double losses[] = {1, 2, 3, 6}, accuracies[] = {0.2, 0.4, 0.6, 0.6};
    struct round_sum t = begin(true);
    struct evaluation e;

    (void)state;
    for (int i = 0; i < 4; i++) {
        struct task_metrics one = none();

        for (int k = 0; k <= STEPS; k++)
            add(&one, k, losses[i] + k, accuracies[i]);
        assert_int_equal(round_sum_add(&t, NULL, &one), 0);
    }
    round_sum_fail(&t);
    e = evaluated(&t);
    assert_int_equal(e.episodes, 4);
    assert_int_equal(e.failed, 1);
    assert_true(e.kind == &kind_evaluation_episode && e.has_accuracy && e.steps == STEPS);
    for (int k = 0; k <= STEPS; k++) {
        near(e.loss[k].mean, 3 + k);
        near(e.loss[k].ci95, 1.96 * sqrt(14.0 / 3 / 4));
        near(e.loss[k].ci95, 2.11704196148);
        near(e.accuracy[k].mean, 0.45);
        near(e.accuracy[k].ci95, 0.1876557131202);
    }
    evaluation_release(&e);
}

/* Three episodes, one of which had nothing to measure: means over the others, (2 + 4) / 2. */
static void empty_episodes(void **state)
{
    struct round_sum t = begin(true);
    struct evaluation e;

    (void)state;
    for (int i = 0; i < 3; i++) {
        struct task_metrics one = none();

        if (i < 2)
            add(&one, 0, 2 + 2 * i, i);
        one.v[METRIC_EMPTY] = i == 2;
        assert_int_equal(round_sum_add(&t, NULL, &one), 0);
    }
    e = evaluated(&t);
    assert_int_equal(e.episodes, 2);
    near(e.loss[0].mean, 3);
    near(e.loss[0].ci95, 1.96);
    near(e.accuracy[0].mean, 0.5);
    evaluation_release(&e);
}

/* Ten samples in batches of 4, 4 and 2: 3, 4 and 0 are right. A sample counts once, whatever its
 * batch: 7 of 10, and not the mean of 3/4, 1 and 0. Deviations 7 x 0.09 + 3 x 0.49 = 2.1; 1.96
 * sqrt(2.1 / 9 / 10) = 0.299395. */
static void samples(void **state)
{
    static const int sizes[] = {4, 4, 2}, right[] = {3, 4, 0};
    struct round_sum t = begin(false);
    struct evaluation e;

    (void)state;
    for (int b = 0; b < 3; b++) {
        struct task_metrics batch = none();

        for (int i = 0; i < sizes[b]; i++)
            add(&batch, 0, i < right[b] ? 0.5 : 1.5, i < right[b]);
        batch.v[METRIC_SAMPLES] = sizes[b];
        assert_int_equal(round_sum_add(&t, NULL, &batch), 0);
    }
    e = evaluated(&t);
    assert_int_equal(e.episodes, 10);
    assert_ptr_equal(e.kind, &kind_whole_set);
    near(e.accuracy[0].mean, 0.7);
    near(e.accuracy[0].ci95, 0.2993949454038);
    near(e.loss[0].mean, 0.8);
    near(e.loss[0].ci95, 0.2993949454038);
    evaluation_release(&e);
}

/* One episode has a mean and no interval; none has nothing. */
static void one_and_none(void **state)
{
    struct round_sum t = begin(true);
    struct round r = {.stage = &stage};
    struct task_metrics one = none();
    struct evaluation e;
    char text[40];

    (void)state;
    assert_int_equal(evaluation_of(&r, &t, &e), ERR_NONFINITE);
    add(&one, STEPS, 2, 0.5);
    assert_int_equal(round_sum_add(&t, NULL, &one), 0);
    e = evaluated(&t);
    near(e.loss[STEPS].mean, 2);
    assert_true(isnan(e.loss[STEPS].ci95) && isnan(e.accuracy[STEPS].ci95));
    estimate_text(&e.accuracy[STEPS], 100, 2, text, sizeof text);
    assert_string_equal(text, "50.00");
    estimate_text(&(struct estimate){0.5, 0.0123}, 100, 2, text, sizeof text);
    assert_string_equal(text, "50.00 +- 1.23");
    evaluation_release(&e);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(episodes),
        cmocka_unit_test(empty_episodes),
        cmocka_unit_test(samples),
        cmocka_unit_test(one_and_none),
    };

    return cmocka_run_group_tests_name("evaluate", tests, NULL, NULL);
}
