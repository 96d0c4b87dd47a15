/* sockets.h - what the metrics stream is heard on: a publisher, and a router for snapshots. */
#ifndef PROTO_STREAM_SOCKETS_H
#define PROTO_STREAM_SOCKETS_H

#include <stdbool.h>

#include "core/config/config.h"
#include "proto/stream/keys.h"

struct stream_sockets {
    char *endpoint, *snapshots;                /* owned */
    char secret[KEY_TEXT];                     /* "": no keys */
    char *list;                                /* owned: file or directory of those who may watch */
    struct key_list allowed;                   /* they, as last read */
    double read;                               /* clock: when */
    void *context, *publisher, *router, *gate; /* owned; gate NULL: no keys */
    bool bound;
};

/* Addresses and keys, as "metrics" in the configuration has them. *s starts zeroed. ERR_CONFIG, ERR_NOINPUT name the key file. */
int stream_sockets_prepare(struct stream_sockets *s, const struct metrics_config *c);

/* The sockets, not bound yet, and ZeroMQ's threads, which inherit the caller's priority. ERR_FAILED. */
int stream_sockets_open(struct stream_sockets *s);

/* Both at their addresses, or neither. 0; 1: an address is in use; ERR_CONFIG. */
int stream_sockets_bind(struct stream_sockets *s);

/* Answers peers who ask to be let in. The list is read again, once a second at most: who is added to it may watch from then
 * on. Where it cannot be read nobody is let in: ERR_CONFIG, ERR_NOINPUT name the file. */
int stream_sockets_admit(struct stream_sockets *s);

/* Observers have a second to take what waits for them. By the thread that opened them. */
void stream_sockets_close(struct stream_sockets *s);

/* What stream_sockets_prepare took; after stream_sockets_close. */
void stream_sockets_release(struct stream_sockets *s);

#endif
