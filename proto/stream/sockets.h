/* sockets.h - the sockets of the metrics stream: a publisher, and a router for snapshots. */
#ifndef PROTO_STREAM_SOCKETS_H
#define PROTO_STREAM_SOCKETS_H

#include <stdbool.h>

#include "core/config/config.h"
#include "proto/stream/keys.h"

struct stream_sockets {
    char *endpoint, *snapshots;                /* owned */
    char secret[KEY_TEXT];                     /* "": no keys */
    char *list;                                /* owned: file or directory of allowed keys */
    struct key_list allowed;                   /* these keys, as last read */
    double read;                               /* clock: when they were read */
    void *context, *publisher, *router, *gate; /* owned; gate NULL: no keys */
    bool bound;
};

/* Takes the addresses and reads the keys that section "metrics" of the configuration names. *s is
 * zero before. ERR_CONFIG and ERR_NOINPUT name the key file; ERR_MEMORY. */
int stream_sockets_prepare(struct stream_sockets *s, const struct metrics_config *c);

/* Opens the sockets, without binding them, and starts ZeroMQ's threads, which inherit the caller's
 * priority. ERR_FAILED. */
int stream_sockets_open(struct stream_sockets *s);

/* Binds both sockets or neither. 0: bound; 1: an address is in use; ERR_CONFIG: it cannot be an
 * address. */
int stream_sockets_bind(struct stream_sockets *s);

/* Answers peers who ask to be let in. Never waits. The list of keys is read again, once a second at
 * most, so that an added key works from then on. If it cannot be read nobody is let in: ERR_CONFIG
 * and ERR_NOINPUT name the file. */
int stream_sockets_admit(struct stream_sockets *s);

/* Closes the sockets; observers have a second to take what waits for them. Call it from the thread
 * that opened them. */
void stream_sockets_close(struct stream_sockets *s);

/* Frees what stream_sockets_prepare took; after stream_sockets_close. */
void stream_sockets_release(struct stream_sockets *s);

#endif
