/* sink_zmq.c - a queue, a thread behind it, and the thread's sockets. */
#include "proto/sink_zmq.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <time.h>
#include <zmq.h>

#include "core/clock.h"
#include "core/err.h"
#include "proto/stream_gate.h"
#include "proto/stream_history.h"
#include "proto/stream_keys.h"
#include "proto/stream_serve.h"

enum {
    QUEUE = 16384,      /* events between emit and the thread */
    BATCH = 256,        /* taken at once */
    TURN = 100,         /* milliseconds between two looks at the queue: less calls of the network */
    BEHIND = 4000,      /* events that wait for one slow observer; more are not sent to it */
    MESSAGE_MAX = 1024, /* bytes of what a peer may say: topics, requests, proof of its key */
    HANDSHAKE = 3000,   /* milliseconds for a peer to say who it is */
    SIGN = 5000,        /* milliseconds between signs of life asked of a peer */
    SILENCE = 15000,    /* milliseconds without one, after which its connection is closed */
    LAST_WORDS = 250,   /* milliseconds at the end for observers to take what waits for them */
    FILES = 65536,      /* open files this process asks for: each observer holds two */
};

struct stream {
    struct stream_source source;
    uint64_t seq; /* of the last event handed over; the emitting thread's */

    pthread_mutex_t lock;              /* of what follows, up to stop */
    struct stream_event *queue[QUEUE]; /* owned */
    size_t first, n;
    uint64_t dropped;
    bool stop;

    pthread_t thread;
    char *endpoint, *snapshots; /* owned */
    bool bound;
    char secret[KEY_TEXT]; /* "": no keys */
    struct key_list allowed;
    void *context, *gate, *publisher, *router; /* the thread's; gate NULL: no keys */
    struct history history;
    struct serve serve;
    double published, beaten,
        tried; /* clocks: last look at the queue, heartbeat, attempt to bind */
};

/* ---- the emitting thread ---- */

static double wall_seconds(void)
{
    struct timespec t;

    clock_gettime(CLOCK_REALTIME, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static bool is_full(struct stream *st)
{
    bool full;

    pthread_mutex_lock(&st->lock);
    full = st->n == QUEUE;
    st->dropped += full;
    pthread_mutex_unlock(&st->lock);
    return full;
}

static int hand_over(struct stream *st, const char *kind, const struct field *fields, double now)
{
    struct stream_event *e = stream_pack(&st->source, st->seq + 1, now, kind, fields);

    if (!e)
        return ERR_FAILED;
    st->seq++;
    pthread_mutex_lock(&st->lock);
    st->queue[(st->first + st->n++) % QUEUE] = e; /* there is room: nobody else fills it */
    pthread_mutex_unlock(&st->lock);
    return 0;
}

static int zmq_emit(struct sink *s, const char *kind, const struct field *fields)
{
    struct stream *st = s->state;

    if (is_full(st))
        return err(ERR_FAILED, "the metrics stream is %d events behind", QUEUE);
    return hand_over(st, kind, fields, wall_seconds());
}

void sink_zmq_recall(struct sink *s, const char *kind, const struct field *fields)
{
    struct stream *st = s->state;
    double limit = clock_seconds() + 1;

    while (is_full(st)) {
        pthread_mutex_lock(&st->lock);
        st->dropped--;
        pthread_mutex_unlock(&st->lock);
        if (clock_seconds() > limit)
            return;
        nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    }
    hand_over(st, kind, fields, 0);
}

static int zmq_flush(struct sink *s)
{
    (void)s;
    return 0;
}

/* ---- sockets ---- */

static int number(void *socket, int option, int value)
{
    return zmq_setsockopt(socket, option, &value, sizeof value);
}

/* Only peers with a key of the list, which the gate knows. */
static int lock_socket(const struct stream *st, void *socket)
{
    static const char domain[] = "metaloop";

    if (!st->secret[0])
        return 0;
    if (number(socket, ZMQ_CURVE_SERVER, 1) != 0 ||
        zmq_setsockopt(socket, ZMQ_CURVE_SECRETKEY, st->secret, KEY_TEXT) != 0 ||
        zmq_setsockopt(socket, ZMQ_ZAP_DOMAIN, domain, sizeof domain - 1) != 0)
        return -1;
    return 0;
}

static int socket_open(struct stream *st, int type, void **socket)
{
    static const int options[][2] = {
        {ZMQ_LINGER, LAST_WORDS},
        {ZMQ_MAXMSGSIZE, MESSAGE_MAX},
        {ZMQ_HANDSHAKE_IVL, HANDSHAKE},
        {ZMQ_HEARTBEAT_IVL, SIGN},
        {ZMQ_TCP_KEEPALIVE, 1},
        {ZMQ_HEARTBEAT_TIMEOUT, SILENCE},
        {ZMQ_RCVHWM, 8},
        {ZMQ_IPV6, 1},
        {ZMQ_BACKLOG, 512},
    };
    int64_t most = MESSAGE_MAX;

    *socket = zmq_socket(st->context, type);
    if (!*socket)
        return err(ERR_FAILED, "cannot open a socket for metrics: %s", zmq_strerror(errno));
    for (size_t i = 0; i < sizeof options / sizeof *options; i++) {
        int code = options[i][0] == ZMQ_MAXMSGSIZE
                       ? zmq_setsockopt(*socket, ZMQ_MAXMSGSIZE, &most, sizeof most)
                       : number(*socket, options[i][0], options[i][1]);

        if (code != 0)
            return err(ERR_FAILED, "cannot set up a socket for metrics: %s", zmq_strerror(errno));
    }
    if (lock_socket(st, *socket) != 0)
        return err(ERR_FAILED, "cannot lock the metrics stream: %s", zmq_strerror(errno));
    return 0;
}

/* 0; 1 where an address is in use; ERR_CONFIG. */
static int bind_both(struct stream *st)
{
    const char *refused = st->endpoint;
    int reason = 0;

    if (zmq_bind(st->publisher, st->endpoint) == 0) {
        if (zmq_bind(st->router, st->snapshots) == 0) {
            st->bound = true;
            return 0;
        }
        reason = errno;
        refused = st->snapshots;
        zmq_unbind(st->publisher, st->endpoint);
    } else {
        reason = errno;
    }
    if (reason == EADDRINUSE)
        return 1;
    return err(ERR_CONFIG, "cannot publish metrics at '%s': %s", refused, zmq_strerror(reason));
}

static int open_sockets(struct stream *st)
{
    st->context = zmq_ctx_new();
    if (!st->context)
        return err(ERR_FAILED, "cannot start ZeroMQ: %s", zmq_strerror(errno));
    if (st->secret[0]) {
        st->gate = gate_open(st->context); /* before anybody can knock */
        if (!st->gate)
            return ERR_FAILED;
    }
    TRY(socket_open(st, ZMQ_PUB, &st->publisher));
    TRY(socket_open(st, ZMQ_ROUTER, &st->router));
    number(st->publisher, ZMQ_SNDHWM, BEHIND);
    number(st->router, ZMQ_SNDHWM, SERVE_QUEUE);
    number(st->router, ZMQ_ROUTER_MANDATORY, 1);
    number(st->router, ZMQ_LINGER, 0);
    st->serve.socket = st->router;
    return 0;
}

static void close_sockets(struct stream *st)
{
    void *sockets[] = {st->publisher, st->router, st->gate};

    for (size_t i = 0; i < sizeof sockets / sizeof *sockets; i++)
        if (sockets[i])
            zmq_close(sockets[i]);
    while (st->context && zmq_ctx_term(st->context) != 0 && errno == EINTR)
        ;
}

/* ---- the publishing thread ---- */

static void send_event(void *socket, const struct stream_event *e)
{
    zmq_send(socket, e->kind, strlen(e->kind), ZMQ_SNDMORE | ZMQ_DONTWAIT);
    zmq_send(socket, e->bytes, e->n, ZMQ_DONTWAIT);
}

static size_t take(struct stream *st, struct stream_event *batch[BATCH], bool *stop)
{
    size_t n;

    pthread_mutex_lock(&st->lock);
    n = st->n < BATCH ? st->n : BATCH;
    for (size_t i = 0; i < n; i++)
        batch[i] = st->queue[(st->first + i) % QUEUE];
    st->first = (st->first + n) % QUEUE;
    st->n -= n;
    *stop = st->stop && st->n == 0;
    pthread_mutex_unlock(&st->lock);
    return n;
}

/* All that waits, every TURN; whether that was the end. */
static bool publish(struct stream *st)
{
    struct stream_event *batch[BATCH];
    double now = clock_seconds();
    bool stop = false;
    size_t n = BATCH;

    if (now - st->published < 0.9e-3 * TURN)
        return false;
    st->published = now;

    while (n == BATCH) {
        n = take(st, batch, &stop);
        for (size_t i = 0; i < n; i++) {
            if (!batch[i]->recalled)
                send_event(st->publisher, batch[i]);
            history_put(&st->history, batch[i]);
        }
    }
    return stop;
}

static void beat(struct stream *st)
{
    struct field fields[] = {INTEGER("dropped", 0), {0}};
    double now = clock_seconds();
    struct stream_event *e;

    if (now - st->beaten < 1)
        return;
    st->beaten = now;
    pthread_mutex_lock(&st->lock);
    fields[0].integer = (int64_t)st->dropped;
    pthread_mutex_unlock(&st->lock);
    e = stream_pack(&st->source, st->history.complete, wall_seconds(), "heartbeat", fields);
    if (e)
        send_event(st->publisher, e);
    free(e);
}

static void try_bind(struct stream *st)
{
    double now = clock_seconds();

    if (st->bound || now - st->tried < 1)
        return;
    st->tried = now;
    bind_both(st);
}

static void *stream_thread(void *context)
{
    struct stream *st = context;
    bool stop = false;
    zmq_pollitem_t items[] = {{st->publisher, 0, ZMQ_POLLIN, 0},
                              {st->router, 0, ZMQ_POLLIN, 0},
                              {st->gate, 0, ZMQ_POLLIN, 0}};

    while (!stop) {
        zmq_poll(items, st->gate ? 3 : 2, TURN / 2);
        if (st->gate)
            gate_answer(st->gate, &st->allowed);
        try_bind(st);
        stop = publish(st);
        beat(st);
        serve_step(&st->serve, &st->history, &st->source);
    }
    close_sockets(st);
    return NULL;
}

/* ---- open and close ---- */

static void stream_free(struct stream *st)
{
    for (size_t i = 0; i < st->n; i++)
        free(st->queue[(st->first + i) % QUEUE]);
    serve_release(&st->serve);
    history_release(&st->history);
    keys_release(&st->allowed);
    free(st->endpoint);
    free(st->snapshots);
    explicit_bzero(st->secret, sizeof st->secret);
    pthread_mutex_destroy(&st->lock);
    free(st);
}

static void zmq_close_sink(struct sink *s)
{
    struct stream *st = s->state;

    pthread_mutex_lock(&st->lock);
    st->stop = true;
    pthread_mutex_unlock(&st->lock);
    pthread_join(st->thread, NULL);
    stream_free(st);
}

static const struct sink_ops ops = {
    .name = "zmq", .emit = zmq_emit, .flush = zmq_flush, .close = zmq_close_sink};

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

static int prepare(struct stream *st, const struct metrics_config *c, const char *run_id)
{
    pthread_mutex_init(&st->lock, NULL);
    snprintf(st->source.run_id, sizeof st->source.run_id, "%s", run_id);
    st->endpoint = strdup(c->endpoint);
    st->snapshots = snapshots_at(c);
    if (!st->endpoint || !st->snapshots)
        return err(ERR_MEMORY, "no memory for the metrics stream");
    if (getrandom(&st->source.incarnation, sizeof st->source.incarnation, 0) < 0)
        return err(ERR_FAILED, "no random numbers: %s", strerror(errno));
    if (*c->server_key) {
        TRY(keys_read_secret(c->server_key, st->secret));
        TRY(keys_read_list(c->allowed, &st->allowed));
    }
    return history_init(&st->history);
}

/* Observers' connections must not take the files that checkpoints need. */
static void allow_files(void)
{
    struct rlimit r;

    if (getrlimit(RLIMIT_NOFILE, &r) != 0 || r.rlim_cur >= FILES)
        return;
    r.rlim_cur = r.rlim_max < FILES ? r.rlim_max : FILES;
    setrlimit(RLIMIT_NOFILE, &r);
}

/* Signals are for the main thread. */
static int start_thread(struct stream *st)
{
    sigset_t all, before;
    int code;

    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    code = pthread_create(&st->thread, NULL, stream_thread, st);
    if (code == 0)
        pthread_setname_np(st->thread, "metrics");
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return code == 0 ? 0 : err(ERR_FAILED, "cannot start the thread of the metrics stream");
}

int sink_open_zmq(struct sink *s, const struct metrics_config *c, const char *run_id, bool *busy)
{
    struct stream *st = calloc(1, sizeof *st);
    int code;

    if (!st)
        return err(ERR_MEMORY, "no memory for the metrics stream");
    allow_files();
    code = prepare(st, c, run_id);
    if (code >= 0)
        code = open_sockets(st);
    if (code >= 0)
        code = bind_both(st);
    *busy = code == 1;
    st->tried = clock_seconds();
    if (code >= 0)
        code = start_thread(st);
    if (code < 0) {
        close_sockets(st);
        stream_free(st);
        return code;
    }
    *s = (struct sink){.ops = &ops, .state = st};
    return 0;
}
