/* decode.h - a frame of the stream as events. */
#ifndef OBSERVER_SOURCE_DECODE_H
#define OBSERVER_SOURCE_DECODE_H

#include "observer/model/event.h"

struct event_header { /* what every Event tells beside its kind */
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

/* The next event of a frame (Events), taken off *rest. 1; 0: there is none left; ERR_DATA: the rest is something else. */
int decode_next(struct span *rest, struct span *event);

/* Looks at n bytes; ERR_DATA: not an Event, or one that holds nothing known. */
int decode_header(const void *bytes, size_t n, struct event_header *h);

/* Reads the event and hands it to `take`, then each part that it has several of (stages, hosts, workers) as an event of
 * its own, of the part's kind in lower case: plan, host, worker, with its place as "index". What take returns below 0
 * is returned. ERR_DATA. */
int decode_event(const void *bytes, size_t n, int (*take)(void *context, const struct event *e),
                 void *context);

#endif
