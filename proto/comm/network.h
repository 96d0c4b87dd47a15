/* network.h - a model of a cluster's network in virtual time: how long a message is on its way.
 *
 * Each host has a link of some bandwidth in each direction, on which messages go one after the
 * other, whole, in the order in which they come. Between the hosts is a switch, which cuts through:
 * the head of a message reaches the receiver's link after the latency, while its tail still leaves.
 * If the switch is oversubscribed, all messages between hosts pass one after the other through what
 * bandwidth it has. Inside a host each sending rank has a path of its own. */
#ifndef PROTO_COMM_NETWORK_H
#define PROTO_COMM_NETWORK_H

#include <stdbool.h>

#include "core/sim/fiber.h"

struct network {                   /* times in nanoseconds, bandwidths in bytes a nanosecond */
    const char *name;              /* "100G"; borrowed */
    double bandwidth;              /* of each host's link, in each direction */
    double latency;                /* from host to host */
    double message;                /* that a message takes of a link beside its bytes */
    double oversubscription;       /* bandwidth of all links / of the switch; 1: it is no limit */
    double inside, inside_latency; /* bandwidth and latency inside a host */
};

extern const struct network *const network_table[]; /* 10G, 25G, 100G, 200G; ended by NULL */

/* The one of that name; NULL: there is none. */
const struct network *network_find(const char *name);

struct wire { /* which messages pass one after the other */
    virtual_time free;
    uint64_t bytes; /* that have passed */
};

struct wires { /* of a cluster */
    struct network network;
    int n_ranks, n_hosts;
    const int *host;        /* (n_ranks) of each rank; borrowed */
    struct wire *up, *down; /* (n_hosts) owned: from a host, to it */
    struct wire *own;       /* (n_ranks) owned: inside a host, of the sender */
    struct wire middle;     /* the switch */
};

struct travel { /* a message on its way; the caller's until it has arrived */
    struct wires *wires;
    int from, to; /* ranks */
    uint64_t bytes;
    void (*arrived)(struct travel *t); /* called at that time */
};

/* ERR_MEMORY. */
int wires_open(struct wires *w, const struct network *network, const int *host, int n_ranks);
void wires_close(struct wires *w);

/* It leaves now. */
void travel_begin(struct travel *t);

/* How long it takes if nothing else is on its way, in nanoseconds. */
virtual_time travel_time(const struct network *n, bool same_host, uint64_t bytes);

#endif
