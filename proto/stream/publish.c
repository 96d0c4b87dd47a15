/* publish.c - a loop around the ring, the sockets and the history. */
#include "proto/stream/publish.h"

#include <errno.h>
#include <inttypes.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>
#include <zmq.h>

#include "core/base/clock.h"
#include "core/base/err.h"
#include "proto/stream/history.h"
#include "proto/stream/process.h"
#include "proto/stream/recall.h"
#include "proto/stream/ring.h"
#include "proto/stream/serve.h"
#include "proto/stream/sockets.h"

enum {
    ARGUMENTS = 10,
    FILES = 65536, /* open files that this process asks for: each observer needs two */
    LOWEST = 19,   /* priority */
    BATCH = 4096,  /* bytes of events in one message, unless one event is larger */
};

#define TURN 0.2        /* seconds between reads of the ring: fewer calls of the network */
#define BEAT 1.0        /* seconds between heartbeats, and between attempts to bind */
#define RECALLING 0.005 /* seconds spent on the past before new events are read again */

struct event_batch { /* events of one kind that are not sent yet */
    char kind[STREAM_KIND + 1];
    size_t n;
    uint8_t bytes[BATCH];
};

struct pending { /* what was published before the past was in the history, in order */
    struct stream_event **each; /* owned, as the events */
    size_t n, room, bytes;
};

struct publisher {
    const char *metrics; /* borrowed: the file to recall */
    struct stream_source source;
    struct stream_ring ring;
    struct stream_sockets sockets;
    struct event_batch batch;
    uint64_t seq; /* seq of the last event published */
    struct recall recall;
    bool recalling, ready; /* ready: the past is in the history, so snapshots are whole */
    struct history history;
    struct pending pending;
    struct serve serve;
    double published, beaten, tried; /* clocks: look at the ring, heartbeat, attempt to bind */
    char trouble[512];               /* the last message */
};

/* ---- words to the run ---- */

/* Never blocks: the run reads once a second. */
static void say(int kind, int code, const char *text)
{
    struct stream_word w = {.kind = kind, .code = code};

    snprintf(w.text, sizeof w.text, "%s", text);
    send(PROCESS_WORDS, &w, sizeof w, MSG_DONTWAIT | MSG_NOSIGNAL);
}

/* Reports a failure, unless it was the last one reported. */
static void complain(struct publisher *p)
{
    if (strncmp(p->trouble, err_text(), sizeof p->trouble - 1) == 0)
        return;
    snprintf(p->trouble, sizeof p->trouble, "%s", err_text());
    say(WORD_TROUBLE, 0, err_text());
}

/* ---- publishing ---- */

static void send_events(struct publisher *p, const char *kind, const uint8_t *bytes, size_t n)
{
    zmq_send(p->sockets.publisher, kind, strlen(kind), ZMQ_SNDMORE | ZMQ_DONTWAIT);
    zmq_send(p->sockets.publisher, bytes, n, ZMQ_DONTWAIT);
}

static void batch_send(struct publisher *p)
{
    struct event_batch *b = &p->batch;

    if (b->n > 0)
        send_events(p, b->kind, b->bytes, b->n);
    b->n = 0;
}

/* With many observers, messages cost more than bytes, so events are sent together. */
static void batch_add(struct publisher *p, const struct stream_event *e)
{
    struct event_batch *b = &p->batch;

    if (strcmp(b->kind, e->kind) != 0 || b->n + e->n > BATCH)
        batch_send(p);
    if (e->n > BATCH) {
        send_events(p, e->kind, e->bytes, e->n);
        return;
    }
    strcpy(b->kind, e->kind);
    memcpy(b->bytes + b->n, e->bytes, e->n);
    b->n += e->n;
}

/* True if `every` seconds have passed since the last time. */
static bool is_due(double *last, double every, double now)
{
    if (now - *last < every)
        return false;
    *last = now;
    return true;
}

/* Takes the event. What goes beyond HISTORY_BYTES was published, and is not kept. */
static void pending_add(struct pending *p, struct stream_event *e)
{
    size_t room = p->n < p->room ? p->room : 2 * p->room + 64;
    struct stream_event **each =
        p->n < p->room ? p->each : realloc(p->each, room * sizeof(struct stream_event *));

    if (each) {
        p->each = each;
        p->room = room;
    }
    if (!each || p->bytes + e->n > HISTORY_BYTES) {
        free(e);
        return;
    }
    p->bytes += e->n;
    p->each[p->n++] = e;
}

/* Moves all events to the end of the history; h NULL: frees them. */
static void pending_pass(struct pending *p, struct history *h)
{
    for (size_t i = 0; i < p->n; i++)
        if (h)
            history_put(h, p->each[i]);
        else
            free(p->each[i]);
    free(p->each);
    *p = (struct pending){0};
}

/* Sends all events that wait. */
static void publish(struct publisher *p)
{
    struct stream_event *e;

    while ((e = stream_ring_take(&p->ring))) {
        batch_add(p, e);
        p->seq = e->seq;
        if (p->ready)
            history_put(&p->history, e);
        else
            pending_add(&p->pending, e);
    }
    batch_send(p);
}

/* True if the run is stopped, by SIGSTOP or a debugger; false if /proc does not say. */
static bool run_is_stopped(void)
{
    char path[40], state = 'R';
    FILE *f;

    snprintf(path, sizeof path, "/proc/%ld/stat", (long)getppid());
    f = fopen(path, "re");
    if (!f)
        return false;
    if (fscanf(f, "%*d (%*[^)]) %c", &state) != 1)
        state = 'R';
    fclose(f);
    return state == 'T' || state == 't';
}

/* Sends a heartbeat, so that observers know that the run is alive. */
static void beat(struct publisher *p)
{
    const struct field fields[] = {INTEGER("dropped", p->ring.shared->dropped), {0}};
    struct stream_event *e =
        stream_pack(&p->source, p->seq, clock_since_1970(), "heartbeat", fields);

    if (e)
        send_events(p, e->kind, e->bytes, e->n);
    free(e);
}

/* ---- the past ---- */

/* Adds the new events after the past; from now on snapshots are answered. */
static void recall_end(struct publisher *p)
{
    char text[1000];

    if (recall_trouble(&p->recall, text, sizeof text))
        say(WORD_TROUBLE, 0, text);
    recall_close(&p->recall);
    p->recalling = false;
    pending_pass(&p->pending, &p->history);
    p->history.complete = p->seq;
    p->ready = true;
}

/* Reads a part of the past, once the run has said how much of the file is past. */
static void recall_some(struct publisher *p)
{
    int64_t limit = p->ring.shared->recall;
    double end = clock_seconds() + RECALLING;
    int more = 1;

    if (limit == STREAM_RECALL_UNKNOWN)
        return;
    if (!p->recalling && recall_open(&p->recall, p->metrics, limit) < 0)
        more = -1;
    p->recalling = true;
    while (more > 0 && clock_seconds() < end)
        more = recall_step(&p->recall, &p->history, &p->source);
    if (more < 0)
        complain(p);
    if (more <= 0)
        recall_end(p);
}

/* ---- the loop ---- */

/* Waits for a message, or until the ring must be read. Requests wait until the history is
 * complete. */
static void wait_for_words(struct publisher *p)
{
    struct stream_sockets *s = &p->sockets;
    zmq_pollitem_t items[] = {{s->publisher, 0, ZMQ_POLLIN, 0},
                              {NULL, PROCESS_WORDS, ZMQ_POLLIN, 0},
                              {p->ready ? s->router : s->gate, 0, ZMQ_POLLIN, 0},
                              {s->gate, 0, ZMQ_POLLIN, 0}};
    int n = 2 + p->ready + (s->gate != NULL);
    double left = p->recalling ? 0 : p->published + TURN - clock_seconds();

    zmq_poll(items, n, left > 0 ? (long)(1e3 * left) + 1 : 0);
    if (s->gate && (items[n - 1].revents & ZMQ_POLLIN) && stream_sockets_admit(s) < 0)
        complain(p);
}

/* The run is gone: it closed its end of the socket without saying stop. */
static bool is_orphan(void)
{
    char byte;

    return recv(PROCESS_WORDS, &byte, 1, MSG_DONTWAIT | MSG_PEEK) == 0;
}

static void turn(struct publisher *p, bool last)
{
    double now = clock_seconds();

    if (!p->sockets.bound && is_due(&p->tried, BEAT, now) && stream_sockets_bind(&p->sockets) < 0)
        complain(p);
    if (last || is_due(&p->published, TURN, now))
        publish(p);
    if (is_due(&p->beaten, BEAT, now) && !run_is_stopped())
        beat(p);
    if (!p->ready)
        recall_some(p);
    if (p->ready)
        serve_step(&p->serve, &p->history, &p->source);
}

static void loop(struct publisher *p)
{
    bool last = false;

    while (!last) {
        wait_for_words(p);
        last = p->ring.shared->stop;
        if (!last && is_orphan())
            _exit(0);
        turn(p, last);
    }
}

/* ---- beginning and end ---- */

/* Runs at nice 19 and SCHED_BATCH, inherited by ZeroMQ's threads: about 1.4 % of a core that is
 * shared with a compute thread. */
static void step_back(void)
{
    const struct sched_param none = {0};

    sched_setscheduler(0, SCHED_BATCH, &none);
    setpriority(PRIO_PROCESS, 0, LOWEST);
}

static void raise_files(void)
{
    struct rlimit r;

    if (getrlimit(RLIMIT_NOFILE, &r) != 0 || r.rlim_cur >= FILES)
        return;
    r.rlim_cur = r.rlim_max < FILES ? r.rlim_max : FILES;
    setrlimit(RLIMIT_NOFILE, &r);
}

/* If memory runs out, the kernel should kill this process first. */
static void offer_memory(void)
{
    FILE *f = fopen("/proc/self/oom_score_adj", "we");

    if (!f)
        return;
    fputs("1000", f);
    fclose(f);
}

/* Ends only if the run says so or is gone, or by SIGKILL. Writes no core: it holds a secret key,
 * and a peer may crash it often. */
static void settle(void)
{
    static const int deaf[] = {SIGINT,  SIGTERM, SIGHUP,  SIGUSR1,
                               SIGUSR2, SIGPIPE, SIGQUIT, SIGTSTP};
    const struct rlimit none = {0, 0};

    prctl(PR_SET_PDEATHSIG, SIGKILL);
    prctl(PR_SET_NAME, "metrics");
    for (size_t i = 0; i < sizeof deaf / sizeof *deaf; i++)
        signal(deaf[i], SIG_IGN);
    setrlimit(RLIMIT_CORE, &none);
    raise_files();
    offer_memory();
    step_back();
}

static void arguments_take(struct publisher *p, struct metrics_config *c, char **argv)
{
    *c = (struct metrics_config){
        .endpoint = argv[2], .snapshot = argv[3], .server_key = argv[4], .allowed = argv[5]};
    p->metrics = argv[6];
    snprintf(p->source.run_id, sizeof p->source.run_id, "%s", argv[7]);
    p->source.incarnation = strtoull(argv[8], NULL, 10);
    p->seq = strtoull(argv[9], NULL, 10);
    p->recall.file = -1;
}

/* 0; 1: the address is in use; or an error. */
static int publisher_open(struct publisher *p, const struct metrics_config *c)
{
    TRY(stream_sockets_prepare(&p->sockets, c));
    TRY(history_init(&p->history));
    TRY(stream_sockets_open(&p->sockets));
    p->serve.socket = p->sockets.router;
    p->tried = clock_seconds();
    return stream_sockets_bind(&p->sockets);
}

static void publisher_close(struct publisher *p)
{
    stream_sockets_close(&p->sockets);
    stream_sockets_release(&p->sockets);
    serve_release(&p->serve);
    recall_close(&p->recall);
    history_release(&p->history);
    pending_pass(&p->pending, NULL);
    stream_ring_release(&p->ring);
}

static int refuse_person(void)
{
    fprintf(stderr, "metaloop: '%s' is not for direct use: 'train' starts it to serve observers\n",
            PROCESS_VERB);
    return err_exit_status(ERR_USAGE);
}

int stream_publish(int argc, char **argv)
{
    static struct publisher p;
    struct metrics_config c;
    int code;

    if (argc != ARGUMENTS || stream_ring_join(&p.ring, PROCESS_RING) < 0)
        return refuse_person();
    settle();
    arguments_take(&p, &c, argv);
    code = publisher_open(&p, &c);
    say(WORD_OPENED, code, code < 0 ? err_text() : "");
    if (code >= 0)
        loop(&p);
    publisher_close(&p);
    return code < 0 ? err_exit_status(code) : 0;
}
