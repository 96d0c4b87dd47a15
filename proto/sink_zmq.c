/* sink_zmq.c - a queue, and a thread behind it that publishes. */
#include "proto/sink_zmq.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>
#include <zmq.h>

#include "core/clock.h"
#include "core/err.h"
#include "proto/stream_history.h"
#include "proto/stream_queue.h"
#include "proto/stream_serve.h"
#include "proto/stream_sockets.h"

enum {
    FILES = 65536, /* open files this process asks for: each observer holds two */
    LOWEST = 19,   /* priority */
    BATCH = 4096,  /* bytes of events in one message, unless one event is larger */
};

#define TURN 0.2 /* seconds between two looks at the queue: fewer calls of the network */
#define BEAT 1.0 /* seconds between heartbeats, and between attempts to bind */

struct batch { /* events of one kind that are not sent yet */
    char kind[STREAM_KIND + 1];
    size_t n;
    uint8_t bytes[BATCH];
};

struct stream {
    struct stream_source source;
    struct stream_queue queue;
    uint64_t seq;             /* of the last event handed over; the emitting thread's */
    _Atomic uint64_t dropped; /* events that the queue had no place for */
    atomic_bool stop;
    int wake;             /* file: readable when the thread is to stop; -1: none */
    atomic_bool troubled; /* the emitting thread has not read trouble yet: it stays as it is */
    char trouble[512];    /* what the publishing thread could not do */

    pthread_t thread;
    sem_t started;   /* what follows is set, once */
    int code;        /* of opening and binding */
    char error[512]; /* its sentence */

    struct stream_sockets sockets; /* from here on the thread's */
    struct batch batch;
    struct history history;
    struct serve serve;
    double published, beaten, tried; /* clocks: look at the queue, heartbeat, attempt to bind */
};

/* ---- the emitting thread ---- */

static double wall_seconds(void)
{
    struct timespec t;

    clock_gettime(CLOCK_REALTIME, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static int hand_over(struct stream *st, const char *kind, const struct field *fields, double now)
{
    struct stream_event *e = stream_pack(&st->source, st->seq + 1, now, kind, fields);

    if (!e)
        return ERR_FAILED;
    st->seq++;
    stream_queue_put(&st->queue, e);
    return 0;
}

static int zmq_emit(struct sink *s, const char *kind, const struct field *fields)
{
    struct stream *st = s->state;

    if (stream_queue_is_full(&st->queue)) {
        st->dropped++;
        return err(ERR_FAILED, "the metrics stream is %d events behind", STREAM_QUEUE);
    }
    return hand_over(st, kind, fields, wall_seconds());
}

void sink_zmq_recall(struct sink *s, const char *kind, const struct field *fields)
{
    struct stream *st = s->state;
    double limit = clock_seconds() + 1;

    while (stream_queue_is_full(&st->queue)) {
        if (clock_seconds() > limit)
            return;
        nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    }
    hand_over(st, kind, fields, 0);
}

bool sink_zmq_trouble(struct sink *s, char *text, size_t n)
{
    struct stream *st = s->state;

    if (!st->troubled)
        return false;
    snprintf(text, n, "%s", st->trouble);
    st->troubled = false;
    return true;
}

static int zmq_flush(struct sink *s)
{
    (void)s;
    return 0;
}

/* ---- the publishing thread ---- */

/* Says what just failed, unless it said so before. */
static void complain(struct stream *st)
{
    if (st->troubled || strcmp(st->trouble, err_text()) == 0)
        return;
    snprintf(st->trouble, sizeof st->trouble, "%s", err_text());
    st->troubled = true;
}

static void send_events(struct stream *st, const char *kind, const uint8_t *bytes, size_t n)
{
    zmq_send(st->sockets.publisher, kind, strlen(kind), ZMQ_SNDMORE | ZMQ_DONTWAIT);
    zmq_send(st->sockets.publisher, bytes, n, ZMQ_DONTWAIT);
}

static void batch_send(struct stream *st)
{
    struct batch *b = &st->batch;

    if (b->n > 0)
        send_events(st, b->kind, b->bytes, b->n);
    b->n = 0;
}

/* Many observers cost by the message, hardly by the byte. */
static void batch_add(struct stream *st, const struct stream_event *e)
{
    struct batch *b = &st->batch;

    if (strcmp(b->kind, e->kind) != 0 || b->n + e->n > BATCH)
        batch_send(st);
    if (e->n > BATCH) {
        send_events(st, e->kind, e->bytes, e->n);
        return;
    }
    strcpy(b->kind, e->kind);
    memcpy(b->bytes + b->n, e->bytes, e->n);
    b->n += e->n;
}

/* Whether it is time again, `every` seconds after the last time. */
static bool is_due(double *last, double every, double now)
{
    if (now - *last < every)
        return false;
    *last = now;
    return true;
}

/* All that waits. */
static void publish(struct stream *st)
{
    struct stream_event *e;

    while ((e = stream_queue_take(&st->queue))) {
        if (!e->recalled)
            batch_add(st, e);
        history_put(&st->history, e);
    }
    batch_send(st);
}

static void beat(struct stream *st)
{
    const struct field fields[] = {INTEGER("dropped", st->dropped), {0}};
    struct stream_event *e =
        stream_pack(&st->source, st->history.complete, wall_seconds(), "heartbeat", fields);

    if (e)
        send_events(st, e->kind, e->bytes, e->n);
    free(e);
}

/* Until somebody speaks, or the queue is to be looked at. */
static void listen(struct stream *st)
{
    struct stream_sockets *s = &st->sockets;
    zmq_pollitem_t items[] = {{s->publisher, 0, ZMQ_POLLIN, 0},
                              {s->router, 0, ZMQ_POLLIN, 0},
                              {NULL, st->wake, ZMQ_POLLIN, 0},
                              {s->gate, 0, ZMQ_POLLIN, 0}};
    double left = st->published + TURN - clock_seconds();

    zmq_poll(items, s->gate ? 4 : 3, left > 0 ? (long)(1e3 * left) + 1 : 0);
    if ((items[3].revents & ZMQ_POLLIN) && stream_sockets_admit(s) < 0)
        complain(st);
}

static void stream_run(struct stream *st)
{
    bool stop = false;

    while (!stop) {
        double now;

        listen(st);
        now = clock_seconds();
        stop = st->stop;
        if (!st->sockets.bound && is_due(&st->tried, BEAT, now) &&
            stream_sockets_bind(&st->sockets) < 0)
            complain(st);
        if (stop || is_due(&st->published, TURN, now))
            publish(st);
        if (is_due(&st->beaten, BEAT, now))
            beat(st);
        serve_step(&st->serve, &st->history, &st->source);
    }
}

/* Whoever trains comes first: beside such a thread this one, and those of ZeroMQ, which inherit it, have 15/1039 of the core
 * that they share, and interrupt nobody. */
static void step_back(void)
{
    const struct sched_param none = {0};

    pthread_setschedparam(pthread_self(), SCHED_BATCH, &none);
    setpriority(PRIO_PROCESS, 0, LOWEST);
}

static int stream_open(struct stream *st)
{
    TRY(stream_sockets_open(&st->sockets));
    st->serve.socket = st->sockets.router;
    st->tried = clock_seconds();
    return stream_sockets_bind(&st->sockets);
}

static void *stream_thread(void *context)
{
    struct stream *st = context;
    int code;

    step_back();
    code = st->code = stream_open(st);
    snprintf(st->error, sizeof st->error, "%s", err_text());
    sem_post(&st->started);
    if (code >= 0)
        stream_run(st);
    stream_sockets_close(&st->sockets);
    return NULL;
}

/* ---- open and close ---- */

static void stream_free(struct stream *st)
{
    serve_release(&st->serve);
    history_release(&st->history);
    stream_sockets_release(&st->sockets);
    stream_queue_release(&st->queue);
    sem_destroy(&st->started);
    if (st->wake >= 0)
        close(st->wake);
    free(st);
}

static void zmq_close_sink(struct sink *s)
{
    struct stream *st = s->state;

    st->stop = true;
    eventfd_write(st->wake, 1);
    pthread_join(st->thread, NULL);
    stream_free(st);
}

static const struct sink_ops ops = {
    .name = "zmq", .emit = zmq_emit, .flush = zmq_flush, .close = zmq_close_sink};

static int prepare(struct stream *st, const struct metrics_config *c, const char *run_id)
{
    sem_init(&st->started, 0, 0);
    st->wake = eventfd(0, EFD_CLOEXEC);
    if (st->wake < 0)
        return err(ERR_FAILED, "no file for the metrics stream: %s", strerror(errno));
    snprintf(st->source.run_id, sizeof st->source.run_id, "%s", run_id);
    if (getrandom(&st->source.incarnation, sizeof st->source.incarnation, 0) < 0)
        return err(ERR_FAILED, "no random numbers: %s", strerror(errno));
    TRY(stream_sockets_prepare(&st->sockets, c));
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
static int create_thread(struct stream *st)
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

/* Returns when the thread publishes, or could not begin to. 0; 1: the address is in use; or an error. */
static int start(struct stream *st)
{
    TRY(create_thread(st));
    while (sem_wait(&st->started) != 0)
        ;
    if (st->code >= 0)
        return st->code;
    pthread_join(st->thread, NULL);
    return err(st->code, "%s", st->error);
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
        code = start(st);
    if (code < 0) {
        stream_free(st);
        return code;
    }
    *busy = code == 1;
    *s = (struct sink){.ops = &ops, .state = st};
    return 0;
}
