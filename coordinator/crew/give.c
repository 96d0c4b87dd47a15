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

    if (strcmp(c->setup->config->cluster.schedule, "static") == 0)
        chunk = (p->r->n_tasks + workers - 1) / workers;
    else if (chunk < least)
        chunk = least < share ? (uint32_t)least : share;
    if (chunk < (uint32_t)p->n_threads / workers)
        chunk = (uint32_t)p->n_threads / workers;
    chunk = chunk < 1 ? 1 : chunk > WIRE_TASKS_MAX ? WIRE_TASKS_MAX : chunk;
    return chunk < left ? chunk : left;
}

/* The next task that nobody has: those that lost their owner first. */
static uint32_t next_slot(struct transaction *p)
{
    if (!p->n_orphans)
        return p->next++;
    while (p->crew->owner[p->orphan] != 0)
        p->orphan++;
    p->n_orphans--;
    p->crew->n_again++;
    return p->orphan++;
}

static int give(struct transaction *p, int rank, uint32_t n)
{
    struct crew *c = p->crew;
    struct crew_worker *worker = &c->workers[rank];

    for (uint32_t i = 0; i < n; i++) {
        uint32_t slot = next_slot(p);

        sampler_draw(&p->sampler, slot, &c->tasks[i]);
        c->owner[slot] = (uint32_t)rank;
        TRY(domains_send(p, rank, slot));
    }
    worker->given += n;
    worker->chunk = n;
    worker->since = p->moved = clock_seconds();
    worker->finished = worker->finished && n == 0;
    worker->last = tasks_left(p) == 0;
    TRY(wire_pack_tasks(c->tasks, (int)n, worker->last, &c->out));
    return crew_say(c, rank, MESSAGE_TASKS, &p->h, &c->out);
}

int give_end(struct transaction *p, int rank)
{
    struct crew *c = p->crew;

    if (c->workers[rank].last)
        return 0;
    c->workers[rank].last = true;
    TRY(wire_pack_tasks(NULL, 0, true, &c->out));
    return crew_say(c, rank, MESSAGE_TASKS, &p->h, &c->out);
}

/* Who gets the last tasks ends the queue for everybody: those who asked before are told at once. A
 * rank that has not asked yet may not have the parameters yet, and is told when it asks. */
int give_on_request(struct transaction *p, int rank)
{
    struct crew *c = p->crew;
    struct crew_worker *worker = &c->workers[rank];

    if (worker->last || worker->out)
        return 0;
    worker->asked = true;
    worker->anchored = 1 + p->r->stage->index;
    p->mixed |= p->n_orphans > 0;
    TRY(give(p, rank, chunk_size(p)));
    for (int i = 1; i < c->n_members && tasks_left(p) == 0; i++)
        if (c->workers[c->members[i]].asked)
            TRY(give_end(p, (int)c->members[i]));
    return 0;
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
