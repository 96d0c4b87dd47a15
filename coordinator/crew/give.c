/* give.c - decides which tasks a rank gets, and when. */
#include <math.h>
#include <string.h>

#include "coordinator/crew/crew_internal.h"
#include "core/base/clock.h"
#include "core/base/err.h"

#define CHUNK_SECONDS 1e-3
#define ANSWER_SECONDS 3e-6 /* of rank 0 for a request */

uint32_t tasks_left(const struct transaction *p)
{
    return p->r->n_tasks - p->next + p->n_orphans;
}

uint32_t work_left(const struct transaction *p)
{
    return tasks_left(p) + p->crew->audit.n_left;
}

static bool is_static(const struct transaction *p)
{
    return strcmp(p->crew->setup->config->cluster.schedule, "static") == 0;
}

/* Tasks of every rank, if all have as many. */
static uint32_t even_share(const struct transaction *p)
{
    uint32_t workers = (uint32_t)p->crew->n_members - 1;

    return (p->r->n_tasks + workers - 1) / workers;
}

/* Tasks that keep a thread busy for CHUNK_SECONDS, or three times as long as rank 0 needs to answer
 * every rank, if that is more: else thousands of ranks wait for its answers. 0: that is not known
 * yet. */
static double least_a_thread(const struct transaction *p)
{
    double each = p->crew->work_seconds[p->r->purpose];
    double seconds = fmax(CHUNK_SECONDS, 3 * ANSWER_SECONDS * p->crew->n_members);

    return each > 0 ? seconds / each : 0;
}

/* Tasks for one request. dynamic: half of an even share of what is left, so that all end together,
 * but at least least_a_thread, so that tiny tasks are not spent on messages, and one a
 * thread; static: an even share of the round for every rank. */
static uint32_t chunk_size(const struct transaction *p)
{
    if (p->r->domains)
        return work_left(p) > 0;
    uint32_t left = work_left(p), workers = (uint32_t)p->crew->n_members - 1;
    uint32_t share = (left + workers - 1) / workers, chunk = share / 2;
    uint32_t threads = (uint32_t)p->n_threads / workers;
    double least = least_a_thread(p) * p->n_threads / workers;

    if (is_static(p))
        chunk = even_share(p);
    else if (chunk < least)
        chunk = least < share ? (uint32_t)least : share;
    chunk = chunk < threads ? threads : chunk;
    chunk = chunk < 1 ? 1 : chunk;
    return chunk < left ? chunk : left;
}

/* The next task without an owner: first those that lost theirs. */
static uint32_t next_slot(struct transaction *p)
{
    if (!p->n_orphans)
        return p->next;
    while (p->crew->owner[p->orphan] != 0)
        p->orphan++;
    return p->orphan;
}

/* Makes the rank the owner of the task, or of the audit. */
static void take_slot(struct transaction *p, int rank, uint32_t slot)
{
    if (slot >= p->r->n_tasks) {
        audit_take(p, (uint32_t)rank, slot);
        return;
    }
    p->crew->owner[slot] = (uint32_t)rank;
    if (p->n_orphans) {
        p->n_orphans--;
        p->crew->n_again++;
        audit_moved(p, slot);
    } else {
        p->next++;
    }
}

/* What the rank is to do next; false: there is nothing for it. */
static bool next_for(struct transaction *p, int rank, uint32_t *slot)
{
    if (tasks_left(p) == 0)
        return audit_next(p, (uint32_t)rank, slot);
    *slot = next_slot(p);
    return true;
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

static int send(struct transaction *p, int rank, struct given *g)
{
    struct crew_worker *worker = &p->crew->workers[rank];
    uint32_t slot;

    worker->since = p->moved = clock_seconds();
    worker->last = g->last = !next_for(p, rank, &slot);
    TRY(wire_pack_given(g, &p->crew->out));
    return crew_say(p->crew, rank, MESSAGE_TASKS, &p->h, &p->crew->out);
}

/* At most n tasks, as many as one message has room for. */
static int give(struct transaction *p, int rank, uint32_t n)
{
    struct crew *c = p->crew;
    struct crew_worker *worker = &c->workers[rank];
    struct given g = {.n = 0};
    uint32_t taken = 0, slot;

    for (; taken < n && next_for(p, rank, &slot) && add_slot(&g, slot); taken++) {
        take_slot(p, rank, slot);
        TRY(domains_send(p, rank, slot));
    }
    worker->given += taken;
    worker->chunk = taken;
    worker->finished = worker->finished && taken == 0;
    return send(p, rank, &g);
}

bool give_is_kept(const struct transaction *p, const struct crew_worker *worker)
{
    return p->r->domains && worker->first.n > 0;
}

/* The first tasks of a rank, with their models. */
static int give_kept(struct transaction *p, int rank)
{
    struct slots *first = &p->crew->workers[rank].first;
    struct given g = {.ranges = {*first}, .n = 1};

    for (; first->n > 0; first->n--)
        TRY(domains_send(p, rank, first->first++));
    return send(p, rank, &g);
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

    if (!worker->owing || worker->gone || worker->left)
        return 0;
    TRY(wire_pack_given(&no_more, &c->out));
    body = (struct part){c->out.bytes, c->out.n};
    return comm_send(c->comm, rank, &h, &body, 1);
}

/* Tasks that a rank has from the beginning, while `left` are left for it and those behind it, who
 * have `ranks` ranks and `threads` threads. dynamic: half an even share a thread, at least
 * least_a_thread and one task; all, if that is no more work for anybody. static: all. */
static uint32_t first_share(const struct transaction *p, const struct crew_worker *worker,
                            int ranks, int threads)
{
    uint32_t left = tasks_left(p);
    double even = (double)p->r->n_tasks / p->n_threads, least = least_a_thread(p);

    if (p->r->domains)
        return 1;
    if (is_static(p))
        return (left + (uint32_t)ranks - 1) / (uint32_t)ranks;
    if (least >= even)
        return (uint32_t)ceil((double)left * worker->hello.threads / threads);
    return (uint32_t)(fmin(even, fmax(fmax(even / 2, least), 1)) * worker->hello.threads + 1e-6);
}

static void give_share(struct transaction *p, int rank, uint32_t n)
{
    struct crew_worker *worker = &p->crew->workers[rank];

    worker->first = (struct slots){p->next, n};
    worker->given = worker->chunk = n;
    worker->since = p->begun;
    for (uint32_t i = 0; i < n; i++)
        take_slot(p, rank, p->next);
}

/* Nobody has a second task while another has none. */
void give_first(struct transaction *p)
{
    struct crew *c = p->crew;
    int threads = p->n_threads;

    for (int i = 1; i < c->n_members; i++) {
        const struct crew_worker *worker = &c->workers[c->members[i]];
        int ranks = c->n_members - i;
        uint32_t left = tasks_left(p), others = (uint32_t)ranks - 1;
        uint32_t share = first_share(p, worker, ranks, threads);
        uint32_t most = left > others ? left - others : left > 0;

        share = share < 1 ? 1 : share;
        give_share(p, (int)c->members[i], share < most ? share : most);
        threads -= (int)worker->hello.threads;
    }
    for (int i = 1; i < c->n_members; i++)
        c->workers[c->members[i]].last = work_left(p) == 0 && !p->r->domains;
}

/* Who gets the last tasks ends the queue for everybody: those who are known to have the parameters
 * are told at once, others when they ask. */
static int end_queue(struct transaction *p)
{
    struct crew *c = p->crew;

    for (int i = 1; i < c->n_members && work_left(p) == 0; i++)
        if (c->workers[c->members[i]].epoch == c->epoch)
            TRY(give_end(p, (int)c->members[i]));
    return 0;
}

/* In a dispute: all of its tasks, once. */
static int give_disputed(struct transaction *p, int rank)
{
    struct crew *c = p->crew;
    struct crew_worker *worker = &c->workers[rank];
    struct given g = {.ranges = {p->disputed}, .n = 1, .last = true};

    if (worker->given > 0)
        return 0;
    for (uint32_t i = 0; i < p->disputed.n; i++)
        TRY(domains_send(p, rank, p->disputed.first + i));
    worker->given = p->disputed.n;
    TRY(wire_pack_given(&g, &c->out));
    return crew_say(c, rank, MESSAGE_TASKS, &p->h, &c->out);
}

int give_on_request(struct transaction *p, int rank)
{
    struct crew_worker *worker = &p->crew->workers[rank];
    uint32_t n = chunk_size(p);

    if (worker->last || worker->out)
        return 0;
    if (p->disputed.n > 0)
        return give_disputed(p, rank);
    if (give_is_kept(p, worker))
        return give_kept(p, rank);
    p->mixed |= p->n_orphans > 0;
    TRY(give(p, rank, n));
    return n > 0 ? end_queue(p) : 0;
}

int give_orphans(struct transaction *p)
{
    struct crew *c = p->crew;
    bool any = work_left(p) > 0;
    uint32_t slot;

    for (int i = 1; i < c->n_members && work_left(p) > 0; i++) {
        struct crew_worker *worker = &c->workers[c->members[i]];

        if (!worker->finished || worker->out || !next_for(p, (int)c->members[i], &slot))
            continue;
        if (!worker->helped)
            worker->own_checksum = worker->checksum;
        worker->helped = true;
        TRY(give(p, (int)c->members[i], chunk_size(p)));
    }
    return any ? end_queue(p) : 0;
}
