/* test_crew.c - rounds whose workers die, stall or compute wrongly, at every message they send or
 * receive. All ranks are threads of this process; the faults are in what carries a worker's
 * messages. */
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "coordinator/crew/crew_internal.h"
#include "core/base/err.h"
#include "core/math/blas.h"
#include "tests/lib/rounds.h"

static void undisturbed(void **state)
{
    (void)state;
    for (blocks = 1; blocks >= 0; blocks--) {
        for (int n = 2; n <= RANKS; n++)
            play_undisturbed(n);
        assert_true(expected[blocks][0] != expected[blocks][2]);
    }
    blocks = 0;
    for (hosts = 1; hosts <= RANKS; hosts++)
        play_undisturbed(RANKS);
    hosts = 0;
}

/* Whether every rank took part in the round, which was too short for any to be late in it. */
static bool is_calm(const struct scene *s)
{
    return s->crew.n_members == s->n && s->crew.round_seconds < 0.2;
}

static int n_wants(const struct scene *s)
{
    int n = 0;

    for (int i = 1; i < s->n; i++)
        n += s->workers[i].n_wants;
    return n;
}

/* No rank gets more of a round's n tasks than an even share, however fast it is, in some rounds in
 * which all were in time; and none asks rank 0 for them. */
static void share_evenly(const char *schedule, uint32_t n)
{
    struct scene s;
    struct round_sum total;
    int n_calm = 0;

    scene_open(&s, RANKS, 0, NONE, 0);
    free(s.config.cluster.schedule);
    s.config.cluster.schedule = strdup(schedule);
    assert_int_equal(crew_gather(&s.crew, &s.setup), 0);
    for (int tries = 0; n_calm < 100; tries++) {
        int wants = n_wants(&s);

        assert_in_range(tries, 0, PATIENCE);
        assert_int_equal(play_some(&s, 0, n, &total), 0);
        n_calm += is_calm(&s);
        assert_true(!is_calm(&s) || n_wants(&s) == wants);
        for (int i = 1; i < RANKS && is_calm(&s); i++)
            assert_in_range(s.crew.workers[i].given, n / (RANKS - 1),
                            (n + RANKS - 2) / (RANKS - 1));
    }
    scene_close(&s);
}

static void even_shares(void **state)
{
    (void)state;
    share_evenly("static", 24);
    share_evenly("static", 22);
    share_evenly("static", 2);
}

/* There are tasks for all ranks: none takes a second one first. */
static void a_task_each(void **state)
{
    (void)state;
    share_evenly("dynamic", RANKS - 1);
}

/* The share of a round that is communication, when ranks from `rank` on claim to have worked so
 * long. */
static double claimed(int rank, uint64_t worked)
{
    struct scene s;
    struct round_sum total;
    double share;

    claim.rank = rank, claim.worked = worked;
    scene_open(&s, RANKS, 0, NONE, 0);
    assert_int_equal(crew_gather(&s.crew, &s.setup), 0);
    assert_int_equal(play(&s, 0, &total), 0);
    assert_true(expected[blocks][0] == checksum(&s, 0, &total));
    share = s.crew.communication;
    scene_close(&s);
    claim.rank = 0;
    return share;
}

/* The longest span of work counts, wherever in the tree. */
static void communication(void **state)
{
    double share = claimed(0, 0);

    (void)state;
    assert_true(share > 0 && share < 1);
    assert_true(claimed(1, 0) == 1);
    assert_true(claimed(1, UINT64_MAX) == 0);
    assert_true(claimed(RANKS - 1, 3600u * UINT64_C(1000000000)) == 0);
}

static void death_of_a_relay(void **state)
{
    (void)state;
    at_every_message(RANKS, DIE, 1);
}

static void death_of_a_leaf(void **state)
{
    (void)state;
    at_every_message(RANKS, DIE, 4);
}

static void stall_of_a_relay(void **state)
{
    (void)state;
    at_every_message(RANKS, STALL, 1);
}

/* Hosts with ranks 0 and 3, 1 and 4, 2: rank 1 leads a host, and rank 4 is below it. */
static void death_over_hosts(void **state)
{
    (void)state;
    hosts = 3;
    at_every_message(RANKS, DIE, 1);
    at_every_message(RANKS, DIE, 4);
    hosts = 0;
}

static void stall_over_hosts(void **state)
{
    (void)state;
    hosts = 3;
    at_every_message(RANKS, STALL, 1);
    hosts = 0;
}

/* Of four ranks, one of which passes parameters and sums on: where tasks step their blocks. */
static void death_with_blocks(void **state)
{
    (void)state;
    blocks = 1;
    at_every_message(4, DIE, 1);
    at_every_message(4, DIE, 3);
    blocks = 0;
}

static void stall_with_blocks(void **state)
{
    (void)state;
    blocks = 1;
    at_every_message(4, STALL, 1);
    blocks = 0;
}

/* The only rank with tasks is given up, so that the round begins again: it is never told in its old
 * round that there are no more tasks. It comes back all the same. */
static void return_from_an_abandoned_round(void **state)
{
    struct scene s;
    struct round_sum total;

    (void)state;
    cut_off.rank = 2;
    scene_open(&s, 3, 1, STALL, 3); /* as it asks for more */
    assert_int_equal(crew_gather(&s.crew, &s.setup), 0);
    assert_int_equal(play(&s, 0, &total), 0);
    assert_true(expected[blocks][0] == checksum(&s, 0, &total));
    awaited(&s, 1, STALL);
    assert_true(s.crew.workers[1].owed_tasks > 0);
    assert_true(s.crew.epoch > s.crew.workers[1].owed_epoch);
    scene_close(&s);
    cut_off.rank = 0;
}

static void two_deaths(void **state)
{
    (void)state;
    two_die();
}

static void stale_sums_are_refused(void **state)
{
    (void)state;
    refuse_stale_sums();
}

/* A worker that cannot go on says so: the others do its tasks; where it was the last, its error is
 * the run's. */
static void a_worker_leaves(void **state)
{
    struct crew after;
    struct scene s;
    struct round_sum total;
    int code = 0;

    (void)state;
    for (int at = 2; at < 10; at++)
        assert_true(disturbed(RANKS, 1 + at % 4, LEAVE, at, &after));
    assert_int_equal(after.code, ERR_DATA);
    scene_open(&s, 2, 1, LEAVE, 6);
    assert_int_equal(crew_gather(&s.crew, &s.setup), 0);
    for (int k = 0; k < 100 && code == 0; k++)
        code = play(&s, 0, &total);
    assert_int_equal(code, ERR_DATA);
    assert_non_null(strstr(err_text(), "rank 1 on host"));
    assert_non_null(strstr(err_text(), "a torn file"));
    scene_close(&s);
}

static int n_left(const struct scene *s)
{
    int n = 0;

    for (int i = 1; i < s->n; i++)
        n += s->crew.workers[i].left;
    return n;
}

/* Rounds go on, to the same totals, until `n` ranks have left. */
static void left_one_by_one(struct scene *s, int n)
{
    struct round_sum total;
    int tries = 0;

    for (; tries < ROUNDS || (tries < PATIENCE && n_left(s) < n); tries++) {
        if (play(s, tries % ROUNDS, &total) < 0)
            fail_msg("round %d: %s", tries, err_text());
        assert_true(expected[blocks][tries % ROUNDS] == checksum(s, tries % ROUNDS, &total));
    }
    assert_int_equal(n_left(s), n);
}

/* A bit of any message that a rank sends or receives: one of the two that it concerns leaves, and
 * nothing is computed with it. */
static void damage_at_every_message(int n, int rank)
{
    for (int at = 2; at < 40; at++) {
        struct scene s;

        scene_open(&s, n, rank, DAMAGE, at);
        assert_int_equal(crew_gather(&s.crew, &s.setup), 0);
        left_one_by_one(&s, 1);
        assert_int_equal(s.crew.code, ERR_DAMAGED);
        assert_non_null(strstr(s.crew.reason, "has come damaged"));
        scene_close(&s);
    }
}

static void damage_of_a_message(void **state)
{
    (void)state;
    damage_at_every_message(RANKS, 1);
    damage_at_every_message(RANKS, 4);
    blocks = 1;
    damage_at_every_message(4, 1);
    blocks = 0;
}

/* Whoever gets parameters of it leaves; the second that does proves whose memory it is. */
static void relay_with_bad_memory(void **state)
{
    struct scene s;

    (void)state;
    scene_open(&s, RANKS, 1, RELAY, NEVER);
    assert_int_equal(crew_gather(&s.crew, &s.setup), 0);
    left_one_by_one(&s, 3);
    assert_true(s.crew.workers[1].left && !s.crew.workers[4].left); /* 4 is below 2 */
    assert_true(strncmp(s.crew.reason, "rank 1 on host '", 16) == 0);
    assert_non_null(strstr(s.crew.reason, "two other ranks have got damaged messages of it"));
    scene_close(&s);
}

/* Who is at fault, as the ranks that come into question are on one host or on several. */
static void whose_fault(void **state)
{
    struct comm comm = {.size = RANKS};
    struct crew_worker workers[RANKS];
    struct crew c = {.comm = &comm, .workers = workers};
    static const struct {
        const char *hosts; /* a letter a rank */
        int from[2], to[2], code, left[RANKS];
    } cases[] = {
        {"abcde", {1, 1}, {3, 4}, 0, {0, 1, 0, 1, 1}},
        {"abcdd", {1, 1}, {3, 4}, 0, {0, 0, 0, 1, 1}}, /* may be the network of d */
        {"abcbb", {1, 1}, {3, 4}, 0, {0, 1, 0, 1, 1}},
        {"abcde", {1, 2}, {3, 4}, 0, {0, 0, 0, 1, 1}},
        {"abcde", {1, 1}, {3, 3}, 0, {0, 0, 0, 1, 0}}, /* it has left already */
        {"abcde", {1, 2}, {0, 0}, ERR_FAILED, {0, 1, 1, 0, 0}},
        {"abcde", {0, 0}, {3, 4}, ERR_FAILED, {0, 0, 0, 1, 1}},
        {"abcde", {0, 1}, {3, 0}, ERR_FAILED, {0, 1, 0, 1, 0}},
        {"abbbb", {1, 2}, {0, 0}, 0, {0, 1, 1, 0, 0}},
        {"abcde", {9, 1}, {3, 4}, ERR_DATA, {0}},
    };

    (void)state;
    for (size_t k = 0; k < sizeof cases / sizeof *cases; k++) {
        int code;

        memset(workers, 0, sizeof workers);
        for (int i = 0; i < RANKS; i++)
            workers[i].hello.host[0] = cases[k].hosts[i];
        code = blame(&c, cases[k].from[0], cases[k].to[0], 1);
        if (code == 0)
            code = blame(&c, cases[k].from[1], cases[k].to[1], 2);
        assert_int_equal(code, cases[k].code);
        for (int i = 0; i < RANKS; i++)
            assert_int_equal(workers[i].left, cases[k].left[i]);
    }
}

/* A rank that dies before it says hello is gone without, once start_limit is over. */
static void death_at_start(void **state)
{
    struct scene s;
    struct round_sum total;

    (void)state;
    scene_open(&s, 3, 2, DIE, 0);
    s.config.cluster.start_limit = 0.3;
    while (s.workers[1].left > NEVER - 2) /* until the other has said hello */
        nap(1e-3);
    assert_int_equal(crew_gather(&s.crew, &s.setup), 0);
    assert_int_equal(play(&s, 0, &total), 0);
    assert_true(expected[blocks][0] == checksum(&s, 0, &total));
    scene_close(&s);
}

static void nobody_left(void **state)
{
    struct scene s;
    struct round_sum total;
    int code = 0;

    (void)state;
    scene_open(&s, 2, 1, DIE, 4);
    assert_int_equal(crew_gather(&s.crew, &s.setup), 0);
    for (int k = 0; k < ROUNDS && code == 0; k++)
        code = play(&s, k, &total);
    assert_int_equal(code, ERR_LOST);
    assert_non_null(strstr(err_text(), "no worker is left"));
    scene_close(&s);
}

/* The trial follows: everybody takes part. */
static void on_differs(void *context, const struct notice *n)
{
    struct faulty *f = context;

    if (strcmp(n->kind, "differs") == 0)
        f->holds = false;
}

/* Late and wrong: the round's total is that of the others, and the trial names the rank. It holds
 * its tasks until a round was done without it, however long that takes; on a busy machine another
 * rank may be late in the same round, and then nothing is compared, and it holds those of a later
 * one. */
static void find_wrong_rank(void)
{
    struct scene s;
    struct round_sum total;
    const struct crew_worker *worker;
    bool missed = false; /* its late result was there, and nobody compared it */
    int code = 0, k = 0;

    scene_open(&s, RANKS, 3, WRONG, 16);
    worker = &s.crew.workers[3];
    s.workers[3].holds = true;
    s.crew.interrupt = NULL;
    s.crew.notify = on_differs;
    s.crew.context = &s.workers[3];
    assert_int_equal(crew_gather(&s.crew, &s.setup), 0);
    for (; k < PATIENCE && !missed; k++, nap(1e-3)) {
        bool known = worker->owing && worker->others_known;

        code = play(&s, 0, &total);
        if (code < 0)
            break;
        if (worker->owing)
            assert_true(expected[blocks][0] == checksum(&s, 0, &total));
        missed = known && !worker->owing;
        s.workers[3].holds = !worker->owing;
    }
    if (code != ERR_FAILED || !strstr(err_text(), "rank 3"))
        fail_msg("after %d rounds: %d, %s", k, code, err_text());
    assert_non_null(strstr(err_text(), "computes wrongly"));
    scene_close(&s);
}

static void wrong_rank(void **state)
{
    (void)state;
    find_wrong_rank();
}

/* It steps a block that it was not sent. */
static void wrong_block(void **state)
{
    (void)state;
    blocks = 1;
    find_wrong_rank();
    blocks = 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(undisturbed),
        cmocka_unit_test(death_of_a_relay),
        cmocka_unit_test(death_of_a_leaf),
        cmocka_unit_test(stall_of_a_relay),
        cmocka_unit_test(death_over_hosts),
        cmocka_unit_test(stall_over_hosts),
        cmocka_unit_test(two_deaths),
        cmocka_unit_test(stale_sums_are_refused),
        cmocka_unit_test(a_worker_leaves),
        cmocka_unit_test(death_at_start),
        cmocka_unit_test(nobody_left),
        cmocka_unit_test(wrong_rank),
        cmocka_unit_test(wrong_block),
        cmocka_unit_test(death_with_blocks),
        cmocka_unit_test(stall_with_blocks),
        cmocka_unit_test(communication),
        cmocka_unit_test(even_shares),
        cmocka_unit_test(a_task_each),
        cmocka_unit_test(return_from_an_abandoned_round),
        cmocka_unit_test(damage_of_a_message),
        cmocka_unit_test(relay_with_bad_memory),
        cmocka_unit_test(whose_fault),
    };

    blas_single_thread();
    return cmocka_run_group_tests_name("crew", tests, NULL, NULL);
}
