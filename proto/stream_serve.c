/* stream_serve.c - snapshots for late joiners. */
#include "proto/stream_serve.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <zmq.h>

#include "core/clock.h"

#define REQUEST "snapshot"

enum {
    ROOM = 16,
    BATCH = 64
}; /* bytes of a request that are looked at; requests taken in one step */

static void finish(struct answer *a)
{
    snapshot_release(&a->snapshot);
    a->n_peer = 0;
}

/* ---- requests ---- */

/* One whole message, whatever it holds; whether it is a request. *n: bytes of who sent it; -1: there is none. */
static bool receive(void *socket, uint8_t peer[SERVE_NAME], int *n)
{
    char frame[ROOM];
    int more = 0, frames = 0, last = -1;
    size_t size = sizeof more;

    *n = zmq_recv(socket, peer, SERVE_NAME, ZMQ_DONTWAIT);
    if (*n < 0)
        return false;
    while (zmq_getsockopt(socket, ZMQ_RCVMORE, &more, &size) == 0 && more) {
        last = zmq_recv(socket, frame, sizeof frame, ZMQ_DONTWAIT);
        frames++;
        if (last < 0)
            return false;
    }
    return frames == 1 && *n <= SERVE_NAME && last == sizeof REQUEST - 1 &&
           memcmp(frame, REQUEST, sizeof REQUEST - 1) == 0;
}

/* The peer's own answer, else a free one, else one that does not move; NULL: all are busy, and it has to ask again. */
static struct answer *place_for(struct serve *s, const uint8_t *peer, size_t n)
{
    struct answer *found = NULL;
    double now = clock_seconds();

    for (int i = 0; i < SERVE_PEERS; i++) {
        struct answer *a = &s->answers[i];

        if (a->n_peer == n && memcmp(a->peer, peer, n) == 0)
            return a;
        if (a->n_peer == 0)
            found = a;
        else if (!found && now - a->moved > 1)
            found = a;
    }
    return found;
}

static void accept_request(struct serve *s, const struct history *h, const uint8_t *peer, size_t n)
{
    struct answer *a = place_for(s, peer, n);

    if (!a)
        return;
    finish(a);
    if (history_snapshot(h, &a->snapshot) < 0)
        return;
    memcpy(a->peer, peer, n);
    a->n_peer = n;
    a->next = 0;
    a->moved = clock_seconds();
}

/* ---- answers ---- */

static void send_pair(void *socket, const struct stream_event *e, bool more)
{
    zmq_send(socket, e->kind, strlen(e->kind), ZMQ_SNDMORE | ZMQ_DONTWAIT);
    zmq_send(socket, e->bytes, e->n, ZMQ_DONTWAIT | (more ? ZMQ_SNDMORE : 0));
}

static struct stream_event *complete(const struct answer *a, const struct stream_source *source)
{
    const struct field fields[] = {INTEGER("events", a->snapshot.n), {0}};

    return stream_pack(source, a->snapshot.complete, (double)time(NULL), "complete", fields);
}

/* The events from a->next on that one part takes; at least one where there is one. */
static size_t part_end(const struct answer *a)
{
    size_t end = a->next, bytes = 0;

    while (end < a->snapshot.n) {
        bytes += a->snapshot.each[end]->event->n + STREAM_KIND;
        if (end > a->next && bytes > SERVE_PART)
            break;
        end++;
    }
    return end;
}

/* One part. 0: sent; 1: the last one; -1: not now; -2: there is no such peer any more. */
static int send_part(struct answer *a, void *socket, const struct stream_source *source)
{
    size_t end = part_end(a);
    bool last = end == a->snapshot.n;
    struct stream_event *mark = last ? complete(a, source) : NULL;

    if (last && !mark)
        return -2;
    if (zmq_send(socket, a->peer, a->n_peer, ZMQ_SNDMORE | ZMQ_DONTWAIT) < 0) {
        free(mark);
        return errno == EAGAIN ? -1 : -2;
    }
    for (; a->next < end; a->next++)
        send_pair(socket, a->snapshot.each[a->next]->event, last || a->next + 1 < end);
    if (last)
        send_pair(socket, mark, false);
    free(mark);
    a->moved = clock_seconds();
    return last;
}

static void go_on(struct answer *a, void *socket, const struct stream_source *source)
{
    int code = 0;

    while (code == 0)
        code = send_part(a, socket, source);
    if (code != -1 || clock_seconds() - a->moved > SERVE_PATIENCE)
        finish(a);
}

bool serve_step(struct serve *s, const struct history *h, const struct stream_source *source)
{
    uint8_t peer[SERVE_NAME];
    bool busy = false;
    int n = 0;

    for (int i = 0; i < BATCH && n >= 0; i++)
        if (receive(s->socket, peer, &n))
            accept_request(s, h, peer, (size_t)n);
    for (int i = 0; i < SERVE_PEERS; i++) {
        struct answer *a = &s->answers[i];

        if (a->n_peer > 0)
            go_on(a, s->socket, source);
        busy = busy || a->n_peer > 0;
    }
    return busy;
}

void serve_release(struct serve *s)
{
    for (int i = 0; i < SERVE_PEERS; i++)
        finish(&s->answers[i]);
}
