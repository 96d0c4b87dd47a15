/* ring.h - a ring of bytes in shared memory, through which events go from the run to the process
 * that publishes them.
 *
 * One process puts, the other takes. Neither waits for the other, and neither calls the kernel. The
 * putting side believes nothing that the taking side writes: whatever `taken` says, a put stays
 * inside the ring. The memory is sealed, so that the taking side cannot shrink it. */
#ifndef PROTO_STREAM_RING_H
#define PROTO_STREAM_RING_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proto/stream/event.h"

enum { STREAM_RING = 8 << 20 }; /* bytes of events between put and take */

#define STREAM_RECALL_UNKNOWN (-1)

struct stream_shared {
    uint64_t magic;
    _Atomic uint64_t put, taken; /* bytes so far */
    /* Events that the ring had no room for; written by the putting side. */
    _Atomic uint64_t dropped;
    /* Bytes of the metrics file that are history; STREAM_RECALL_UNKNOWN: not known yet. */
    _Atomic int64_t recall;
    _Atomic int stop; /* the run is over: publish what is there and leave */
    uint8_t bytes[STREAM_RING];
};

struct stream_ring {
    struct stream_shared *shared; /* mapped */
    uint64_t at;                  /* own copy of put or taken, whichever side this is */
    int file;                     /* of the putting side; -1: none */
};

/* For the putting side: makes an empty ring. ERR_FAILED: no memory or no file. */
int stream_ring_make(struct stream_ring *r);

/* Puts a copy of an event; the event stays the caller's. False if there is no room for it: then
 * nothing was put. */
bool stream_ring_put(struct stream_ring *r, const struct stream_event *e);

/* For the taking side: maps the file that stream_ring_make made. ERR_USAGE: it is not such a
 * file. */
int stream_ring_join(struct stream_ring *r, int file);

/* Takes the oldest event; the copy is the caller's: free(). NULL: there is no event, or no memory
 * for it. */
struct stream_event *stream_ring_take(struct stream_ring *r);

/* Unmaps the memory and closes the file; the other side keeps its own. */
void stream_ring_release(struct stream_ring *r);

#endif
