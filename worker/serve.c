/* serve.c - a worker from its configuration to the end of the run. */
#include "worker/serve_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/base/clock.h"
#include "core/base/err.h"
#include "core/base/machine.h"
#include "core/math/blas.h"
#include "core/plan/task_kind.h"
#include "proto/comm/words.h"
#include "proto/wire.h"
#include "worker/method/table.h"

enum {
    SILENCE = 3,       /* leases of silence after which the coordinator is lost */
    START_LIMIT = 600, /* seconds to wait for a configuration */
};

#define REPORT_EVERY 1.0 /* seconds */
#define AWAKE 0.02       /* seconds for which this rank does not sleep when its tasks are done */
#define PATIENCE 0.02    /* seconds with nothing to do after which this rank reports so */

static void hello_fill(const struct worker *w, int code, struct hello *h)
{
    *h = (struct hello){
        .pid = (uint32_t)getpid(), .threads = (uint32_t)w->pool.n_threads, .code = code};
    snprintf(h->version, sizeof h->version, "%s", w->version);
    snprintf(h->blas, sizeof h->blas, "%s", blas_kernel());
    machine_host(h->host, sizeof h->host);
    snprintf(h->precision, sizeof h->precision, "%s", REAL_NAME);
    snprintf(h->build, sizeof h->build, "%s", machine_build());
    machine_cpu(h->cpu, sizeof h->cpu);
    if (code < 0)
        snprintf(h->error, sizeof h->error, "%s", err_text());
    else
        h->layout = setup_digest(w->setup), h->arena = engine_size(w->setup);
}

static size_t larger(size_t a, size_t b)
{
    return a > b ? a : b;
}

static real *take_reals(size_t n)
{
    return aligned_alloc(64, (n * sizeof(real) + 63) / 64 * 64);
}

/* Parameters of the largest model and of the largest anchor, at least one. */
static void largest_vectors(const struct setup *s, size_t *n, size_t *n_anchor)
{
    *n = 0, *n_anchor = 1;
    for (int i = 0; i < s->n_stages; i++) {
        *n = larger(*n, s->stages[i].model.n);
        if (s->stages[i].anchor >= 0)
            *n_anchor = larger(*n_anchor, s->stages[s->stages[i].anchor].net.layout.n);
    }
}

/* Of a piece of the largest sum. */
static size_t packed_room(const struct setup *s)
{
    return words_room(pieces_most(setup_sum_words(s), sizeof(int64_t)));
}

size_t worker_size(const struct setup *s)
{
    size_t n, n_anchor;

    largest_vectors(s, &n, &n_anchor);
    return (n + n_anchor) * sizeof(real) + setup_sum_words(s) * sizeof(int64_t) + packed_room(s);
}

/* Room for any stage's parameters, its anchor's and its total. */
static int take_vectors(struct worker *w)
{
    size_t n, n_anchor;

    largest_vectors(w->setup, &n, &n_anchor);
    w->anchored = -1;
    w->theta = take_reals(n);
    w->anchor = take_reals(n_anchor);
    w->words = malloc(setup_sum_words(w->setup) * sizeof(int64_t));
    w->packed = malloc(packed_room(w->setup));
    if (!w->theta || !w->words || !w->anchor || !w->packed)
        return err(ERR_MEMORY, "no memory for %zu parameters", n);
    memset(w->words, 0, setup_sum_words(w->setup) * sizeof(int64_t)); /* held from now on */
    return 0;
}

/* Of a worker with a process of its own. */
static int setup_from(struct worker *w, const struct message *m)
{
    struct welcome welcome = {0};
    int code = wire_unpack_welcome(m->body, m->h.size, &welcome);

    if (code >= 0)
        code =
            config_parse(&w->config, welcome.configuration, "configuration", NULL, 0, stage_owner);
    if (code >= 0)
        code = setup_open(&w->own, &w->config, welcome.data_root, method_traits_of);
    welcome_release(&welcome);
    return code;
}

/* If the workers of this host have a core for each thread, and rank 0 finds one. */
static bool owns_cores(const struct worker *w, int n_threads)
{
    int cores = machine_ranks_beside() * n_threads + (n_threads == 1);

    return !comm_is_local(w->comm) && cores <= machine_cores();
}

static int worker_prepare(struct worker *w, const struct message *m)
{
    const struct worker_place *p = w->place;
    int n_threads;

    if (!p)
        TRY(setup_from(w, m));
    w->setup = p ? p->setup : &w->own;
    n_threads = p ? p->n_threads : pool_threads(&w->config.cluster, machine_ranks_beside());
    if (!comm_is_local(w->comm)) /* else the coordinator reads the same memory */
        TRY(setup_survey(w->setup, w->sections.each, &w->sections.n));
    TRY(take_vectors(w));
    w->lease = w->setup->config->cluster.lease;
    w->limit = SILENCE * w->lease;
    TRY(pool_open(&w->pool, w->setup, n_threads, w->comm, p ? p->compute : &compute_tasks));
    w->own_cores = p ? p->own_cores : owns_cores(w, n_threads);
    w->ready = true;
    w->opened = w->told = clock_seconds();
    return 0;
}

static int on_welcome(struct worker *w, const struct message *m)
{
    struct hello h;
    int code = worker_prepare(w, m), sent;

    hello_fill(w, code, &h);
    sent = wire_pack_hello(&h, &w->sections, &w->out);
    if (sent >= 0)
        sent = worker_say_buffer(w, MESSAGE_HELLO);
    return code < 0 ? err(code, "%s", h.error) : sent;
}

/* The state of a task that will follow. */
static int on_state(struct worker *w, const struct message *m)
{
    size_t n;
    real *state;

    if (!worker_is_current(w, m))
        return 0;
    n = w->pool.kind->gives == GIVES_STATE ? task_state_size(w->pool.sampler.stage) : 0;
    if (n == 0 || m->h.size != n * sizeof(real))
        return err(ERR_DATA, "a state of %zu bytes, expected %zu", (size_t)m->h.size,
                   n * sizeof(real));
    state = pool_carry(&w->pool, m->h.slot);
    if (!state)
        return err(ERR_DATA, "more states than this rank can hold");
    memcpy(state, m->body, n * sizeof(real));
    return 0;
}

static int on_tasks(struct worker *w, const struct message *m)
{
    struct given g;

    if (m->h.epoch > w->round.epoch) /* the parameters have not come here */
        return worker_say(w, 0, MESSAGE_ALIVE, NULL, 0);
    if (!worker_is_current(w, m))
        return 0;
    TRY(wire_unpack_given(m->body, m->h.size, &g));
    w->wanted = false;
    w->idle_since = 0;
    w->last = g.last;
    for (int i = 0; i < g.n; i++)
        TRY(worker_take_tasks(w, g.ranges[i]));
    return 0;
}

/* Rank 0 is told that this one has nothing to do. */
static int report_done(struct worker *w)
{
    struct done d = {(uint32_t)w->n_tasks, pool_checksum(&w->pool), pool_seen(&w->pool)};

    w->n_reported = w->n_tasks;
    TRY(wire_pack_done(&d, &w->out));
    return worker_say_buffer(w, MESSAGE_DONE);
}

/* Says at once that it has nothing to do, or that it lives. */
static int on_ping(struct worker *w, const struct message *m)
{
    bool idle = worker_is_current(w, m) && w->idle_since && w->n_reported != w->n_tasks;

    return idle ? report_done(w) : worker_say(w, 0, MESSAGE_ALIVE, NULL, 0);
}

/* The run is over: answered, so that the coordinator knows who heard it. */
static int on_bye(struct worker *w, const struct message *m)
{
    struct bye b;

    w->ended = true;
    TRY(wire_unpack_bye(m->body, m->h.size, &b));
    w->lost = b.lost;
    TRY(wire_pack_bye(&b, &w->out));
    return worker_say_buffer(w, MESSAGE_BYE);
}

static const struct {
    enum message_kind kind;
    int (*act)(struct worker *w, const struct message *m);
} acts[] = {
    {MESSAGE_PARAMS, worker_on_params}, {MESSAGE_STATE, on_state},    {MESSAGE_TASKS, on_tasks},
    {MESSAGE_GATHER, worker_on_gather}, {MESSAGE_SUM, worker_on_sum}, {MESSAGE_PING, on_ping},
};

static int on_message(struct worker *w, const struct message *m)
{
    if (m->from == 0)
        w->heard = clock_seconds();
    if (m->h.kind == MESSAGE_WELCOME)
        return on_welcome(w, m);
    if (m->h.kind == MESSAGE_BYE)
        return on_bye(w, m);
    for (size_t i = 0; w->ready && i < sizeof acts / sizeof *acts; i++)
        if (acts[i].kind == m->h.kind)
            return acts[i].act(w, m);
    return 0;
}

/* Rank 0 is told that this one has nothing to do at once if it was told before in this round, or
 * if it waits for what is compared with other ranks; else after a while, because a round that goes
 * well needs no such message. */
static bool reports_at_once(const struct worker *w)
{
    return w->n_reported >= 0 || pool_seen(&w->pool).n > 0;
}

/* States that are stepped go straight to the coordinator, before anything that tells of their
 * tasks. */
static int send_states(struct worker *w)
{
    size_t n = task_state_size(&w->setup->stages[w->round.stage]) * sizeof(real);
    const struct carry *c;

    while ((c = pool_stepped(&w->pool))) {
        struct part body = {c->state, n};

        w->round.slot = c->slot;
        TRY(worker_say(w, 0, MESSAGE_STATE, &body, 1));
        pool_carried(&w->pool, c);
    }
    return 0;
}

/* Asks for tasks before the threads run dry; sends the sum when nothing is left to do. */
static int advance(struct worker *w)
{
    struct pool_state s;

    if (!w->open)
        return 0;
    s = pool_look(&w->pool);
    if (s.code < 0)
        return err(s.code, "%s", w->pool.error);
    TRY(send_states(w));
    if (!w->last && !w->wanted && s.waiting < w->pool.n_threads) {
        w->wanted = true;
        return worker_say(w, 0, MESSAGE_WANT, NULL, 0);
    }
    if (!w->last || s.done < w->n_tasks)
        return 0;
    if (!w->idle_since) {
        w->idle_since = clock_seconds();
        w->awake_until = w->idle_since + AWAKE;
    }
    TRY(worker_send_sum(w));
    if (w->n_reported != w->n_tasks &&
        (reports_at_once(w) || clock_seconds() - w->idle_since > PATIENCE))
        return report_done(w);
    return 0;
}

static int tell_work(struct worker *w, double now)
{
    struct worked done = pool_worked(&w->pool);
    struct alive a = {done.tasks, now - w->opened, done.seconds, done.operations,
                      machine_resident_mib()};

    w->told = now;
    w->spoiled = true;
    TRY(setup_check_files(w->setup, w->sections.each, w->sections.n));
    w->spoiled = false;
    TRY(wire_pack_alive(&a, &w->out));
    return worker_say_buffer(w, MESSAGE_ALIVE);
}

/* Says that this rank lives; notices that the coordinator does not. A rank that was itself stopped
 * for a while judges nobody by it. */
static int keep_alive(struct worker *w, double *looked)
{
    double now = clock_seconds();

    if (now - *looked > w->lease / 2)
        w->heard = now;
    *looked = now;
    if (now - w->heard > w->limit)
        return err(ERR_LOST, "the coordinator has been silent for %.0f s", now - w->heard);
    if (w->ready && now - w->told > REPORT_EVERY)
        return tell_work(w, now);
    if (w->ready && now - w->spoke > w->lease / 4)
        return worker_say(w, 0, MESSAGE_ALIVE, NULL, 0);
    return 0;
}

static int serve(struct worker *w)
{
    double looked = clock_seconds();

    while (!w->ended) {
        struct message m;
        int found = comm_poll(w->comm, &m);

        w->damaged = found == ERR_DAMAGED ? 1 + m.from : 0;
        TRY(found);
        if (found)
            TRY(on_message(w, &m));
        TRY(advance(w));
        TRY(keep_alive(w, &looked));
        w->comm->awake = w->own_cores && clock_seconds() < w->awake_until;
        if (!found)
            comm_idle(w->comm);
    }
    return 0;
}

/* Tells the coordinator why this rank cannot go on, and waits for the end of the run. */
static void report(struct worker *w, int code)
{
    struct bye b = {.code = code, .spoiled = w->spoiled, .damaged = (uint32_t)w->damaged};
    double looked = clock_seconds();

    snprintf(b.reason, sizeof b.reason, "%s", err_text());
    w->open = false;
    if (w->ready && wire_pack_bye(&b, &w->out) >= 0)
        worker_say_buffer(w, MESSAGE_BYE);
    while (!w->ended) {
        struct message m;
        int found = comm_poll(w->comm, &m);

        if (found > 0 && m.from == 0)
            w->heard = clock_seconds();
        if (found > 0 && m.h.kind == MESSAGE_BYE)
            found = on_bye(w, &m);
        w->ended |= (found < 0 && found != ERR_DAMAGED) || keep_alive(w, &looked) < 0;
        if (!found)
            comm_idle(w->comm);
    }
    err(code, "%s", b.reason);
}

int worker_serve(struct comm *c, const char *version, const struct worker_place *place, bool *lost)
{
    struct worker *w = calloc(1, sizeof *w);
    int code;

    *lost = false;
    if (!w)
        return err(ERR_MEMORY, "no memory for a worker");
    w->comm = c, w->version = version, w->place = place;
    w->lease = w->limit = START_LIMIT; /* until the configuration says */
    w->heard = w->spoke = clock_seconds();
    code = serve(w);
    if (code < 0 && code != ERR_LOST)
        report(w, code);
    *lost = w->lost || code == ERR_LOST;
    if (w->ready)
        pool_close(&w->pool);
    setup_close(&w->own);
    config_release(&w->config);
    buffer_release(&w->out);
    free(w->theta);
    free(w->anchor);
    free(w->words);
    free(w->packed);
    free(w);
    return code;
}
