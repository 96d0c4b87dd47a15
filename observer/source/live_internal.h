/* live_internal.h - between the files of the live source. */
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

/* Copies the event; false where it is too much, or there is no memory: then the list is emptied. */
bool list_add(struct list *l, struct span event, const struct event_header *h);
void list_drop(struct list *l, size_t n); /* the first n */
void list_free(struct list *l);

/* How far views have been told, per kind. When the coordinator is started again it tells again what it tells already:
 * the same numbers, so that views, which record, are not told twice. */
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

/* Whether the views are to be told; history: the event comes from a snapshot. */
bool marks_pass(struct marks *m, const struct event *e, bool history);
void marks_freeze(struct marks *m);

struct sockets {
    void *sub, *dealer, *monitor; /* owned */
    char endpoint[PLACE], snapshot[PLACE];
    bool locked;  /* we have a key */
    int n_failed; /* handshakes since one succeeded */
    double tried; /* clock: of the last attempt after a refusal */
};

enum refusal {
    REFUSAL_NONE,
    REFUSAL_KEY,      /* the coordinator does not know our key */
    REFUSAL_PLAIN,    /* it wants keys, and we have none */
    REFUSAL_SERVER,   /* it has another key than we were told, or none */
    REFUSAL_STRANGER, /* whoever is there does not speak as a coordinator does */
};

/* Both sockets, connecting; ERR_USAGE, ERR_NOINPUT, ERR_CONFIG. */
int sockets_open(struct sockets *s, void *context, const char *endpoint,
                 const struct live_options *o);
void sockets_close(struct sockets *s);

/* What was refused since the last call; goes on trying. */
enum refusal sockets_refusal(struct sockets *s, double now);

/* One frame; 0: there is none. *more: another frame of the same message follows. */
int socket_receive(void *socket, zmq_msg_t *frame, bool *more);

#endif
