/* history.h - what an observer that joins late is told. It is bounded, however long the run is.
 *
 * It keeps every 2^k-th point of a curve (rounds, looks and evaluations; a curve for each stage,
 * data and step), 2,000 at most, and the last point; the last thousand notices and log lines; and
 * the last event of everything else. It has no sockets and no threads. */
#ifndef PROTO_STREAM_HISTORY_H
#define PROTO_STREAM_HISTORY_H

#include <stdbool.h>

#include "proto/stream/event.h"

enum {
    HISTORY_POINTS = 2000,    /* points of a curve, beside the last one */
    HISTORY_RECENT = 1000,    /* notices of a kind */
    HISTORY_SERIES = 8192,    /* series; those beyond are not kept */
    HISTORY_BYTES = 64 << 20, /* bytes of all events; beyond, the longest curves are thinned */
};

struct shared_event {           /* an event, freed by its last user */
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

/* An empty history. ERR_MEMORY. */
int history_init(struct history *h);

/* Frees all events that no snapshot holds. */
void history_release(struct history *h);

/* Puts an event in, which the history owns from then on, even if it does not keep it. */
void history_put(struct history *h, struct stream_event *e);

/* Says that the curves of a kind were sampled: each of their points stands for `every` points.
 * Points that are put in later are thinned to the same distance. */
void history_spread(struct history *h, const char *kind, uint64_t every);

struct snapshot { /* the history as it was; it holds its events until it is released */
    struct shared_event **each; /* owned; by seq */
    size_t n;
    uint64_t complete; /* it holds what is kept of events up to this seq */
};

/* The history as it is now. ERR_MEMORY. */
int history_snapshot(const struct history *h, struct snapshot *s);

/* Lets go of its events. Does nothing to a snapshot that is zero. */
void snapshot_release(struct snapshot *s);

#endif
