/* event.h - an event of a sink as bytes of the message Events (metaloop.proto) that holds it alone. The bytes of several,
 * one after the other, are Events, too. */
#ifndef PROTO_STREAM_EVENT_H
#define PROTO_STREAM_EVENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proto/stream/sink.h"

enum {
    STREAM_VERSION = 1,
    STREAM_KIND = 15,  /* characters of a kind */
    STREAM_SERIES = 96 /* bytes of a series' name */
};

struct stream_source { /* what every event of a publisher says of it */
    char run_id[128];
    uint64_t incarnation;
};

struct stream_event {
    char kind[STREAM_KIND + 1]; /* its topic */
    char series[STREAM_SERIES +
                1]; /* kind, stage, data, step ... : events of one curve have the same */
    uint64_t seq;
    bool recalled; /* told before, by the run that this one resumes */
    size_t n;
    uint8_t bytes[];
};

/* Owned by the caller: free(). time 0: recalled. NULL with the sentence kept: no memory; a kind or a key that Event does
 * not have, or has with another type. Text that is not UTF-8 has question marks instead. */
struct stream_event *stream_pack(const struct stream_source *source, uint64_t seq, double time,
                                 const char *kind, const struct field *fields);

/* Whether Event has that kind, and with key not NULL, whether the kind has that field. */
bool stream_event_has(const char *kind, const char *key);

#endif
