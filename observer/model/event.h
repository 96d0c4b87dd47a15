/* event.h - what a run tells: a kind and named values, as in proto/stream/sink.h, whichever source
 * brings them. */
#ifndef OBSERVER_MODEL_EVENT_H
#define OBSERVER_MODEL_EVENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proto/stream/sink.h"

enum { EVENT_FIELDS = 96, EVENT_NUMBERS = 4096 };

struct event {
    const char *kind; /* borrowed from the source until its next event, as keys and texts are */
    int n;
    struct field fields[EVENT_FIELDS + 1]; /* ends with {0} */
    double time;                           /* seconds since 1970; 0: not known */
    int n_numbers;
    double numbers[EVENT_NUMBERS]; /* room for lists of numbers that the source has to convert */
};

/* Whether a text may be the name of a value: letters, digits and _, at most 47 of them. */
bool event_is_word(const char *text);

/* Adds a field. ERR_DATA: there are EVENT_FIELDS already, or it is a list of more than
 * EVENT_NUMBERS. */
int event_add(struct event *e, struct field f);

/* A place among the finite numbers of an event, those of lists included. round, stage_index and
 * step are left out: they say where the others belong. */
struct value {
    const struct field *field;
    int step; /* of a list; else -1 */
    double number;
    int at, next; /* where the next one is looked for; 0, 0 before the first */
};

/* Moves *v to the next number; false if there is none. */
bool event_next(const struct event *e, struct value *v);

/* The field with this key, borrowed; NULL if there is none. */
const struct field *event_find(const struct event *e, const char *key);

/* The value with this key as a number; `otherwise` if there is none, or it is of another type. */
double event_number(const struct event *e, const char *key, double otherwise);

/* The same as a whole number. */
int64_t event_integer(const struct event *e, const char *key, int64_t otherwise);

/* The text with this key, borrowed; "" if there is none. */
const char *event_text(const struct event *e, const char *key);

/* The value with this key as a count; 0 if there is none, or it is negative. */
uint64_t event_count(const struct event *e, const char *key);

/* A field as a number: NAN for a text or a list. */
double field_number(const struct field *f);

/* Calls take(context, e) with an event whose texts are clean; line ends stay in `configuration`. It
 * is the entrance: everything that takes events takes them from here. ERR_MEMORY, and what take
 * returns. */
int event_clean(const struct event *e, int (*take)(void *context, const struct event *e),
                void *context);

/* Copies a text that somebody sent, at most n - 1 bytes in whole UTF-8 characters. Bytes that are
 * not UTF-8, and characters that could move a cursor or turn the writing direction, become '?'. to
 * and from may be the same. */
void text_clean(char *to, size_t n, const char *from);

#endif
