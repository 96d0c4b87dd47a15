/* gate.c - the allow-list of observers. */
#include "proto/stream/gate.h"

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>
#include <zmq.h>

#include "core/base/err.h"

enum { FRAME_MAX = 256, FRAMES = 7 }; /* version, id, domain, address, identity, mechanism, key */

struct question {
    int n; /* frames */
    int size[FRAMES];
    char frame[FRAMES][FRAME_MAX];
};

void *gate_open(void *context)
{
    void *gate = zmq_socket(context, ZMQ_REP);

    if (gate && zmq_bind(gate, "inproc://zeromq.zap.01") == 0)
        return gate;
    err(ERR_FAILED, "cannot guard the metrics stream: %s", zmq_strerror(errno));
    if (gate)
        zmq_close(gate);
    return NULL;
}

static bool receive(void *gate, struct question *q)
{
    int more = 1;
    size_t size = sizeof more;
    char rest[FRAME_MAX];

    for (q->n = 0; more; q->n++) {
        bool kept = q->n < FRAMES;
        int n = zmq_recv(gate, kept ? q->frame[q->n] : rest, FRAME_MAX, ZMQ_DONTWAIT);

        if (n < 0 || zmq_getsockopt(gate, ZMQ_RCVMORE, &more, &size) != 0)
            return false;
        if (kept)
            q->size[q->n] = n;
    }
    return true;
}

static bool is_text(const struct question *q, int i, const char *text)
{
    return q->size[i] == (int)strlen(text) && memcmp(q->frame[i], text, strlen(text)) == 0;
}

static bool is_allowed(const struct question *q, const struct key_list *allowed)
{
    if (q->n != FRAMES || !is_text(q, 0, "1.0") || !is_text(q, 5, "CURVE") ||
        q->size[6] != KEY_BYTES)
        return false;
    for (int i = 0; i < allowed->n; i++)
        if (memcmp(q->frame[6], allowed->keys[i], KEY_BYTES) == 0)
            return true;
    return false;
}

void gate_answer(void *gate, const struct key_list *allowed)
{
    struct question q;

    while (receive(gate, &q)) {
        const char *status = is_allowed(&q, allowed) ? "200" : "400";
        bool named = q.n > 1 && q.size[1] <= FRAME_MAX;

        zmq_send(gate, "1.0", 3, ZMQ_SNDMORE);
        zmq_send(gate, q.frame[1], named ? (size_t)q.size[1] : 0, ZMQ_SNDMORE);
        zmq_send(gate, status, 3, ZMQ_SNDMORE);
        zmq_send(gate, "", 0, ZMQ_SNDMORE); /* no reason is given, */
        zmq_send(gate, "", 0, ZMQ_SNDMORE); /* no user, */
        zmq_send(gate, "", 0, 0);           /* no metadata */
    }
}
