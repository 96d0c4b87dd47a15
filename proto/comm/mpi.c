/* mpi.c - ranks as processes: nonblocking point-to-point messages of MPI_COMM_WORLD, no collective.
 *
 * A message travels as a whole number of 64-byte units, header first, so that MPI's counts, which
 * are ints, reach 128 GiB. Sends are copies that complete when they can, and every message that has
 * arrived is received at once, so a peer that dies in the middle of one stalls nobody. */
#include <limits.h>
#include <mpi.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/clock.h"
#include "core/base/err.h"
#include "proto/comm/idle.h"
#include "proto/comm/letters.h"

enum { UNIT = 64, TAG = 1 };

#define SLOWEST 10e6 /* bytes a second at which a message still counts as moving, ... */
#define PATIENCE 0.1 /* ... and the seconds that it may take to begin */

_Static_assert(sizeof(struct header) == UNIT, "a header is one unit");

struct parcel { /* a message that MPI is moving */
    struct letter letter;
    MPI_Request request;
    double moving; /* clock: until then poll often */
};

struct world {
    MPI_Datatype unit;
    struct letter_queue sending, spares;
    struct letter_queue incoming; /* receives in progress, in the order of arrival */
    struct letter *open;          /* owned: the one the last poll returned */
    bool *given_up;               /* owned: by rank */
    struct idle idle;
};

static struct parcel *parcel_of(struct letter *l)
{
    return (struct parcel *)l;
}

static bool is_complete(struct letter *l)
{
    int done = 0;

    MPI_Test(&parcel_of(l)->request, &done, MPI_STATUS_IGNORE);
    return done;
}

/* Moves finished sends to the spares. Testing them also drives their progress. */
static void sending_collect(struct world *w)
{
    for (struct letter **p = &w->sending.first; *p;)
        if (is_complete(*p))
            letter_queue_put(&w->spares, letter_queue_take(&w->sending, p));
        else
            p = &(*p)->next;
}

/* A letter with room for some units to or from a peer.
 *
 * A large message is moved in pieces, by the calls of both sides: it would crawl if these slept for
 * longer and longer. It does not count as moving for ever, because one to or from a dead rank never
 * ends. */
static struct parcel *parcel_get(struct world *w, int peer, size_t units)
{
    struct parcel *p;

    sending_collect(w);
    p = (struct parcel *)letter_get(&w->spares, sizeof *p, units * UNIT);
    if (!p)
        return NULL;
    p->letter.peer = peer;
    p->moving = clock_seconds() + PATIENCE + (double)(units * UNIT) / SLOWEST;
    return p;
}

static bool is_moving(const struct letter_queue *q, double now)
{
    struct letter *l = q->first;

    while (l && parcel_of(l)->moving < now)
        l = l->next;
    return l != NULL;
}

static int mpi_send(struct comm *c, int to, const struct header *h, const struct part *parts, int n)
{
    struct world *w = c->state;
    size_t units = 1 + h->size / UNIT + (h->size % UNIT > 0);
    struct parcel *p;

    if (units > INT_MAX)
        return err(ERR_MEMORY, "a message of %zu bytes is too large for MPI", (size_t)h->size);
    p = parcel_get(w, to, units);
    if (!p)
        return ERR_MEMORY;
    letter_fill(&p->letter, h, parts, n);
    memset(p->letter.bytes + letter_size(h), 0, units * UNIT - letter_size(h));
    if (MPI_Isend(p->letter.bytes, (int)units, w->unit, to, TAG, MPI_COMM_WORLD, &p->request) !=
        MPI_SUCCESS)
        p->request = MPI_REQUEST_NULL; /* its receiver will miss it and treat this rank as dead */
    letter_queue_put(&w->sending, &p->letter);
    return 0;
}

/* Starts to receive the next message, if one has arrived. */
static int incoming_start(struct world *w)
{
    MPI_Message handle;
    MPI_Status status;
    struct parcel *p;
    int found = 0, units;

    MPI_Improbe(MPI_ANY_SOURCE, TAG, MPI_COMM_WORLD, &found, &handle, &status);
    if (!found)
        return 0;
    MPI_Get_count(&status, w->unit, &units);
    p = parcel_get(w, status.MPI_SOURCE, (size_t)units);
    if (!p)
        return ERR_MEMORY;
    MPI_Imrecv(p->letter.bytes, units, w->unit, &handle, &p->request);
    letter_queue_put(&w->incoming, &p->letter);
    return 0;
}

static int mpi_poll(struct comm *c, struct message *m)
{
    struct world *w = c->state;

    if (w->open)
        letter_queue_put(&w->spares, w->open);
    w->open = NULL;
    sending_collect(w);
    TRY(incoming_start(w));
    w->open = letter_queue_take_whole(&w->incoming, is_complete);
    if (!w->open)
        return 0;
    letter_read(w->open, m);
    backoff_busy(&w->idle.backoff);
    return 1;
}

static void mpi_idle(struct comm *c)
{
    struct world *w = c->state;
    double now = w->sending.first || w->incoming.first ? clock_seconds() : 0;

    if (c->awake) {
        sched_yield();
        return;
    }
    if (is_moving(&w->sending, now) || is_moving(&w->incoming, now))
        backoff_soon(&w->idle.backoff);
    idle_wait(&w->idle);
}

static void mpi_poke(struct comm *c)
{
    idle_poke(&((struct world *)c->state)->idle);
}

static void mpi_give_up(struct comm *c, int rank)
{
    ((struct world *)c->state)->given_up[rank] = true;
}

/* True if a message is on its way to a rank that is not given up. */
static bool is_sending(struct world *w)
{
    const struct letter *l;

    sending_collect(w);
    for (l = w->sending.first; l && w->given_up[l->peer];)
        l = l->next;
    return l != NULL;
}

/* Messages that MPI is still moving are not freed; the end of the process does that. */
static void mpi_close(struct comm *c)
{
    struct world *w = c->state;

    backoff_busy(&w->idle.backoff);
    for (int tries = 0; is_sending(w) && tries < 2000; tries++)
        idle_wait(&w->idle);
    if (w->open)
        letter_queue_put(&w->spares, w->open);
    letter_queue_release(&w->spares);
    MPI_Type_free(&w->unit);
    idle_release(&w->idle);
    free(w->given_up);
    free(w);
}

static int mpi_open(struct comm *c, int n)
{
    struct world *w;

    if (n != 1)
        return err(ERR_USAGE, "an MPI process is one rank, not %d", n);
    MPI_Comm_rank(MPI_COMM_WORLD, &c->rank);
    MPI_Comm_size(MPI_COMM_WORLD, &c->size);
    c->state = w = calloc(1, sizeof *w);
    if (w)
        w->given_up = calloc((size_t)c->size, sizeof *w->given_up);
    if (!w || !w->given_up) {
        free(w);
        return err(ERR_MEMORY, "no memory for the message queues");
    }
    letter_queue_init(&w->sending);
    letter_queue_init(&w->spares);
    letter_queue_init(&w->incoming);
    idle_init(&w->idle);
    MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_RETURN);
    MPI_Type_contiguous(UNIT, MPI_BYTE, &w->unit);
    MPI_Type_commit(&w->unit);
    return 0;
}

const struct comm_ops comm_mpi = {
    .name = "mpi",
    .open = mpi_open,
    .send = mpi_send,
    .poll = mpi_poll,
    .idle = mpi_idle,
    .poke = mpi_poke,
    .give_up = mpi_give_up,
    .close = mpi_close,
};
