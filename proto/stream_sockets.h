/* stream_sockets.h - what the metrics stream is heard on: a publisher, and a router for snapshots. */
#ifndef PROTO_STREAM_SOCKETS_H
#define PROTO_STREAM_SOCKETS_H

#include <stdbool.h>

#include "core/config.h"
#include "proto/stream_keys.h"

struct stream_sockets {
    char *endpoint, *snapshots;                /* owned */
    char secret[KEY_TEXT];                     /* "": no keys */
    struct key_list allowed;                   /* who may watch, where there are keys */
    void *context, *publisher, *router, *gate; /* owned; gate NULL: no keys */
    bool bound;
};

/* Addresses and keys, as "metrics" in the configuration has them. *s starts zeroed. ERR_CONFIG, ERR_NOINPUT name the key file. */
int sockets_prepare(struct stream_sockets *s, const struct metrics_config *c);

/* The sockets, not bound yet, and ZeroMQ's threads, which inherit the caller's priority. ERR_FAILED. */
int sockets_open(struct stream_sockets *s);

/* Both at their addresses, or neither. 0; 1: an address is in use; ERR_CONFIG. */
int sockets_bind(struct stream_sockets *s);

/* Observers have a second to take what waits for them. By the thread that opened them. */
void sockets_close(struct stream_sockets *s);

void sockets_release(struct stream_sockets *s); /* after sockets_close: what sockets_prepare took */

#endif
