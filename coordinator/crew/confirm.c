/* confirm.c - tasks that two ranks have done: their marks (core/plan/round_sum.h) are equal, or somebody computes
 * wrongly. */
#include <inttypes.h>
#include <stdio.h>

#include "coordinator/crew/crew_internal.h"

static void compare(struct crew *c, int rank, uint64_t mark, uint64_t round)
{
    struct mate *mate = &c->mates[rank];

    if (mark == mate->mark_others) {
        c->n_confirmed++;
        return;
    }
    snprintf(c->differs, sizeof c->differs,
             "rank %d on host '%s' and others have different results for the same %u tasks", rank,
             mate->hello.host, mate->owed_tasks);
    crew_notify(c, "differs", rank, round, "%s (found in round %" PRIu64 ")", c->differs, round);
}

void confirm_report(struct crew *c, int rank, const struct done *d, uint64_t round)
{
    struct mate *mate = &c->mates[rank];

    mate->owing = false;
    if (mate->others_known)
        compare(c, rank, d->mark, round);
}

/* The one rank that was left out with tasks; 0: none, or several. */
static int only_one_out(const struct crew *c)
{
    int found = 0, n = 0;

    for (int i = 1; i < c->comm->size; i++)
        if (c->mates[i].out && c->mates[i].given) {
            found = i;
            n++;
        }
    return n == 1 ? found : 0;
}

void confirm_round(struct transaction *p)
{
    struct crew *c = p->crew;
    int rank = only_one_out(c);
    struct mate *mate = &c->mates[rank];

    if (!rank || p->mixed)
        return;
    mate->mark_others = 0;
    for (int i = 1; i < c->comm->size; i++)
        if (c->mates[i].helped)
            mate->mark_others += c->mates[i].mark - c->mates[i].base;
    mate->others_known = true;
    if (mate->finished)
        compare(c, rank, mate->mark, p->r->round);
}
