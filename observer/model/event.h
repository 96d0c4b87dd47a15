/* event.h - what a run tells: a kind and named values, as proto/stream/sink.h has them, whoever brings them. */
#ifndef OBSERVER_MODEL_EVENT_H
#define OBSERVER_MODEL_EVENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proto/stream/sink.h"

enum { EVENT_FIELDS = 96, EVENT_NUMBERS = 256 };

struct event {
    const char *kind; /* borrowed from the source, as keys and texts are, until its next event */
    int n;
    struct field fields[EVENT_FIELDS + 1]; /* ends with {0} */
    double time;                           /* seconds since 1970; 0: not known */
    int n_numbers;
    double numbers[EVENT_NUMBERS]; /* room for lists of a source that has them in another form */
};

/* Takes one more field; ERR_DATA where there are too many, or it is a list of more than EVENT_NUMBERS. */
int event_add(struct event *e, struct field f);

/* The finite numbers of an event, one after the other, but for round, stage_index and step, which say where they belong;
 * those of a list with the inner step they are of. */
struct value {
    const struct field *field;
    int step; /* of a list; else -1 */
    double number;
    int at, next; /* where the following one is looked for; 0, 0 before the first */
};
bool event_next(const struct event *e, struct value *v); /* false: there is no more */

const struct field *event_find(const struct event *e, const char *key); /* NULL: none */

/* A value by its key; without that key, or of another type, the last argument (of a text ""). */
double event_number(const struct event *e, const char *key, double otherwise);
int64_t event_integer(const struct event *e, const char *key, int64_t otherwise);
const char *event_text(const struct event *e, const char *key);

/* A count: 0 where there is none, or it is negative. */
uint64_t event_count(const struct event *e, const char *key);

/* A field as a number: NAN for a text or a list. */
double field_number(const struct field *f);

/* Hands the event on with all texts clean, but for line ends in `configuration`. The entrance: whatever takes events takes
 * them from here. ERR_MEMORY, and what take returns. */
int event_clean(const struct event *e, int (*take)(void *context, const struct event *e),
                void *context);

/* Copies a text that somebody sent: at most n - 1 bytes, whole UTF-8 characters, everything that could move a
 * cursor (control characters, also those beyond ASCII) and what is not UTF-8 as '?'. */
void text_clean(char *to, size_t n, const char *from);

#endif
