/* source.h - where events come from: a run directory, or a coordinator that is running.
 *
 * A source has a model of its own and feeds it. An event goes to the model first, then to the
 * listener, which hands it to the views. A source knows no view. */
#ifndef OBSERVER_SOURCE_SOURCE_H
#define OBSERVER_SOURCE_SOURCE_H

#include <zmq.h>

#include "observer/model/model.h"

enum {
    SOURCE_ITEMS = 3,   /* sockets of one source, at most */
    SOURCE_STEP = 2000, /* lines or messages that one step takes, at most */
};

struct source;

/* Hears each event after the model has it. e is borrowed during the call. A negative code stops the
 * step. */
struct listener {
    int (*event)(void *context, const struct source *s, const struct event *e);
    void *context; /* borrowed */
};

struct source_ops { /* what a source does; only one thread calls it */
    const char *name;

    /* Fills items with what its input arrives at, ready for zmq_poll, and returns how many:
     * SOURCE_ITEMS at most, 0 if step need not be called early. Never blocks. */
    int (*wait)(struct source *s, zmq_pollitem_t *items);

    /* Hands on what has arrived, at most about SOURCE_STEP events, through source_event. now:
     * clock_seconds. Never waits for input. Sets s->finished when nothing more will come. Returns 1
     * if there is more at once, else 0. What is not an event is refused: named on standard error
     * unless s->silent, counted in s->refused, and no error. Negative: what the listener or the
     * model returned, ERR_IO, ERR_MEMORY; the program ends. */
    int (*step)(struct source *s, double now, const struct listener *to);

    /* Frees s->state; not the model. */
    void (*close)(struct source *s);
};

struct source {
    const struct source_ops *ops; /* borrowed; NULL: not open */
    void *state;                  /* owned by ops */
    struct run run;
    bool finished;    /* nothing more will come */
    bool silent;      /* standard error is part of a screen: refusals are notes only */
    uint64_t refused; /* lines or messages that were not what they should be */
};

/* Hands an event to the model, then to the listener, with all texts clean. ERR_MEMORY, and what the
 * listener returns. */
int source_event(struct source *s, const struct event *e, const struct listener *to);

/* Closes the source, releases its model, and zeroes *s. Does nothing to one that is zero. */
void source_close(struct source *s);

/* Opens a run directory: its metrics.jsonl, configuration and manifest. A line that is not an event
 * is refused, by its number. A part of a line at the end is not read. ERR_NOINPUT, ERR_DATA,
 * ERR_MEMORY. */
int source_replay(struct source *s, const char *directory);

struct live_options {
    const char *key, *server_key; /* CURVE key files, borrowed; NULL: none */
    double linger;                /* seconds in which a failed run may start again */
};

/* Opens the stream of a coordinator at `endpoint`, which need not run yet. context is ZeroMQ's,
 * borrowed until the source is closed. ERR_USAGE names an endpoint that cannot be one; ERR_NOINPUT
 * and ERR_CONFIG name a key file; ERR_MEMORY. */
int source_live(struct source *s, void *context, const char *endpoint,
                const struct live_options *o);

#endif
