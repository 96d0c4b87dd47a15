/* sink_zmq.c - writes events to a ring; another process reads and publishes them. */
#include "proto/stream/sink_zmq.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "core/base/clock.h"
#include "core/base/err.h"
#include "proto/stream/process.h"
#include "proto/stream/ring.h"

#define START                                                                                      \
    60.0 /* seconds that the process may take until it serves; then the run goes on without */
#define LAST_WORDS 6.0 /* seconds that it may take at the end */
#define PAUSE 1.0      /* seconds before the first restart; doubled with each that follows */
#define PAUSE_MAX 60.0 /* at most; and a process that lived as long begins with PAUSE again */

#define RECALLED (UINT64_C(1) << 32) /* live events come after it, if there is a past */

struct stream {
    const struct metrics_config *config; /* borrowed */
    char *metrics;                       /* owned: the path */
    void (*meanwhile)(void *context);
    void *context;
    struct stream_source source;
    uint64_t seq;     /* seq of the last event handed over */
    uint64_t dropped; /* events that found no room, of all processes */
    struct stream_ring ring;
    struct stream_process process;
    double begun;       /* clock: when the process was started */
    double pause, due;  /* seconds before the next start; clock: when it is */
    bool past;          /* there is a past, or will be */
    bool past_known;    /* ... and its end is known */
    int64_t past_limit; /* bytes of the metrics file when the process was started */
    char refused[512];  /* why the last process could not serve; "": it did */
    char told[1016];    /* the last problem that was reported */
};

/* ---- emit ---- */

static int zmq_emit(struct sink *s, const char *kind, const struct field *fields)
{
    struct stream *st = s->state;
    struct stream_event *e;
    bool put;

    e = stream_pack(&st->source, st->seq + 1, clock_since_1970(), kind, fields);
    if (!e)
        return ERR_FAILED;
    put = st->process.pid == 0 || stream_ring_put(&st->ring, e);
    free(e);
    if (!put) {
        st->ring.shared->dropped = ++st->dropped;
        return err(ERR_FAILED, "the metrics stream is %d MiB behind", STREAM_RING >> 20);
    }
    st->seq++;
    return 0;
}

static int zmq_flush(struct sink *s)
{
    (void)s;
    return 0;
}

/* ---- the process ---- */

static int64_t metrics_size(const struct stream *st)
{
    struct stat file;

    return stat(st->metrics, &file) == 0 && S_ISREG(file.st_mode) ? file.st_size : 0;
}

/* Starts another incarnation, with a new ring. The present content of metrics.jsonl is its past. */
static int stream_start(struct stream *st)
{
    const struct metrics_config *c = st->config;
    struct stream_plan plan = {c->endpoint, c->snapshot, c->server_key,          c->allowed,
                               st->metrics, st->source,  st->past ? RECALLED : 0};

    st->begun = clock_seconds();
    stream_ring_release(&st->ring);
    TRY(stream_ring_make(&st->ring));
    if (getrandom(&st->source.incarnation, sizeof st->source.incarnation, 0) < 0)
        return err(ERR_FAILED, "no random numbers: %s", strerror(errno));
    plan.source = st->source;
    st->seq = plan.first;
    st->past_limit = metrics_size(st);
    st->ring.shared->dropped = st->dropped;
    if (!st->past)
        st->ring.shared->recall = 0;
    else if (st->past_known)
        st->ring.shared->recall = st->past_limit;
    return stream_process_start(&st->process, &plan, st->ring.file);
}

/* Handles a process that is gone or did not start. */
static void stream_wait(struct stream *st)
{
    double now = clock_seconds();

    if (now - st->begun > PAUSE_MAX)
        st->pause = 0;
    st->pause = st->pause > 0 ? 2 * st->pause : PAUSE;
    st->pause = st->pause < PAUSE_MAX ? st->pause : PAUSE_MAX;
    st->due = now + st->pause;
    if (!st->past) { /* what it has published is the next one's past */
        st->past = true;
        st->past_known = true;
    }
}

static const struct sink_ops ops;

void sink_zmq_recall(struct sink *s)
{
    struct stream *st = s->state;
    int64_t now;

    if (s->ops != &ops || !st->past || st->past_known)
        return;
    now = metrics_size(st);
    st->past_known = true;
    if (st->ring.shared)
        st->ring.shared->recall = now < st->past_limit ? now : st->past_limit;
}

/* ---- news ---- */

static void tell(struct stream *st, struct sink_zmq_news *news, const char *text)
{
    if (strncmp(st->told, text, sizeof st->told - 1) == 0)
        return;
    snprintf(st->told, sizeof st->told, "%s", text);
    snprintf(news->text, sizeof news->text, "%s", text);
}

static void hear(struct stream *st, struct sink_zmq_news *news)
{
    struct stream_word w;

    for (int i = 0; i < 16 && stream_process_hear(&st->process, &w, 0) == 1; i++)
        if (w.kind == WORD_TROUBLE)
            tell(st, news, w.text);
        else if (w.code < 0)
            snprintf(st->refused, sizeof st->refused, "%.500s", w.text);
        else if (w.code > 0)
            tell(st, news, "the address is in use: nobody can watch this run until it is free");
        else
            *st->told = '\0'; /* the reported problem is over */
}

/* Reports why there is no process; the same reason once. */
static void tell_refused(struct stream *st, struct sink_zmq_news *news)
{
    char text[1016];

    snprintf(text, sizeof text, "%s; trying again", st->refused);
    tell(st, news, text);
}

/* Reports each death. */
static void tell_end(struct stream *st, struct sink_zmq_news *news, int status)
{
    char how[96];

    stream_process_verdict(status, how, sizeof how);
    snprintf(news->text, sizeof news->text,
             "the process that serves observers %s; the run goes on, another one starts in %.0f s",
             how, st->pause);
}

static void start_again(struct stream *st, struct sink_zmq_news *news)
{
    news->begun = stream_start(st) >= 0;
    snprintf(st->refused, sizeof st->refused, "%s", news->begun ? "" : err_text());
    if (!news->begun)
        stream_wait(st);
}

void sink_zmq_tend(struct sink *s, struct sink_zmq_news *news)
{
    struct stream *st = s->state;
    int status;

    *news = (struct sink_zmq_news){0};
    if (s->ops != &ops)
        return;
    hear(st, news);
    if (st->process.pid == 0 && clock_seconds() >= st->due) {
        start_again(st, news);
    } else if (st->process.pid != 0 && stream_process_ended(&st->process, &status)) {
        stream_wait(st);
        hear(st, news);
        if (!*st->refused)
            tell_end(st, news, status);
    }
    if (st->process.pid == 0 && *st->refused)
        tell_refused(st, news);
}

/* ---- open and close ---- */

static void stream_free(struct stream *st)
{
    stream_ring_release(&st->ring);
    free(st->metrics);
    free(st);
}

/* Observers have a second to take what waits for them. */
static void zmq_close_sink(struct sink *s)
{
    struct stream *st = s->state;
    char byte = 0;

    if (st->process.pid != 0) {
        st->ring.shared->stop = 1;
        send(st->process.words, &byte, 1, MSG_DONTWAIT | MSG_NOSIGNAL);
        stream_process_finish(&st->process, LAST_WORDS, st->meanwhile, st->context);
    }
    stream_free(st);
}

static const struct sink_ops ops = {
    .name = "zmq", .emit = zmq_emit, .flush = zmq_flush, .close = zmq_close_sink};

static int first_word(struct stream *st, struct stream_word *w)
{
    double limit = clock_seconds() + START;
    int heard = 0;

    while (heard == 0 && clock_seconds() < limit) {
        heard = stream_process_hear(&st->process, w, 0.02);
        if (st->meanwhile)
            st->meanwhile(st->context);
    }
    return heard;
}

/* Starts the first process and waits for its first message. 0; 1: the address is in use; or the
 * error it reports. */
static int first_start(struct stream *st)
{
    struct stream_word w;

    if (stream_start(st) < 0) { /* sink_zmq_tend reports this, and what follows */
        snprintf(st->refused, sizeof st->refused, "%s", err_text());
        stream_wait(st);
        return 0;
    }
    if (first_word(st, &w) != 1 || w.kind != WORD_OPENED)
        return 0;
    return w.code < 0 ? err(w.code, "%s", w.text) : w.code;
}

int sink_open_zmq(struct sink *s, const struct sink_zmq_options *o, bool *busy)
{
    struct stream *st = calloc(1, sizeof *st);
    int code;

    if (!st || !(st->metrics = strdup(o->metrics))) {
        free(st);
        return err(ERR_MEMORY, "no memory for the metrics stream");
    }
    st->config = o->config;
    st->meanwhile = o->meanwhile;
    st->context = o->context;
    st->past = o->resumed;
    st->ring.file = st->process.words = -1;
    snprintf(st->source.run_id, sizeof st->source.run_id, "%s", o->run_id);
    code = first_start(st);
    if (code < 0) {
        stream_process_finish(&st->process, LAST_WORDS, st->meanwhile, st->context);
        stream_free(st);
        return code;
    }
    *busy = code == 1;
    *s = (struct sink){.ops = &ops, .state = st};
    return 0;
}
