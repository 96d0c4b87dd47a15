/* decode.h - reads the events in a frame of the stream. */
#ifndef OBSERVER_SOURCE_DECODE_H
#define OBSERVER_SOURCE_DECODE_H

#include "observer/model/event.h"

struct event_header { /* what every Event tells */
    uint32_t version;
    uint64_t incarnation, seq;
    double time;
    char run_id[128]; /* clean */
    char kind[16];
};

struct span {
    const uint8_t *bytes; /* borrowed */
    size_t n;
};

/* Takes the next event of a frame (Events) off *rest; *event borrows its bytes. 1: there was one;
 * 0: none is left; ERR_DATA: the rest is something else. */
int decode_next(struct span *rest, struct span *event);

/* Reads the header of an Event of n bytes. ERR_DATA: it is not an Event, or holds no kind that is
 * known. */
int decode_header(const void *bytes, size_t n, struct event_header *h);

/* Reads an Event and calls take(context, event), with metrics as values of their names. Then it
 * calls take for each part that the event has several of (stages, hosts, workers), as an event of
 * its own: its kind is the part's in lower case (plan, host, worker), and "index" is its place.
 * ERR_DATA, ERR_MEMORY, and what take returns below 0. */
int decode_event(const void *bytes, size_t n, int (*take)(void *context, const struct event *e),
                 void *context);

#endif
