/* live_sockets.c - connections to a coordinator: the stream, its history, and the result of
 * handshakes. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "core/base/err.h"
#include "observer/source/live_internal.h"
#include "proto/stream/keys.h"

enum {
    FRAME_MAX = 4 << 20,
    QUEUE = 100000,
    BEAT = 3000,
    BEAT_LIMIT = 10000,
    RETRY = 100,
    RETRY_MAX = 300,
    DOUBT = 5 /* handshakes in a row that fail without a reason given */
};

#define AGAIN 2.0 /* seconds between attempts if we were refused */

/* ---- addresses and keys ---- */

static int fail_endpoint(const char *endpoint, const char *why)
{
    return err(ERR_USAGE,
               "'%s' is not an endpoint: %s; expected tcp://HOST:PORT[,SNAPSHOT-ENDPOINT]",
               endpoint, why);
}

/* A suggestion: HOST:PORT means tcp://HOST:PORT. */
static int endpoint_complete(const char *text, char *full, size_t n)
{
    struct stat st;

    if (strstr(text, "://")) {
        snprintf(full, n, "%s", text);
        return 0;
    }
    if (stat(text, &st) == 0)
        return err(ERR_USAGE, "'%s' is not an endpoint; a run directory is shown by --replay %s",
                   text, text);
    snprintf(full, n, "tcp://%s", text);
    return strchr(text, ':') ? 0 : fail_endpoint(text, "no port");
}

/* The history of "tcp://host:5555" is at the next port, that of "A,B" at B. */
static int endpoint_split(struct sockets *s, const char *given)
{
    char text[2 * PLACE], *comma, *end;
    const char *colon;
    size_t n;
    long port;

    if (strlen(given) >= sizeof text - 8)
        return fail_endpoint("...", "too long");
    TRY(endpoint_complete(given, text, sizeof text));
    comma = strchr(text, ',');
    n = comma ? (size_t)(comma - text) : strlen(text);
    if (n >= PLACE - 8 || (comma && strlen(comma) >= PLACE))
        return fail_endpoint(text, "too long");
    snprintf(s->endpoint, PLACE, "%.*s", (int)n, text);
    snprintf(s->snapshot, PLACE, "%s", comma ? comma + 1 : "");
    if (comma)
        return 0;
    colon = strrchr(s->endpoint, ':');
    if (strncmp(s->endpoint, "tcp://", 6) != 0 || colon < s->endpoint + 6)
        return fail_endpoint(text, "no port");
    port = strtol(colon + 1, &end, 10);
    if (end == colon + 1 || *end || port < 1 || port > 65534)
        return fail_endpoint(text, "no port");
    snprintf(s->snapshot, PLACE, "%.*s%ld", (int)(colon + 1 - s->endpoint), s->endpoint, port + 1);
    return 0;
}

static int keys_set(void *socket, const struct live_options *o)
{
    char secret[KEY_TEXT], public[KEY_TEXT], server[KEY_TEXT];

    if (!o->key)
        return 0;
    TRY(keys_read_secret(o->key, secret));
    TRY(keys_public_of(secret, public));
    TRY(keys_read_public(o->server_key, server));
    if (zmq_setsockopt(socket, ZMQ_CURVE_SERVERKEY, server, KEY_TEXT) != 0 ||
        zmq_setsockopt(socket, ZMQ_CURVE_PUBLICKEY, public, KEY_TEXT) != 0 ||
        zmq_setsockopt(socket, ZMQ_CURVE_SECRETKEY, secret, KEY_TEXT) != 0)
        return err(ERR_FAILED, "cannot use the keys: %s", zmq_strerror(errno));
    return 0;
}

/* ---- sockets ---- */

static void *socket_open(void *context, int type)
{
    const struct {
        int option, value;
    } options[] = {{ZMQ_LINGER, 0},
                   {ZMQ_RCVHWM, QUEUE},
                   {ZMQ_IPV6, 1},
                   {ZMQ_RECONNECT_IVL, RETRY},
                   {ZMQ_RECONNECT_IVL_MAX, RETRY_MAX},
                   {ZMQ_HEARTBEAT_IVL, BEAT},
                   {ZMQ_HEARTBEAT_TIMEOUT, BEAT_LIMIT}};
    void *socket = zmq_socket(context, type);
    int64_t most = FRAME_MAX;
    int immediate = 1; /* a request does not wait for a missing peer */

    if (!socket)
        return NULL;
    for (size_t i = 0; i < sizeof options / sizeof *options; i++)
        zmq_setsockopt(socket, options[i].option, &options[i].value, sizeof options[i].value);
    zmq_setsockopt(socket, ZMQ_MAXMSGSIZE, &most, sizeof most);
    if (type == ZMQ_DEALER)
        zmq_setsockopt(socket, ZMQ_IMMEDIATE, &immediate, sizeof immediate);
    return socket;
}

/* Events about the subscriber's handshakes, from a socket of their own. */
static int monitor_open(struct sockets *s, void *context)
{
    static const int events = ZMQ_EVENT_HANDSHAKE_SUCCEEDED | ZMQ_EVENT_HANDSHAKE_FAILED_AUTH |
                              ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL |
                              ZMQ_EVENT_HANDSHAKE_FAILED_NO_DETAIL;
    char place[64];

    snprintf(place, sizeof place, "inproc://handshakes-%p", s->sub);
    s->monitor = socket_open(context, ZMQ_PAIR);
    if (!s->monitor || zmq_socket_monitor(s->sub, place, events) != 0 ||
        zmq_connect(s->monitor, place) != 0)
        return err(ERR_FAILED, "cannot watch a socket: %s", zmq_strerror(errno));
    return 0;
}

int sockets_open(struct sockets *s, void *context, const char *endpoint,
                 const struct live_options *o)
{
    TRY(endpoint_split(s, endpoint));
    s->sub = socket_open(context, ZMQ_SUB);
    s->dealer = socket_open(context, ZMQ_DEALER);
    if (!s->sub || !s->dealer)
        return err(ERR_FAILED, "cannot open a socket: %s", zmq_strerror(errno));
    TRY(keys_set(s->sub, o));
    TRY(keys_set(s->dealer, o));
    TRY(monitor_open(s, context));
    zmq_setsockopt(s->sub, ZMQ_SUBSCRIBE, "", 0);
    if (zmq_connect(s->sub, s->endpoint) != 0)
        return fail_endpoint(s->endpoint, zmq_strerror(errno));
    if (zmq_connect(s->dealer, s->snapshot) != 0)
        return fail_endpoint(s->snapshot, zmq_strerror(errno));
    s->locked = o->key != NULL;
    return 0;
}

void sockets_close(struct sockets *s)
{
    void *each[] = {s->monitor, s->sub, s->dealer};

    for (size_t i = 0; i < sizeof each / sizeof *each; i++)
        if (each[i])
            zmq_close(each[i]);
}

int socket_receive(void *socket, zmq_msg_t *frame, bool *more)
{
    zmq_msg_init(frame);
    if (zmq_msg_recv(frame, socket, ZMQ_DONTWAIT) < 0) {
        zmq_msg_close(frame);
        return 0;
    }
    *more = zmq_msg_more(frame);
    return 1;
}

/* ---- refusals ---- */

static enum refusal refusal_of(const struct sockets *s, uint16_t event)
{
    if (event == ZMQ_EVENT_HANDSHAKE_FAILED_AUTH)
        return REFUSAL_KEY;
    if (event == ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL && !s->locked)
        return REFUSAL_PLAIN;
    return s->n_failed < DOUBT ? REFUSAL_NONE : s->locked ? REFUSAL_SERVER : REFUSAL_STRANGER;
}

/* ZeroMQ does not reconnect by itself after it was refused. */
static void reconnect(struct sockets *s)
{
    zmq_disconnect(s->sub, s->endpoint);
    zmq_disconnect(s->dealer, s->snapshot);
    zmq_connect(s->sub, s->endpoint);
    zmq_connect(s->dealer, s->snapshot);
}

enum refusal sockets_refusal(struct sockets *s, double now)
{
    enum refusal refusal = REFUSAL_NONE;
    zmq_msg_t frame;
    bool more;

    while (socket_receive(s->monitor, &frame, &more)) {
        uint16_t event;

        if (more && zmq_msg_size(&frame) >= sizeof event) {
            memcpy(&event, zmq_msg_data(&frame), sizeof event);
            s->n_failed = event == ZMQ_EVENT_HANDSHAKE_SUCCEEDED ? 0 : s->n_failed + 1;
            if (s->n_failed > 0)
                refusal = refusal_of(s, event);
        }
        zmq_msg_close(&frame);
    }
    if (s->n_failed > 0 && now - s->tried > AGAIN) {
        s->tried = now;
        reconnect(s);
    }
    return refusal;
}
