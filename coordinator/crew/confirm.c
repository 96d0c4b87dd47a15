/* confirm.c - compares the checksums (core/plan/round_sum.h) of tasks that two ranks have done. If
 * they differ, one rank computes wrongly. */
#include <inttypes.h>
#include <stdio.h>

#include "coordinator/crew/crew_internal.h"

static void compare(struct crew *c, int rank, uint64_t checksum, uint64_t round)
{
    struct crew_worker *worker = &c->workers[rank];

    if (checksum == worker->others_checksum) {
        c->n_confirmed++;
        return;
    }
    snprintf(c->differs, sizeof c->differs,
             "rank %d on host '%s' and other ranks have different results for the same %u tasks",
             rank, worker->hello.host, worker->owed_tasks);
    crew_notify(c, "differs", rank, round, "%s (found in round %" PRIu64 ")", c->differs, round);
}

void confirm_report(struct crew *c, int rank, const struct done *d, uint64_t round)
{
    struct crew_worker *worker = &c->workers[rank];

    worker->owing = false;
    if (worker->others_known)
        compare(c, rank, d->checksum, round);
}

/* The one rank that was left out with tasks; 0: none, or several. */
static int only_one_out(const struct crew *c)
{
    int found = 0, n = 0;

    for (int i = 1; i < c->comm->size; i++)
        if (c->workers[i].out && c->workers[i].given) {
            found = i;
            n++;
        }
    return n == 1 ? found : 0;
}

void confirm_round(struct transaction *p)
{
    struct crew *c = p->crew;
    int rank = only_one_out(c);
    struct crew_worker *worker = &c->workers[rank];

    if (!rank || p->mixed)
        return;
    worker->others_checksum = 0;
    for (int i = 1; i < c->comm->size; i++)
        if (c->workers[i].helped)
            worker->others_checksum += c->workers[i].checksum - c->workers[i].own_checksum;
    worker->others_known = true;
    if (worker->finished)
        compare(c, rank, worker->checksum, p->r->round);
}
