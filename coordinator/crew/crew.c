/* crew.c - gathers the workers at the start and dismisses them at the end. */
#include "coordinator/crew/crew.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "coordinator/crew/crew_internal.h"
#include "core/base/clock.h"
#include "core/base/err.h"
#include "core/base/machine.h"

int crew_say(struct crew *c, int to, enum message_kind kind, const struct header *like,
             const struct buffer *body)
{
    struct header h = like ? *like : (struct header){0};
    struct part part = body ? (struct part){body->bytes, body->n} : (struct part){0};

    h.kind = kind;
    h.epoch = c->epoch;
    return comm_send(c->comm, to, &h, &part, body ? 1 : 0);
}

void crew_notify(struct crew *c, const char *kind, int rank, uint64_t round, const char *fmt, ...)
{
    struct notice n = {kind, rank, c->workers[rank].hello.host, round, NULL};
    char text[1024];
    va_list args;

    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    n.text = text;
    if (c->notify)
        c->notify(c->context, &n);
}

int crew_lists(struct crew *c, size_t size)
{
    c->workers = calloc(size, sizeof *c->workers);
    c->members = calloc(size, sizeof *c->members);
    c->hosts = calloc(size, sizeof *c->hosts);
    c->tree = calloc(size, sizeof *c->tree);
    c->planted = calloc(size, sizeof *c->planted);
    c->host_first = calloc(size + 1, sizeof *c->host_first);
    if (!c->workers || !c->members || !c->hosts || !c->tree || !c->planted || !c->host_first)
        return err(ERR_MEMORY, "no memory for %zu ranks", size);
    machine_host(c->workers[0].hello.host, sizeof c->workers[0].hello.host);
    c->n_hosts = 1;
    return 0;
}

void crew_leaves(struct crew *c, const char *kind, int rank, int code, uint64_t round,
                 const char *fmt, ...)
{
    char why[512];
    va_list args;

    va_start(args, fmt);
    vsnprintf(why, sizeof why, fmt, args);
    va_end(args);
    c->workers[rank].left = true;
    c->code = code;
    snprintf(c->reason, sizeof c->reason, "rank %d on host '%s': %s", rank,
             c->workers[rank].hello.host, why);
    crew_notify(c, kind, rank, round, "%s; round %" PRIu64 " goes on without it", c->reason, round);
}

int crew_invite(struct crew *c, struct comm *comm, const char *configuration, const char *root)
{
    struct welcome w = {(char *)configuration, (char *)root};

    c->comm = comm;
    TRY(crew_lists(c, (size_t)comm->size));
    TRY(wire_pack_welcome(&w, &c->out));
    for (int i = 1; i < comm->size; i++)
        TRY(crew_say(c, i, MESSAGE_WELCOME, NULL, &c->out));
    return 0;
}

static int n_ready(const struct crew *c)
{
    int n = 0;

    for (int i = 1; i < c->comm->size; i++)
        n += c->workers[i].ready;
    return n;
}

/* A late rank is left out until its hello comes. */
static int go_without(struct crew *c)
{
    double limit = c->setup->config->cluster.start_limit;

    for (int i = 1; i < c->comm->size; i++) {
        if (c->workers[i].ready)
            continue;
        c->workers[i].gone = true;
        comm_give_up(c->comm, i);
        crew_notify(c, "lost", i, 0, "rank %d has not started within %.0f s (cluster.start_limit)",
                    i, limit);
    }
    if (n_ready(c) == 0)
        return err(ERR_LOST, "no worker has started within %.0f s (cluster.start_limit)", limit);
    return 0;
}

static int roll_call(struct crew *c)
{
    double start = clock_seconds();

    while (n_ready(c) < c->comm->size - 1) {
        struct message m;
        int found = comm_poll(c->comm, &m);

        TRY(found);
        if (found && m.h.kind == MESSAGE_HELLO)
            TRY(crew_hello(c, &m));
        else if (!found)
            comm_idle(c->comm);
        if (clock_seconds() - start > c->setup->config->cluster.start_limit)
            return go_without(c);
    }
    return 0;
}

/* Room for a task of the largest size. */
static void crew_plan(const struct setup *setup, struct task *task, struct arena *arena)
{
    struct task_size most = {0};

    for (int i = 0; i < setup->n_stages; i++) {
        const struct stage *s = &setup->stages[i];

        most = task_size_most(most, task_size_most(s->train, s->evaluate));
    }
    task_init(task, most, arena);
}

static int reserve_audits(struct crew_audit *a, uint32_t n)
{
    uint64_t *checksums = NULL;
    bool *known = NULL;

    if (n <= a->room)
        return 0;
    checksums = realloc(a->checksums, 2 * (size_t)n * sizeof *checksums);
    a->checksums = checksums ? checksums : a->checksums;
    known = realloc(a->known, 2 * (size_t)n * sizeof *known);
    a->known = known ? known : a->known;
    if (!checksums || !known)
        return err(ERR_MEMORY, "no memory for %u tasks that are done twice", n);
    a->room = n;
    return 0;
}

int crew_reserve(struct crew *c, uint32_t n_tasks, uint32_t n_audits)
{
    uint32_t *owner, n = n_tasks + n_audits;

    TRY(reserve_audits(&c->audit, n_audits));
    if (n <= c->n_owner)
        return 0;
    owner = realloc(c->owner, n * sizeof *owner);
    if (!owner)
        return err(ERR_MEMORY, "no memory for the list of %u tasks", n);
    c->owner = owner;
    c->n_owner = n;
    return 0;
}

/* The largest number of tasks in a round of the configuration. */
static uint32_t most_tasks(const struct setup *s)
{
    uint32_t most = (uint32_t)s->config->evaluate.episodes;

    for (int i = 0; i < s->n_stages; i++)
        most = s->stages[i].n_tasks > most ? s->stages[i].n_tasks : most;
    return most;
}

size_t crew_size(const struct setup *setup)
{
    struct arena measure = arena_measuring();
    struct task task;

    crew_plan(setup, &task, &measure);
    return measure.peak + most_tasks(setup) * sizeof(uint32_t) +
           audits_most(setup) * (sizeof(uint32_t) + 2 * (sizeof(uint64_t) + sizeof(bool))) +
           setup_sum_words(setup) * sizeof(int64_t);
}

int crew_gather(struct crew *c, const struct setup *setup)
{
    struct arena measure = arena_measuring();

    c->setup = setup;
    TRY(setup_survey(setup, c->sections.each, &c->sections.n));
    TRY(roll_call(c));
    c->checked = c->spoke = clock_seconds();
    crew_plan(setup, &c->task, &measure);
    TRY(arena_init(&c->arena, measure.peak));
    crew_plan(setup, &c->task, &c->arena);
    TRY(crew_reserve(c, most_tasks(setup), audits_most(setup)));
    c->words = malloc(setup_sum_words(setup) * sizeof *c->words);
    return c->words ? 0
                    : err(ERR_MEMORY, "no memory for a sum of %zu words", setup_sum_words(setup));
}

/* Handles the messages that have arrived; true if there were any. */
static bool take_bye(struct crew *c)
{
    struct message m;
    int found = comm_poll(c->comm, &m);

    if (found > 0) {
        c->workers[m.from].heard = clock_seconds();
        c->workers[m.from].left |= m.h.kind == MESSAGE_BYE;
    }
    return found > 0;
}

/* Waits for answers to the bye; a worker that is silent for a lease is taken to be gone. */
static void await_byes(struct crew *c)
{
    double start = clock_seconds(), lease = c->setup ? c->setup->config->cluster.lease : 0;
    int awaited = 1;

    while (awaited && clock_seconds() - start < lease) {
        if (take_bye(c))
            continue;
        comm_idle(c->comm);
        awaited = 0;
        for (int i = 1; i < c->comm->size; i++) {
            struct crew_worker *worker = &c->workers[i];

            worker->gone |=
                worker->ready && !worker->left && clock_seconds() - worker->heard > lease;
            awaited += worker->ready && !worker->left && !worker->gone;
        }
    }
    for (int i = 1; i < c->comm->size && awaited; i++)
        c->workers[i].gone |= c->workers[i].ready && !c->workers[i].left;
}

void crew_dismiss(struct crew *c, int code, const char *reason)
{
    struct bye b = {.code = code, .lost = code == ERR_LOST || crew_lost(c) > 0};

    strncpy(b.reason, reason, sizeof b.reason - 1);
    if (!c->comm || wire_pack_bye(&b, &c->out) < 0)
        return;
    for (int i = 1; i < c->comm->size; i++)
        crew_say(c, i, MESSAGE_BYE, NULL, &c->out);
    if (c->workers)
        await_byes(c);
}

int crew_lost(const struct crew *c)
{
    int n = 0;

    for (int i = 1; c->workers && i < c->comm->size; i++)
        n += c->workers[i].gone;
    return n;
}

int crew_wrong(const struct crew *c)
{
    int n = 0;

    for (int i = 1; c->workers && i < c->comm->size; i++)
        n += c->workers[i].wrong;
    return n;
}

void crew_release(struct crew *c)
{
    arena_release(&c->arena);
    buffer_release(&c->out);
    free(c->words);
    free(c->owner);
    free(c->audit.checksums);
    free(c->audit.known);
    free(c->host_first);
    free(c->planted);
    free(c->tree);
    free(c->hosts);
    free(c->members);
    free(c->workers);
    *c = (struct crew){0};
}
