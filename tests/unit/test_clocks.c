/* test_clocks.c - what is decided or told by the clock, with clocks that are set: the time limit,
 * the leases, the time left. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "coordinator/crew/crew_internal.h"
#include "coordinator/run/deadline.h"
#include "coordinator/run/progress.h"
#include "core/base/clock.h"
#include "core/base/err.h"
#include "proto/wire.h"

/* ---- the time limit: 2 s, and 1.5 times what a round and a save may take ---- */

static void limit(struct deadline *d, double seconds)
{
    unsetenv("SLURM_JOB_END_TIME");
    assert_int_equal(deadline_open(d, seconds), 0);
}

static void deadline_counts_round_and_save(void **state)
{
    struct deadline d;

    (void)state;
    limit(&d, 1000);
    assert_false(deadline_before_round(&d, 0));
    assert_false(deadline_before_round(&d, 600)); /* 902 */
    assert_true(deadline_before_round(&d, 700));  /* 1052; without the half more 702 */
    assert_false(deadline_before_save(&d, 600));
    assert_true(deadline_before_save(&d, 700));
    deadline_note_round(&d, 600);
    assert_false(deadline_before_round(&d, 0));  /* 902 */
    assert_true(deadline_before_round(&d, 100)); /* 1052: both */
    assert_false(deadline_before_save(&d, 100)); /* 152 */
}

/* One quick round does not make the slow ones forgotten. */
static void deadline_forgets_slowly(void **state)
{
    struct deadline d;

    (void)state;
    limit(&d, 1000);
    deadline_note_round(&d, 600);
    deadline_note_round(&d, 1);
    assert_false(deadline_before_round(&d, 80)); /* 2 + 1.5 (540 + 80) = 932 */
    assert_true(deadline_before_round(&d, 150)); /* 1037 */
    for (int i = 0; i < 60; i++)
        deadline_note_round(&d, 1);
    assert_false(deadline_before_round(&d, 600)); /* 2 + 1.5 (1 .. 2 + 600) = 905 */
    deadline_note_round(&d, 650);                 /* a slow one counts at once */
    assert_true(deadline_before_round(&d, 50));
}

static void deadline_leaves_time_to_end(void **state)
{
    struct deadline d;

    (void)state;
    limit(&d, 1.5);
    assert_true(deadline_before_save(&d, 0));
    limit(&d, 0); /* none */
    assert_false(deadline_before_round(&d, 1e9));
}

static void deadline_is_the_earlier(void **state)
{
    struct deadline d;
    char text[32];

    (void)state;
    snprintf(text, sizeof text, "%ld", (long)time(NULL) + 1000);
    setenv("SLURM_JOB_END_TIME", text, 1);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(deadline_open(&d, i ? 0 : 5000), 0);
        assert_false(deadline_before_save(&d, 600));
        assert_true(deadline_before_save(&d, 700));
    }
    assert_int_equal(deadline_open(&d, 100), 0);
    assert_false(deadline_before_save(&d, 40)); /* 62 */
    assert_true(deadline_before_save(&d, 80));  /* 122 */
    setenv("SLURM_JOB_END_TIME", "soon", 1);
    assert_int_equal(deadline_open(&d, 0), ERR_USAGE);
    assert_non_null(strstr(err_text(), "'soon'"));
    unsetenv("SLURM_JOB_END_TIME");
}

/* ---- leases ---- */

enum { RANKS = 3, LEASE = 100 };

struct scene {
    struct comm ends[RANKS];
    struct config config;
    struct setup setup;
    struct crew_worker workers[RANKS];
    struct crew crew;
    int n_lost, n_back;
};

static void note(void *context, const struct notice *n)
{
    struct scene *s = context;

    s->n_lost += strcmp(n->kind, "lost") == 0;
    s->n_back += strcmp(n->kind, "back") == 0;
}

/* Two workers; the clock of the last look at the leases, and of the last word of each, so many
 * seconds ago. */
static void scene_open(struct scene *s, double looked, double heard, double other)
{
    double now = clock_seconds();

    *s = (struct scene){.config.cluster.lease = LEASE};
    assert_int_equal(comm_open("local", s->ends, RANKS), 0);
    s->setup.config = &s->config;
    s->crew = (struct crew){.comm = &s->ends[0],
                            .setup = &s->setup,
                            .workers = s->workers,
                            .checked = now - looked,
                            .spoke = now,
                            .notify = note,
                            .context = s};
    for (int i = 1; i < RANKS; i++) {
        s->workers[i].ready = true;
        s->workers[i].heard = now - (i == 1 ? heard : other);
        strcpy(s->workers[i].hello.host, "here");
    }
}

static void scene_close(struct scene *s)
{
    for (int i = 0; i < RANKS; i++)
        comm_close(&s->ends[i]);
}

static void silence_beyond_the_lease_is_a_loss(void **state)
{
    struct scene s;

    (void)state;
    scene_open(&s, 1, 2 * LEASE, 0.5 * LEASE);
    crew_check_leases(&s.crew, 1);
    assert_int_equal(s.n_lost, 1);
    assert_true(s.workers[1].gone && !s.workers[2].gone);
    crew_check_leases(&s.crew, 1);
    assert_int_equal(s.n_lost, 1); /* told once */
    crew_heard(&s.crew, &(struct message){.from = 1}, 2);
    assert_int_equal(s.n_back, 1);
    assert_false(s.workers[1].gone);
    scene_close(&s);
}

/* Rank 0 itself was stopped, or its machine slept: it could not have heard any rank. */
static void who_slept_judges_nobody(void **state)
{
    struct scene s;

    (void)state;
    scene_open(&s, 2 * LEASE, 2 * LEASE, 3 * LEASE);
    crew_check_leases(&s.crew, 1);
    assert_int_equal(s.n_lost, 0);
    assert_true(!s.workers[1].gone && !s.workers[2].gone);
    s.crew.checked -= 1; /* they have a whole lease from then on */
    s.workers[2].heard -= 0.9 * LEASE;
    crew_check_leases(&s.crew, 1);
    assert_int_equal(s.n_lost, 0);
    s.crew.checked -= 1;
    s.workers[2].heard -= 0.2 * LEASE;
    crew_check_leases(&s.crew, 1);
    assert_int_equal(s.n_lost, 1);
    assert_true(s.workers[2].gone);
    scene_close(&s);
}

static void say_alive(struct crew *c, const struct alive *a)
{
    struct buffer b = {0};

    assert_int_equal(wire_pack_alive(a, &b), 0);
    assert_int_equal(
        crew_report(c, &(struct message){.from = 1, .h = {.size = b.n}, .body = b.bytes}), 0);
    buffer_release(&b);
}

/* A worker tells sums since its start: its speed is that between two of them. */
static void speed_is_that_of_the_last_while(void **state)
{
    struct scene s;

    (void)state;
    scene_open(&s, 0, 0, 0);
    s.workers[1].hello.threads = 2;
    say_alive(&s.crew, &(struct alive){3, 10, 20, 40e9, 7});
    assert_true(s.workers[1].busy == 1 && s.workers[1].gflops == 4);
    say_alive(&s.crew, &(struct alive){4, 12, 22, 70e9, 7}); /* 2 s on 2 threads: 2 s of work */
    assert_true(s.workers[1].busy == 0.5 && s.workers[1].gflops == 15);
    say_alive(&s.crew, &(struct alive){4, 12, 22, 70e9, 7}); /* no time has passed: as before */
    assert_true(s.workers[1].busy == 0.5 && s.workers[1].gflops == 15);
    say_alive(&s.crew, &(struct alive){4, 16, 22, 70e9, 9});
    assert_true(s.workers[1].busy == 0 && s.workers[1].gflops == 0);
    assert_true(s.workers[1].work.tasks == 4 && s.workers[1].work.memory_mib == 9);
    scene_close(&s);
}

/* Half a lease is the most that a look may be late. */
static void who_looked_in_time_judges(void **state)
{
    struct scene s;

    (void)state;
    scene_open(&s, 0.4 * LEASE, 1.1 * LEASE, 0);
    crew_check_leases(&s.crew, 1);
    assert_int_equal(s.n_lost, 1);
    scene_close(&s);
    scene_open(&s, 0.6 * LEASE, 1.1 * LEASE, 0);
    crew_check_leases(&s.crew, 1);
    assert_int_equal(s.n_lost, 0);
    scene_close(&s);
}

/* ---- what is shown ---- */

/* What `show` writes to standard error, a file meanwhile. */
static const char *shown(struct progress *p, const struct glance *g)
{
    static char text[1024];
    FILE *f = tmpfile();
    int was = dup(STDERR_FILENO);
    size_t n;

    assert_non_null(f);
    fflush(stderr);
    dup2(fileno(f), STDERR_FILENO);
    progress_show(p, g);
    fflush(stderr);
    dup2(was, STDERR_FILENO);
    close(was);
    rewind(f);
    n = fread(text, 1, sizeof text - 1, f);
    text[n] = '\0';
    fclose(f);
    return text;
}

/* A stage that went on at round 100 and stood there `seconds` ago. */
static void begun(struct progress *p, double seconds)
{
    *p = (struct progress){.every = 1e-6};
    progress_stage(p, 100);
    p->start -= seconds;
    p->shown -= seconds;
}

static void has(const char *line, const char *part)
{
    if (!strstr(line, part))
        fail_msg("'%s' is not in '%s'", part, line);
}

/* 50 rounds of 4 tasks in 1,000 s, from round 100 on: 0.2 tasks a second; 850 rounds of 20 s are
 * left. */
static void a_line_counts_from_its_start(void **state)
{
    struct glance g = {"meta", 150, 1000, 4, 1.25, 0.875, 0};
    struct progress p;
    const char *line;

    (void)state;
    begun(&p, 1000);
    line = shown(&p, &g);
    has(line, "meta  round 150/1000  loss 1.2500  accuracy 87.5 %  0 tasks/s  4:43:2");
    begun(&p, 1000);
    g.tasks = 6400, g.failed = 3;
    line = shown(&p, &g);
    has(line, "  320 tasks/s  ");
    has(line, " left  3 tasks failed");
    begun(&p, 1010);
    g.round = 1100, g.rounds = 1164, g.accuracy = -1, g.failed = 0; /* 64 rounds of 1.01 s */
    line = shown(&p, &g);
    has(line, "loss 1.2500  63");
    has(line, "  1:05 left");
    assert_null(strstr(line, "accuracy"));
    assert_null(strstr(line, "failed"));
}

/* The same, as a number. */
static void time_left(void **state)
{
    struct progress p;

    (void)state;
    begun(&p, 1000);
    assert_true(isnan(progress_left(&p, 100, 1000)));
    assert_true(fabs(progress_left(&p, 150, 1000) - 17000) < 17000 * 0.05);
    assert_true(progress_left(&p, 1000, 1000) == 0);
}

/* Nothing is shown before its time, and nothing at all when quiet. */
static void a_line_every_so_often(void **state)
{
    struct glance g = {"meta", 150, 1000, 4, 1.25, 0.875, 0};
    struct progress p;

    (void)state;
    begun(&p, 1000);
    p.every = 5000;
    assert_string_equal(shown(&p, &g), "");
    p.every = 500;
    assert_string_not_equal(shown(&p, &g), "");
    assert_string_equal(shown(&p, &g), "");
    begun(&p, 1000);
    p.quiet = true;
    assert_string_equal(shown(&p, &g), "");
}

/* Twenty cells, each of three bytes where something stands in it. */
static void a_bar_is_as_long_as_what_is_done(void **state)
{
    struct glance g = {"meta", 150, 1000, 4, 1.25, 0.875, 0};
    struct progress p;

    (void)state;
    begun(&p, 1000);
    p.terminal = true;
    has(shown(&p, &g), "\rmeta 150/1000 ━━━╸                 loss 1.25");
    begun(&p, 1000);
    p.terminal = true;
    g.round = 999;
    has(shown(&p, &g), "━╸ loss");
    begun(&p, 1000);
    p.terminal = true;
    g.round = 1000;
    has(shown(&p, &g), "\rmeta 1000/1000 ━━━━━━━━━━━━━━━━━━━━ loss");
}

#define TEST(f) cmocka_unit_test(f)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(deadline_counts_round_and_save),
        TEST(deadline_forgets_slowly),
        TEST(deadline_leaves_time_to_end),
        TEST(deadline_is_the_earlier),
        TEST(silence_beyond_the_lease_is_a_loss),
        TEST(who_slept_judges_nobody),
        TEST(who_looked_in_time_judges),
        TEST(speed_is_that_of_the_last_while),
        TEST(a_line_counts_from_its_start),
        TEST(a_bar_is_as_long_as_what_is_done),
        TEST(time_left),
        TEST(a_line_every_so_often),
    };

    return cmocka_run_group_tests_name("clocks", tests, NULL, NULL);
}
