/* live_parts.c - what the live source is made of: kept events, marks, sockets. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/err.h"
#include "observer/live_internal.h"
#include "proto/stream_keys.h"

enum {
    FRAME_MAX = 4 << 20,
    QUEUE = 100000,
    BEAT = 3000,
    BEAT_LIMIT = 10000,
    RETRY = 100,
    RETRY_MAX = 300
};

/* ---- kept events ---- */

bool list_add(struct list *l, zmq_msg_t *message, const struct header *h)
{
    if (l->n == l->room) {
        size_t room = l->room ? 2 * l->room : 256;
        struct held *items = realloc(l->items, room * sizeof *items);

        if (items) {
            l->items = items;
            l->room = room;
        }
    }
    if (l->n == l->room || l->n == HELD_MAX || l->bytes > HELD_BYTES) {
        list_drop(l, l->n);
        return false;
    }
    l->items[l->n].header = *h;
    l->bytes += zmq_msg_size(message);
    zmq_msg_init(&l->items[l->n].message);
    zmq_msg_move(&l->items[l->n++].message, message);
    return true;
}

void list_drop(struct list *l, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        l->bytes -= zmq_msg_size(&l->items[i].message);
        zmq_msg_close(&l->items[i].message);
    }
    for (size_t i = n; n > 0 && i < l->n; i++) {
        zmq_msg_init(&l->items[i - n].message);
        zmq_msg_move(&l->items[i - n].message, &l->items[i].message);
        l->items[i - n].header = l->items[i].header;
        zmq_msg_close(&l->items[i].message);
    }
    l->n -= n;
}

void list_free(struct list *l)
{
    list_drop(l, l->n);
    free(l->items);
}

/* ---- marks ---- */

static struct mark *mark_of(struct marks *m, const char *kind)
{
    int i = 0;

    while (i < m->n && strcmp(m->each[i].kind, kind) != 0)
        i++;
    if (i == MARKS || strlen(kind) >= sizeof m->each[i].kind)
        return NULL;
    if (i == m->n)
        strcpy(m->each[m->n++].kind, kind);
    return &m->each[i];
}

static bool is_after(int64_t stage, int64_t round, int64_t old_stage, int64_t old_round)
{
    return stage > old_stage || (stage == old_stage && round > old_round);
}

bool marks_pass(struct marks *m, const struct event *e, bool history)
{
    int64_t stage = event_integer(e, "stage_index", -1), round = event_integer(e, "round", -1);
    struct mark *k = round < 0 ? NULL : mark_of(m, e->kind);

    if (!k)
        return !history || !m->again;
    if (!k->set || is_after(stage, round, k->stage, k->round)) {
        k->set = true;
        k->stage = stage;
        k->round = round;
    }
    return !k->old || is_after(stage, round, k->old_stage, k->old_round);
}

void marks_freeze(struct marks *m)
{
    m->again = true;
    for (struct mark *k = m->each; k < m->each + m->n; k++) {
        k->old = k->set;
        k->old_stage = k->stage;
        k->old_round = k->round;
    }
}

/* ---- sockets ---- */

static int fail_endpoint(const char *endpoint, const char *why)
{
    return err(ERR_USAGE, "'%s' is no endpoint: %s; expected tcp://HOST:PORT[,SNAPSHOT-ENDPOINT]",
               endpoint, why);
}

/* "tcp://host:5555" has its history at the next port; "A,B" has it at B. */
static int endpoint_split(struct sockets *s, const char *text)
{
    const char *comma = strchr(text, ','), *colon;
    size_t n = comma ? (size_t)(comma - text) : strlen(text);
    char *end;
    long port;

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
    int immediate = 1; /* a request waits for nobody who is not there */

    if (!socket)
        return NULL;
    for (size_t i = 0; i < sizeof options / sizeof *options; i++)
        zmq_setsockopt(socket, options[i].option, &options[i].value, sizeof options[i].value);
    zmq_setsockopt(socket, ZMQ_MAXMSGSIZE, &most, sizeof most);
    if (type == ZMQ_DEALER)
        zmq_setsockopt(socket, ZMQ_IMMEDIATE, &immediate, sizeof immediate);
    return socket;
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
    zmq_setsockopt(s->sub, ZMQ_SUBSCRIBE, "", 0);
    if (zmq_connect(s->sub, s->endpoint) != 0)
        return fail_endpoint(s->endpoint, zmq_strerror(errno));
    if (zmq_connect(s->dealer, s->snapshot) != 0)
        return fail_endpoint(s->snapshot, zmq_strerror(errno));
    return 0;
}

void sockets_close(struct sockets *s)
{
    if (s->sub)
        zmq_close(s->sub);
    if (s->dealer)
        zmq_close(s->dealer);
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
