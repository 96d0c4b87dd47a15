/* comm_mpi.c - ranks as processes: nonblocking point-to-point messages of MPI_COMM_WORLD, no collective.
 *
 * A message travels as a whole number of 64-byte units, header first, so that counts stay below
 * INT_MAX up to 128 GiB. Sends are copies that complete when they can; a receive in progress never
 * blocks the rank, so a peer that dies in the middle of a message stalls nobody. */
#include <mpi.h>
#include <stdlib.h>
#include <string.h>

#include "core/err.h"
#include "proto/comm.h"
#include "proto/idle.h"

enum { UNIT = 64, TAG = 1 };

_Static_assert(sizeof(struct header) == UNIT, "a header is one unit");

struct letter {
    struct letter *next;
    MPI_Request request;
    size_t room;
    uint8_t *bytes; /* owned: header and body */
};

struct world {
    MPI_Datatype unit;
    struct letter *sending, *spare;
    struct letter incoming;
    int incoming_from; /* of the receive in progress; -1: none */
    struct idle idle;
};

static int letter_reserve(struct letter *l, size_t room)
{
    uint8_t *bytes;

    if (room <= l->room)
        return 0;
    bytes = realloc(l->bytes, room);
    if (!bytes)
        return err(ERR_MEMORY, "no memory for a message of %zu bytes", room);
    l->bytes = bytes;
    l->room = room;
    return 0;
}

/* Moves finished sends to the spares. */
static void letters_collect(struct world *w)
{
    for (struct letter **p = &w->sending; *p;) {
        struct letter *l = *p;
        int done;

        MPI_Test(&l->request, &done, MPI_STATUS_IGNORE);
        if (!done) {
            p = &l->next;
            continue;
        }
        *p = l->next;
        l->next = w->spare;
        w->spare = l;
    }
}

static struct letter *letter_get(struct world *w, size_t room)
{
    struct letter **best = NULL, *l;

    letters_collect(w);
    for (struct letter **p = &w->spare; *p; p = &(*p)->next)
        if (!best || ((*p)->room >= room && ((*best)->room < room || (*p)->room < (*best)->room)))
            best = p;
    l = best ? *best : calloc(1, sizeof *l);
    if (!l)
        return NULL;
    if (best)
        *best = l->next;
    if (letter_reserve(l, room) == 0)
        return l;
    free(l->bytes);
    free(l);
    return NULL;
}

static int mpi_send(struct comm *c, int to, const struct header *h, const struct part *parts, int n)
{
    struct world *w = c->state;
    size_t units = 1 + (h->size + UNIT - 1) / UNIT, at = sizeof *h;
    struct letter *l = letter_get(w, units * UNIT);

    if (!l)
        return err(ERR_MEMORY, "no memory for a message of %zu bytes", (size_t)h->size);
    memcpy(l->bytes, h, sizeof *h);
    for (int i = 0; i < n; at += parts[i++].n)
        memcpy(l->bytes + at, parts[i].bytes, parts[i].n);
    memset(l->bytes + at, 0, units * UNIT - at);
    l->next = w->sending;
    w->sending = l;
    if (MPI_Isend(l->bytes, (int)units, w->unit, to, TAG, MPI_COMM_WORLD, &l->request) !=
        MPI_SUCCESS)
        return err(ERR_LOST, "cannot send to rank %d", to);
    return 0;
}

/* Starts receiving the next message, where there is one. */
static int incoming_start(struct world *w)
{
    MPI_Message handle;
    MPI_Status status;
    int found, units;

    MPI_Improbe(MPI_ANY_SOURCE, TAG, MPI_COMM_WORLD, &found, &handle, &status);
    if (!found)
        return 0;
    MPI_Get_count(&status, w->unit, &units);
    TRY(letter_reserve(&w->incoming, (size_t)units * UNIT));
    MPI_Imrecv(w->incoming.bytes, units, w->unit, &handle, &w->incoming.request);
    w->incoming_from = status.MPI_SOURCE;
    return 0;
}

static int mpi_poll(struct comm *c, struct message *m)
{
    struct world *w = c->state;
    int done;

    letters_collect(w); /* also drives the progress of sends */
    if (w->incoming_from < 0)
        TRY(incoming_start(w));
    if (w->incoming_from < 0)
        return 0;
    MPI_Test(&w->incoming.request, &done, MPI_STATUS_IGNORE);
    if (!done)
        return 0;
    *m = (struct message){.from = w->incoming_from, .body = w->incoming.bytes + UNIT};
    memcpy(&m->h, w->incoming.bytes, sizeof m->h);
    w->incoming_from = -1;
    idle_busy(&w->idle);
    return 1;
}

static void mpi_idle(struct comm *c)
{
    idle_wait(&((struct world *)c->state)->idle);
}

static void mpi_poke(struct comm *c)
{
    idle_poke(&((struct world *)c->state)->idle);
}

/* Lets what is under way leave; messages to nobody are given up with MPI itself. */
static void mpi_close(struct comm *c)
{
    struct world *w = c->state;

    for (int tries = 0; w->sending && tries < 2000; tries++) {
        letters_collect(w);
        if (w->sending)
            idle_wait(&w->idle);
    }
    while (w->spare) {
        struct letter *next = w->spare->next;

        free(w->spare->bytes);
        free(w->spare);
        w->spare = next;
    }
    free(w->incoming.bytes);
    MPI_Type_free(&w->unit);
    idle_release(&w->idle);
    free(w);
}

static const struct comm_ops world = {
    .name = "mpi",
    .send = mpi_send,
    .poll = mpi_poll,
    .idle = mpi_idle,
    .poke = mpi_poke,
    .close = mpi_close,
};

int comm_open_mpi(struct comm *c)
{
    struct world *w = calloc(1, sizeof *w);

    if (!w)
        return err(ERR_MEMORY, "no memory for the message queues");
    w->incoming_from = -1;
    idle_init(&w->idle);
    MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_RETURN);
    MPI_Type_contiguous(UNIT, MPI_BYTE, &w->unit);
    MPI_Type_commit(&w->unit);
    *c = (struct comm){.ops = &world, .state = w};
    MPI_Comm_rank(MPI_COMM_WORLD, &c->rank);
    MPI_Comm_size(MPI_COMM_WORLD, &c->size);
    return 0;
}
