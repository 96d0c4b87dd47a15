/* serve.c - sends snapshots to observers that join late. */
#include "proto/stream/serve.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <zmq.h>

#include "core/base/clock.h"

#define REQUEST "snapshot"

enum { ROOM = 16, BATCH = 64 }; /* bytes of a request that are read; requests taken in one step */

static void finish(struct answer *a)
{
    snapshot_release(&a->snapshot);
    a->n_peer = 0;
}

/* ---- requests ---- */

/* Receives one whole message; true if it is a request. *n: bytes of the sender's id; -1: there is
 * no message. */
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

/* The peer's own answer, otherwise a free one, otherwise one without progress; NULL: all are busy,
 * and the peer must ask again. */
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

static struct stream_event *complete(const struct answer *a, const struct stream_source *source)
{
    const struct field fields[] = {INTEGER("events", a->snapshot.n), {0}};

    return stream_pack(source, a->snapshot.complete, (double)time(NULL), "complete", fields);
}

struct part_extent {
    size_t end, bytes; /* of the snapshot's events after a->next */
};

/* The events that fit into one part; at least one if there is one. */
static struct part_extent part_range(const struct answer *a)
{
    struct part_extent r = {a->next, 0};

    while (r.end < a->snapshot.n) {
        size_t n = a->snapshot.each[r.end]->event->n;

        if (r.end > a->next && r.bytes + n > SERVE_PART)
            break;
        r.bytes += n;
        r.end++;
    }
    return r;
}

static uint8_t *append(uint8_t *to, const struct stream_event *e)
{
    memcpy(to, e->bytes, e->n);
    return to + e->n;
}

/* Packs the part's events, then the mark if there is one. */
static int part_fill(zmq_msg_t *m, const struct answer *a, struct part_extent r,
                     const struct stream_event *mark)
{
    uint8_t *to;

    if (zmq_msg_init_size(m, r.bytes + (mark ? mark->n : 0)) != 0)
        return -1;
    to = zmq_msg_data(m);
    for (size_t i = a->next; i < r.end; i++)
        to = append(to, a->snapshot.each[i]->event);
    if (mark)
        append(to, mark);
    return 0;
}

/* 0: sent; -1: cannot be sent now; -2: the peer is gone. Takes the part. */
static int part_send(zmq_msg_t *m, const struct answer *a, void *socket)
{
    int code = 0;

    if (zmq_send(socket, a->peer, a->n_peer, ZMQ_SNDMORE | ZMQ_DONTWAIT) < 0)
        code = errno == EAGAIN ? -1 : -2;
    else if (zmq_msg_send(m, socket, ZMQ_DONTWAIT) < 0)
        code = -2;
    if (code < 0)
        zmq_msg_close(m);
    return code;
}

/* Sends one part. 0: sent; 1: the last one; -1: cannot be sent now; -2: the peer is gone, or no
 * memory. */
static int send_part(struct answer *a, void *socket, const struct stream_source *source)
{
    struct part_extent r = part_range(a);
    bool last = r.end == a->snapshot.n;
    struct stream_event *mark = last ? complete(a, source) : NULL;
    zmq_msg_t m;
    int code = (last && !mark) || part_fill(&m, a, r, mark) != 0 ? -2 : part_send(&m, a, socket);

    free(mark);
    if (code < 0)
        return code;
    a->next = r.end;
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
