/* mend.c - a round goes on without ranks that are lost or hold it up. */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "coordinator/crew/crew_internal.h"
#include "core/base/clock.h"
#include "core/base/err.h"
#include "core/base/plural.h"

#define LATE_SECONDS                                                                               \
    0.25 /* a busy machine's hiccup, beside LATE_TIMES what its tasks usually take */
#define LATE_TIMES 3
#define HOPELESS_TIMES 20
#define LONGEST_KEEP 0.99 /* of the longest round, from one round to the next */
#define ANSWER 5e-3       /* seconds to answer a ping; twice as many after each mistake, ... */
#define ANSWER_MOST 0.25  /* ... up to so many */

static struct crew_worker *member(const struct transaction *p, int i)
{
    return &p->crew->workers[p->crew->members[i]];
}

/* Gives its tasks of this round to others, and routes no sum through it. It may finish tasks that
 * it has started; its report is compared. */
static int leave_out(struct transaction *p, int rank)
{
    struct crew *c = p->crew;
    struct crew_worker *worker = &c->workers[rank];

    p->stands = false;
    p->mixed |= worker->helped;
    p->broken = clock_seconds();
    worker->out = worker->behind = true;
    audit_leave_out(p, (uint32_t)rank);
    if (worker->given == 0)
        return 0;
    p->orphan = 0;
    for (uint32_t slot = 0; slot < p->next; slot++)
        if (c->owner[slot] == (uint32_t)rank) {
            c->owner[slot] = 0;
            p->n_orphans++;
        }
    if (give_is_kept(p, worker)) { /* it owes nothing, and others have tasks of two ranks */
        worker->given = 0;
        p->mixed = true;
        return 0;
    }
    worker->owing = !worker->finished; /* else it has reported them, and will not again */
    worker->owed_epoch = c->epoch;
    worker->owed_tasks = worker->given;
    worker->others_known = false;
    return give_owed_end(c, rank);
}

static int leave_out_lost(struct transaction *p)
{
    for (int i = 1; i < p->crew->n_members; i++)
        if (!member(p, i)->out && (member(p, i)->gone || member(p, i)->left))
            TRY(leave_out(p, (int)p->crew->members[i]));
    return 0;
}

static int n_finished(const struct transaction *p, uint32_t least)
{
    int n = 0;

    for (int i = 1; i < p->crew->n_members; i++)
        n += member(p, i)->finished && !member(p, i)->out && member(p, i)->given >= least;
    return n;
}

/* The usual duration of its last tasks, from earlier rounds; in the first round, that of the rank
 * that finished first. 0: unknown. */
static double usual_seconds(const struct transaction *p, const struct crew_worker *worker)
{
    double each = p->crew->task_seconds[p->r->purpose];

    return each > 0 ? each * (worker->chunk / (double)worker->hello.threads + 2) : p->first_took;
}

/* Deadline for this rank. If another rank is free, a few times the usual duration; otherwise
 * cluster.task_limit, since no other could finish sooner. */
static double patience(const struct transaction *p, const struct crew_worker *worker, bool help)
{
    double limit = p->crew->setup->config->cluster.task_limit, usual = usual_seconds(p, worker);

    if (usual <= 0)
        return limit;
    return help ? LATE_SECONDS + LATE_TIMES * usual : fmax(limit, HOPELESS_TIMES * usual);
}

/* Reported the first, second, fourth, eighth ... time: a host may be slow for ever. */
static void tell_late(struct transaction *p, int rank)
{
    struct crew_worker *worker = &p->crew->workers[rank];
    uint32_t n = ++worker->n_slow;
    char times[48] = "";

    if (n > 1)
        snprintf(times, sizeof times, " (%u times so far)", n);
    if ((n & (n - 1)) == 0)
        crew_notify(p->crew, "slow", rank, p->r->round,
                    "rank %d on host '%s' holds up round %" PRIu64
                    ": its %u task%s %s also given to other ranks%s",
                    rank, worker->hello.host, p->r->round, worker->given, plural(worker->given),
                    worker->given == 1 ? "is" : "are", times);
}

void mend_learn(const struct transaction *p)
{
    double *longest = &p->crew->longest[p->r->purpose];

    *longest = fmax(p->crew->task_seconds[p->r->purpose], LONGEST_KEEP * *longest);
}

static double answer_seconds(const struct crew *c)
{
    return c->answer > 0 ? c->answer : ANSWER;
}

void mend_was_wrong(struct crew *c)
{
    c->answer = fmin(ANSWER_MOST, 2 * answer_seconds(c));
}

/* Asks all that have not finished, once: in a round that is longer than any was of late, by a
 * quarter of a task. */
static int ask(struct transaction *p, double now)
{
    const struct crew *c = p->crew;
    double share = (double)p->r->n_tasks / p->n_threads;
    double longest = c->longest[p->r->purpose] * (share + 0.25);

    if (p->asked > 0 || longest <= 0 || now - p->begun < longest)
        return 0;
    p->asked = now;
    for (int i = 1; i < c->n_members; i++)
        if (!member(p, i)->finished && !member(p, i)->out)
            TRY(crew_say(p->crew, (int)c->members[i], MESSAGE_PING, &p->h, NULL));
    return 0;
}

/* It holds the round up, or was asked, as others who have answered, and is silent. help: a rank is
 * free. */
static bool is_late(const struct transaction *p, const struct crew_worker *worker, bool help,
                    double now)
{
    bool asked = p->asked > 0 && worker->since < p->asked;
    bool silent = worker->heard < p->asked && now - p->asked > answer_seconds(p->crew);

    return (help && asked && silent) || now - worker->since >= patience(p, worker, help);
}

/* Looks for ranks that take too long, when no task is left to give. */
static int leave_out_late(struct transaction *p)
{
    double now = clock_seconds();
    bool help = n_finished(p, 0) > 0;

    if (tasks_left(p) > 0)
        return 0;
    TRY(ask(p, now));
    if (!p->first_took && n_finished(p, 1) > 0)
        p->first_took = now - p->begun;
    for (int i = 1; i < p->crew->n_members; i++) {
        const struct crew_worker *worker = member(p, i);

        if (!worker->given || worker->finished || worker->out || !is_late(p, worker, help, now))
            continue;
        tell_late(p, (int)p->crew->members[i]);
        TRY(leave_out(p, (int)p->crew->members[i]));
    }
    return 0;
}

/* True if every task is finished by a rank that takes part. */
static bool is_done(const struct transaction *p)
{
    if (work_left(p) > 0)
        return false;
    for (int i = 1; i < p->crew->n_members; i++)
        if (member(p, i)->given && !member(p, i)->out && !member(p, i)->finished)
            return false;
    return true;
}

/* All tasks are done and no sum arrives: a rank without tasks is silent in the tree. */
static int leave_out_silent(struct transaction *p)
{
    const struct crew *c = p->crew;
    double silent = clock_seconds() - p->moved;
    double limit = c->setup->config->cluster.lease / 4 + LATE_TIMES * c->round_seconds;

    if (p->h.attempt > 0 || !p->stands || silent < limit || !is_done(p))
        return 0;
    for (int i = 1; i < p->crew->n_members; i++)
        if (!member(p, i)->given && !member(p, i)->out)
            TRY(leave_out(p, (int)p->crew->members[i]));
    p->stands = false;
    return 0;
}

/* It has spoken since a rank was left out, and not from this round: the parameters have not come to
 * it, and will not. */
static bool is_cut_off(const struct transaction *p, const struct crew_worker *worker)
{
    return worker->epoch != p->crew->epoch && worker->heard > p->broken;
}

/* Nobody works: all wait for parameters that a lost rank did not pass on. */
static bool is_deserted(const struct transaction *p)
{
    bool out = false;

    for (int i = 1; i < p->crew->n_members; i++) {
        if (!member(p, i)->out && !is_cut_off(p, member(p, i)))
            return false;
        out |= member(p, i)->out;
    }
    return out;
}

/* All tasks are given, and audits are left: they do not wait for ranks without tasks to which no
 * parameters come. */
static int leave_out_cut_off(struct transaction *p)
{
    if (p->stands || tasks_left(p) > 0 || work_left(p) == 0)
        return 0;
    for (int i = 1; i < p->crew->n_members; i++)
        if (!member(p, i)->out && !member(p, i)->given && is_cut_off(p, member(p, i)))
            TRY(leave_out(p, (int)p->crew->members[i]));
    return 0;
}

/* GATHER: the receiver's place in a tree of the ranks with tasks. */
static int gather(struct transaction *p)
{
    struct crew *c = p->crew;
    struct part part;

    p->h.kind = MESSAGE_GATHER;
    p->h.attempt++;
    p->worked = 0;
    round_plant(p, true);
    return tree_send(c->comm, &p->h, c->tree, &part, 1, comm_checksum(NULL, 0));
}

int round_mend(struct transaction *p)
{
    TRY(leave_out_lost(p));
    TRY(leave_out_late(p));
    TRY(leave_out_silent(p));
    if (is_deserted(p))
        return 1;
    TRY(leave_out_cut_off(p));
    if (p->stands)
        return 0;
    TRY(give_orphans(p));
    return is_done(p) ? gather(p) : 0;
}
