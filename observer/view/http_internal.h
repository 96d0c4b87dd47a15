/* http_internal.h - shared by the files of --http. http calls http_peers and http_feed. */
#ifndef OBSERVER_VIEW_HTTP_INTERNAL_H
#define OBSERVER_VIEW_HTTP_INTERNAL_H

#include <microhttpd.h>

#include "observer/view/http_gate.h"
#include "observer/view/view.h"

#define PACE 0.4  /* seconds between two messages of a stream, at least */
#define QUIET 5.0 /* seconds after which one is sent although nothing happened */
#define SLOW 10.0 /* seconds in which a peer has to ask, or to take a part of its answer */

enum {
    CONNECTIONS = 256,
    CONNECTIONS_FREE = 16, /* kept free: the oldest connection that has not asked makes room */
    PER_ADDRESS = 64,      /* not on loopback, where all have one address */
    STREAMS_MAX = 64,
    RUNS = 32,
    DELTAS = 16,        /* messages kept for those who are behind */
    HELD_MAX = 64 << 20 /* bytes of texts that are being sent, beside the newest */
};

/* ---- peers: connections, and which of them have asked ---- */

struct peer {
    struct MHD_Connection *connection; /* NULL: a free place */
    int fd;
    bool asked;
    double since; /* it was accepted, or its last answer was complete */
};

struct peers {
    struct peer each[CONNECTIONS];
    int n;
};

/* For MHD_OPTION_NOTIFY_CONNECTION: a connection comes or goes. context is the struct peers. */
void peers_notice(void *context, struct MHD_Connection *c, void **place,
                  enum MHD_ConnectionNotificationCode what);

/* For MHD_OPTION_NOTIFY_COMPLETED: an answer is complete. context is the struct peers. */
void peers_answered(void *context, struct MHD_Connection *c, void **state,
                    enum MHD_RequestTerminationCode why);

/* The headers of a request have arrived on this connection. */
void peers_asked(struct MHD_Connection *c);

/* Closes connections that do not ask in time, and the oldest of these if places run out. now:
 * clock_seconds. */
void peers_tend(struct peers *p, double now);

/* Shuts a connection down; libmicrohttpd notices and closes it. */
void connection_end(struct MHD_Connection *c);

/* ---- feed: server-sent events. A text is made once and shared by all that are sent it ---- */

struct feed_message;

struct http_stream { /* a browser that listens */
    struct feed *feed;
    struct MHD_Connection *connection;
    bool used, waits, dropped;    /* waits: suspended until there is something to say */
    struct feed_message *message; /* shared; what is being sent */
    size_t at;
    uint64_t version; /* what it has after that; 0: nothing yet */
    double taken;     /* clock: when it last took something */
};

struct feed {
    const struct runs *runs;
    struct http_stream streams[STREAMS_MAX];
    uint64_t version; /* of the newest message */
    /* shared; version v is at v % DELTAS: what is new since v - 1 */
    struct feed_message *deltas[DELTAS];
    struct feed_message *whole; /* shared; all there was at whole_version */
    uint64_t whole_version;
    double made;
    uint64_t serial[RUNS], generation[RUNS], events[RUNS]; /* as of version */
    size_t held;                                           /* bytes of all messages */
};

/* A stream as an answer, owned by the caller; NULL if STREAMS_MAX listen already. */
struct MHD_Response *feed_listen(struct feed *f, struct MHD_Connection *c);

/* Makes the messages that are due, wakes the streams that wait for them, and drops those that take
 * nothing. now: clock_seconds. */
void feed_tend(struct feed *f, double now);

/* Wakes all streams, which end; before the daemon stops. */
void feed_stop(struct feed *f);

/* Frees all messages; after the daemon has stopped. */
void feed_release(struct feed *f);

#endif
