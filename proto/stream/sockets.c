/* sockets.c - options, keys, addresses. */
#include "proto/stream/sockets.h"

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zmq.h>

#include "core/base/clock.h"
#include "core/base/err.h"
#include "proto/stream/gate.h"
#include "proto/stream/serve.h"

enum {
    BEHIND = 1000,      /* messages that wait for one slow observer; more are not sent to it */
    MESSAGE_MAX = 1024, /* bytes of a message from a peer: topics, requests, proof of its key */
    HANDSHAKE = 3000,   /* milliseconds for a peer's handshake */
    SIGN = 5000,        /* milliseconds between heartbeats asked of a peer */
    SILENCE = 15000,    /* milliseconds without one, after which its connection is closed */
    LAST_WORDS = 1000,  /* milliseconds at the end for observers to take what waits for them */
};

#define READ_AGAIN 1.0 /* seconds */

/* ---- addresses and keys ---- */

/* The next port of the same address. */
static char *snapshots_at(const struct metrics_config *c)
{
    const char *colon = strrchr(c->endpoint, ':');
    char *text;

    if (*c->snapshot)
        return strdup(c->snapshot);
    if (!colon || asprintf(&text, "%.*s:%d", (int)(colon - c->endpoint), c->endpoint,
                           atoi(colon + 1) + 1) < 0)
        return NULL;
    return text;
}

int stream_sockets_prepare(struct stream_sockets *s, const struct metrics_config *c)
{
    s->endpoint = strdup(c->endpoint);
    s->snapshots = snapshots_at(c);
    if (!s->endpoint || !s->snapshots)
        return err(ERR_MEMORY, "no memory for the metrics stream");
    if (!*c->server_key)
        return 0;
    s->list = strdup(c->allowed);
    if (!s->list)
        return err(ERR_MEMORY, "no memory for the metrics stream");
    TRY(keys_read_secret(c->server_key, s->secret));
    return keys_read_list(s->list, &s->allowed);
}

void stream_sockets_release(struct stream_sockets *s)
{
    keys_release(&s->allowed);
    free(s->endpoint);
    free(s->snapshots);
    free(s->list);
    explicit_bzero(s->secret, sizeof s->secret);
}

/* ---- sockets ---- */

static int number(void *socket, int option, int value)
{
    return zmq_setsockopt(socket, option, &value, sizeof value);
}

/* Only peers with a key of the list, which the gate knows. */
static int lock_socket(const struct stream_sockets *s, void *socket)
{
    static const char domain[] = "metaloop";

    if (!s->secret[0])
        return 0;
    if (number(socket, ZMQ_CURVE_SERVER, 1) != 0 ||
        zmq_setsockopt(socket, ZMQ_CURVE_SECRETKEY, s->secret, KEY_TEXT) != 0 ||
        zmq_setsockopt(socket, ZMQ_ZAP_DOMAIN, domain, sizeof domain - 1) != 0)
        return -1;
    return 0;
}

static int socket_open(struct stream_sockets *s, int type, void **socket)
{
    static const int options[][2] = {
        {ZMQ_LINGER, LAST_WORDS},
        {ZMQ_HANDSHAKE_IVL, HANDSHAKE},
        {ZMQ_HEARTBEAT_IVL, SIGN},
        {ZMQ_HEARTBEAT_TIMEOUT, SILENCE},
        {ZMQ_TCP_KEEPALIVE, 1},
        {ZMQ_RCVHWM, 8},
        {ZMQ_IPV6, 1},
        {ZMQ_BACKLOG, 512},
    };
    int64_t most = MESSAGE_MAX;
    int code;

    *socket = zmq_socket(s->context, type);
    if (!*socket)
        return err(ERR_FAILED, "cannot open a socket for metrics: %s", zmq_strerror(errno));
    code = zmq_setsockopt(*socket, ZMQ_MAXMSGSIZE, &most, sizeof most);
    for (size_t i = 0; i < sizeof options / sizeof *options && code == 0; i++)
        code = number(*socket, options[i][0], options[i][1]);
    if (code != 0)
        return err(ERR_FAILED, "cannot set up a socket for metrics: %s", zmq_strerror(errno));
    if (lock_socket(s, *socket) != 0)
        return err(ERR_FAILED, "cannot lock the metrics stream: %s", zmq_strerror(errno));
    return 0;
}

int stream_sockets_open(struct stream_sockets *s)
{
    s->context = zmq_ctx_new();
    if (!s->context)
        return err(ERR_FAILED, "cannot start ZeroMQ: %s", zmq_strerror(errno));
    if (s->secret[0]) {
        s->gate = gate_open(s->context); /* before any peer can connect */
        if (!s->gate)
            return ERR_FAILED;
    }
    TRY(socket_open(s, ZMQ_PUB, &s->publisher));
    TRY(socket_open(s, ZMQ_ROUTER, &s->router));
    number(s->publisher, ZMQ_SNDHWM, BEHIND);
    number(s->router, ZMQ_SNDHWM, SERVE_QUEUE);
    number(s->router, ZMQ_ROUTER_MANDATORY, 1);
    number(s->router, ZMQ_LINGER, 0);
    return 0;
}

int stream_sockets_bind(struct stream_sockets *s)
{
    const char *refused = s->endpoint;
    int reason = 0;

    if (zmq_bind(s->publisher, s->endpoint) == 0) {
        if (zmq_bind(s->router, s->snapshots) == 0) {
            s->bound = true;
            return 0;
        }
        reason = errno;
        refused = s->snapshots;
        zmq_unbind(s->publisher, s->endpoint);
    } else {
        reason = errno;
    }
    if (reason == EADDRINUSE)
        return 1;
    if (reason == ENODEV)
        return err(
            ERR_CONFIG,
            "cannot publish metrics at '%s': this machine has no such network interface, "
            "and names of hosts are not looked up: write tcp://ADDRESS:PORT, or tcp://*:PORT",
            refused);
    return err(ERR_CONFIG, "cannot publish metrics at '%s': %s", refused, zmq_strerror(reason));
}

int stream_sockets_admit(struct stream_sockets *s)
{
    double now = clock_seconds();
    int code = 0;

    if (now - s->read >= READ_AGAIN) {
        s->read = now;
        keys_release(&s->allowed);
        code = keys_read_list(s->list, &s->allowed);
    }
    gate_answer(s->gate, &s->allowed);
    return code;
}

void stream_sockets_close(struct stream_sockets *s)
{
    void *sockets[] = {s->publisher, s->router, s->gate};

    for (size_t i = 0; i < sizeof sockets / sizeof *sockets; i++)
        if (sockets[i])
            zmq_close(sockets[i]);
    while (s->context && zmq_ctx_term(s->context) != 0 && errno == EINTR)
        ;
}
