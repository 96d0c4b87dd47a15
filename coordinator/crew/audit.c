/* audit.c - tasks that are done twice: who does them the second time, and whether both results are
 * the same. c->owner has the ranks of audits behind those of tasks (core/plan/audit.h). */
#include <string.h>

#include "coordinator/crew/crew_internal.h"

/* A checksum's place: that of an audited task, with that of its audit beside it. */
static uint32_t place_of(const struct audit *a, uint32_t slot)
{
    return slot >= a->n_tasks ? 2 * (slot - a->n_tasks) + 1 : 2 * audit_of_slot(a, slot);
}

static bool is_compared(const struct audit *a, uint32_t slot)
{
    return a->n_audits > 0 &&
           (slot >= a->n_tasks ? slot - a->n_tasks < a->n_audits : audit_has(a, slot));
}

static void forget(struct crew *c, uint32_t slot)
{
    bool *known = &c->audit.known[place_of(&c->audit.plan, slot)];

    c->audit.n_awaited += *known;
    *known = false;
}

/* Nobody has the audit now. */
static void release(struct crew *c, uint32_t slot)
{
    forget(c, slot);
    c->owner[slot] = 0;
    c->audit.n_left++;
    c->audit.first = 0;
}

/* Whether what one does may be compared with what the other does. */
static bool is_apart(const struct crew *c, uint32_t a, uint32_t b)
{
    return c->audit.by_host ? c->workers[a].host != c->workers[b].host : a != b;
}

/* How many ranks take part; notes whether they are of several hosts. */
static int look_around(struct transaction *p)
{
    struct crew *c = p->crew;
    uint32_t first = 0;
    int n = 0;

    c->audit.by_host = false;
    for (int i = 1; i < c->n_members; i++) {
        uint32_t rank = c->members[i];

        if (c->workers[rank].out)
            continue;
        first = n++ ? first : rank;
        c->audit.by_host |= c->workers[rank].host != c->workers[first].host;
    }
    return n;
}

static void tell_alone(struct transaction *p)
{
    struct crew *c = p->crew;

    if (!c->audit.told)
        crew_notify(c, "alone", (int)c->members[1], p->r->round,
                    "cluster.audit: there is only one worker in round %zu, so nobody can do its "
                    "tasks a second time",
                    (size_t)p->r->round);
    c->audit.told = true;
}

static void give_up_if_alone(struct transaction *p)
{
    struct crew *c = p->crew;

    if (look_around(p) > 1 || c->audit.plan.n_audits == 0)
        return;
    tell_alone(p);
    c->audit.plan = (struct audit){0};
    c->audit.n_left = c->audit.n_awaited = 0;
}

void audit_begin(struct transaction *p)
{
    struct crew *c = p->crew;

    if (p->r->purpose != PURPOSE_TRAIN)
        return;
    c->audit.plan =
        audit_of_round(c->setup->config, p->r->stage->index, p->r->round, p->r->n_tasks);
    c->audit.n_left = c->audit.plan.n_audits;
    c->audit.n_awaited = 2 * c->audit.plan.n_audits;
    c->audit.first = 0;
    memset(c->owner + p->r->n_tasks, 0, c->audit.n_left * sizeof *c->owner);
    memset(c->audit.known, 0, c->audit.n_awaited * sizeof *c->audit.known);
    give_up_if_alone(p);
}

bool audit_next(struct transaction *p, uint32_t rank, uint32_t *slot)
{
    struct crew *c = p->crew;
    const struct audit *a = &c->audit.plan;

    for (uint32_t i = c->audit.first, kept = a->n_audits; i < a->n_audits && c->audit.n_left; i++) {
        if (c->owner[a->n_tasks + i] != 0)
            continue;
        kept = i < kept ? i : kept;
        c->audit.first = kept;
        *slot = a->n_tasks + i;
        if (is_apart(c, rank, c->owner[audit_slot(a, i)]))
            return true;
    }
    return false;
}

void audit_take(struct transaction *p, uint32_t rank, uint32_t slot)
{
    p->crew->owner[slot] = rank;
    p->crew->audit.n_left--;
}

void audit_moved(struct transaction *p, uint32_t slot)
{
    struct crew *c = p->crew;
    const struct audit *a = &c->audit.plan;
    uint32_t audit;

    if (!is_compared(a, slot))
        return;
    forget(c, slot);
    audit = a->n_tasks + audit_of_slot(a, slot);
    if (c->owner[audit] != 0 && !is_apart(c, c->owner[slot], c->owner[audit]))
        release(c, audit);
}

void audit_leave_out(struct transaction *p, uint32_t rank)
{
    struct crew *c = p->crew;
    const struct audit *a = &c->audit.plan;

    for (uint32_t i = 0; i < a->n_audits; i++)
        if (c->owner[a->n_tasks + i] == rank)
            release(c, a->n_tasks + i);
    give_up_if_alone(p);
}

void audit_see(struct crew *c, uint32_t rank, const struct sightings *seen)
{
    const struct audit *a = &c->audit.plan;

    for (uint32_t i = 0; i < seen->n; i++) {
        uint32_t slot = seen->slots[i], place;

        if (!is_compared(a, slot) || c->owner[slot] != rank)
            continue;
        place = place_of(a, slot);
        c->audit.checksums[place] = seen->checksums[i];
        c->audit.n_awaited -= !c->audit.known[place];
        c->audit.known[place] = true;
    }
}

bool audit_differs(const struct crew *c, struct difference *d)
{
    const struct audit *a = &c->audit.plan;

    for (uint32_t i = 0; i < a->n_audits; i++) {
        const uint64_t *two = &c->audit.checksums[2 * i];

        if (two[0] == two[1])
            continue;
        d->slot = audit_slot(a, i);
        d->rank[0] = c->owner[d->slot], d->rank[1] = c->owner[a->n_tasks + i];
        d->checksum[0] = two[0], d->checksum[1] = two[1];
        return true;
    }
    return false;
}
