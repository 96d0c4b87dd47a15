/* history.h - what an observer that joins late is told: bounded, whatever the length of the run.
 *
 * Of a curve (rounds, looks, evaluations: one per stage, data, step) every 2^k-th point, 2,000 at most, and the last
 * one; of notices and log lines the last thousand; of everything else the last one. No sockets, no threads. */
#ifndef PROTO_STREAM_HISTORY_H
#define PROTO_STREAM_HISTORY_H

#include <stdbool.h>

#include "proto/stream/event.h"

enum {
    HISTORY_POINTS = 2000,    /* of a curve, beside the last one */
    HISTORY_RECENT = 1000,    /* notices of a kind */
    HISTORY_SERIES = 8192,    /* curves and the like; what is beyond is not kept */
    HISTORY_BYTES = 64 << 20, /* of all events; above, the longest curves are thinned further */
};

struct shared_event {           /* an event, by whoever still needs it */
    struct stream_event *event; /* owned */
    int users;
};

struct history_series;

struct history {
    struct history_series **table; /* owned, by name; power of two */
    size_t room, n;
    size_t bytes;      /* of the events held by series */
    uint64_t complete; /* seq of the last event put in */
};

int history_init(struct history *h); /* ERR_MEMORY */
void history_release(struct history *h);

/* Takes the event, whatever happens. */
void history_put(struct history *h, struct stream_event *e);

/* The curves of a kind were sampled: each of their points stands for `every` points. Points that are put in later are thinned
 * to the same distance. */
void history_spread(struct history *h, const char *kind, uint64_t every);

struct snapshot {               /* the history as it was; events stay while it does */
    struct shared_event **each; /* owned; by seq */
    size_t n;
    uint64_t complete; /* it holds what is kept of events up to this seq */
};
int history_snapshot(const struct history *h, struct snapshot *s); /* ERR_MEMORY */
void snapshot_release(struct snapshot *s);

#endif
