/* watch.c - who lives: leases run out, and whoever speaks again is back. */
#include <inttypes.h>
#include <math.h>

#include "coordinator/crew/crew_internal.h"
#include "core/base/clock.h"
#include "core/base/err.h"

#define LOOK_EVERY 2e-3 /* seconds */

static void lose(struct crew *c, int rank, double silent, uint64_t round)
{
    struct mate *mate = &c->mates[rank];

    mate->gone = true;
    comm_give_up(c->comm, rank);
    if (!mate->left)
        crew_notify(c, "lost", rank, round,
                    "rank %d on host '%s' has been silent for %.1f s: round %" PRIu64
                    " goes on without it",
                    rank, mate->hello.host, silent, round);
}

void crew_reassure(struct crew *c)
{
    double now = clock_seconds();

    if (now - c->spoke <= c->setup->config->cluster.lease / 4)
        return;
    c->spoke = now;
    for (int i = 1; i < c->comm->size; i++)
        if (c->mates[i].ready && !c->mates[i].gone)
            crew_say(c, i, MESSAGE_ALIVE, NULL, NULL);
}

void crew_watch(struct crew *c, uint64_t round)
{
    double now = clock_seconds(), lease = c->setup->config->cluster.lease;
    bool slept = now - c->looked > lease / 2; /* this rank itself stood still: judge nobody by it */

    if (now - c->looked < LOOK_EVERY)
        return;
    c->looked = now;
    for (int i = 1; i < c->comm->size; i++) {
        struct mate *mate = &c->mates[i];

        if (!mate->ready || mate->gone)
            continue;
        if (slept)
            mate->heard = now;
        if (now - mate->heard > lease)
            lose(c, i, now - mate->heard, round);
    }
    crew_reassure(c);
}

void crew_heard(struct crew *c, const struct message *m, uint64_t round)
{
    struct mate *mate = &c->mates[m->from];

    mate->heard = clock_seconds();
    mate->behind = false;
    if (!mate->gone || !mate->ready)
        return;
    mate->gone = false;
    if (!mate->left)
        crew_notify(c, "back", m->from, round, "rank %d on host '%s' is back in round %" PRIu64,
                    m->from, mate->hello.host, round);
}

int crew_report(struct crew *c, const struct message *m)
{
    struct mate *mate = &c->mates[m->from];
    struct alive a;
    double seconds;

    if (m->h.size == 0)
        return 0;
    TRY(wire_unpack_alive(m->body, m->h.size, &a));
    seconds = a.seconds - mate->work.seconds;
    if (seconds > 0) {
        mate->busy =
            (a.computing - mate->work.computing) / (seconds * fmax(1, mate->hello.threads));
        mate->gflops = (a.operations - mate->work.operations) / seconds / 1e9;
    }
    mate->work = a;
    return 0;
}

bool crew_available(const struct mate *mate)
{
    return mate->ready && !mate->gone && !mate->left && !mate->behind && !mate->owing;
}
