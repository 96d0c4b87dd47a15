/* dispute.c - the same tasks for every rank, to find out who computes wrongly. */
#include <inttypes.h>
#include <stdio.h>

#include "coordinator/crew/crew_internal.h"
#include "core/base/clock.h"
#include "core/base/err.h"

enum { TRIAL_TASKS = 8, TRIAL_BLOCKS = 2 };

static int give_trial(struct transaction *p, int rank)
{
    struct crew *c = p->crew;
    struct mate *mate = &c->mates[rank];
    uint32_t most = p->r->blocks ? TRIAL_BLOCKS : TRIAL_TASKS;
    uint32_t n = p->r->n_tasks < most ? p->r->n_tasks : most;

    if (mate->asked)
        return 0;
    for (uint32_t i = 0; i < n; i++) {
        sampler_draw(&p->sampler, i, &c->tasks[i]);
        TRY(blocks_send(p, rank, i));
    }
    mate->asked = true;
    mate->given = n;
    TRY(wire_pack_tasks(c->tasks, (int)n, true, &c->out));
    return crew_say(c, rank, MESSAGE_TASKS, &p->h, &c->out);
}

static int on_message(struct transaction *p, const struct message *m)
{
    struct crew *c = p->crew;
    struct mate *mate = &c->mates[m->from];
    struct done d;

    crew_heard(c, m, p->r->round);
    if (m->h.epoch != c->epoch || !mate->member)
        return 0;
    if (m->h.kind == MESSAGE_WANT)
        return give_trial(p, m->from);
    if (m->h.kind != MESSAGE_DONE)
        return 0;
    TRY(wire_unpack_done(m->body, m->h.size, &d));
    mate->finished = d.tasks == mate->given;
    mate->mark = d.mark;
    return 0;
}

static bool is_over(const struct crew *c)
{
    for (int i = 1; i < c->n_members; i++) {
        const struct mate *mate = &c->mates[c->members[i]];

        if (!mate->finished && !mate->gone)
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
        crew_watch(c, p->r->round);
    }
    return 0;
}

/* How many finished ranks have this mark. */
static int votes(const struct crew *c, uint64_t mark)
{
    int n = 0;

    for (int i = 1; i < c->n_members; i++)
        n += c->mates[c->members[i]].finished && c->mates[c->members[i]].mark == mark;
    return n;
}

static int verdict(struct crew *c, const struct round *r)
{
    int n = 0, most = 0, wrong = 0;
    uint64_t right = 0;

    for (int i = 1; i < c->n_members; i++) {
        const struct mate *mate = &c->mates[c->members[i]];

        n += mate->finished;
        if (mate->finished && votes(c, mate->mark) > most)
            most = votes(c, right = mate->mark);
    }
    for (int i = 1; i < c->n_members; i++)
        if (c->mates[c->members[i]].finished && c->mates[c->members[i]].mark != right)
            wrong = (int)c->members[i];
    if (n > 0 && most == n)
        return err(ERR_FAILED,
                   "%s, and equal ones when all did the tasks of round %" PRIu64
                   " again: a fault that has passed; go on from a checkpoint of before it",
                   c->differs, r->round);
    if (2 * most <= n)
        return err(ERR_FAILED, "%s: one of them computes wrongly, and no majority says which",
                   c->differs);
    return err(ERR_FAILED,
               "rank %d on host '%s' computes wrongly: its result for tasks of round %" PRIu64
               " differs from that of %d others, which agree; start again without it",
               wrong, c->mates[wrong].hello.host, r->round, most);
}

int crew_trial(struct crew *c, const struct round *r)
{
    struct total total;
    struct transaction p = {.crew = c, .r = r, .total = &total};

    c->n_members = 1;
    for (int i = 1; i < c->comm->size; i++)
        if (crew_available(&c->mates[i]))
            c->members[c->n_members++] = (uint32_t)i;
    round_begin(c, r, &p);
    TRY(round_send_params(&p));
    TRY(hold(&p));
    return verdict(c, r);
}
