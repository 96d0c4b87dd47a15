/* verb_simulate.c - `metaloop simulate`: what more ranks would bring. */
#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/clock.h"
#include "core/base/err.h"
#include "core/base/machine.h"
#include "core/base/nearest.h"
#include "core/base/plural.h"
#include "core/base/table.h"
#include "launch/curve.h"
#include "launch/hollow.h"
#include "launch/memory.h"
#include "launch/print.h"
#include "launch/simulate.h"
#include "launch/solo.h"
#include "launch/timing.h"
#include "launch/verbs.h"
#include "proto/comm/pieces.h"

enum { SIZES = 64, RANKS_MOST = 1 << 16, CORES = 16, ROUNDS = 4, TITLE = 512 };

#define SLICE 0.5 /* seconds of tasks to measure how long one takes */
#define PAYS 0.5  /* of what a rank brings at the smallest size: less no longer pays */
#define MIB 1048576.0

struct size { /* a number of ranks, and what came of it */
    int n_ranks;
    uint32_t n_tasks;
    struct simulated result;
    double undisturbed; /* seconds of a round without faults */
    double host_bytes;  /* memory of the ranks of a host */
    double took;        /* seconds of this machine */
};

struct outlook {
    const struct options *o;
    struct network network;
    struct faults faults;
    FILE *trace; /* NULL: none */
    int n, ranks_per_host, n_threads;
    struct size sizes[SIZES];
    double task_seconds;
    char stage[256];
    int pays; /* ranks up to which more of them pay; 0: one size tells nothing */
};

/* ---- what to simulate ---- */

static int read_ranks(const char *text, struct outlook *p)
{
    const char *at = text;
    char *end;

    while (at && p->n < SIZES) {
        long n = strtol(at, &end, 10);

        if (end == at || n < 2 || n > RANKS_MOST || (*end && *end != ','))
            return err(ERR_USAGE, "'--ranks' needs numbers from 2 to %d, not '%s'", RANKS_MOST,
                       text);
        if (p->n > 0 && n <= p->sizes[p->n - 1].n_ranks)
            return err(ERR_USAGE, "'--ranks' needs numbers that grow, not '%s'", text);
        p->sizes[p->n++].n_ranks = (int)n;
        at = *end ? end + 1 : NULL;
    }
    return at ? err(ERR_USAGE, "'--ranks' takes %d numbers at most", SIZES) : 0;
}

static int read_network(const struct options *o, struct outlook *p)
{
    const char *name = o->network ? o->network : "100G";
    const struct network *n = network_find(name);
    char hint[NEAREST_HINT];

    if (!n)
        return err(ERR_USAGE, "no network is called '%s'%s", name,
                   table_hint(network_table, name, hint));
    p->network = *n;
    if (o->oversubscription > 0)
        p->network.oversubscription = o->oversubscription;
    if (o->jitter >= 1)
        return err(ERR_USAGE, "'--jitter' is a share below 1, not %g", o->jitter);
    return 0;
}

static int threads_of(const struct options *o, const struct config *c)
{
    if (o->threads)
        return (int)o->threads;
    return c->cluster.threads ? (int)c->cluster.threads : 1;
}

static void place_ranks(struct outlook *p)
{
    int most = p->sizes[p->n - 1].n_ranks - (p->n_threads > 1);

    if (p->o->hosts)
        p->ranks_per_host = (most + (int)p->o->hosts - 1) / (int)p->o->hosts;
    else
        p->ranks_per_host = p->n_threads < CORES ? CORES / p->n_threads : 1;
}

static int measure_task(struct outlook *p, const struct solo *solo)
{
    struct timing t;
    int code;

    p->task_seconds = p->o->task_seconds;
    if (p->task_seconds > 0)
        return 0;
    code = timing_open(&t, &solo->setup, solo->stage);
    if (code >= 0)
        code = timing_tasks(&t, SLICE, &p->task_seconds);
    timing_close(&t);
    return code;
}

/* ---- one size ---- */

/* The configuration with so many tasks a round as --tasks-each says. */
static int open_size(const struct outlook *p, const struct size *z, struct solo *solo)
{
    int64_t n = p->o->tasks_each * p->n_threads * (z->n_ranks - 1);
    struct options o = *p->o;
    char set[512];

    if (!n)
        return solo_open(solo, &o);
    if (o.n_sets == SETS_MAX)
        return err(ERR_USAGE, "more than %d --set", SETS_MAX - 1);
    snprintf(set, sizeof set, "stage.%s.tasks=%" PRId64, p->stage, n);
    o.sets[o.n_sets++] = set;
    return solo_open(solo, &o);
}

static void plan_memory(struct outlook *p, struct size *z, const struct solo *solo)
{
    struct memory m = memory_plan(&solo->setup, p->n_threads);
    double worker = (double)(m.worker + (z->n_ranks > 2 ? m.passed : 0));

    z->host_bytes = (double)(m.first + m.mapped) +
                    worker * (p->n_threads == 1 ? p->ranks_per_host - 1 : p->ranks_per_host);
}

static int simulate_size(struct outlook *p, struct size *z, struct solo *solo)
{
    const struct options *o = p->o;
    double begun = clock_seconds();
    struct simulation s = {
        .setup = &solo->setup,
        .stage = solo->stage,
        .network = &p->network,
        .n_ranks = z->n_ranks,
        .ranks_per_host = p->ranks_per_host,
        .n_threads = p->n_threads,
        .task_seconds = p->task_seconds,
        .jitter = o->jitter,
        .seed = o->seed ? (uint64_t)o->seed : 1,
        .rounds = o->rounds ? (int)o->rounds : ROUNDS,
        .real = o->real,
        .scale = 1,
        .trace = p->trace,
    };

    plan_memory(p, z, solo);
    if (!o->real)
        TRY(hollow_setup(&solo->setup, solo->stage, &s.scale));
    z->n_tasks = solo->stage->n_tasks;
    TRY(simulate(&s, &z->result));
    z->undisturbed = z->result.round_seconds;
    s.faults = &p->faults;
    s.trace = NULL;
    if (p->faults.n > 0)
        TRY(simulate(&s, &z->result));
    z->took = clock_seconds() - begun;
    return 0;
}

static int play_size(struct outlook *p, struct size *z)
{
    struct solo solo;
    size_t whole = piece_bytes;
    int code;

    TRY(open_size(p, z, &solo));
    code = simulate_size(p, z, &solo);
    solo_close(&solo);
    piece_bytes = whole;
    return code;
}

/* Whether what a rank adds between two sizes is less than PAYS of what the first size's add. */
static int where_it_pays(const struct outlook *p)
{
    const struct size *first = &p->sizes[0], *last = first;
    double each = 0;

    for (int i = 0; i < p->n; i++) {
        const struct size *z = &p->sizes[i];
        double rate = z->n_tasks / z->result.round_seconds;
        double before = i == 0 ? 0 : last->n_tasks / last->result.round_seconds;
        double added = (rate - before) / (z->n_ranks - (i == 0 ? 1 : last->n_ranks));

        if (i == 0)
            each = added;
        else if (added < PAYS * each)
            return last->n_ranks;
        last = z;
    }
    return 0;
}

/* ---- what is told ---- */

static json_t *faults_json(const struct outlook *p, const struct size *z)
{
    const struct simulated *r = &z->result;

    if (p->faults.n == 0)
        return json_null();
    return json_pack("{s:i, s:i, s:I, s:f, s:f, s:I, s:i, s:I}", "ranks_lost", r->n_lost, "losses",
                     r->n_losses, "tasks_again", (json_int_t)r->n_again, "loss_seconds",
                     r->loss_seconds, "undisturbed_round_seconds", z->undisturbed, "wrong_results",
                     (json_int_t)r->n_wrong, "ranks_named", r->n_named, "named_in",
                     (json_int_t)r->named_in);
}

static json_t *size_json(const struct outlook *p, const struct size *z)
{
    const struct simulated *r = &z->result;
    char digest[20], record[20];
    json_t *o;

    snprintf(digest, sizeof digest, "%016" PRIx64, r->digest);
    snprintf(record, sizeof record, "%016" PRIx64, r->record);
    o = json_pack("{s:i, s:i, s:i, s:I, s:f, s:f, s:f, s:f, s:f, s:f, s:f, s:f, s:I, s:s, s:f}",
                  "ranks", z->n_ranks, "hosts", r->n_hosts, "cores", r->n_cores, "tasks",
                  (json_int_t)z->n_tasks, "round_seconds", r->round_seconds, "rounds_per_second",
                  1 / r->round_seconds, "tasks_per_second", z->n_tasks / r->round_seconds,
                  "efficiency", r->efficiency, "communication", r->communication, "rank_0",
                  r->rank0, "host_bytes", r->host_bytes, "host_mib", z->host_bytes / MIB, "events",
                  (json_int_t)r->events, "record", record, "seconds", z->took);
    json_object_set_new(o, "parts",
                        json_pack("{s:f, s:f, s:f, s:f}", "down", r->parts.down, "tasks",
                                  r->parts.tasks, "up", r->parts.up, "step", r->parts.step));
    json_object_set_new(o, "digest", p->o->real ? json_string(digest) : json_null());
    json_object_set_new(o, "faults", faults_json(p, z));
    return o;
}

static void print_plan_json(const struct outlook *p)
{
    json_t *sizes = json_array();

    for (int i = 0; i < p->n; i++)
        json_array_append_new(sizes, size_json(p, &p->sizes[i]));
    print_json(json_pack("{s:s, s:s, s:f, s:i, s:f, s:o, s:o, s:f}", "stage", p->stage, "network",
                         p->network.name, "oversubscription", p->network.oversubscription,
                         "threads", p->n_threads, "task_seconds", p->task_seconds, "pays_up_to",
                         p->pays ? json_integer(p->pays) : json_null(), "sizes", sizes, "peak_mib",
                         machine_peak_mib()));
}

static void print_faults(const struct size *z)
{
    const struct simulated *r = &z->result;

    printf("        with faults %.4g times the time without; %d rank%s lost at %d time%s",
           r->round_seconds / z->undisturbed, r->n_lost, plural(r->n_lost), r->n_losses,
           plural(r->n_losses));
    if (r->loss_seconds > 0)
        printf(", which made a round %.3g s longer", r->loss_seconds);
    printf("; %" PRIu64 " task%s given out again\n", r->n_again, plural(r->n_again));
    if (r->n_wrong > 0)
        printf("        %" PRIu64 " wrong result%s; %d rank%s named, the first in round %" PRIu64
               "\n",
               r->n_wrong, plural(r->n_wrong), r->n_named, plural(r->n_named), r->named_in);
}

static void title_text(const struct outlook *p, char *text, size_t n)
{
    snprintf(text, n, "stage '%s', %.4g ms a task, %d thread%s a worker, %s links", p->stage,
             1e3 * p->task_seconds, p->n_threads, plural(p->n_threads), p->network.name);
}

static void print_plan(const struct outlook *p)
{
    char title[TITLE];

    title_text(p, title, sizeof title);
    puts(title);
    printf("%7s %6s %8s %12s %12s %11s %8s %7s %12s %10s   %s\n", "ranks", "hosts", "tasks",
           "rounds/s", "tasks/s", "efficiency", "commun.", "rank 0", "MB a host", "MiB a host",
           "round, ms: down + tasks + up + step");
    for (int i = 0; i < p->n; i++) {
        const struct size *z = &p->sizes[i];
        const struct simulated *r = &z->result;

        printf("%7d %6d %8u %12.4g %12.5g %9.1f %% %6.1f %% %5.1f %% %12.3f %10.1f   "
               "%.4g = %.3g + %.4g + %.3g + %.3g\n",
               z->n_ranks, r->n_hosts, z->n_tasks, 1 / r->round_seconds,
               z->n_tasks / r->round_seconds, 100 * r->efficiency, 100 * r->communication,
               100 * r->rank0, r->host_bytes / 1e6, z->host_bytes / MIB, 1e3 * r->round_seconds,
               1e3 * r->parts.down, 1e3 * r->parts.tasks, 1e3 * r->parts.up, 1e3 * r->parts.step);
        if (p->o->real)
            printf("        digest %016" PRIx64 " after %" PRId64 " rounds\n", r->digest,
                   (p->o->rounds ? p->o->rounds : ROUNDS) + SIMULATE_BEFORE);
        if (p->faults.n > 0)
            print_faults(z);
    }
    if (p->pays)
        printf("beyond %d ranks a rank adds less than half of what one adds at first\n", p->pays);
}

static int draw_plan(const struct outlook *p)
{
    struct curve_size points[SIZES];
    char title[TITLE];

    for (int i = 0; i < p->n; i++) {
        const struct size *z = &p->sizes[i];
        const struct simulated *r = &z->result;

        points[i] = (struct curve_size){z->n_ranks, z->n_tasks / r->round_seconds, r->efficiency,
                                        r->communication, r->rank0};
    }
    title_text(p, title, sizeof title);
    return curve_draw(p->o->png, title, points, p->n);
}

static int simulate_plan(struct outlook *p)
{
    struct solo solo;
    int code;

    TRY(solo_open(&solo, p->o));
    snprintf(p->stage, sizeof p->stage, "%s", solo.stage->config->name);
    p->n_threads = threads_of(p->o, &solo.config);
    place_ranks(p);
    code = measure_task(p, &solo);
    solo_close(&solo);
    TRY(code);
    for (int i = 0; i < p->n; i++)
        TRY(play_size(p, &p->sizes[i]));
    p->pays = where_it_pays(p);
    (p->o->json ? print_plan_json : print_plan)(p);
    return p->o->png ? draw_plan(p) : 0;
}

static int open_trace(struct outlook *p)
{
    if (p->n > 1)
        return err(ERR_USAGE, "'--trace' takes one number of ranks");
    p->trace = fopen(p->o->trace, "we");
    return p->trace ? 0
                    : err(ERR_CANTCREAT, "cannot create '%s': %s", p->o->trace, strerror(errno));
}

static int close_trace(struct outlook *p, int code)
{
    bool whole = !p->trace || !ferror(p->trace);

    if (p->trace && (fclose(p->trace) != 0 || !whole) && code >= 0)
        return err(ERR_IO, "cannot write '%s': %s", p->o->trace, strerror(errno));
    return code;
}

static int simulate_verb(const struct options *o)
{
    struct outlook *p;
    int code;

    if (!o->ranks)
        return err(ERR_USAGE, "'simulate' needs --ranks N");
    p = calloc(1, sizeof *p);
    if (!p)
        return err(ERR_MEMORY, "no memory to simulate");
    p->o = o;
    code = read_ranks(o->ranks, p);
    if (code >= 0)
        code = read_network(o, p);
    if (code >= 0 && o->faults)
        code = faults_read(&p->faults, o->faults);
    if (code >= 0 && o->png)
        code = curve_check(o->png);
    if (code >= 0 && o->trace)
        code = open_trace(p);
    if (code >= 0)
        code = simulate_plan(p);
    code = close_trace(p, code);
    faults_release(&p->faults);
    free(p);
    return code;
}

const struct verb verb_simulate = {
    .name = "simulate",
    .places = "CONFIGURATION",
    .min_places = 1,
    .max_places = 1,
    .options = "ranks hosts threads network oversubscription task-seconds jitter tasks-each rounds "
               "seed faults real set stage data-root png trace json",
    .summary = "predict the speed on a cluster of many ranks, in virtual time",
    .text = "Coordinator and workers run as they do on a cluster, thousands of ranks in this one\n"
            "process. The network is a model, and tasks take the time that one takes here, or\n"
            "--task-seconds. Several numbers of ranks show where more of them stop paying.\n"
            "docs/simulate.md says what is modelled and what is not.",
    .run = simulate_verb,
};
