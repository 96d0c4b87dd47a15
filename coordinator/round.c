/* round.c - params, tasks, sum. */
#include <stdlib.h>
#include <string.h>

#include "coordinator/crew_internal.h"
#include "core/clock.h"
#include "core/err.h"
#include "proto/tree.h"

#define CHUNK_SECONDS 1e-3

struct transaction {
    struct crew *crew;
    const struct round *r;
    struct header h;
    struct sampler sampler;
    uint32_t given; /* tasks given out */
    int n_threads;  /* of all workers */
    int n_children, n_sums;
    struct total *total;
};

/* PARAMS: u32 n, u32 members[n], padding to 8 bytes, theta. */
static int send_params(struct transaction *p)
{
    struct crew *c = p->crew;
    struct tree tree = {c->n_members, c->members};
    uint32_t n = (uint32_t)c->n_members, zero = 0;
    struct part parts[] = {
        {&n, sizeof n},
        {c->members, n * sizeof n},
        {&zero, (n + 1) % 2 * sizeof n},
        {p->r->theta, p->r->stage->net.layout.n * sizeof(real)},
    };
    int child[TREE_ARITY];

    p->n_children = tree_children(&tree, 0, child);
    p->h.kind = MESSAGE_PARAMS;
    p->h.epoch = c->epoch;
    for (int i = 0; i < p->n_children; i++)
        TRY(comm_send(c->comm, child[i], &p->h, parts, 4));
    return 0;
}

/* Tasks for one request. dynamic: half of an even share of what is left, so that all end together, but at
 * least CHUNK_SECONDS of work, so that tiny tasks are not spent on messages; static: an even share of the
 * round, whoever is faster. */
static uint32_t chunk_size(const struct transaction *p)
{
    const struct crew *c = p->crew;
    uint32_t left = p->r->n_tasks - p->given, workers = (uint32_t)c->n_members - 1;
    uint32_t share = (left + workers - 1) / workers, chunk = share / 2;
    double least = CHUNK_SECONDS * p->n_threads / (workers * (c->task_seconds + 1e-9));

    if (strcmp(c->setup->config->cluster.schedule, "static") == 0)
        chunk = (p->r->n_tasks + workers - 1) / workers;
    else if (chunk < least)
        chunk = least < share ? (uint32_t)least : share;
    if (chunk < (uint32_t)p->n_threads / workers)
        chunk = (uint32_t)p->n_threads / workers;
    chunk = chunk < 1 ? 1 : chunk > WIRE_TASKS_MAX ? WIRE_TASKS_MAX : chunk;
    return chunk < left ? chunk : left;
}

static int give(struct transaction *p, int rank, uint32_t n)
{
    struct crew *c = p->crew;

    for (uint32_t i = 0; i < n; i++)
        sampler_draw(&p->sampler, p->given + i, &c->tasks[i]);
    p->given += n;
    c->mates[rank].last = p->given == p->r->n_tasks;
    TRY(wire_pack_tasks(c->tasks, (int)n, c->mates[rank].last, &c->out));
    return crew_say(c, rank, MESSAGE_TASKS, &p->h, &c->out);
}

/* Who gets the last tasks ends the queue for everybody: those who asked before are told at once. A rank that has
 * not asked yet may not have the parameters yet, and is told when it asks. */
static int on_want(struct transaction *p, int rank)
{
    struct crew *c = p->crew;

    if (c->mates[rank].last)
        return 0;
    c->mates[rank].asked = true;
    TRY(give(p, rank, chunk_size(p)));
    for (int i = 1; i < c->n_members && p->given == p->r->n_tasks; i++) {
        const struct mate *mate = &c->mates[c->members[i]];

        if (mate->asked && !mate->last)
            TRY(give(p, (int)c->members[i], 0));
    }
    return 0;
}

static int on_sum(struct transaction *p, const struct message *m)
{
    if (m->h.size != p->total->n_words * sizeof(int64_t))
        return err(ERR_DATA, "rank %d sent a sum of %zu bytes, expected %zu", m->from,
                   (size_t)m->h.size, p->total->n_words * sizeof(int64_t));
    total_merge(p->total, m->body);
    p->n_sums++;
    return 0;
}

static int on_bye(const struct crew *c, const struct message *m)
{
    struct bye b;

    TRY(wire_unpack_bye(m->body, m->h.size, &b));
    return err(b.code < 0 ? b.code : ERR_FAILED, "rank %d on host '%s': %s", m->from,
               c->mates[m->from].hello.host, b.reason);
}

static int on_message(struct transaction *p, const struct message *m)
{
    struct crew *c = p->crew;

    c->mates[m->from].heard = clock_seconds();
    if (m->h.kind == MESSAGE_BYE)
        return on_bye(c, m);
    if (m->h.kind == MESSAGE_ALIVE)
        return 0;
    if (m->h.epoch != c->epoch) {
        c->n_stale++;
        return 0;
    }
    if (m->h.kind == MESSAGE_WANT)
        return on_want(p, m->from);
    if (m->h.kind == MESSAGE_SUM)
        return on_sum(p, m);
    if (m->h.kind == MESSAGE_FAILED)
        return failed_take(&c->failed, m, p->r->n_tasks);
    return 0;
}

static int collect(struct transaction *p)
{
    double patience = p->crew->setup->config->cluster.lease;

    while (p->n_sums < p->n_children || failed_awaited(&p->crew->failed, p->total, patience)) {
        struct message m;
        int found = comm_poll(p->crew->comm, &m);

        TRY(found);
        if (found)
            TRY(on_message(p, &m));
        TRY(crew_watch(p->crew, p->r));
        if (!found)
            comm_idle(p->crew->comm);
    }
    return 0;
}

static int check_complete(const struct transaction *p)
{
    double counted = total_sum(p->total, TALLY_DONE) + total_sum(p->total, TALLY_FAILED);

    if (counted != p->r->n_tasks)
        return err(ERR_FAILED, "round %zu came back with %.0f of %u tasks", (size_t)p->r->round,
                   counted, p->r->n_tasks);
    return 0;
}

static void round_begin(struct crew *c, const struct round *r, struct transaction *p)
{
    bool evaluate = r->purpose == PURPOSE_EVALUATE;

    c->epoch++;
    failed_begin(&c->failed);
    p->h = (struct header){.stage = (uint32_t)r->stage->index,
                           .round = r->round,
                           .purpose = r->purpose,
                           .data = (uint32_t)r->data};
    p->sampler =
        (struct sampler){c->setup, r->stage, r->data, evaluate, evaluate ? 0 : (uint32_t)r->round};
    for (int i = 1; i < c->n_members; i++) {
        p->n_threads += (int)c->mates[c->members[i]].hello.threads;
        c->mates[c->members[i]].asked = c->mates[c->members[i]].last = false;
    }
}

int crew_round(struct crew *c, const struct round *r, struct total *total)
{
    struct transaction p = {.crew = c, .r = r, .total = total};
    double start = clock_seconds();

    *total = total_begin(c->words, r->purpose == PURPOSE_EVALUATE ? 0 : r->stage->net.layout.n);
    round_begin(c, r, &p);
    TRY(send_params(&p));
    TRY(collect(&p));
    c->task_seconds = (clock_seconds() - start) * p.n_threads / r->n_tasks;
    return check_complete(&p);
}
