/* source.h - where events come from: a run directory, or a coordinator that is running.
 *
 * A plug-in as the others: `open` fills state, `wait` names what its input arrives at, `step` hands on what has arrived
 * and never blocks. Each source has a model of its own, fed before the views see an event. */
#ifndef OBSERVER_SOURCE_SOURCE_H
#define OBSERVER_SOURCE_SOURCE_H

#include <zmq.h>

#include "observer/model/model.h"

enum {
    SOURCE_ITEMS = 3,   /* sockets of one source */
    SOURCE_STEP = 2000, /* lines or messages that a step takes */
};

struct source;

/* Told of each event after the model has it. Negative: stop. */
struct listener {
    int (*event)(void *context, const struct source *s, const struct event *e);
    void *context; /* borrowed */
};

struct source_ops {
    const char *name;
    int (*wait)(struct source *s, zmq_pollitem_t *items); /* how many; SOURCE_ITEMS at most */
    int (*step)(struct source *s, double now,
                const struct listener *to); /* 1: there is more at once */
    void (*close)(struct source *s);
};

struct source {
    const struct source_ops *ops;
    void *state; /* owned */
    struct run run;
    bool finished;    /* nothing more will come */
    bool silent;      /* standard error is part of a screen: refusals are notes only */
    uint64_t refused; /* lines or messages that were not what they should be */
};

/* To the model, then to the listener, with all texts clean. */
int source_event(struct source *s, const struct event *e, const struct listener *to);

void source_close(struct source *s);

/* metrics.jsonl of a run directory, its configuration and manifest. A line that is not an event is refused: named by
 * its number on standard error, counted, left out. Part of a line at the end is not read. ERR_NOINPUT, ERR_DATA. */
int source_replay(struct source *s, const char *directory);

struct live_options {
    const char *key, *server_key; /* CURVE key files, borrowed; NULL: none */
    double linger;                /* seconds that a run which failed may take to be started again */
};

/* The stream of a coordinator at `endpoint`, there or not yet there; context is ZeroMQ's, borrowed. ERR_USAGE names an
 * endpoint that cannot be one; ERR_NOINPUT, ERR_CONFIG a key file. */
int source_live(struct source *s, void *context, const char *endpoint,
                const struct live_options *o);

#endif
