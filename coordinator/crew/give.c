/* give.c - which tasks go to whom, and when. */
#include <string.h>

#include "coordinator/crew/crew_internal.h"
#include "core/base/clock.h"
#include "core/base/err.h"

#define CHUNK_SECONDS 1e-3

uint32_t tasks_left(const struct transaction *p)
{
    return p->r->n_tasks - p->next + p->n_orphans;
}

static bool is_static(const struct transaction *p)
{
    return strcmp(p->crew->setup->config->cluster.schedule, "static") == 0;
}

static uint32_t even_share(const struct transaction *p)
{
    uint32_t workers = (uint32_t)p->crew->n_members - 1;

    return (p->r->n_tasks + workers - 1) / workers;
}

/* Tasks that ranks without any will ask for, so that nobody has its second while they have none. */
static uint32_t tasks_kept(const struct transaction *p)
{
    if (p->hurried)
        return 0;
    return is_static(p) ? (uint32_t)p->n_unasked * even_share(p) : (uint32_t)p->unasked;
}

/* Tasks for one request. dynamic: half of an even share of what is left, so that all end together,
 * but at least CHUNK_SECONDS of work, so that tiny tasks are not spent on messages; static: an even
 * share of the round for every rank. */
static uint32_t chunk_size(const struct transaction *p)
{
    const struct crew *c = p->crew;

    if (p->r->domains)
        return tasks_left(p) > 0;
    uint32_t left = tasks_left(p), workers = (uint32_t)c->n_members - 1;
    uint32_t share = (left + workers - 1) / workers, chunk = share / 2;
    double each = c->task_seconds[p->r->purpose];
    double least = CHUNK_SECONDS * p->n_threads / (workers * (each + 1e-9));

    if (is_static(p))
        chunk = even_share(p);
    else if (chunk < least)
        chunk = least < share ? (uint32_t)least : share;
    if (chunk < (uint32_t)p->n_threads / workers)
        chunk = (uint32_t)p->n_threads / workers;
    chunk = chunk < 1 ? 1 : chunk;
    return chunk < left ? chunk : left;
}

/* The next task that nobody has: those that lost their owner first. */
static uint32_t next_slot(struct transaction *p)
{
    if (!p->n_orphans)
        return p->next;
    while (p->crew->owner[p->orphan] != 0)
        p->orphan++;
    return p->orphan;
}

/* That task is the rank's now. */
static void take_slot(struct transaction *p, int rank, uint32_t slot)
{
    p->crew->owner[slot] = (uint32_t)rank;
    if (p->n_orphans) {
        p->n_orphans--;
        p->crew->n_again++;
    } else {
        p->next++;
    }
}

/* Adds a slot to the last range, or as a new one. false: there is no room for another. */
static bool add_slot(struct given *g, uint32_t slot)
{
    struct slots *last = g->n > 0 ? &g->ranges[g->n - 1] : NULL;

    if (last && slot == last->first + last->n) {
        last->n++;
        return true;
    }
    if (g->n == WIRE_RANGES_MAX)
        return false;
    g->ranges[g->n++] = (struct slots){slot, 1};
    return true;
}

/* At most n tasks, as many as one message has room for. */
static int give(struct transaction *p, int rank, uint32_t n)
{
    struct crew *c = p->crew;
    struct crew_worker *worker = &c->workers[rank];
    struct given g = {.n = 0};
    uint32_t taken = 0, slot;

    for (; taken < n && add_slot(&g, slot = next_slot(p)); taken++) {
        take_slot(p, rank, slot);
        TRY(domains_send(p, rank, slot));
    }
    worker->given += taken;
    worker->chunk = taken;
    worker->since = p->moved = clock_seconds();
    worker->finished = worker->finished && taken == 0;
    worker->last = g.last = tasks_left(p) == 0;
    TRY(wire_pack_given(&g, &c->out));
    return crew_say(c, rank, MESSAGE_TASKS, &p->h, &c->out);
}

static const struct given no_more = {.last = true};

int give_end(struct transaction *p, int rank)
{
    struct crew *c = p->crew;

    if (c->workers[rank].last)
        return 0;
    c->workers[rank].last = true;
    TRY(wire_pack_given(&no_more, &c->out));
    return crew_say(c, rank, MESSAGE_TASKS, &p->h, &c->out);
}

int give_owed_end(struct crew *c, int rank)
{
    struct crew_worker *worker = &c->workers[rank];
    struct header h = {.kind = MESSAGE_TASKS, .epoch = worker->owed_epoch};
    struct part body;

    if (!worker->owing || worker->owed_last || worker->gone || worker->left)
        return 0;
    worker->owed_last = true;
    TRY(wire_pack_given(&no_more, &c->out));
    body = (struct part){c->out.bytes, c->out.n};
    return comm_send(c->comm, rank, &h, &body, 1);
}

/* At most n tasks, and one at least if it has none yet. */
static uint32_t without_kept(const struct transaction *p, const struct crew_worker *worker,
                             uint32_t n)
{
    uint32_t left = tasks_left(p), kept = tasks_kept(p), least = worker->given == 0 && left > 0;
    uint32_t most = left > kept ? left - kept : least;

    return n < most ? n : most;
}

static void wait_for_more(struct transaction *p, struct crew_worker *worker, bool waits)
{
    p->n_waiting += waits - worker->waits;
    worker->waits = waits;
}

void give_keep_none(struct transaction *p, int rank)
{
    struct crew_worker *worker = &p->crew->workers[rank];

    wait_for_more(p, worker, false);
    if (worker->asked || worker->out)
        return;
    p->n_unasked--;
    p->unasked -= (int)worker->hello.threads;
}

static int answer(struct transaction *p, int rank)
{
    struct crew_worker *worker = &p->crew->workers[rank];
    uint32_t left = tasks_left(p), n = without_kept(p, worker, chunk_size(p));

    p->mixed |= p->n_orphans > 0;
    wait_for_more(p, worker, left > 0 && n == 0);
    return worker->waits ? 0 : give(p, rank, n);
}

/* Who gets the last tasks ends the queue for everybody: those who asked before are told at once. A
 * rank that has not asked yet may not have the parameters yet, and is told when it asks. */
static int end_queue(struct transaction *p)
{
    struct crew *c = p->crew;

    for (int i = 1; i < c->n_members && tasks_left(p) == 0; i++)
        if (c->workers[c->members[i]].asked)
            TRY(give_end(p, (int)c->members[i]));
    return 0;
}

int give_kept(struct transaction *p)
{
    if (p->n_waiting == 0)
        return 0;
    for (int i = 1; i < p->crew->n_members; i++)
        if (p->crew->workers[p->crew->members[i]].waits)
            TRY(answer(p, (int)p->crew->members[i]));
    return end_queue(p);
}

int give_on_request(struct transaction *p, int rank)
{
    struct crew_worker *worker = &p->crew->workers[rank];

    if (worker->last || worker->out)
        return 0;
    give_keep_none(p, rank);
    worker->asked = true;
    worker->anchored = 1 + p->r->stage->index;
    TRY(answer(p, rank));
    TRY(give_kept(p));
    return end_queue(p);
}

int give_orphans(struct transaction *p)
{
    struct crew *c = p->crew;

    for (int i = 1; i < c->n_members && tasks_left(p) > 0; i++) {
        struct crew_worker *worker = &c->workers[c->members[i]];

        if (!worker->asked || !worker->finished || worker->out)
            continue;
        if (!worker->helped)
            worker->own_checksum = worker->checksum;
        worker->helped = true;
        TRY(give(p, (int)c->members[i], chunk_size(p)));
    }
    return 0;
}
