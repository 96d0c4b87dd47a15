/* test_crew.c - rounds whose workers die, stall or compute wrongly, at every message they send or
 * receive. All ranks are threads of this process; the faults are in what carries a worker's
 * messages. Nobody waits for a lease to run out: of who has fallen silent the last word is made
 * older than it, so that nobody else is missed however busy the machine. */
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <xxhash.h>

#include "coordinator/crew/crew.h"
#include "core/base/err.h"
#include "core/math/blas.h"
#include "tests/lib/faulty.h"
#include "worker/method/table.h"

enum {
    RANKS = 5,
    ROUNDS = 3,
    PATIENCE = 100000
}; /* rounds of a millisecond or more, against hanging */

#define TEXT                                                                                       \
    "cluster { threads = 1 lease = 10 start_limit = 100 schedule = \"dynamic\" }\n"                \
    "data sine { format = \"sinusoid\" }\n"                                                        \
    "model { type = \"mlp\" widths = {\"8\"} }\n"                                                  \
    "stage meta { method = \"maml\" data = \"sine\" way = 1 shot = 5 query = 5 tasks = 24\n"       \
    "             inner_steps = 1 inner_rate = 0.01 rounds = 3 }\n"

#define GLYPHS(style)                                                                              \
    "data " style " { format = \"glyphs\" size = 12 first = 2 style = \"" style "\" }\n"

/* Tasks step a block each: adda with several targets. */
#define BLOCKS                                                                                     \
    "cluster { threads = 1 lease = 10 "                                                            \
    "start_limit = 100 schedule = \"dynamic\" }\n" GLYPHS("ink") GLYPHS("chalk") GLYPHS("outline") \
        GLYPHS("thick") GLYPHS("dotted") GLYPHS(                                                   \
            "slanted") "model { type = \"mlp\" widths = {\"4\"} }\n"                               \
                       "stage source { method = \"pretrain\" data = \"ink\" batch = 4 }\n"         \
                       "stage domains { method = \"adda\" data = \"ink\" batch = 4 steps = 3\n"    \
                       "  target = {\"chalk\", \"outline\", \"thick\", \"dotted\", \"slanted\"}\n" \
                       "  discriminator = {\"4\"} rounds = 3 }\n"

static const char *const texts[] = {TEXT, BLOCKS};

struct scene {
    struct comm *ends;      /* (n) owned, as what the threads of a failed test go on using */
    struct faulty *workers; /* (n) owned; [0] unused */
    int n, n_failed;        /* ranks; those whose worker_serve returned an error */
    struct config config;
    struct setup setup;
    struct crew crew;
    const struct stage *stage; /* the one that is played */
    real *theta, *anchor;      /* (P), (P of a network) owned */
    real *state, *next;        /* owned: of blocks */
    bool *arrived;             /* owned */
    struct domain_models domains;
};

static real *take(size_t n)
{
    real *x = calloc(n, sizeof *x);

    assert_non_null(x);
    return x;
}

static void scene_parameters(struct scene *s)
{
    const struct stage *stage = s->stage = &s->setup.stages[s->setup.n_stages - 1];
    size_t n = stage->layout.n, n_state = (size_t)optim_find(stage->optim.name)->n_state;

    for (int i = 1; i < s->n; i++)
        s->workers[i].n_words = round_sum_words(stage->model.n, stage->n_metrics);
    s->theta = take(n);
    s->anchor = take(n);
    s->state = take(n * n_state);
    s->next = take(n * (1 + n_state));
    s->arrived = calloc((size_t)stage->n_models, sizeof *s->arrived);
    assert_non_null(s->arrived);
    layout_init(&stage->layout, 1, 0, s->theta);
    layout_init(&s->setup.stages[0].layout, 2, 0, s->anchor);
    for (size_t i = 0; i < n * n_state; i++)
        s->state[i] = (real)(i % 7) / 64;
    s->domains = (struct domain_models){s->theta, s->state, s->next, s->arrived};
}

static bool is_silent(const struct faulty *f)
{
    return f->left < 0 && (f->fault == DIE || (f->fault == STALL && !f->missed));
}

/* Asked every few milliseconds of a round. */
static bool let_time_pass(void *context, const struct task_kind *kind)
{
    struct scene *s = context;

    (void)kind;
    for (int i = 1; i < s->n; i++)
        if (is_silent(&s->workers[i]))
            s->crew.workers[i].heard -= 2 * s->config.cluster.lease;
    return false;
}

static void on_loss(void *context, const struct notice *n)
{
    struct scene *s = context;

    if (strcmp(n->kind, "lost") == 0)
        s->workers[n->rank].missed = true;
}

/* Whoever stalls goes on. */
static void wake(struct scene *s)
{
    for (int i = 1; i < s->n; i++)
        s->workers[i].missed = true;
}

static struct { /* dies as well */
    int rank, at;
} second;

static void scene_open(struct scene *s, int n, int rank, enum fault fault, int at)
{
    const char *text = texts[blocks];

    *s = (struct scene){.n = n};
    s->crew.interrupt = let_time_pass;
    s->crew.notify = on_loss;
    s->crew.context = s;
    s->ends = calloc((size_t)n, sizeof *s->ends);
    s->workers = calloc((size_t)n, sizeof *s->workers);
    asker.after = &s->workers[1];
    assert_int_equal(comm_open("local", s->ends, n), 0);
    for (int i = 1; i < n; i++) {
        struct faulty *f = &s->workers[i];

        f->inner = s->ends[i];
        f->comm = (struct comm){&faulty_ops, i, n, f};
        f->fault = i == rank ? fault : NONE;
        f->left = i == rank ? at : NEVER;
        if (i == second.rank)
            f->fault = DIE, f->left = second.at;
        pthread_create(&f->thread, NULL, worker, f);
    }
    if (config_parse(&s->config, text, "text", NULL, 0, method_config) < 0)
        fail_msg("%s", err_text());
    assert_int_equal(crew_invite(&s->crew, &s->ends[0], text, ""), 0);
    if (setup_open(&s->setup, &s->config, "", method_traits_of) < 0)
        fail_msg("%s", err_text());
    scene_parameters(s);
}

static void scene_close(struct scene *s)
{
    wake(s);
    for (int i = 1; i < s->n; i++)
        if (s->workers[i].fault == DIE) /* it may not answer, or die of the question */
            s->config.cluster.lease = 0.05;
    crew_dismiss(&s->crew, 0, "done");
    for (int i = 1; i < s->n; i++)
        pthread_join(s->workers[i].thread, NULL), s->n_failed += s->workers[i].code != 0;
    for (int i = 0; i < s->n; i++)
        comm_close(&s->ends[i]);
    crew_release(&s->crew);
    setup_close(&s->setup);
    config_release(&s->config);
    free(s->theta);
    free(s->anchor);
    free(s->state);
    free(s->next);
    free(s->arrived);
    free(s->workers);
    free(s->ends);
}

/* Round k of the scene: training of n tasks, and one evaluation or look of 24. */
static int play_some(struct scene *s, int k, uint32_t n, struct round_sum *total)
{
    const struct stage *stage = s->stage;
    struct round r = {
        .stage = stage,
        .purpose = k != 1   ? PURPOSE_TRAIN
                   : blocks ? PURPOSE_WATCH
                            : PURPOSE_EVALUATE,
        .data = blocks && k == 1 ? stage->target[1] : stage->data,
        .round = (uint64_t)k + 1,
        .n_tasks = k == 1 ? 24 : n,
        .theta = s->theta,
        .anchor = blocks ? s->anchor : NULL,
        .domains = blocks && k != 1 ? &s->domains : NULL,
    };

    return crew_round(&s->crew, &r, total);
}

static int play(struct scene *s, int k, struct round_sum *total)
{
    return play_some(s, k, s->stage->n_tasks, total);
}

/* Of round k's total and, where its tasks step them, its blocks, all of which must have come. */
static uint64_t checksum(const struct scene *s, int k, const struct round_sum *total)
{
    uint64_t words = round_sum_checksum(total->words, total->n_words);
    size_t n = s->stage->layout.n * 3;

    if (!blocks || k == 1)
        return words;
    for (int b = 0; b < s->stage->n_models; b++)
        assert_true(s->arrived[b]);
    return words ^ XXH64(s->next, n * sizeof(real), 0);
}

static uint64_t expected[2][ROUNDS]; /* marks of the undisturbed rounds, of both stages */

static void play_undisturbed(int n)
{
    struct scene s;
    struct round_sum total;

    scene_open(&s, n, 0, NONE, 0);
    assert_int_equal(crew_gather(&s.crew, &s.setup), 0);
    for (int k = 0; k < ROUNDS; k++) {
        assert_int_equal(play(&s, k, &total), 0);
        if (n == 2)
            expected[blocks][k] = checksum(&s, k, &total);
        assert_true(expected[blocks][k] == checksum(&s, k, &total));
    }
    assert_int_equal(crew_lost(&s.crew), 0);
    scene_close(&s);
    assert_int_equal(s.n_failed, 0);
}

static void undisturbed(void **state)
{
    (void)state;
    for (blocks = 1; blocks >= 0; blocks--) {
        for (int n = 2; n <= RANKS; n++)
            play_undisturbed(n);
        assert_true(expected[blocks][0] != expected[blocks][2]);
    }
    blocks = 0;
}

/* Whether every rank took part in the round, which was too short for any to be late in it. */
static bool is_calm(const struct scene *s)
{
    return s->crew.n_members == s->n && s->crew.round_seconds < 0.2;
}

/* Nobody gets more of a round's n tasks than an even share, whoever is faster, in some rounds in
 * which all were in time. */
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
        assert_in_range(tries, 0, PATIENCE);
        assert_int_equal(play_some(&s, 0, n, &total), 0);
        n_calm += is_calm(&s);
        for (int i = 1; i < RANKS && is_calm(&s); i++)
            assert_int_equal(s.crew.workers[i].given, n / (RANKS - 1));
    }
    scene_close(&s);
}

static void even_shares(void **state)
{
    (void)state;
    share_evenly("static", 24);
}

/* Tasks for everybody: nobody takes a second one first. */
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

/* Rounds go on until the rank takes part again, or has said that it cannot. */
static void awaited(struct scene *s, int rank, enum fault fault)
{
    const struct crew_worker *worker = &s->crew.workers[rank];
    struct round_sum total;
    int tries = 0;

    for (; tries < PATIENCE && !(fault == LEAVE ? worker->left : worker->given > 0); tries++) {
        assert_int_equal(play(s, 0, &total), 0);
        assert_true(expected[blocks][0] == checksum(s, 0, &total));
        nap(1e-3);
    }
    assert_in_range(tries, 0, PATIENCE - 1);
}

/* The totals of three rounds in which the fault strikes `rank` at message `at`: equal to the
 * undisturbed ones. Returns whether the fault struck. */
static bool disturbed(int n, int rank, enum fault fault, int at, struct crew *after)
{
    struct scene s;
    struct round_sum total;
    bool struck;

    scene_open(&s, n, rank, fault, at);
    assert_int_equal(crew_gather(&s.crew, &s.setup), 0);
    for (int k = 0; k < ROUNDS; k++) {
        if (play(&s, k, &total) < 0)
            fail_msg("rank %d of %d, message %d, round %d: %s", rank, n, at, k, err_text());
        if (expected[blocks][k] != checksum(&s, k, &total))
            fail_msg("rank %d of %d, message %d: another total in round %d", rank, n, at, k);
        assert_true(s.crew.communication >= 0 && s.crew.communication <= 1);
    }
    if (fault == LEAVE)
        awaited(&s, rank, fault);
    struck = s.workers[rank].left < 0;
    wake(&s);
    for (int i = 1; struck && fault == STALL && i < n; i++)
        awaited(&s, i, fault);
    *after = s.crew;
    scene_close(&s);
    return struck;
}

/* From its first message after the hello on, until the fault comes after the last round. */
static void at_every_message(int n, enum fault fault, int rank)
{
    uint64_t stale = 0, again = 0;
    int at = 2;

    for (bool struck = true; struck && at < 200; at++) {
        struct crew after;

        struck = disturbed(n, rank, fault, at, &after);
        stale += after.n_stale, again += after.n_again;
    }
    assert_in_range(at, 10, 199);
    assert_true(again > 0);
    if (fault == STALL)
        assert_true(stale > 0);
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
    asker.rank = 2;
    scene_open(&s, 3, 1, STALL, 4); /* its first tasks */
    assert_int_equal(crew_gather(&s.crew, &s.setup), 0);
    assert_int_equal(play(&s, 0, &total), 0);
    assert_true(expected[blocks][0] == checksum(&s, 0, &total));
    awaited(&s, 1, STALL);
    assert_true(s.crew.epoch > s.crew.workers[1].owed_epoch + 1);
    scene_close(&s);
    asker.rank = 0;
}

/* Two of four, at any two of their messages: also while the sums are gathered for the first. */
static void two_deaths(void **state)
{
    uint32_t dice = 1;

    (void)state;
    for (int i = 0; i < 30; i++) {
        struct crew after;
        int rank;

        dice = dice * 1664525u + 1013904223u;
        rank = 1 + (int)(dice >> 30);
        second.rank = 1 + (rank + (int)(dice >> 28 & 3) % 3) % 4;
        second.at = 2 + (int)(dice >> 20 & 15);
        disturbed(RANKS, rank, DIE, 2 + (int)(dice >> 10 & 15), &after);
    }
    second.rank = 0;
}

static void stale_sums_are_refused(void **state)
{
    struct crew after;

    (void)state;
    slow_gather = true;
    gathering = false;
    disturbed(RANKS, 4, BABBLE, NEVER, &after);
    slow_gather = false;
    assert_true(after.n_stale > 10);
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
    };

    blas_single_thread();
    return cmocka_run_group_tests_name("crew", tests, NULL, NULL);
}
