/* event.h - what a run tells: a kind and named values, as proto/sink.h has them, whoever brings them. */
#ifndef OBSERVER_EVENT_H
#define OBSERVER_EVENT_H

#include <stddef.h>
#include <stdint.h>

#include "proto/sink.h"

enum { EVENT_FIELDS = 96 };

struct event {
    const char *kind; /* borrowed from the source, as keys and texts are, until its next event */
    int n;
    struct field fields[EVENT_FIELDS + 1]; /* ends with {0} */
    double time;                           /* seconds since 1970; 0: not known */
};

/* Takes one more field; ERR_DATA where there are too many. */
int event_add(struct event *e, struct field f);

const struct field *event_find(const struct event *e, const char *key); /* NULL: none */

/* A value by its key; without that key, or of another type, the last argument (of a text ""). */
double event_number(const struct event *e, const char *key, double otherwise);
int64_t event_integer(const struct event *e, const char *key, int64_t otherwise);
const char *event_text(const struct event *e, const char *key);

/* A count: 0 where there is none, or it is negative. */
uint64_t event_count(const struct event *e, const char *key);

/* A field as a number: NAN for a text. */
double field_number(const struct field *f);

/* Copies a text that somebody sent: at most n - 1 bytes, whole UTF-8 characters, everything that could move a
 * cursor (control characters, also those beyond ASCII) and what is not UTF-8 as '?'. */
void text_clean(char *to, size_t n, const char *from);

#endif
