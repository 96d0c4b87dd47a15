/* dispute.c - gives every rank the same tasks, to find the one that computes wrongly. */
#include <inttypes.h>
#include <stdio.h>

#include "coordinator/crew/crew_internal.h"
#include "core/base/clock.h"
#include "core/base/err.h"

enum { DISPUTED_TASKS = 8, DISPUTED_MODELS = 2 };

static bool is_over(const struct crew *c)
{
    for (int i = 1; i < c->n_members; i++) {
        const struct crew_worker *worker = &c->workers[c->members[i]];

        if (!worker->finished && !worker->gone && !worker->left)
            return false;
    }
    return true;
}

static int hold(struct transaction *p)
{
    struct crew *c = p->crew;
    double limit = c->setup->config->cluster.lease + 20 * c->round_seconds;

    while (!is_over(c) && clock_seconds() - p->begun < limit)
        TRY(round_hear(c, p, p->r->round));
    return 0;
}

/* Afterwards finished members have the checksum of these tasks. */
static int ask_all(struct crew *c, const struct round *r, struct slots tasks)
{
    struct round_sum total;
    struct transaction p = {.crew = c, .r = r, .disputed = tasks, .total = &total};

    round_choose(c);
    round_begin(c, r, &p);
    TRY(round_send_params(&p));
    return hold(&p);
}

/* ---- whose result is right ---- */

struct ballot {
    int n, most;    /* members that have finished; of these with the right checksum */
    uint64_t right; /* that most have */
};

/* The number of finished ranks with this checksum. */
static int votes(const struct crew *c, uint64_t checksum)
{
    int n = 0;

    for (int i = 1; i < c->n_members; i++)
        n += c->workers[c->members[i]].finished && c->workers[c->members[i]].checksum == checksum;
    return n;
}

static struct ballot count(const struct crew *c)
{
    struct ballot v = {0};

    for (int i = 1; i < c->n_members; i++) {
        const struct crew_worker *worker = &c->workers[c->members[i]];

        v.n += worker->finished;
        if (worker->finished && votes(c, worker->checksum) > v.most)
            v.most = votes(c, v.right = worker->checksum);
    }
    return v;
}

static int no_majority(const char *who)
{
    return err(ERR_FAILED,
               "%s: one of them computes wrongly, and there is no majority to tell which", who);
}

/* Whether a rank has finished, with another result than most. */
static bool is_wrong(const struct crew *c, uint32_t rank, const struct ballot *v)
{
    return c->workers[rank].finished && c->workers[rank].checksum != v->right;
}

/* ---- after the results were used ---- */

static int judge(struct crew *c, const struct round *r)
{
    struct ballot v = count(c);
    uint32_t wrong = 0;

    for (int i = 1; i < c->n_members; i++)
        wrong = is_wrong(c, c->members[i], &v) ? c->members[i] : wrong;
    if (v.n > 0 && v.most == v.n)
        return err(ERR_FAILED,
                   "%s, but all ranks agree when they compute round %" PRIu64
                   " again: a transient fault; resume from an older checkpoint",
                   c->differs, r->round);
    if (2 * v.most <= v.n)
        return no_majority(c->differs);
    return err(ERR_FAILED,
               "rank %u on host '%s' computes wrongly: its result for tasks of round %" PRIu64
               " differs from that of %d others, which agree; start again without it",
               wrong, c->workers[wrong].hello.host, r->round, v.most);
}

int crew_dispute(struct crew *c, const struct round *r)
{
    uint32_t most = r->domains ? DISPUTED_MODELS : DISPUTED_TASKS;

    TRY(ask_all(c, r, (struct slots){0, r->n_tasks < most ? r->n_tasks : most}));
    return judge(c, r);
}

/* ---- before they are used ---- */

static bool was_wrong(const struct difference *d, uint32_t rank, const struct ballot *v)
{
    return (rank == d->rank[0] && d->checksum[0] != v->right) ||
           (rank == d->rank[1] && d->checksum[1] != v->right);
}

static void leave_wrong(struct crew *c, const struct round *r, const struct difference *d,
                        const struct ballot *v)
{
    for (uint32_t rank = 1; rank < (uint32_t)c->comm->size; rank++)
        if (!c->workers[rank].left && (was_wrong(d, rank, v) || is_wrong(c, rank, v))) {
            c->workers[rank].wrong = true;
            crew_leaves(c, "wrong", (int)rank, ERR_FAILED, r->round,
                        "it computes wrongly: its result for task %u of round %" PRIu64
                        " differs from that of %d ranks, which agree",
                        d->slot, r->round, v->most);
        }
}

int crew_settle(struct crew *c, const struct round *r, const struct difference *d)
{
    struct ballot v;
    char who[256];

    snprintf(who, sizeof who,
             "rank %u on host '%s' and rank %u on host '%s' have different results for task %u of "
             "round %" PRIu64,
             d->rank[0], c->workers[d->rank[0]].hello.host, d->rank[1],
             c->workers[d->rank[1]].hello.host, d->slot, r->round);
    crew_notify(c, "differs", (int)d->rank[0], r->round, "%s", who);
    TRY(ask_all(c, r, (struct slots){d->slot, 1}));
    v = count(c);
    if (v.n < 2) /* lost or late: the round tells again */
        return 0;
    if (2 * v.most <= v.n)
        return no_majority(who);
    leave_wrong(c, r, d, &v);
    return 0;
}
