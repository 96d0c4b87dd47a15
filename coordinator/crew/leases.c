/* leases.c - finds ranks whose lease has run out, and takes back those that speak again. */
#include <inttypes.h>
#include <math.h>

#include "coordinator/crew/crew_internal.h"
#include "core/base/clock.h"
#include "core/base/err.h"

#define CHECK_EVERY 2e-3 /* seconds */

static void lose(struct crew *c, int rank, double silent, uint64_t round)
{
    struct crew_worker *worker = &c->workers[rank];

    worker->gone = true;
    comm_give_up(c->comm, rank);
    if (!worker->left)
        crew_notify(c, "lost", rank, round,
                    "rank %d on host '%s' has been silent for %.1f s: round %" PRIu64
                    " goes on without it",
                    rank, worker->hello.host, silent, round);
}

void crew_reassure(struct crew *c)
{
    double now = clock_seconds();

    if (now - c->spoke <= c->setup->config->cluster.lease / 4)
        return;
    c->spoke = now;
    for (int i = 1; i < c->comm->size; i++)
        if (c->workers[i].ready && !c->workers[i].gone)
            crew_say(c, i, MESSAGE_ALIVE, NULL, NULL);
}

void crew_check_leases(struct crew *c, uint64_t round)
{
    double now = clock_seconds(), lease = c->setup->config->cluster.lease;
    bool slept =
        now - c->checked > lease / 2; /* this rank itself was stopped, so it judges no other */

    if (now - c->checked < CHECK_EVERY)
        return;
    c->checked = now;
    for (int i = 1; i < c->comm->size; i++) {
        struct crew_worker *worker = &c->workers[i];

        if (!worker->ready || worker->gone)
            continue;
        if (slept)
            worker->heard = now;
        if (now - worker->heard > lease)
            lose(c, i, now - worker->heard, round);
    }
    crew_reassure(c);
}

int crew_heard(struct crew *c, const struct message *m, uint64_t round)
{
    struct crew_worker *worker = &c->workers[m->from];

    worker->heard = clock_seconds();
    worker->behind = false;
    worker->epoch = m->h.epoch;
    if (m->h.epoch < worker->owed_epoch) /* it never got that round's parameters */
        worker->owing = false;
    if (!worker->gone || !worker->ready)
        return 0;
    worker->gone = false;
    if (!worker->left)
        crew_notify(c, "back", m->from, round, "rank %d on host '%s' is back in round %" PRIu64,
                    m->from, worker->hello.host, round);
    return give_owed_end(c, m->from);
}

int crew_report(struct crew *c, const struct message *m)
{
    struct crew_worker *worker = &c->workers[m->from];
    struct alive a;
    double seconds;

    if (m->h.size == 0)
        return 0;
    TRY(wire_unpack_alive(m->body, m->h.size, &a));
    seconds = a.seconds - worker->work.seconds;
    if (seconds > 0) {
        worker->busy =
            (a.computing - worker->work.computing) / (seconds * fmax(1, worker->hello.threads));
        worker->gflops = (a.operations - worker->work.operations) / seconds / 1e9;
    }
    worker->work = a;
    return 0;
}

bool crew_available(const struct crew_worker *worker)
{
    return worker->ready && !worker->gone && !worker->left && !worker->behind && !worker->owing;
}
