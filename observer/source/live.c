/* live.c - the stream of a coordinator: the history first, then what happens, without a gap and
 * nothing twice.
 *
 *     joining    what the stream says is held back; a snapshot is asked for, until one is complete
 *     following  each event is one after the last; a gap, or another coordinator, means
 *                joining again */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/clock.h"
#include "core/base/err.h"
#include "observer/source/live_internal.h"

#define PATIENCE 2.0 /* seconds without a publisher before that is reported */
#define SILENCE 5.0  /* seconds without a heartbeat */
#define ASK 3.0      /* seconds without a part of an answer */

enum { VERSION = 1, TOLD = 5 };

#define RECALLED (UINT64_C(1) << 32) /* seq before the first live event, if the run has a past */

struct live {
    struct sockets sockets;
    struct list queue, answer; /* of the stream while joining; of the snapshot */
    struct marks marks;
    char run_id[128];
    uint64_t incarnation, seq; /* of the last event taken */
    bool joining, fresh;       /* fresh: nothing is known of this coordinator yet */
    bool told;                 /* reported: that there is none, or why it refuses us */
    enum refusal refusal;
    double opened, heard, asked, ended, linger;
    const struct listener *to; /* borrowed, during a step */
    bool history;
};

static void refuse(struct source *s, const char *why)
{
    char text[SENTENCE];

    text_clean(text, sizeof text, why);
    if (++s->refused <= TOLD)
        model_note(&s->run, NOTE_FAULT, 0, "from '%s': %s; ignored", s->run.source, text);
}

/* ---- handing on ---- */

static int event_clean_take(void *context, const struct event *e)
{
    struct source *s = context;
    struct live *l = s->state;

    TRY(model_event(&s->run, e));
    return marks_pass(&l->marks, e, l->history) ? l->to->event(l->to->context, s, e) : 0;
}

static int event_take(void *context, const struct event *e)
{
    return event_clean(e, event_clean_take, context);
}

/* An event that cannot be read is skipped. An error of a view ends the program. */
static int held_take(struct source *s, struct held_event *h, bool history)
{
    struct live *l = s->state;
    int code;

    l->history = history;
    code = decode_event(h->bytes, h->n, event_take, s);
    if (code == ERR_DATA)
        refuse(s, err_text());
    return code == ERR_DATA ? 0 : code;
}

static void join(struct live *l)
{
    if (!l->joining)
        l->asked = 0;
    l->joining = true;
}

/* Another coordinator process: all its events are new, until its snapshot is here. */
static void meet(struct source *s, const struct event_header *h)
{
    struct live *l = s->state;

    list_drop(&l->queue, l->queue.n);
    list_drop(&l->answer, l->answer.n);
    l->incarnation = h->incarnation;
    l->seq = 0;
    l->fresh = true;
    l->joining = false;
    join(l);
}

/* ---- the stream ---- */

/* Takes the events that were held back, up to the first gap. */
static int queue_take(struct source *s)
{
    struct live *l = s->state;
    size_t i = 0;
    int code = 0;

    for (; i < l->queue.n && code >= 0; i++) {
        struct held_event *h = &l->queue.items[i];

        if (h->header.seq > l->seq + 1)
            break;
        if (h->header.seq == l->seq + 1) {
            l->seq++;
            code = held_take(s, h, false);
        }
    }
    list_drop(&l->queue, i);
    if (l->queue.n > 0)
        join(l);
    return code;
}

static void heard(struct source *s, const struct event_header *h)
{
    struct live *l = s->state;

    l->heard = clock_seconds();
    l->told = true;
    l->refusal = REFUSAL_NONE;
    if (h->incarnation != l->incarnation)
        meet(s, h);
    if (s->run.state == RUN_SILENT) {
        s->run.state = RUN_LIVE;
        model_note(&s->run, NOTE_LOG, h->time, "'%s' sends events again", s->run.source);
    }
}

static int stream_take(struct source *s, struct span event)
{
    struct live *l = s->state;
    struct event_header h;

    if (decode_header(event.bytes, event.n, &h) < 0 || h.version != VERSION) {
        refuse(s, h.version != VERSION ? "another version of the schema" : err_text());
        return 0;
    }
    heard(s, &h);
    if (strcmp(h.kind, "heartbeat") == 0) {
        if (h.seq > l->seq)
            join(l);
        return 0;
    }
    if (!list_add(&l->queue, event, &h) || l->joining)
        return 0;
    return queue_take(s);
}

/* ---- the snapshot ---- */

static int events_of(void *context, const struct event *e)
{
    *(uint64_t *)context = event_count(e, "events");
    return 0;
}

/* Another run at the same endpoint is passed on as a whole; the same run continues after the last
 * event that views have. */
static void begin_again(struct source *s, const struct event_header *h)
{
    struct live *l = s->state;

    if (*l->run_id && strcmp(l->run_id, h->run_id) == 0)
        marks_freeze(&l->marks);
    else
        l->marks = (struct marks){0};
    if (s->run.events > 0)
        model_restart(&s->run);
    snprintf(l->run_id, sizeof l->run_id, "%s", h->run_id);
    model_identity(&s->run, h->run_id);
    s->run.state = RUN_LIVE;
    l->fresh = false;
}

/* Takes the last `n` events of the answer: those before belong to an answer that was started
 * again. */
static int answer_apply(struct source *s, size_t n, const struct event_header *complete)
{
    struct live *l = s->state;
    int code = 0;
    bool fresh = l->fresh;

    if (fresh)
        begin_again(s, complete);
    for (size_t i = l->answer.n - n; i < l->answer.n && code >= 0; i++)
        if (fresh || l->answer.items[i].header.seq > l->seq)
            code = held_take(s, &l->answer.items[i], true);
    list_drop(&l->answer, l->answer.n);
    if (complete->seq > l->seq)
        l->seq = complete->seq;
    l->joining = false;
    return code < 0 ? code : queue_take(s);
}

static int answer_take(struct source *s, struct span event)
{
    struct live *l = s->state;
    struct event_header h;
    uint64_t n = 0;

    if (decode_header(event.bytes, event.n, &h) < 0 || h.version != VERSION) {
        refuse(s, "part of a snapshot that is not an event");
        return 0;
    }
    l->asked = clock_seconds();
    if (!l->incarnation)
        heard(s, &h);
    if (!l->joining || h.incarnation != l->incarnation)
        return 0;
    if (strcmp(h.kind, "complete") != 0) {
        list_add(&l->answer, event, &h);
        return 0;
    }
    decode_event(event.bytes, event.n, events_of, &n);
    if (n > l->answer.n) { /* its beginning is missing */
        list_drop(&l->answer, l->answer.n);
        l->asked = 0;
        return 0;
    }
    return answer_apply(s, (size_t)n, &h);
}

/* ---- the source ---- */

typedef int taking(struct source *s, struct span event);

/* Decodes every event of a frame. */
static int frame_take(struct source *s, zmq_msg_t *frame, taking *take)
{
    struct span rest = {zmq_msg_data(frame), zmq_msg_size(frame)}, event;
    int more;

    while ((more = decode_next(&rest, &event)) > 0)
        TRY(take(s, event));
    if (more < 0)
        refuse(s, err_text());
    return 0;
}

/* Receives one message of n frames, the last of which holds events; the topic before it adds
 * nothing. 0: there is none. */
static int message_take(struct source *s, void *socket, int n, taking *take)
{
    zmq_msg_t frame;
    bool more = false;
    int i = 0, code = 1;

    while (socket_receive(socket, &frame, &more)) {
        i++;
        if (!more && i == n)
            code = frame_take(s, &frame, take);
        zmq_msg_close(&frame);
        if (!more)
            break;
    }
    if (i > 0 && i != n)
        refuse(s, "a message with a wrong number of frames");
    return code < 0 ? code : i > 0;
}

static int socket_step(struct source *s, void *socket, int n_frames, taking *take)
{
    int code = 1;

    for (int i = 0; i < SOURCE_STEP && code == 1; i++)
        code = message_take(s, socket, n_frames, take);
    return code;
}

/* The coordinator is gone: takes what was held back, and reports its gaps. */
static int queue_force(struct source *s)
{
    struct live *l = s->state;
    int code = 0;

    if (l->queue.n > 0 && l->fresh)
        begin_again(s, &l->queue.items[0].header);
    if (l->queue.n > 0 && l->queue.items[0].header.seq > RECALLED && l->seq < RECALLED)
        l->seq = RECALLED; /* earlier events are the past, which was never asked for */
    for (size_t i = 0; i < l->queue.n && code >= 0; i++) {
        struct held_event *h = &l->queue.items[i];

        if (h->header.seq <= l->seq)
            continue;
        if (h->header.seq > l->seq + 1) {
            s->run.lost += h->header.seq - l->seq - 1;
            model_note(&s->run, NOTE_FAULT, h->header.time, "%" PRIu64 " events are missing here",
                       h->header.seq - l->seq - 1);
        }
        l->seq = h->header.seq;
        code = held_take(s, h, false);
    }
    list_drop(&l->queue, l->queue.n);
    return code;
}

static void watch_refusal(struct source *s, double now)
{
    static const char *const why[] = {
        [REFUSAL_KEY] = "does not know the key of --key: its metrics.allowed must have it",
        [REFUSAL_PLAIN] = "wants keys: give --key and --server-key",
        [REFUSAL_SERVER] = "has another key than that of --server-key, or uses none",
        [REFUSAL_STRANGER] = "does not answer as a coordinator does",
    };
    struct live *l = s->state;
    enum refusal refusal = sockets_refusal(&l->sockets, now);

    if (refusal == REFUSAL_NONE || refusal == l->refusal)
        return;
    l->refusal = refusal;
    l->told = true;
    model_note(&s->run, NOTE_FAULT, 0, "'%s' %s; trying again", l->sockets.endpoint, why[refusal]);
}

static int watch_silence(struct source *s, double now)
{
    struct live *l = s->state;

    if (!l->told && now - l->opened > PATIENCE) {
        l->told = true;
        model_note(&s->run, NOTE_LOG, 0, "no publisher at '%s' yet: waiting for it",
                   l->sockets.endpoint);
    }
    if (l->heard == 0 || now - l->heard <= SILENCE)
        return 0;
    if (l->queue.n > 0)
        TRY(queue_force(s));
    if (s->run.state == RUN_LIVE) {
        s->run.state = RUN_SILENT;
        model_note(&s->run, NOTE_FAULT, s->run.time,
                   "nothing received from '%s' for %.0f s: waiting for it", l->sockets.endpoint,
                   SILENCE);
    }
    return 0;
}

/* Waits, because a run that failed or was stopped may be restarted. */
static void watch_end(struct source *s, double now)
{
    struct live *l = s->state;

    if (s->run.state != RUN_ENDED)
        l->ended = 0;
    else if (l->ended == 0)
        l->ended = now;
    s->finished = l->ended > 0 && (s->run.well || now - l->ended > l->linger);
}

static int live_step(struct source *s, double now, const struct listener *to)
{
    struct live *l = s->state;
    int more, rest;

    l->to = to;
    more = socket_step(s, l->sockets.sub, 2, stream_take);
    TRY(more);
    rest = socket_step(s, l->sockets.dealer, 1, answer_take);
    TRY(rest);
    if (l->joining && now - l->asked > ASK) {
        list_drop(&l->answer, l->answer.n);
        if (zmq_send(l->sockets.dealer, "snapshot", 8, ZMQ_DONTWAIT) == 8)
            l->asked = now;
    }
    watch_refusal(s, now);
    TRY(watch_silence(s, now));
    watch_end(s, now);
    return more | rest;
}

static int live_wait(struct source *s, zmq_pollitem_t *items)
{
    const struct live *l = s->state;

    items[0] = (zmq_pollitem_t){.socket = l->sockets.sub, .events = ZMQ_POLLIN};
    items[1] = (zmq_pollitem_t){.socket = l->sockets.dealer, .events = ZMQ_POLLIN};
    return 2;
}

static void live_close(struct source *s)
{
    struct live *l = s->state;

    list_free(&l->queue);
    list_free(&l->answer);
    sockets_close(&l->sockets);
    free(l);
}

static const struct source_ops live = {
    .name = "live", .wait = live_wait, .step = live_step, .close = live_close};

int source_live(struct source *s, void *context, const char *endpoint, const struct live_options *o)
{
    struct live *l = calloc(1, sizeof *l);

    *s = (struct source){0};
    if (!l)
        return err(ERR_MEMORY, "no memory to watch '%s'", endpoint);
    s->ops = &live;
    s->state = l;
    TRY(model_init(&s->run, endpoint));
    l->joining = l->fresh = true;
    l->opened = clock_seconds();
    l->asked = -ASK;
    l->linger = o->linger;
    return sockets_open(&l->sockets, context, endpoint, o);
}
