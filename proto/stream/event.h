/* event.h - an event as bytes: a message Events (metaloop.proto) that holds this one event. Such
 * bytes of several events, one after the other, are a message Events too. */
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

struct stream_source { /* what a publisher says of itself in every event */
    char run_id[128];
    uint64_t incarnation;
};

struct stream_event {
    char kind[STREAM_KIND + 1]; /* its topic */
    /* kind, stage, data, step ...: the same for all events of one curve */
    char series[STREAM_SERIES + 1];
    uint64_t seq;
    bool recalled; /* told before, by the run that this one resumes */
    size_t n;
    uint8_t bytes[];
};

/* Packs an event; the result is the caller's: free(). time is in seconds since 1970; 0 marks a
 * recalled event. Bytes of texts that are not UTF-8 become question marks. NULL, with the sentence
 * kept: no memory, or Event has no such kind or key, or has the key with another type. */
struct stream_event *stream_pack(const struct stream_source *source, uint64_t seq, double time,
                                 const char *kind, const struct field *fields);

/* True if Event has this kind and, unless key is NULL, the kind has this field. The names of its
 * metrics are no fields. */
bool stream_event_has(const char *kind, const char *key);

#endif
