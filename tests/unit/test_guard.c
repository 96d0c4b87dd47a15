/* test_guard.c - what the guard says of an adaptation, from sums that are made up. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "coordinator/run/guard.h"
#include "core/plan/metric.h"
#include "core/plan/task_kind.h"

enum { C = 4, SAMPLES = 1000 };

static struct stage stage = {.measured = &kind_whole_set, .net = {.n_out = C}};

/* Sums of a target whose classes are told apart as surely and in the same shares as the
 * source's. */
static void healthy(double *w)
{
    memset(w, 0, (WATCH_SUMS_MAX) * sizeof *w);
    w[WATCH_SAMPLES] = SAMPLES;
    w[WATCH_ENTROPY] = 0.1 * SAMPLES;
    w[WATCH_AGREE] = 0.8 * SAMPLES;
    w[WATCH_SURE] = 0.6 * SAMPLES;
    w[WATCH_DISCREPANCY] = 8 * 0.05;
    w[WATCH_DISCRIMINATOR_SOURCE] = 0.6 * SAMPLES;
    w[WATCH_DISCRIMINATOR_TARGET] = 0.5 * SAMPLES;
    for (int k = 0; k < C; k++) {
        w[WATCH_CLASSES + k] = w[WATCH_CLASSES + C + k] = (double)SAMPLES / C;
        w[WATCH_CLASSES + 2 * C + k * C + k] = 0.6 * SAMPLES / C;
    }
}

static struct watch judge(const double *w)
{
    struct watch l;

    guard_judge(&stage, w, 8, &l);
    return l;
}

static void no_alarm(void **state)
{
    double w[WATCH_SUMS_MAX];
    struct watch l;

    (void)state;
    healthy(w);
    l = judge(w);
    assert_int_equal(l.alarms, 0);
    assert_true(l.score > 1.28 && l.score < 1.29); /* log 4 - 0.1 */
    assert_true(l.prior < 1e-12 && l.agreement == 0.8 && l.discrepancy == 0.05);
}

static void collapse(void **state)
{
    double w[WATCH_SUMS_MAX];
    struct watch l;

    (void)state;
    healthy(w);
    for (int k = 0; k < C; k++)
        w[WATCH_CLASSES + k] = k == 2 ? 0.97 * SAMPLES : 0.01 * SAMPLES;
    l = judge(w);
    assert_int_equal(l.alarms, ALARM_COLLAPSE);
    assert_true(l.score < 0); /* sure of one class is no merit */
}

/* The shares stay and every answer is sure: the score alone sees nothing. */
static void swap(void **state)
{
    double w[WATCH_SUMS_MAX], well;
    double *moved = w + WATCH_CLASSES + 2 * C;
    struct watch l;

    (void)state;
    healthy(w);
    well = judge(w).score;
    moved[0 * C + 0] = moved[1 * C + 1] = 10;
    moved[0 * C + 1] = moved[1 * C + 0] = 140;
    l = judge(w);
    assert_int_equal(l.alarms, ALARM_SWAP);
    assert_true(l.score == well);
}

/* A few samples of a class say nothing of it. */
static void few_that_moved(void **state)
{
    double w[WATCH_SUMS_MAX];
    double *moved = w + WATCH_CLASSES + 2 * C;

    (void)state;
    healthy(w);
    moved[3 * C + 3] = 2;
    moved[3 * C + 1] = 5;
    assert_int_equal(judge(w).alarms, 0);
}

static void other_shares(void **state)
{
    double w[WATCH_SUMS_MAX], well;

    (void)state;
    healthy(w);
    well = judge(w).score;
    w[WATCH_CLASSES + 0] = 0.45 * SAMPLES, w[WATCH_CLASSES + 1] = 0.05 * SAMPLES;
    assert_int_equal(judge(w).alarms, 0);
    assert_true(judge(w).score < well - 0.2);
    /* sum of p log(p / q) for p = 0.45, 0.05, 0.25, 0.25 and q = 0.25 each; the spread is
     * 1.2022626 */
    assert_true(fabs(judge(w).prior - 0.1840318) < 1e-6);
    assert_true(fabs(judge(w).score - (1.2022626 - 0.1 - 0.1840318)) < 1e-6);
}

static void discriminator(void **state)
{
    double w[WATCH_SUMS_MAX];

    (void)state;
    healthy(w);
    w[WATCH_DISCRIMINATOR_SOURCE] = w[WATCH_DISCRIMINATOR_TARGET] = 0.99 * SAMPLES;
    assert_int_equal(judge(w).alarms, ALARM_DISCRIMINATOR);
    w[WATCH_DISCRIMINATOR_SOURCE] = w[WATCH_DISCRIMINATOR_TARGET] = 0.01 * SAMPLES;
    assert_int_equal(judge(w).alarms, ALARM_DISCRIMINATOR);
    w[WATCH_DISCRIMINATOR_SOURCE] = w[WATCH_DISCRIMINATOR_TARGET] = 0.018 * SAMPLES;
    assert_int_equal(judge(w).alarms, ALARM_DISCRIMINATOR); /* wrong on more than 98 in 100 */
    w[WATCH_DISCRIMINATOR_SOURCE] = w[WATCH_DISCRIMINATOR_TARGET] = 0.022 * SAMPLES;
    assert_int_equal(judge(w).alarms, 0);
    w[WATCH_DISCRIMINATOR_SOURCE] = w[WATCH_DISCRIMINATOR_TARGET] = 0.978 * SAMPLES;
    assert_int_equal(judge(w).alarms, 0);
    w[WATCH_DISCRIMINATOR_SOURCE] = 0.01 * SAMPLES;
    w[WATCH_DISCRIMINATOR_TARGET] = 0.99 * SAMPLES; /* calls everything the target's */
    assert_int_equal(judge(w).alarms, 0);
}

/* Without fixed classes the features' discrepancy is what is left to judge by. */
static void few_shot(void **state)
{
    double w[WATCH_SUMS_MAX];

    (void)state;
    healthy(w);
    stage.measured = &kind_evaluation_episode;
    assert_true(judge(w).score == -0.05);
    stage.measured = &kind_whole_set;
}

/* ---- what is kept of a row of measurements ---- */

enum { P = 3, ROWS = 6 };

struct row {
    double score;
    unsigned alarms;
    int kept; /* which one is the best after this one; -1: the source encoder */
    bool as_best,
        as_last; /* whether the stage may end with this one, as the guard is best or last */
};

/* The source encoder scores 1. */
static void keep_row(const struct row *rows, int n)
{
    real best[2 * P] = {0};
    struct guard g = {
        .best = best, .source_only = {{.score = 5}, {.score = 1}}, .best_score = {9, 1}};
    double before = 1;

    for (int i = 0; i < P; i++)
        best[P + i] = -1;
    for (int i = 0; i < n; i++) {
        struct watch l = {.score = rows[i].score, .alarms = rows[i].alarms};
        real theta[P] = {(real)i, (real)i, (real)i};

        guard_note(&g, P, 1, theta, &l);
        for (int k = 0; k < P; k++)
            assert_true(best[P + k] == rows[i].kept && best[k] == 0); /* the other model stays */
        assert_true(g.best_score[1] >= before && g.best_score[0] == 9);
        assert_true(g.best_score[1] == (rows[i].kept < 0 ? 1 : rows[rows[i].kept].score));
        assert_int_equal(guard_accepts(&g, 1, &l, true), rows[i].as_best);
        assert_int_equal(guard_accepts(&g, 1, &l, false), rows[i].as_last);
        before = g.best_score[1];
    }
}

static void best_of_a_row(void **state)
{
    static const struct row rises_and_falls[] = {
        {0.5, 0, -1, false, false}, /* below the source encoder */
        {1.2, 0, 1, true, true},    {2.5, 0, 2, true, true}, {2.0, 0, 2, false, true},
        {2.5, 0, 2, true, true}, /* as good: the first stays, either may end it */
        {0.9, 0, 2, false, false},
    };
    static const struct row unsafe[] = {
        {3, ALARM_COLLAPSE, -1, false, false},
        {4, ALARM_SWAP, -1, false, false},
        {2, ALARM_DISCRIMINATOR, 2, true, true}, /* no harm in that alone */
        {5, ALARM_COLLAPSE | ALARM_SWAP, 2, false, false},
        {NAN, 0, 2, false, false},
        {-INFINITY, ALARM_COLLAPSE, 2, false, false},
    };

    (void)state;
    keep_row(rises_and_falls, ROWS);
    keep_row(unsafe, ROWS);
}

/* ---- the first best, and what is told ---- */

/* Two models of three parameters, of which the encoder has two. */
static void the_source_encoder_comes_first(void **state)
{
    struct stage two = {.n_models = 2, .model.n = 3, .layout.n = 6, .net.layout.n = 2};
    const real theta[] = {1, 2, 3, 4, 5, 6}, anchor[] = {8, 9};
    const real first[] = {8, 9, 3, 8, 9, 6};
    struct guard g;

    (void)state;
    assert_int_equal(guard_take(&g, &two), 0);
    guard_begin(&g, &two, theta, anchor);
    assert_memory_equal(g.best, first, sizeof first);
    assert_true(g.active && g.best_score[0] == -INFINITY && g.best_score[1] == -INFINITY);
    assert_memory_equal(guard_source(&g, &two, 1, theta, anchor), first + 3, 3 * sizeof *first);
    guard_close(&g);
    assert_true(!g.active && !g.best && !g.model);
}

static void an_alarm_is_news_once(void **state)
{
    struct guard g = {0};

    (void)state;
    assert_int_equal(guard_news(&g, &(struct watch){0}), 0);
    assert_int_equal(guard_news(&g, &(struct watch){.alarms = ALARM_SWAP}), ALARM_SWAP);
    assert_int_equal(guard_news(&g, &(struct watch){.alarms = ALARM_SWAP | ALARM_COLLAPSE}),
                     ALARM_COLLAPSE);
    assert_int_equal(guard_news(&g, &(struct watch){.alarms = ALARM_SWAP}), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(best_of_a_row),
        cmocka_unit_test(no_alarm),
        cmocka_unit_test(collapse),
        cmocka_unit_test(swap),
        cmocka_unit_test(few_that_moved),
        cmocka_unit_test(other_shares),
        cmocka_unit_test(the_source_encoder_comes_first),
        cmocka_unit_test(an_alarm_is_news_once),
        cmocka_unit_test(discriminator),
        cmocka_unit_test(few_shot),
    };

    return cmocka_run_group_tests_name("guard", tests, NULL, NULL);
}
