/* dispute.c - gives every rank the same tasks, to find the one that computes wrongly. */
#include <inttypes.h>
#include <stdio.h>

#include "coordinator/crew/crew_internal.h"
#include "core/base/clock.h"
#include "core/base/err.h"

enum { DISPUTED_TASKS = 8, DISPUTED_MODELS = 2 };

static int give_disputed(struct transaction *p, int rank)
{
    struct crew *c = p->crew;
    struct crew_worker *worker = &c->workers[rank];
    uint32_t most = p->r->domains ? DISPUTED_MODELS : DISPUTED_TASKS;
    uint32_t n = p->r->n_tasks < most ? p->r->n_tasks : most;
    struct given g = {.ranges = {{0, n}}, .n = 1, .last = true};

    if (worker->given > 0)
        return 0;
    for (uint32_t i = 0; i < n; i++)
        TRY(domains_send(p, rank, i));
    worker->given = n;
    TRY(wire_pack_given(&g, &c->out));
    return crew_say(c, rank, MESSAGE_TASKS, &p->h, &c->out);
}

static int on_message(struct transaction *p, const struct message *m)
{
    struct crew *c = p->crew;
    struct crew_worker *worker = &c->workers[m->from];
    struct done d;

    TRY(crew_heard(c, m, p->r->round));
    if (m->h.epoch != c->epoch || !worker->member)
        return 0;
    if (m->h.kind == MESSAGE_WANT)
        return give_disputed(p, m->from);
    if (m->h.kind != MESSAGE_DONE)
        return 0;
    TRY(wire_unpack_done(m->body, m->h.size, &d));
    worker->finished = d.tasks == worker->given;
    worker->checksum = d.checksum;
    return 0;
}

static bool is_over(const struct crew *c)
{
    for (int i = 1; i < c->n_members; i++) {
        const struct crew_worker *worker = &c->workers[c->members[i]];

        if (!worker->finished && !worker->gone)
            return false;
    }
    return true;
}

static int hold(struct transaction *p)
{
    struct crew *c = p->crew;
    double limit = c->setup->config->cluster.lease + 20 * c->round_seconds;

    while (!is_over(c) && clock_seconds() - p->begun < limit) {
        struct message m;
        int found = comm_poll(c->comm, &m);

        TRY(found);
        if (found)
            TRY(on_message(p, &m));
        else
            comm_idle(c->comm);
        crew_check_leases(c, p->r->round);
    }
    return 0;
}

/* The number of finished ranks with this checksum. */
static int votes(const struct crew *c, uint64_t checksum)
{
    int n = 0;

    for (int i = 1; i < c->n_members; i++)
        n += c->workers[c->members[i]].finished && c->workers[c->members[i]].checksum == checksum;
    return n;
}

static int judge(struct crew *c, const struct round *r)
{
    int n = 0, most = 0, wrong = 0;
    uint64_t right = 0;

    for (int i = 1; i < c->n_members; i++) {
        const struct crew_worker *worker = &c->workers[c->members[i]];

        n += worker->finished;
        if (worker->finished && votes(c, worker->checksum) > most)
            most = votes(c, right = worker->checksum);
    }
    for (int i = 1; i < c->n_members; i++)
        if (c->workers[c->members[i]].finished && c->workers[c->members[i]].checksum != right)
            wrong = (int)c->members[i];
    if (n > 0 && most == n)
        return err(ERR_FAILED,
                   "%s, but all ranks agree when they compute round %" PRIu64
                   " again: a transient fault; resume from an older checkpoint",
                   c->differs, r->round);
    if (2 * most <= n)
        return err(ERR_FAILED,
                   "%s: one of them computes wrongly, and there is no majority to tell which",
                   c->differs);
    return err(ERR_FAILED,
               "rank %d on host '%s' computes wrongly: its result for tasks of round %" PRIu64
               " differs from that of %d others, which agree; start again without it",
               wrong, c->workers[wrong].hello.host, r->round, most);
}

int crew_dispute(struct crew *c, const struct round *r)
{
    struct round_sum total;
    struct transaction p = {.crew = c, .r = r, .total = &total};

    round_choose(c);
    round_begin(c, r, &p);
    TRY(round_send_params(&p));
    TRY(hold(&p));
    return judge(c, r);
}
