/* serve.h - the second socket: a peer that asks on it gets the history, in parts of bounded size.
 *
 * A request is a message of one frame, "snapshot". The answer is one or more messages of one frame,
 * Events, oldest first; the last event is a Complete. A peer has one answer under way at a time: if
 * it asks again, the answer begins again. A peer that does not take its answer in time loses it. */
#ifndef PROTO_STREAM_SERVE_H
#define PROTO_STREAM_SERVE_H

#include "proto/stream/history.h"

enum {
    SERVE_PEERS = 64,      /* answers under way */
    SERVE_PART = 64 << 10, /* bytes of a part, unless one event is larger */
    SERVE_QUEUE = 8,       /* parts that wait for one peer's network */
    SERVE_PATIENCE = 10,   /* seconds without progress after which a peer is given up */
    SERVE_NAME = 255,      /* bytes of a peer's routing id */
};

struct answer {
    size_t n_peer; /* 0: free */
    uint8_t peer[SERVE_NAME];
    struct snapshot snapshot;
    size_t next;  /* event */
    double moved; /* clock */
};

struct serve {
    void *socket; /* borrowed: a ROUTER */
    struct answer answers[SERVE_PEERS];
};

/* Takes the requests that have arrived and sends what each answer's peer has room for. Never waits.
 * True if some answers are unfinished. */
bool serve_step(struct serve *s, const struct history *h, const struct stream_source *source);

/* Gives up all answers. */ void serve_release(struct serve *s);

#endif
