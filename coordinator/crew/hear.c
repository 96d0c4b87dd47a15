/* hear.c - what each message means, in a round and between rounds. */
#include "coordinator/crew/crew_internal.h"
#include "core/base/clock.h"
#include "core/base/err.h"

#define NEAR 0.95  /* of the time that a round's tasks took, from which on it may be over */
#define AWAKE 0.02 /* seconds for which rank 0 does not sleep if it is not */

static int on_sum(struct transaction *p, const struct message *m)
{
    bool counts = m->h.attempt == p->h.attempt && p->stands;
    int added = counts ? children_add(&p->children, m, p->total->words) : 0;

    TRY(added);
    if (!added)
        p->crew->n_stale++;
    else if (m->h.worked > p->worked)
        p->worked = m->h.worked;
    return 0;
}

/* A report of this round, or a late one from an earlier round that finished without it. */
static int on_done(struct crew *c, const struct message *m, uint64_t round)
{
    struct crew_worker *worker = &c->workers[m->from];
    struct done d;

    TRY(wire_unpack_done(m->body, m->h.size, &d));
    if (m->h.epoch == c->epoch && worker->member) {
        worker->finished = d.tasks == worker->given;
        worker->checksum = d.checksum;
        audit_see(c, (uint32_t)m->from, &d.seen);
    }
    if (worker->owing && m->h.epoch == worker->owed_epoch && d.tasks == worker->owed_tasks) {
        mend_was_wrong(c);
        confirm_report(c, m->from, &d, round);
    }
    done_release(&d);
    return 0;
}

static int on_bye(struct crew *c, const struct message *m, uint64_t round)
{
    struct crew_worker *worker = &c->workers[m->from];
    struct bye b;

    TRY(wire_unpack_bye(m->body, m->h.size, &b));
    if (worker->left)
        return 0;
    if (b.damaged)
        return blame(c, (int)b.damaged - 1, m->from, round);
    if (b.spoiled) /* its results are among the others' already */
        return err(b.code, "rank %d on host '%s': %s", m->from, worker->hello.host, b.reason);
    crew_leaves(c, "left", m->from, b.code < 0 ? b.code : ERR_FAILED, round, "%s", b.reason);
    return 0;
}

/* Handles messages that do not depend on a round. p NULL: between rounds. */
static int on_message(struct crew *c, const struct message *m, struct transaction *p,
                      uint64_t round)
{
    TRY(crew_heard(c, m, round));
    if (m->h.kind == MESSAGE_HELLO)
        return crew_hello(c, m);
    if (m->h.kind == MESSAGE_BYE)
        return on_bye(c, m, round);
    if (m->h.kind == MESSAGE_ALIVE)
        return crew_report(c, m);
    if (p && m->h.epoch == c->epoch)
        p->moved = clock_seconds();
    if (m->h.kind == MESSAGE_DONE)
        return on_done(c, m, round);
    if (!p || m->h.epoch != c->epoch) {
        c->n_stale++;
        return 0;
    }
    if (m->h.kind == MESSAGE_WANT)
        return give_on_request(p, m->from);
    if (m->h.kind == MESSAGE_FAILED)
        return failed_report_take(&c->failed, m, p->r->n_tasks);
    if (m->h.kind == MESSAGE_STATE)
        return domains_take(p, m);
    return m->h.kind == MESSAGE_SUM ? on_sum(p, m) : 0;
}

/* The workers' tasks are about to end, as far as it is known how long they take, and what comes is
 * the sum. */
static bool is_closing(const struct crew *c, const struct transaction *p)
{
    double last = c->work_seconds[p->r->purpose] * p->r->n_tasks / p->n_threads;
    double since = clock_seconds() - p->begun;

    return last > 0 && tasks_left(p) == 0 && since > NEAR * last && since < last / NEAR + AWAKE;
}

static void await_message(struct crew *c, const struct transaction *p)
{
    c->comm->awake = c->own_core && p && is_closing(c, p);
    comm_idle(c->comm);
    c->comm->awake = false;
}

int round_hear(struct crew *c, struct transaction *p, uint64_t round)
{
    struct message m;
    int found = comm_poll(c->comm, &m);

    if (found == ERR_DAMAGED)
        return blame(c, m.from, 0, round);
    TRY(found);
    if (found)
        TRY(on_message(c, &m, p, round));
    else
        await_message(c, p);
    crew_check_leases(c, round);
    return 0;
}
