/* mpi.c - ranks as processes: nonblocking point-to-point messages of MPI_COMM_WORLD, no collective.
 *
 * A message travels as a whole number of 64-byte units, header first, so that counts stay below
 * INT_MAX up to 128 GiB. Sends are copies that complete when they can, and every message that has arrived is
 * received at once, so a peer that dies in the middle of one stalls nobody. */
#include <mpi.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/clock.h"
#include "core/base/err.h"
#include "proto/comm/comm.h"
#include "proto/comm/idle.h"

enum { UNIT = 64, TAG = 1 };

#define SLOWEST 10e6 /* bytes a second at which a message still counts as moving, ... */
#define PATIENCE 0.1 /* ... and the seconds that it may take to begin */

_Static_assert(sizeof(struct header) == UNIT, "a header is one unit");

struct letter {
    struct letter *next;
    MPI_Request request;
    int peer;
    double moving; /* clock: until then it is worth looking at often */
    size_t room;
    uint8_t *bytes; /* owned: header and body */
};

struct world {
    MPI_Datatype unit;
    struct letter *sending, *spare;
    struct letter *incoming; /* receives in progress, in the order of arrival */
    struct letter *open;     /* the one the last poll returned */
    bool *given_up;          /* owned: by rank */
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

/* A large message is moved in pieces, by the calls of both sides: it would crawl if these slept for longer and longer. It
 * does not count for ever, because one to or from a dead rank never ends. */
static void letter_begin(struct letter *l, int peer, size_t n)
{
    l->peer = peer;
    l->moving = clock_seconds() + PATIENCE + (double)n / SLOWEST;
}

static bool is_moving(const struct letter *l, double now)
{
    while (l && l->moving < now)
        l = l->next;
    return l != NULL;
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
    letter_begin(l, to, units * UNIT);
    if (MPI_Isend(l->bytes, (int)units, w->unit, to, TAG, MPI_COMM_WORLD, &l->request) !=
        MPI_SUCCESS)
        l->request = MPI_REQUEST_NULL; /* it will be missed, as a dead peer is */
    l->next = w->sending;
    w->sending = l;
    return 0;
}

/* Starts receiving the next message, where there is one: 1. */
static int incoming_start(struct world *w)
{
    MPI_Message handle;
    MPI_Status status;
    struct letter *l, **last = &w->incoming;
    int found = 0, units;

    MPI_Improbe(MPI_ANY_SOURCE, TAG, MPI_COMM_WORLD, &found, &handle, &status);
    if (!found)
        return 0;
    MPI_Get_count(&status, w->unit, &units);
    l = letter_get(w, (size_t)units * UNIT);
    if (!l)
        return err(ERR_MEMORY, "no memory for a message of %zu bytes", (size_t)units * UNIT);
    MPI_Imrecv(l->bytes, units, w->unit, &handle, &l->request);
    letter_begin(l, status.MPI_SOURCE, (size_t)units * UNIT);
    l->next = NULL;
    while (*last)
        last = &(*last)->next;
    *last = l;
    return 1;
}

/* Whether an older message of the same sender is still on its way. */
static bool must_wait(const struct world *w, const struct letter *l)
{
    const struct letter *p = w->incoming;

    while (p != l && p->peer != l->peer)
        p = p->next;
    return p != l;
}

/* The first message that is whole, in its sender's order. */
static struct letter *incoming_take(struct world *w)
{
    for (struct letter **p = &w->incoming; *p; p = &(*p)->next) {
        struct letter *l = *p;
        int done = 0;

        if (must_wait(w, l))
            continue;
        MPI_Test(&l->request, &done, MPI_STATUS_IGNORE);
        if (!done)
            continue;
        *p = l->next;
        return l;
    }
    return NULL;
}

static void letter_spare(struct world *w, struct letter *l)
{
    if (!l)
        return;
    l->next = w->spare;
    w->spare = l;
}

static int mpi_poll(struct comm *c, struct message *m)
{
    struct world *w = c->state;

    letter_spare(w, w->open);
    w->open = NULL;
    letters_collect(w); /* also drives the progress of sends */
    TRY(incoming_start(w));
    w->open = incoming_take(w);
    if (!w->open)
        return 0;
    *m = (struct message){.from = w->open->peer, .body = w->open->bytes + UNIT};
    memcpy(&m->h, w->open->bytes, sizeof m->h);
    idle_busy(&w->idle);
    return 1;
}

static void mpi_idle(struct comm *c)
{
    struct world *w = c->state;
    double now = w->sending || w->incoming ? clock_seconds() : 0;

    if (is_moving(w->sending, now) || is_moving(w->incoming, now))
        idle_soon(&w->idle);
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

/* Whether something is under way to a rank that is not given up. */
static bool is_sending(struct world *w)
{
    const struct letter *l;

    letters_collect(w);
    for (l = w->sending; l && w->given_up[l->peer];)
        l = l->next;
    return l != NULL;
}

static void letters_free(struct letter *l)
{
    while (l) {
        struct letter *next = l->next;

        free(l->bytes);
        free(l);
        l = next;
    }
}

/* Messages to and from nobody are given up with MPI itself. */
static void mpi_close(struct comm *c)
{
    struct world *w = c->state;

    idle_busy(&w->idle);
    for (int tries = 0; is_sending(w) && tries < 2000; tries++)
        idle_wait(&w->idle);
    letter_spare(w, w->open);
    letters_free(w->spare);
    MPI_Type_free(&w->unit);
    idle_release(&w->idle);
    free(w->given_up);
    free(w);
}

static const struct comm_ops world = {
    .name = "mpi",
    .send = mpi_send,
    .poll = mpi_poll,
    .idle = mpi_idle,
    .poke = mpi_poke,
    .give_up = mpi_give_up,
    .close = mpi_close,
};

int comm_open_mpi(struct comm *c)
{
    struct world *w = calloc(1, sizeof *w);

    *c = (struct comm){.ops = &world, .state = w};
    MPI_Comm_rank(MPI_COMM_WORLD, &c->rank);
    MPI_Comm_size(MPI_COMM_WORLD, &c->size);
    if (w)
        w->given_up = calloc((size_t)c->size, sizeof *w->given_up);
    if (!w || !w->given_up) {
        free(w);
        return err(ERR_MEMORY, "no memory for the message queues");
    }
    idle_init(&w->idle);
    MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_RETURN);
    MPI_Type_contiguous(UNIT, MPI_BYTE, &w->unit);
    MPI_Type_commit(&w->unit);
    return 0;
}
