/* test_audit.c - tasks that are done twice: which they are, who does them, and who is found to
 * compute wrongly. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "core/plan/audit.h"
#include "tests/lib/rounds.h"

/* ---- which tasks ---- */

/* Every audited slot has one audit, in order, and no other slot has. */
static uint32_t check_slots(double share, uint64_t round, uint32_t n)
{
    struct config c = {.run.seed = 7, .cluster.audit = share};
    struct audit a = audit_of_round(&c, 1, round, n);
    uint32_t i = 0;

    for (uint32_t slot = 0; slot < n; slot++) {
        if (!audit_has(&a, slot))
            continue;
        assert_int_equal(audit_of_slot(&a, slot), i);
        assert_int_equal(audit_slot(&a, i++), slot);
    }
    assert_int_equal(i, a.n_audits);
    return i;
}

static void slots(void **state)
{
    static const double shares[] = {0, 1e-9, 0.01, 0.3, 0.999, 1};
    static const uint32_t counts[] = {1, 7, 24, 1000};

    (void)state;
    for (size_t i = 0; i < sizeof shares / sizeof *shares; i++)
        for (size_t k = 0; k < sizeof counts / sizeof *counts; k++) {
            double n = 0, mean = 500 * shares[i] * counts[k];

            for (uint64_t round = 1; round <= 500; round++)
                n += check_slots(shares[i], round, counts[k]);
            assert_true(fabs(n - mean) <= 5 * sqrt(mean) + 1e-9);
        }
}

/* Each slot is as likely as any other: 7 tasks, 0.3 of them, in 3000 rounds. */
static void slots_alike(void **state)
{
    struct config c = {.run.seed = 7, .cluster.audit = 0.3};
    int n[7] = {0};

    (void)state;
    for (uint64_t round = 1; round <= 3000; round++) {
        struct audit a = audit_of_round(&c, 0, round, 7);

        for (uint32_t slot = 0; slot < 7; slot++)
            n[slot] += audit_has(&a, slot);
    }
    for (int slot = 0; slot < 7; slot++)
        assert_in_range(n[slot], 900 - 125, 900 + 125);
}

/* ---- what a task would have added ---- */

static void checksum_of_a_task(void **state)
{
    enum { N = 1500, M = METRIC_CURVE };
    real gradient[N];
    double values[M] = {0, 0, 1.5, -2e-7, 0.25, 0};
    struct task_metrics metrics = {M, values};
    int64_t words[2 * (N + M)];
    struct round_sum t = round_sum_begin(words, N, M);

    (void)state;
    for (int tries = 0; tries < 4; tries++) {
        uint64_t before = round_sum_checksum(words, 0, t.n_words), told;
        int code;

        for (int i = 0; i < N; i++)
            gradient[i] = (real)((i * 37 % 1001 - 500) * pow(10, i % 9 - 5)) / (real)(tries + 1);
        gradient[5] = tries == 2 ? NAN : 1;
        code = round_sum_checksum_task(&t, gradient, &metrics, &told);
        assert_int_equal(round_sum_add(&t, gradient, &metrics), code);
        assert_int_equal(code, tries == 2 ? ERR_NONFINITE : 0);
        assert_true(round_sum_checksum(words, 0, t.n_words) - before == told);
    }
}

/* ---- rounds ---- */

static char told[8][16]; /* kinds of the notices; of whom */
static int told_of[8], n_told;

static void on_notice(void *context, const struct notice *n)
{
    on_loss(context, n);
    if (n_told < 8) {
        snprintf(told[n_told], sizeof told[0], "%s", n->kind);
        told_of[n_told++] = n->rank;
    }
}

static void open_audited(struct scene *s, int n, int rank, enum fault fault, int at)
{
    scene_open(s, n, rank, fault, at);
    s->crew.notify = on_notice;
    n_told = 0;
    assert_int_equal(crew_gather(&s->crew, &s->setup), 0);
}

/* Whether each audit was with another rank than its task, on another host if there are several. */
static void check_owners(const struct scene *s)
{
    const struct crew *c = &s->crew;
    const struct audit *a = &c->audit.plan;

    for (uint32_t i = 0; i < a->n_audits; i++) {
        uint32_t one = c->owner[audit_slot(a, i)], other = c->owner[a->n_tasks + i];

        assert_in_range(other, 1, s->n - 1);
        assert_true(one != other);
        assert_true(c->n_hosts < 3 || c->workers[one].host != c->workers[other].host);
    }
}

static void play_audited(int n)
{
    struct scene s;
    struct round_sum total;

    open_audited(&s, n, 0, NONE, 0);
    for (int k = 0; k < ROUNDS; k++) {
        uint64_t before = s.crew.n_audited;

        assert_int_equal(play(&s, k, &total), 0);
        assert_true(expected[blocks][k] == checksum(&s, k, &total));
        if (n_told == 0 || n == 2) /* else a rank was late, and the other may have been alone */
            assert_int_equal(s.crew.n_audited - before, k == 1 || n == 2 ? 0 : s.stage->n_tasks);
        check_owners(&s);
    }
    for (int i = 0; i < n_told; i++) /* a busy machine may lose nobody, but hold one up */
        assert_true(strcmp(told[i], n == 2 ? "alone" : "slow") == 0);
    assert_true(n > 2 || n_told == 1);
    scene_close(&s);
}

/* The same totals; all tasks are done twice if there are two who can. */
static void audited(void **state)
{
    (void)state;
    for (blocks = 1; blocks >= 0; blocks--) {
        audit = NULL;
        play_undisturbed(2);
        audit = "1";
        for (int n = 2; n <= RANKS; n++)
            play_audited(n);
    }
    blocks = 0;
    for (hosts = 2; hosts <= 3; hosts++)
        play_audited(RANKS);
    hosts = 0;
}

static void audited_with_losses(void **state)
{
    (void)state;
    audit = "0.5";
    at_every_message(4, DIE, 1);
    at_every_message(4, DIE, 3);
    at_every_message(4, STALL, 3);
    blocks = 1;
    at_every_message(4, DIE, 3);
    blocks = 0;
    two_die();
    refuse_stale_sums();
}

/* Rounds until the rank is found. The totals are those of ranks that compute rightly, unless a busy
 * machine has left a rank alone, so that nothing was done twice. */
static void find(int n, enum fault fault, int rank)
{
    struct scene s;
    struct round_sum total;
    int k = 0;

    open_audited(&s, n, rank, fault, 3);
    for (; k < PATIENCE && !s.crew.workers[rank].left; k++) {
        if (play(&s, 0, &total) < 0)
            fail_msg("round %d: %s", k, err_text());
        if (s.crew.audit.plan.n_audits > 0)
            assert_true(expected[blocks][0] == checksum(&s, 0, &total));
        else
            s.workers[rank].left = 3; /* it errs again */
    }
    assert_true(s.crew.workers[rank].left);
    assert_non_null(strstr(s.crew.reason, "it computes wrongly: its result for task"));
    for (int i = 1; i < n; i++)
        assert_true(i == rank || !s.crew.workers[i].left);
    for (int i = 0; i < n_told; i++)
        assert_true(strcmp(told[i], "wrong") != 0 || told_of[i] == rank);
    assert_int_equal(play(&s, 2, &total), 0);
    assert_true(expected[blocks][2] == checksum(&s, 2, &total));
    scene_close(&s);
}

static void wrong_rank(void **state)
{
    (void)state;
    audit = "1";
    for (blocks = 0; blocks <= 1; blocks++) {
        find(RANKS, WRONG, 3);
        find(RANKS, ERR, 3);
        find(3, ERR, 2);
    }
    blocks = 0;
}

/* One of two: nobody can tell which. */
static void no_majority(void **state)
{
    struct scene s;
    struct round_sum total;
    int code = 0;

    (void)state;
    audit = "1";
    open_audited(&s, 3, 2, WRONG, 3);
    for (int k = 0; k < PATIENCE && code == 0; k++)
        code = play(&s, 0, &total);
    assert_int_equal(code, ERR_FAILED);
    assert_non_null(strstr(err_text(), "there is no majority to tell which"));
    scene_close(&s);
}

static int n_asked;

/* Against waiting for ever: it is asked every two milliseconds, at most. */
static bool let_it_end(void *context, const struct task_kind *kind)
{
    let_time_pass(context, kind);
    return ++n_asked > 30000;
}

static uint64_t two_tasks(int rank, enum fault fault)
{
    struct scene s;
    struct round_sum total;
    uint64_t found;

    open_audited(&s, RANKS, rank, fault, 2);
    s.crew.interrupt = let_it_end;
    n_asked = 0;
    if (play_some(&s, 0, 2, &total) < 0)
        fail_msg("%s", err_text());
    found = checksum(&s, 0, &total);
    scene_close(&s);
    return found;
}

/* Both tasks are on one host. On the other one the rank that passes parameters on is lost, and who
 * is below it has no task and can do no audit. */
static void cut_off_from_audits(void **state)
{
    (void)state;
    hosts = 2;
    audit = "1";
    assert_true(two_tasks(0, NONE) == two_tasks(1, DIE));
    hosts = 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(slots),
        cmocka_unit_test(slots_alike),
        cmocka_unit_test(checksum_of_a_task),
        cmocka_unit_test(audited),
        cmocka_unit_test(audited_with_losses),
        cmocka_unit_test(wrong_rank),
        cmocka_unit_test(no_majority),
        cmocka_unit_test(cut_off_from_audits),
    };

    blas_single_thread();
    return cmocka_run_group_tests_name("audit", tests, NULL, NULL);
}
