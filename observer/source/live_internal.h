/* live_internal.h - shared by the files of the live source. live calls live_sockets and
 * live_parts. */
#ifndef OBSERVER_SOURCE_LIVE_INTERNAL_H
#define OBSERVER_SOURCE_LIVE_INTERNAL_H

#include "observer/source/decode.h"
#include "observer/source/source.h"

enum { HELD_MAX = 200000, HELD_BYTES = 256 << 20, MARKS = 24, PLACE = 512 };

struct held_event { /* an event that is kept for later */
    struct event_header header;
    uint8_t *bytes; /* owned */
    size_t n;
};

struct list {
    struct held_event *items; /* owned */
    size_t n, room, bytes;
};

/* Appends a copy of an event. False if the list has HELD_MAX events or HELD_BYTES bytes, or memory
 * runs out: then the list is emptied. */
bool list_add(struct list *l, struct span event, const struct event_header *h);

/* Drops the first n events. */
void list_drop(struct list *l, size_t n);

/* Frees all events and zeroes the list. */
void list_free(struct list *l);

/* How far the views have been told, for each kind. A coordinator that is started again repeats what
 * it has told, with the same numbers. Views record, so they must not be told twice. */
struct mark {
    char kind[16];
    bool set, old; /* old: there is a position from before the restart */
    int64_t stage, round, old_stage, old_round;
};

struct marks {
    struct mark each[MARKS];
    int n;
    bool again; /* there was a restart */
};

/* True if the views are to be told of this event. history: it comes from a snapshot. */
bool marks_pass(struct marks *m, const struct event *e, bool history);

/* The coordinator was started again: what it repeats up to here is not told. */
void marks_freeze(struct marks *m);

struct sockets {
    void *sub, *dealer, *monitor; /* owned */
    char endpoint[PLACE], snapshot[PLACE];
    bool locked;  /* this side has a key */
    int n_failed; /* handshakes since one succeeded */
    double tried; /* clock: of the last attempt after a refusal */
};

enum refusal {
    REFUSAL_NONE,
    REFUSAL_KEY,      /* the coordinator does not know our key */
    REFUSAL_PLAIN,    /* the coordinator wants keys, and we have none */
    REFUSAL_SERVER,   /* the coordinator has another key than --server-key says, or none */
    REFUSAL_STRANGER, /* what is there does not speak as a coordinator does */
};

/* Opens both sockets, which begin to connect. ERR_USAGE names the endpoint; ERR_NOINPUT and
 * ERR_CONFIG a key file; ERR_FAILED. */
int sockets_open(struct sockets *s, void *context, const char *endpoint,
                 const struct live_options *o);

/* Closes the sockets; does nothing to those that are not open. */
void sockets_close(struct sockets *s);

/* What was refused since the last call. Never waits. After a refusal it tries again now and then.
 * now: clock_seconds. */
enum refusal sockets_refusal(struct sockets *s, double now);

/* Receives one frame, which the caller closes. Never waits. 1: *frame is it, and *more says that
 * another frame of the same message follows; 0: there is none. */
int socket_receive(void *socket, zmq_msg_t *frame, bool *more);

#endif
