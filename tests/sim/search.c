/* search.c - looks for faults of the round's protocol: short runs in virtual time under a seeded
 * adversary (adversary.h). Coordinator, crew, workers, pools and trees are the real ones; a small
 * model is really trained.
 *
 * After every run: its digest is that of the undisturbed one, so no task was lost or counted twice,
 * unless a wrong result that nobody else had was summed; it has ended, so nobody waits for ever;
 * every rank that lives takes part again; it took no more messages than a run may; no wrong result
 * has passed its audit, and nobody was named who computes rightly (truth.h). A rank 0 that dies, or
 * is left alone, is started again from the last round, as launch/run does.
 *
 *   build/tests/sim/search [--seed N] [--from N] [--runs N] [--seconds S] [--first] [--verbose]
 *
 *   --seed N     that run alone, and what the adversary does in it
 *   --from N     the first seed (1)
 *   --runs N     how many (1000)
 *   --seconds S  no more after so many seconds
 *   --first      no more after the first that fails; else after ten
 *
 * Exit status 1: a run failed; its line is `tests/sim/search --seed N: what`. */
#include <inttypes.h>
#include <math.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "coordinator/crew/crew.h"
#include "coordinator/run/stage_run.h"
#include "core/base/habitat.h"
#include "core/math/blas.h"
#include "proto/comm/sim.h"
#include "tests/sim/adversary.h"
#include "tests/sim/truth.h"
#include "worker/engine.h"
#include "worker/method/table.h"
#include "worker/serve.h"

enum {
    ROUNDS = 4,
    STARTS_MAX = 6,         /* of one run; in the last one nothing happens */
    REUNION = 100,          /* virtual seconds until all that live take part again */
    LIMIT = 3600,           /* virtual seconds of one start */
    MESSAGES_MAX = 2000000, /* of one start */
    VARIANTS = 8
};

#define CLUSTER(schedule, audit)                                                                   \
    "cluster { threads = 1 lease = 2 start_limit = 20 task_limit = 60 schedule = \"" schedule      \
    "\" audit = " audit " }\n"
#define SINE(schedule, tasks, audit)                                                               \
    CLUSTER(schedule, audit)                                                                       \
    "data sine { format = \"sinusoid\" }\nmodel { type = \"mlp\" widths = {\"4\"} }\n"             \
    "stage meta { method = \"maml\" data = \"sine\" way = 1 shot = 3 query = 3 tasks = " tasks     \
    " inner_steps = 1 inner_rate = 0.01 rounds = 4 }\n"
#define GLYPHS(style)                                                                              \
    "data " style " { format = \"glyphs\" size = 12 first = 2 style = \"" style "\" }\n"

#define DOMAINS(audit)                                                                             \
    CLUSTER("dynamic", audit)                                                                      \
    GLYPHS("ink")                                                                                  \
    GLYPHS("chalk")                                                                                \
    GLYPHS("outline")                                                                              \
    GLYPHS("thick")                                                                                \
    GLYPHS("dotted")                                                                               \
    "model { type = \"mlp\" widths = {\"4\"} }\n"                                                  \
    "stage source { method = \"pretrain\" data = \"ink\" batch = 4 }\n"                            \
    "stage domains { method = \"adda\" data = \"ink\" batch = 4 steps = 2\n"                       \
    "  target = {\"chalk\", \"outline\", \"thick\", \"dotted\"}\n"                                 \
    "  discriminator = {\"4\"} rounds = 4 }\n"

static const char *const texts[VARIANTS] = {
    SINE("dynamic", "24", "0"),  SINE("static", "24", "0"),
    SINE("dynamic", "7", "0"),   DOMAINS("0"),
    SINE("dynamic", "24", "1"),  SINE("static", "24", "0.3"),
    SINE("dynamic", "7", "0.5"), DOMAINS("0.5"),
};

static struct variant { /* a configuration, open */
    struct config config;
    struct setup setup;
    uint64_t digest; /* of the undisturbed run */
} variants[VARIANTS];

static struct run { /* the one that is searched */
    uint64_t seed;
    const struct variant *variant;
    struct attempt attempt;
    struct crew crew;
    struct stage_run now;
    struct worker_place place;
    int host[RANKS_MAX];
    char names[RANKS_MAX][16];
    virtual_time task; /* of a task of usual length */
    bool done;         /* all rounds */
    bool ended;        /* because a rank computes wrongly */
    int code;          /* of rank 0 */
    char error[ERR_SENTENCE];
    /* what a checkpoint keeps: of the last round that is done */
    uint64_t round;
    real *kept; /* theta, optimizer's state; owned */
    bool verbose;
} run;

/* ---- hosts ---- */

/* The rank whose fiber, or compute thread, runs; -1: none does. */
static int rank_now(void)
{
    ptrdiff_t at = fiber_running() ? fiber_host() - run.names[0] : -1;

    return at < 0 ? -1 : (int)(at / (ptrdiff_t)sizeof run.names[0]);
}

/* Each host's clock begins anywhere, and keeps its own time. */
static const struct habitat *plain;
static struct habitat skewed;

static double skewed_seconds(void)
{
    double now = plain->seconds();
    int rank = rank_now();
    const struct actor *c = &run.attempt.ranks[rank < 0 ? 0 : rank];

    return rank < 0 ? now : now * (1 + c->drift) + c->ahead;
}

static void skew_clocks(void)
{
    plain = habitat;
    skewed = *plain;
    skewed.seconds = skewed_seconds;
    habitat = &skewed;
}

/* ---- tasks ---- */

static double slowness(int rank)
{
    const struct attempt *s = &run.attempt;
    double factor = 1;

    for (int i = 0; i < s->n; i++)
        if (run.host[i] == run.host[rank] && s->ranks[i].factor > factor)
            factor = s->ranks[i].factor;
    return factor;
}

static int work(struct engine *e, const struct task *t, const real *theta, real *state)
{
    struct dice d = {run.seed * 31 + t->slot * 977 + t->round};
    int rank = rank_now();
    double errs = run.attempt.ranks[rank].errs;
    bool wrong = errs > 0 && dice_share(&run.attempt.dice) < errs;
    int code = run_truly(e, t, theta, state, rank, wrong, &run.attempt.dice);

    fiber_spend((virtual_time)((double)run.task * slowness(rank) * (0.5 + dice_share(&d))));
    return code;
}

static const struct compute timed_tasks = {engine_open, engine_close, engine_begin, work};

/* ---- ranks ---- */

static uint64_t n_rounds; /* done, of all runs */
static double n_seconds;  /* virtual, of all runs */

static void worker_fiber(void *context)
{
    struct actor *c = context;
    bool lost;

    worker_serve(&c->comm, "search", &run.place, &lost);
    comm_close(&c->comm);
}

static size_t vectors(void)
{
    const struct stage *s = run.now.stage;

    return s->layout.n * (1 + (size_t)optim_find(s->optim.name)->n_state);
}

static void keep(void)
{
    size_t n = run.now.stage->layout.n;

    memcpy(run.kept, run.now.theta, n * sizeof(real));
    memcpy(run.kept + n, run.now.state, (vectors() - n) * sizeof(real));
    run.round = run.now.round;
}

/* From the last round that was kept; at first, from the stages before. */
static int go_on(void)
{
    const struct setup *setup = &run.variant->setup;

    run.now.setup = setup;
    for (int i = 0; i < setup->n_stages; i++)
        TRY(stage_run_begin(&run.now, &setup->stages[i]));
    if (!run.kept) {
        run.kept = malloc(vectors() * sizeof(real));
        if (!run.kept)
            return err(ERR_MEMORY, "no memory for parameters");
        keep();
        return 0;
    }
    size_t n = run.now.stage->layout.n;

    memcpy(run.now.theta, run.kept, n * sizeof(real));
    memcpy(run.now.state, run.kept + n, (vectors() - n) * sizeof(real));
    run.now.round = run.round;
    stage_run_rehash(&run.now);
    return 0;
}

/* Notes who takes part in the last round; true if every rank that lives has done so by now. A slow
 * rank may be left out of each round that it takes part in. */
static bool all_are_back(bool seen[RANKS_MAX])
{
    bool all = true;

    for (int i = 1; i < run.attempt.n; i++) {
        const struct actor *c = &run.attempt.ranks[i];

        seen[i] |= run.crew.workers[i].member;
        all &= seen[i] || c->dead || c->closed || run.crew.workers[i].wrong;
    }
    return all;
}

static int missing(const bool seen[RANKS_MAX])
{
    int i = 1;

    while (seen[i] || run.attempt.ranks[i].dead || run.attempt.ranks[i].closed ||
           run.crew.workers[i].wrong)
        i++;
    if (run.verbose) {
        const struct crew_worker *w = &run.crew.workers[i];

        printf("  ready %d gone %d left %d behind %d owing %d: %u tasks of epoch %u; now %u\n",
               w->ready, w->gone, w->left, w->behind, w->owing, w->owed_tasks, w->owed_epoch,
               run.crew.epoch);
    }
    return i;
}

/* Rounds that do not count, until what was lost or late is back: whatever strikes is over by
 * then. */
static int reunite(void)
{
    virtual_time limit = fiber_now() + REUNION * SECOND;
    struct round r = stage_run_round(&run.now);
    struct round_sum total;
    bool seen[RANKS_MAX] = {0};

    do {
        if (fiber_now() > limit)
            return err(ERR_FAILED, "rank %d lives and never takes part again", missing(seen));
        TRY(crew_round(&run.crew, &r, &total));
        truth_judge(&run.crew, r.n_tasks);
        n_rounds++;
        fiber_spend(SECOND / 100);
    } while (!all_are_back(seen));
    return 0;
}

/* As in a run: each round's step is made while the next round's parameters leave. */
static void settle(void *context, size_t end)
{
    (void)context;
    stage_run_settle(&run.now, end);
}

static int finish(void *context)
{
    (void)context;
    if (!run.now.owes)
        return 0;
    stage_run_finish(&run.now);
    keep();
    n_rounds++;
    return 0;
}

static int lead(struct comm *c)
{
    TRY(crew_invite(&run.crew, c, texts[run.variant - variants], ""));
    TRY(crew_gather(&run.crew, &run.variant->setup));
    TRY(go_on());
    while (stage_run_reached(&run.now) < ROUNDS) {
        struct round r = stage_run_round(&run.now);
        struct round_sum total;

        r.settle = settle;
        r.sent = finish;
        TRY(crew_round(&run.crew, &r, &total));
        truth_judge(&run.crew, r.n_tasks);
        stage_run_owe(&run.now, &total);
    }
    finish(NULL);
    TRY(reunite());
    run.done = true;
    return 0;
}

static void lead_fiber(void *context)
{
    struct actor *c = context;

    run.code = lead(&c->comm);
    snprintf(run.error, sizeof run.error, "%s", run.code < 0 ? err_text() : "done");
    if (!is_dead(c))
        crew_dismiss(&run.crew, run.code, run.error);
    n_seconds += 1e-9 * (double)fiber_now();
    crew_release(&run.crew);
    comm_close(&c->comm);
}

/* ---- a start ---- */

static void expire(void *context)
{
    (void)context;
    run.attempt.expired = !run.attempt.ranks[0].closed;
}

/* From a tenth of a millisecond to twenty seconds, each order of magnitude alike. */
static virtual_time draw_time(struct dice *d)
{
    return (virtual_time)(1e5 * pow(2e5, dice_share(d)));
}

static struct fault_plan draw_fault(struct dice *d, int n)
{
    struct fault_plan f = {
        .kind = (enum mischief)dice_roll(d, MISCHIEF_KINDS),
        .rank = dice_roll(d, n),
        .whole_host = dice_roll(d, 4) == 0,
        .at = dice_roll(d, 3) ? 1 + dice_roll(d, 60) : -1,
        .time = draw_time(d) / 20,
        .span = draw_time(d),
        .factor = pow(100, dice_share(d)),
    };

    if (f.kind == ERR && dice_roll(d, 3))
        f.kind = SLOW;
    if (f.kind == ERR)
        f.factor = pow(2, -dice_roll(d, 7));
    if (f.kind == CLOCK)
        f.factor = 1e-3 * (2 * dice_share(d) - 1);
    f.other = (f.rank + 1 + dice_roll(d, n - 1)) % n;
    if (f.kind == CUT || f.kind == LATE)
        f.at = -1;
    if (f.kind == LATE)
        f.span /= 20;
    return f;
}

static void tell_fault(const struct fault_plan *f)
{
    printf("  %s rank %d%s", mischief_names[f->kind], f->rank,
           f->whole_host ? " and its host" : "");
    if (f->kind == CUT || f->kind == LATE)
        printf(" - rank %d", f->other);
    if (f->at >= 0)
        printf(" at its message %d", f->at);
    else
        printf(" at %.6f s", 1e-9 * (double)f->time);
    printf(", span %.3f s, factor %.4f\n", 1e-9 * (double)f->span, f->factor);
}

/* calm: nothing happens in it. */
static int attempt_open(struct dice *d, int n, bool calm)
{
    struct attempt *s = &run.attempt;
    struct comm ends[RANKS_MAX];
    struct sim_plan plan = {.network = *network_table[0], .costs = sim_measured, .scale = 1};

    *s = (struct attempt){.n = n, .dice = {dice_next(d)}};
    TRY(comm_open("sim", ends, n));
    plan.host = run.host;
    TRY(sim_plan(&ends[0], &plan));
    s->n_faults = calm ? 0 : 1 + dice_roll(d, FAULTS_MAX);
    for (int i = 0; i < s->n_faults; i++) {
        s->faults[i] = draw_fault(d, n);
        s->faults[i].attempt = s;
    }
    for (int i = 0; i < n; i++) {
        struct actor *c = &s->ranks[i];

        *c = (struct actor){.inner = ends[i], .attempt = s, .host = run.host[i], .factor = 1};
        c->ahead = 1e5 * run.host[i] * run.host[i];
        c->comm = (struct comm){&adversary_ops, i, n, c};
    }
    return 0;
}

static const char *play_attempt(struct dice *d, int n, bool calm)
{
    struct attempt *s = &run.attempt;
    static char text[ERR_SENTENCE + 64];

    run.crew = (struct crew){.version = "search", .notify = truth_notice};
    truth_begin();
    run.now = (struct stage_run){0};
    fibers_open();
    skew_clocks();
    if (attempt_open(d, n, calm) < 0)
        return err_text();
    for (int i = 0; i < s->n_faults; i++) {
        if (run.verbose)
            tell_fault(&s->faults[i]);
        if (s->faults[i].at < 0 && s->faults[i].kind < CUT)
            event_at(s->faults[i].time, strike_at_time, &s->faults[i]);
    }
    event_at(LIMIT * SECOND, expire, NULL);
    for (int i = 0; i < n; i++)
        fiber_start(i == 0 ? lead_fiber : worker_fiber, &s->ranks[i], run.names[i]);
    int code = fibers_run();

    if (code < 0)
        snprintf(text, sizeof text, "%s", err_text());
    fibers_close();
    if (run.verbose)
        printf("  rank 0: %s; %" PRIu64 " messages, rounds done %" PRIu64 "\n", run.error,
               s->messages, run.round);
    if (code < 0)
        return text;
    if (s->expired)
        return "somebody waits for ever";
    if (s->messages > MESSAGES_MAX)
        return "messages without end";
    if (*truth.lie)
        return truth.lie;
    run.ended = run.code < 0 && may_end(run.error);
    if (run.code < 0 && run.code != ERR_LOST && !s->ranks[0].dead && !run.ended) {
        snprintf(text, sizeof text, "rank 0 ended with an error: %s", run.error);
        return text;
    }
    return NULL;
}

/* ---- a run ---- */

/* Ranks on hosts, of which rank 0's may hold others too. */
static void draw_cluster(struct dice *d, int n)
{
    int n_hosts = 1 + dice_roll(d, n), threads[] = {1, 1, 2, 3};

    for (int i = 0; i < n; i++) {
        run.host[i] = i * n_hosts / n;
        snprintf(run.names[i], sizeof run.names[i], "host%d", run.host[i]);
    }
    run.task = (virtual_time)(1e4 * (1 + 1000 * dice_share(d) * dice_share(d)));
    run.place = (struct worker_place){&run.variant->setup, &timed_tasks, threads[dice_roll(d, 4)],
                                      dice_roll(d, 2)};
}

/* NULL: it ended as it should. */
static const char *search(uint64_t seed, int variant, bool calm)
{
    struct dice d = {seed};
    int n = 2 + dice_roll(&d, calm ? 1 : RANKS_MAX - 2);
    const char *wrong = NULL;

    run.seed = seed;
    run.variant = &variants[variant];
    run.done = run.ended = truth.tainted = false;
    *truth.lie = '\0';
    draw_cluster(&d, n);
    if (run.verbose)
        printf("variant %d, %d ranks on %d hosts, %d threads\n", variant, n, run.host[n - 1] + 1,
               run.place.n_threads);
    for (int i = 0; i < STARTS_MAX && !run.done && !run.ended && !wrong; i++) {
        wrong = play_attempt(&d, n, calm || i == STARTS_MAX - 1);
        if (run.done && !calm && !truth.tainted && run.now.hash != run.variant->digest)
            wrong = "another digest than that of the undisturbed run";
        if (run.done && calm)
            variants[variant].digest = run.now.hash;
        stage_run_release(&run.now);
    }
    if (!wrong && !run.done && !run.ended)
        wrong = "it never ends, although nothing happened in its last start";
    free(run.kept);
    run.kept = NULL;
    return wrong;
}

static int variants_open(void)
{
    for (int i = 0; i < VARIANTS; i++) {
        const char *wrong;

        TRY(config_parse(&variants[i].config, texts[i], "text", NULL, 0, stage_owner));
        TRY(setup_open(&variants[i].setup, &variants[i].config, "", method_traits_of));
        wrong = search(1, i, true);
        if (wrong)
            return err(ERR_FAILED, "undisturbed: %s", wrong);
    }
    return 0;
}

static void variants_close(void)
{
    for (int i = 0; i < VARIANTS; i++) {
        setup_close(&variants[i].setup);
        config_release(&variants[i].config);
    }
}

static double seconds_now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

struct wishes {
    uint64_t from, runs;
    double seconds;
    bool first; /* ends with the first that fails */
};

/* Returns how many runs failed. */
static int search_all(const struct wishes *w)
{
    double begun = seconds_now();
    uint64_t n = 0;
    int failed = 0;

    for (; n < w->runs && (w->seconds == 0 || seconds_now() - begun < w->seconds); n++) {
        uint64_t seed = w->from + n;
        const char *wrong = search(seed, (int)(seed % VARIANTS), false);

        if (wrong)
            printf("tests/sim/search --seed %" PRIu64 ": %s\n", seed, wrong);
        failed += wrong != NULL;
        if (failed >= (w->first ? 1 : 10)) {
            n++;
            break;
        }
    }
    printf("%" PRIu64 " runs from seed %" PRIu64 " in %.1f s, %d failed\n", n, w->from,
           seconds_now() - begun, failed);
    printf("%" PRIu64 " rounds, %.0f virtual seconds, %.0f times faster than real time; %" PRIu64
           " wrong results, %" PRIu64 " ranks found\n",
           n_rounds, n_seconds, n_seconds / (seconds_now() - begun), truth.n_wrong, truth.n_found);
    return failed;
}

int main(int argc, char **argv)
{
    struct wishes w = {.from = 1, .runs = 1000};
    int failed;

    blas_single_thread();
    if (variants_open() < 0) {
        fprintf(stderr, "search: %s\n", err_text());
        return 1;
    }
    for (int i = 1; i < argc; i++) {
        const char *word = argv[i], *value = i + 1 < argc ? argv[i + 1] : "";

        run.verbose |= strcmp(word, "--verbose") == 0;
        w.first |= strcmp(word, "--first") == 0;
        if (strcmp(word, "--seed") == 0)
            w = (struct wishes){strtoull(value, NULL, 10), 1}, run.verbose = true, i++;
        else if (strcmp(word, "--from") == 0)
            w.from = strtoull(value, NULL, 10), i++;
        else if (strcmp(word, "--runs") == 0)
            w.runs = strtoull(value, NULL, 10), i++;
        else if (strcmp(word, "--seconds") == 0)
            w.seconds = strtod(value, NULL), w.runs = UINT64_MAX, i++;
        else if (strcmp(word, "--verbose") != 0 && strcmp(word, "--first") != 0) {
            fprintf(stderr, "search: there is no option '%s'\n", word);
            return 64;
        }
    }
    failed = search_all(&w);
    variants_close();
    return failed > 0;
}
