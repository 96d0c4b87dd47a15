/* http_feed.c - what happens, as server-sent events: each text once, for all listeners.
 *
 * A version is made when something is new, at most every PACE seconds: its message has what came
 * since the version before. Who is new gets everything, and then each message that follows. Who is
 * further behind than the messages kept gets everything again. So the texts in memory are the last
 * few messages, one of everything, and what somebody is still taking; who takes nothing is
 * dropped. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/clock.h"
#include "observer/view/api.h"
#include "observer/view/http_internal.h"

struct feed_message {
    int shared; /* number of holders */
    char *text; /* owned */
    size_t n;
};

static struct feed_message *message_hold(struct feed_message *m)
{
    if (m)
        m->shared++;
    return m;
}

static void message_drop(struct feed *f, struct feed_message **m)
{
    struct feed_message *one = *m;

    *m = NULL;
    if (!one || --one->shared > 0)
        return;
    f->held -= one->n;
    free(one->text);
    free(one);
}

static void stream_drop(struct http_stream *s)
{
    s->dropped = true;
    message_drop(s->feed, &s->message);
    connection_end(s->connection);
}

/* Drops the listener that is furthest behind. */
static void room_make(struct feed *f)
{
    while (f->held > HELD_MAX) {
        struct http_stream *slowest = NULL;

        for (struct http_stream *s = f->streams; s < f->streams + STREAMS_MAX; s++)
            if (s->used && s->message && s->message != f->whole && s->message->n > HELD_MAX / 64 &&
                s->message->shared == 1 && (!slowest || s->taken < slowest->taken))
                slowest = s;
        if (!slowest)
            return;
        stream_drop(slowest);
    }
}

/* ---- texts ---- */

static void runs_write(FILE *f, const struct runs *runs)
{
    json_t *all = api_runs(runs, clock_since_1970());
    char *text = all ? json_dumps(all, JSON_COMPACT | JSON_REAL_PRECISION(9)) : NULL;

    json_decref(all);
    if (text)
        fprintf(f, "event: runs\ndata: %s\n\n", text);
    free(text);
}

/* All runs, then their points since `since`; NULL: all points. Held once; NULL: no memory. */
static struct feed_message *message_make(struct feed *f, const uint64_t *since)
{
    struct feed_message *m = calloc(1, sizeof *m);
    FILE *out = m ? open_memstream(&m->text, &m->n) : NULL;

    if (!out) {
        free(m);
        return NULL;
    }
    runs_write(out, f->runs);
    for (int i = 0; i < f->runs->n && i < RUNS; i++) {
        bool fresh = !since || f->generation[i] != f->runs->sources[i].run.generation;

        fputs("event: points\ndata: ", out);
        api_series(out, f->runs, i, fresh ? 0 : since[i]);
        fputs("\n\n", out);
    }
    if (fclose(out) != 0) {
        free(m->text);
        free(m);
        return NULL;
    }
    m->shared = 1;
    f->held += m->n;
    return m;
}

static bool is_behind(const struct feed *f)
{
    for (int i = 0; i < f->runs->n && i < RUNS; i++) {
        const struct run *r = &f->runs->sources[i].run;

        if (f->events[i] != r->events || f->serial[i] != r->serial ||
            f->generation[i] != r->generation)
            return true;
    }
    return false;
}

static bool somebody_follows(const struct feed *f)
{
    for (int i = 0; i < STREAMS_MAX; i++)
        if (f->streams[i].used && f->streams[i].version > 0)
            return true;
    return false;
}

/* Makes the next version. If no listener has the version before, its news are sent to none. */
static void version_make(struct feed *f)
{
    uint64_t none[RUNS];
    struct feed_message *m;

    memset(none, 0xff, sizeof none);
    for (int i = 0; !somebody_follows(f) && i < f->runs->n && i < RUNS; i++)
        f->generation[i] = f->runs->sources[i].run.generation;
    m = message_make(f, somebody_follows(f) ? f->serial : none);
    f->made = clock_seconds();
    if (!m)
        return;
    f->version++;
    message_drop(f, &f->deltas[f->version % DELTAS]);
    f->deltas[f->version % DELTAS] = m;
    for (int i = 0; i < f->runs->n && i < RUNS; i++) {
        const struct run *r = &f->runs->sources[i].run;

        f->serial[i] = r->serial;
        f->generation[i] = r->generation;
        f->events[i] = r->events;
    }
    room_make(f);
}

/* The text with everything, not older than the messages that are kept. */
static void whole_make(struct feed *f)
{
    if (f->whole && f->version - f->whole_version < DELTAS)
        return;
    message_drop(f, &f->whole);
    version_make(f);
    f->whole = message_make(f, NULL);
    f->whole_version = f->version;
    room_make(f);
}

/* ---- a listener ---- */

static void stream_next(struct http_stream *s)
{
    struct feed *f = s->feed;

    s->at = 0;
    if (s->version == 0 || f->version - s->version > DELTAS) {
        whole_make(f);
        s->message = message_hold(f->whole);
        s->version = f->whole_version;
    } else if (s->version < f->version) {
        s->version++;
        s->message = message_hold(f->deltas[s->version % DELTAS]);
    }
}

static ssize_t stream_read(void *context, uint64_t position, char *to, size_t room)
{
    struct http_stream *s = context;
    size_t n;

    (void)position;
    if (s->dropped)
        return MHD_CONTENT_READER_END_WITH_ERROR;
    if (!s->message)
        stream_next(s);
    s->taken = clock_seconds();
    if (!s->message) {
        s->waits = true;
        MHD_suspend_connection(s->connection);
        return 0;
    }
    n = s->message->n - s->at < room ? s->message->n - s->at : room;
    memcpy(to, s->message->text + s->at, n);
    s->at += n;
    if (s->at == s->message->n)
        message_drop(s->feed, &s->message);
    return (ssize_t)n;
}

static void stream_end(void *context)
{
    struct http_stream *s = context;

    message_drop(s->feed, &s->message);
    *s = (struct http_stream){0};
}

struct MHD_Response *feed_listen(struct feed *f, struct MHD_Connection *c)
{
    struct http_stream *s = f->streams;

    while (s < f->streams + STREAMS_MAX && s->used)
        s++;
    if (s == f->streams + STREAMS_MAX)
        return NULL;
    *s = (struct http_stream){.feed = f, .connection = c, .used = true, .taken = clock_seconds()};
    return MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, 16 << 10, stream_read, s,
                                             stream_end);
}

/* ---- all of them ---- */

static bool somebody_listens(const struct feed *f)
{
    for (int i = 0; i < STREAMS_MAX; i++)
        if (f->streams[i].used)
            return true;
    return false;
}

static void wake(struct http_stream *s)
{
    s->waits = false;
    MHD_resume_connection(s->connection);
}

void feed_tend(struct feed *f, double now)
{
    if (somebody_listens(f) && now - f->made >= (is_behind(f) ? PACE : QUIET))
        version_make(f);
    for (struct http_stream *s = f->streams; s < f->streams + STREAMS_MAX; s++) {
        if (s->used && s->waits && s->version < f->version)
            wake(s);
        if (s->used && s->message && !s->dropped && now - s->taken > SLOW)
            stream_drop(s);
    }
}

void feed_stop(struct feed *f)
{
    for (struct http_stream *s = f->streams; s < f->streams + STREAMS_MAX; s++)
        if (s->used && s->waits)
            wake(s);
}

void feed_release(struct feed *f)
{
    message_drop(f, &f->whole);
    for (int i = 0; i < DELTAS; i++)
        message_drop(f, &f->deltas[i]);
}
