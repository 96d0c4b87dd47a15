/* simulate.c - a fiber for each rank: the coordinator's rounds, the workers' service. */
#include "launch/simulate.h"

#include <math.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "coordinator/crew/crew.h"
#include "coordinator/run/stage_run.h"
#include "core/base/err.h"
#include "core/math/rng.h"
#include "core/sim/fiber.h"
#include "launch/hollow.h"
#include "launch/verbs.h"
#include "proto/comm/pieces.h"
#include "proto/comm/sim.h"
#include "worker/serve.h"

enum { NAME = 24, NOT_YET = -1 };

/* Nanoseconds of rank 0: from a whole sum to the next parameters, for each of these before it
 * leaves, and, when all have left, for the rest of the step and for each parameter's part of it. */
#define BETWEEN 10e3
#define STEP_PARAMETER 1.9 /* mean gradient, Adam */
#define REST 50e3
#define REST_PARAMETER 1.75 /* norm, digest, whether it is finite */

#define CACHE 16e6 /* bytes of a sum that stay in a processor's cache */

struct player { /* a rank */
    struct troupe *all;
    int rank;
    struct comm comm;
    char host[NAME];
    int code;
    char error[ERR_SENTENCE];
};

struct troupe {
    const struct simulation *s;
    struct simulated *out;
    struct player *ranks; /* (n_ranks) owned */
    int *host;            /* (n_ranks) owned */
    struct worker_place place;
    struct crew crew;
    struct stage_run now;
    struct victims victims;
    double *slow; /* (n_ranks) owned */
    double *errs; /* (n_ranks) owned */
    bool *dead;   /* (n_ranks) owned */
    struct rng luck;
    uint64_t n_wrong;  /* results */
    int n_named;       /* ranks */
    uint64_t named_in; /* the round of the first */
    /* sums over the rounds that count */
    double communication;
    struct round_parts parts;
    double hit_seconds; /* of rounds in which ranks were killed, ... */
    int n_hit;
    /* of the round at hand */
    virtual_time *first;   /* (n_ranks) owned: when each rank's first task began */
    int last;              /* the rank whose task ended last, ... */
    virtual_time last_end; /* ... and when */
};

/* ---- tasks ---- */

static struct troupe *simulated_now; /* one at a time, as core/sim/fiber.h has it */
static double task_nanoseconds;      /* that threads have spent on tasks so far */

/* Another number for each task, the same for every rank that computes it. */
static virtual_time task_time(const struct task *t)
{
    const struct simulation *s = simulated_now->s;
    struct rng r;

    rng_init(&r, s->seed, 0, t->round, t->slot);
    return (virtual_time)(1e9 * s->task_seconds * (1 + s->jitter * rng_uniform(&r, -1, 1)));
}

/* The rank whose thread runs. */
static int rank_now(void)
{
    return ((const struct player *)(fiber_host() - offsetof(struct player, host)))->rank;
}

/* Makes what a task gave wrong, in one bit, if the rank errs now. It errs in no audit: each wrong
 * result is seen with the probability of an audit. */
static void err_now(struct troupe *all, int rank, struct engine *e, real *state)
{
    double share = e->apart ? 0 : all->errs[rank];

    if (share <= 0 || rng_uniform(&all->luck, 0, 1) >= share || (e->total.n == 0 && !state))
        return;
    if (e->total.n > 0)
        e->total.words[rng_below(&all->luck, (uint32_t)(2 * e->total.n))] ^= 1;
    else
        ((unsigned char *)state)[0] ^= 1;
    all->n_wrong++;
}

static int work(struct engine *e, const struct task *t, const real *theta, real *state)
{
    struct troupe *all = simulated_now;
    virtual_time takes = task_time(t);
    bool now = t->round == stage_run_reached(&all->now) + 1;
    int rank = rank_now();
    int code = (all->s->real ? engine_run : hollow_run)(e, t, theta, state);

    err_now(all, rank, e, state);
    if (now && all->first[rank] == NOT_YET)
        all->first[rank] = fiber_now();
    task_nanoseconds += (double)takes;
    sim_threads(&all->ranks[rank].comm, 1);
    fiber_spend((virtual_time)(all->slow[rank] * (double)takes));
    sim_threads(&all->ranks[rank].comm, -1);
    if (now)
        all->last = rank, all->last_end = fiber_now();
    return code;
}

static const struct compute real_tasks = {engine_open, engine_close, engine_begin, work};
static const struct compute hollow_tasks = {hollow_open, engine_close, hollow_begin, work};

/* ---- ranks ---- */

static void on_notice(void *context, const struct notice *n)
{
    struct troupe *all = context;

    if (strcmp(n->kind, "wrong") != 0)
        return;
    all->named_in = all->n_named++ ? all->named_in : n->round - SIMULATE_BEFORE;
}

static void worker_fiber(void *context)
{
    struct player *r = context;
    bool lost;

    r->code = worker_serve(&r->comm, version, &r->all->place, &lost);
    if (r->code < 0)
        snprintf(r->error, sizeof r->error, "%s", err_text());
    comm_close(&r->comm);
}

/* The stages before it lend it what they begin with. */
static int begin_stage(struct troupe *all)
{
    const struct setup *setup = all->s->setup;

    all->now.setup = setup;
    for (int i = 0; i <= all->s->stage->index; i++)
        TRY(stage_run_begin(&all->now, &setup->stages[i]));
    return 0;
}

/* Along the rank whose last task ended last: the round was not over before it. */
static void add_parts(struct troupe *all, virtual_time begun)
{
    struct round_parts *p = &all->parts;
    virtual_time first = all->first[all->last];

    p->down += 1e-9 * (double)(first - begun);
    p->tasks += 1e-9 * (double)(all->last_end - first);
    p->up += 1e-9 * (double)(fiber_now() - all->last_end);
}

static void settle(void *troupe, size_t end)
{
    struct troupe *all = troupe;
    size_t done = all->now.settled;

    if (all->now.owes && end > done)
        sim_work(all->crew.comm, STEP_PARAMETER * all->s->scale * (double)(end - done));
    stage_run_settle(&all->now, end);
}

static int finish(void *troupe)
{
    struct troupe *all = troupe;

    if (!all->now.owes)
        return 0;
    settle(all, all->s->stage->layout.n);
    sim_work(all->crew.comm,
             REST + REST_PARAMETER * all->s->scale * (double)all->s->stage->layout.n);
    stage_run_finish(&all->now);
    return 0;
}

static int play_round(struct troupe *all)
{
    struct round r = stage_run_round(&all->now);
    int losses = all->victims.n_losses;
    virtual_time begun = fiber_now(), whole;
    struct round_sum total;

    for (int i = 0; i < all->s->n_ranks; i++)
        all->first[i] = NOT_YET;
    r.settle = settle;
    r.sent = finish;
    r.context = all;
    TRY(crew_round(&all->crew, &r, &total));
    add_parts(all, begun);
    whole = fiber_now();
    all->communication += all->crew.communication;
    stage_run_owe(&all->now, &total);
    sim_work(all->crew.comm, BETWEEN);
    all->parts.step += 1e-9 * (double)(fiber_now() - whole);
    if (all->victims.n_losses > losses) {
        all->hit_seconds += 1e-9 * (double)(fiber_now() - begun);
        all->n_hit++;
    }
    return 0;
}

/* How much longer the rounds with a loss were, for each loss. */
static double loss_seconds(const struct troupe *all, double seconds)
{
    int others = all->s->rounds - all->n_hit;
    double usual = others ? (seconds - all->hit_seconds) / others : 0;

    return all->n_hit && others ? (all->hit_seconds - all->n_hit * usual) / all->victims.n_losses
                                : 0;
}

static void conclude(struct troupe *all, double tasks, virtual_time busy, uint64_t bytes,
                     virtual_time time)
{
    const struct simulation *s = all->s;
    double rounds = s->rounds, ns = (double)time;

    *all->out = (struct simulated){
        .n_hosts = simulated_host(s, s->n_ranks - 1) + 1,
        .n_cores = (s->n_ranks - 1) * s->n_threads + (s->n_threads == 1),
        .round_seconds = 1e-9 * ns / rounds,
        .communication = all->communication / rounds,
        .rank0 = (double)busy / ns,
        .host_bytes = (double)bytes / rounds,
        .digest = all->now.hash,
        .n_lost = all->victims.n_lost,
        .n_losses = all->victims.n_losses,
        .n_wrong = all->n_wrong,
        .n_named = all->n_named,
        .named_in = all->named_in,
        .loss_seconds = loss_seconds(all, 1e-9 * ns),
        .parts = {all->parts.down / rounds, all->parts.tasks / rounds, all->parts.up / rounds,
                  all->parts.step / rounds},
    };
    all->out->efficiency = tasks / (all->out->n_cores * ns);
}

static uint64_t most_link_bytes(const struct troupe *all)
{
    const struct comm *c = &all->ranks[0].comm;
    uint64_t most = 0;

    for (int i = 0; i < c->size; i++)
        most = sim_link_bytes(c, i) > most ? sim_link_bytes(c, i) : most;
    return most;
}

static int play_rounds(struct troupe *all)
{
    const struct comm *c = &all->ranks[0].comm;
    double tasks;
    virtual_time busy, begun;
    uint64_t bytes, again;

    for (int i = 0; i < SIMULATE_BEFORE; i++)
        TRY(play_round(all));
    all->communication = 0;
    all->parts = (struct round_parts){0};
    tasks = task_nanoseconds;
    busy = sim_figures(c, 0).busy;
    bytes = most_link_bytes(all);
    again = all->crew.n_again;
    begun = fiber_now();
    if (all->s->faults)
        TRY(faults_begin(all->s->faults, &all->victims));
    for (int i = 0; i < all->s->rounds; i++)
        TRY(play_round(all));
    tasks = task_nanoseconds - tasks;
    busy = sim_figures(c, 0).busy - busy;
    begun = fiber_now() - begun;
    TRY(finish(all));
    conclude(all, tasks, busy, most_link_bytes(all) - bytes, begun);
    all->out->n_again = all->crew.n_again - again;
    return 0;
}

static int lead(struct troupe *all)
{
    TRY(crew_invite(&all->crew, &all->ranks[0].comm, "", ""));
    TRY(crew_gather(&all->crew, all->s->setup));
    TRY(begin_stage(all));
    return play_rounds(all);
}

static void lead_fiber(void *context)
{
    struct player *r = context;
    struct troupe *all = r->all;

    r->code = lead(all);
    if (r->code < 0)
        snprintf(r->error, sizeof r->error, "%s", err_text());
    all->victims.over = true;
    all->crew.comm = &r->comm;
    crew_dismiss(&all->crew, r->code, r->error);
    crew_release(&all->crew);
    stage_run_release(&all->now);
    comm_close(&r->comm);
}

/* ---- all of them ---- */

int simulated_host(const struct simulation *s, int rank)
{
    return (s->n_threads == 1 || rank == 0 ? rank : rank - 1) / s->ranks_per_host;
}

/* What the short vectors of a hollow setup weigh, piece by piece. */
static struct sim_plan plan_of(const struct troupe *all)
{
    const struct simulation *s = all->s;
    const struct stage *stage = s->stage;
    size_t anchor = stage->anchor >= 0 ? s->setup->stages[stage->anchor].net.layout.n : 0;
    bool far = 2 * sizeof(int64_t) * s->scale * (double)stage->model.n > CACHE;
    struct sim_plan p = {*s->network, far ? sim_measured_far : sim_measured, all->host, s->scale};

    p.bulk[MESSAGE_PARAMS] = pieces_of(stage->model.n + anchor, sizeof(real)).each * sizeof(real);
    p.bulk[MESSAGE_SUM] = pieces_of(2 * stage->model.n, sizeof(int64_t)).each * sizeof(int64_t);
    p.bulk[MESSAGE_STATE] = task_state_size(stage) * sizeof(real);
    return p;
}

static int ranks_open(struct troupe *all)
{
    int n = all->s->n_ranks;
    struct comm *ends = calloc((size_t)n, sizeof *ends);
    struct sim_plan plan;
    int code;

    all->ranks = calloc((size_t)n, sizeof *all->ranks);
    all->host = calloc((size_t)n, sizeof *all->host);
    all->slow = calloc((size_t)n, sizeof *all->slow);
    all->errs = calloc((size_t)n, sizeof *all->errs);
    all->dead = calloc((size_t)n, sizeof *all->dead);
    all->first = calloc((size_t)n, sizeof *all->first);
    code = ends && all->ranks && all->host && all->slow && all->errs && all->dead && all->first
               ? comm_open("sim", ends, n)
               : err(ERR_MEMORY, "no memory for %d ranks", n);
    for (int i = 0; i < n && code >= 0; i++) {
        struct player *r = &all->ranks[i];

        all->host[i] = simulated_host(all->s, i);
        *r = (struct player){.all = all, .rank = i, .comm = ends[i]};
        snprintf(r->host, sizeof r->host, "host%d", all->host[i]);
        all->slow[i] = 1;
    }
    free(ends);
    plan = plan_of(all);
    TRY(code);
    if (all->s->trace)
        sim_trace(&all->ranks[0].comm, all->s->trace);
    return sim_plan(&all->ranks[0].comm, &plan);
}

static int victims_check(struct troupe *all)
{
    const struct simulation *s = all->s;

    all->victims = (struct victims){
        .comm = &all->ranks[0].comm,
        .n_ranks = s->n_ranks,
        .n_hosts = simulated_host(s, s->n_ranks - 1) + 1,
        .host = all->host,
        .slow = all->slow,
        .errs = all->errs,
        .dead = all->dead,
        .seed = s->seed,
    };
    return s->faults ? faults_check(s->faults, &all->victims) : 0;
}

static int ranks_run(struct troupe *all)
{
    TRY(victims_check(all));
    for (int i = 0; i < all->s->n_ranks; i++)
        TRY(fiber_start(i == 0 ? lead_fiber : worker_fiber, &all->ranks[i], all->ranks[i].host));
    TRY(fibers_run());
    for (int i = 0; i < all->s->n_ranks; i++)
        if (all->ranks[i].code < 0 && !all->dead[i])
            return err(all->ranks[i].code, "%s", all->ranks[i].error);
    all->out->events = record_events();
    all->out->record = record_hash();
    return 0;
}

int simulate(const struct simulation *s, struct simulated *out)
{
    struct troupe all = {.s = s, .out = out};
    int code;

    all.place =
        (struct worker_place){s->setup, s->real ? &real_tasks : &hollow_tasks, s->n_threads, true};
    all.crew.version = version;
    all.crew.own_core = s->n_threads == 1;
    all.crew.notify = on_notice;
    all.crew.context = &all;
    rng_init(&all.luck, s->seed, 1, 0, 0);
    simulated_now = &all;
    task_nanoseconds = 0;
    fibers_open();
    code = ranks_open(&all);
    if (code >= 0)
        code = ranks_run(&all);
    fibers_close();
    faults_end(&all.victims);
    free(all.ranks);
    free(all.host);
    free(all.slow);
    free(all.errs);
    free(all.dead);
    free(all.first);
    return code;
}
