/* round.c - a round from its parameters to its sum, and when the sum is whole. */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "coordinator/crew/crew_internal.h"
#include "core/base/clock.h"
#include "core/base/err.h"

/* True if sums, the slots of failed tasks, or results to compare are still missing. */
static bool is_open(const struct transaction *p)
{
    return !p->stands || children_taken(&p->children) < p->children.sum.n || domains_awaited(p) ||
           p->crew->audit.n_awaited > 0 ||
           failed_report_awaited(&p->crew->failed, p->total, p->crew->setup->config->cluster.lease);
}

/* 0: the total is complete; 1: the round must begin again. */
static int collect(struct transaction *p)
{
    double mended = clock_seconds();

    while (is_open(p)) {
        TRY(round_hear(p->crew, p, p->r->round));
        if (p->crew->checked == mended)
            continue;
        mended = p->crew->checked;
        if (p->crew->interrupt && p->crew->interrupt(p->crew->context, round_kind(p->r)))
            return err(ERR_STOPPED, "round %" PRIu64 " was interrupted", p->r->round);
        int again = round_mend(p);
        if (again != 0)
            return again;
    }
    return 0;
}

static int check_complete(const struct transaction *p)
{
    double counted =
        round_sum_read(p->total, METRIC_DONE) + round_sum_read(p->total, METRIC_FAILED);

    if (counted != p->r->n_tasks)
        return err(ERR_FAILED, "the sum of round %zu has %.0f of %u tasks", (size_t)p->r->round,
                   counted, p->r->n_tasks);
    return 0;
}

/* Explains why there is no worker: the error of the last that left, if none was lost. */
static int nobody(const struct crew *c)
{
    for (int i = 1; i < c->comm->size; i++)
        if (!c->workers[i].left)
            return err(ERR_LOST, "no worker is left: all %d are out of reach", c->comm->size - 1);
    return err(c->code, "%s", c->reason);
}

/* Checks that there is a worker besides the coordinator. */
static int await_members(struct crew *c, uint64_t round)
{
    double start = clock_seconds();

    while (round_choose(c) < 2) {
        bool any = false;

        for (int i = 1; i < c->comm->size; i++)
            any |= c->workers[i].ready && !c->workers[i].gone && !c->workers[i].left;
        if (!any || clock_seconds() - start > 2 * c->setup->config->cluster.lease)
            return nobody(c);
        TRY(round_hear(c, NULL, round));
    }
    return 0;
}

/* Whether a member has got the parameters: in the first tree every sum has come; of a rank with
 * nothing to ask for it may be the only word. */
static void learn_of(const struct transaction *p, struct crew_worker *worker)
{
    bool first = p->h.attempt == 0, has_them = first || worker->epoch == p->crew->epoch;

    worker->proved = has_them && !worker->out;
    worker->behind = worker->behind && !first;
    if (has_them)
        worker->anchored = 1 + p->r->stage->index;
}

/* How long a task takes, for the next round's chunks and patience: from a round that nobody held
 * up. What no rank's work explains of the round's time are parameters on their way down the tree
 * and sums up. */
static void learn(struct transaction *p)
{
    struct crew *c = p->crew;

    c->round_seconds = clock_seconds() - p->begun;
    c->communication = fmax(0, 1 - 1e-9 * (double)p->worked / c->round_seconds);
    if (p->h.attempt == 0) {
        double share = (double)p->n_threads / p->r->n_tasks;

        c->task_seconds[p->r->purpose] = c->round_seconds * share;
        c->work_seconds[p->r->purpose] = fmin(1e-9 * (double)p->worked, c->round_seconds) * share;
        mend_learn(p);
    }
    for (int i = 1; i < c->n_members; i++)
        learn_of(p, &c->workers[c->members[i]]);
}

/* 0 done, 1 again. */
static int attempt_round(struct crew *c, const struct round *r, struct round_sum *total)
{
    struct transaction p = {.crew = c, .r = r, .total = total};
    struct difference difference;
    int again;

    TRY(await_members(c, r->round));
    round_begin(c, r, &p);
    audit_begin(&p);
    give_first(&p);
    TRY(round_send_params(&p));
    again = collect(&p);
    if (again != 0)
        return again;
    if (audit_differs(c, &difference)) {
        TRY(crew_settle(c, r, &difference));
        return 1;
    }
    c->n_audited += c->audit.plan.n_audits;
    learn(&p);
    confirm_round(&p);
    return check_complete(&p);
}

/* At most. */
static uint32_t n_audits(const struct crew *c, const struct round *r)
{
    if (r->purpose != PURPOSE_TRAIN)
        return 0;
    return audit_of_round(c->setup->config, r->stage->index, r->round, r->n_tasks).n_audits;
}

int crew_round(struct crew *c, const struct round *r, struct round_sum *total)
{
    int again = 1;

    TRY(crew_reserve(c, r->n_tasks, n_audits(c, r)));
    if (c->stage != r->stage->index)
        for (int i = 0; i < 3; i++)
            c->task_seconds[i] = c->work_seconds[i] = c->longest[i] = 0;
    c->stage = r->stage->index;
    while (again > 0)
        again = attempt_round(c, r, total);
    TRY(again);
    return *c->differs ? crew_dispute(c, r) : 0;
}
