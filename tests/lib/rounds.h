/* rounds.h - three rounds of a scene, disturbed at any message, and what their totals must be. */
#ifndef TESTS_LIB_ROUNDS_H
#define TESTS_LIB_ROUNDS_H

#include "tests/lib/scene.h"

static uint64_t expected[2][ROUNDS]; /* marks of the undisturbed rounds, of both stages */

enum { WHOLE = 32 << 10 }; /* bytes of a piece, unless a test says another */

static uint32_t n_pieces(const struct scene *s)
{
    return pieces_of(s->stage->model.n, sizeof(real)).n;
}

static void play_undisturbed(int n)
{
    struct scene s;
    struct round_sum total;

    scene_open(&s, n, 0, NONE, 0);
    assert_int_equal(crew_gather(&s.crew, &s.setup), 0);
    assert_int_equal(n_pieces(&s) > 1, piece_bytes < WHOLE);
    for (int k = 0; k < ROUNDS; k++) {
        assert_int_equal(play(&s, k, &total), 0);
        if (n == 2)
            expected[blocks][k] = checksum(&s, k, &total);
        assert_true(expected[blocks][k] == checksum(&s, k, &total));
    }
    assert_int_equal(s.crew.n_hosts, hosts > 0 ? hosts : 1);
    assert_int_equal(crew_lost(&s.crew), 0);
    scene_close(&s);
    assert_int_equal(s.n_failed, 0);
}

/* Rounds go on until the rank takes part again, or has said that it cannot. */
static void awaited(struct scene *s, int rank, enum fault fault)
{
    const struct crew_worker *worker = &s->crew.workers[rank];
    struct round_sum total;
    int tries = 0;

    for (; tries < PATIENCE && !(fault == LEAVE ? worker->left : worker->proved); tries++) {
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
    for (int i = 1; struck && (fault == STALL || fault == DIE) && i < n; i++)
        if (s.workers[i].fault != DIE)
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

/* Two of four, at any two of their messages: also while the sums are gathered for the first. */
static void two_die(void)
{
    uint32_t dice = 1;

    for (int i = 0; i < 30; i++) {
        struct crew after;
        int rank;

        dice = dice * 1664525u + 1013904223u;
        rank = 1 + (int)(dice >> 30);
        second.rank = 1 + (rank + (int)(dice >> 28 & 3) % 3) % 4;
        second.at = 2 + (int)(dice >> 20 & 31);
        disturbed(RANKS, rank, DIE, 2 + (int)(dice >> 10 & 31), &after);
    }
    second.rank = 0;
}

static void refuse_stale_sums(void)
{
    struct crew after;

    slow_gather = true;
    gathering = false;
    disturbed(RANKS, 4, BABBLE, NEVER, &after);
    slow_gather = false;
    assert_true(after.n_stale > 10);
}

#endif
