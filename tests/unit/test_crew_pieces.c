/* test_crew_pieces.c - rounds whose parameters and sums travel in several pieces: workers die and
 * stall at every message of them. */
#include "tests/lib/rounds.h"

/* Parameters of two pieces and sums of five, instead of one: of another model. */
static void in_pieces(void (*test)(void))
{
    wide = true;
    play_undisturbed(2);
    piece_bytes = 2048;
    for (int n = 3; n <= RANKS; n++)
        play_undisturbed(n);
    test();
    piece_bytes = WHOLE;
    wide = false;
}

static void die_in_pieces(void)
{
    at_every_message(RANKS, DIE, 1);
    at_every_message(RANKS, DIE, 4);
}

static void death_in_pieces(void **state)
{
    (void)state;
    in_pieces(die_in_pieces);
}

static void stall_in_pieces_at(void)
{
    at_every_message(RANKS, STALL, 1);
}

static void stall_in_pieces(void **state)
{
    (void)state;
    in_pieces(stall_in_pieces_at);
}

static void two_deaths_in_pieces(void **state)
{
    (void)state;
    in_pieces(two_die);
}

static void stale_pieces_are_refused(void **state)
{
    (void)state;
    in_pieces(refuse_stale_sums);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(death_in_pieces),
        cmocka_unit_test(stall_in_pieces),
        cmocka_unit_test(two_deaths_in_pieces),
        cmocka_unit_test(stale_pieces_are_refused),
    };

    blas_single_thread();
    return cmocka_run_group_tests_name("crew, pieces", tests, NULL, NULL);
}
