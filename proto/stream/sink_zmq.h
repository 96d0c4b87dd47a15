/* sink_zmq.h - the sink that sends events to observers while the run goes on: docs/stream.md.
 *
 * A process of its own (process.h) publishes what emit hands over, keeps the history, answers those
 * who join late, and says once a second that the run lives. emit takes about a microsecond and
 * waits for nobody: if the process falls STREAM_RING bytes behind, events are dropped, counted, and
 * reported as missing ("lost", "heartbeat").
 *
 * If the process dies, another one is started after a pause of 1, 2, 4 ... 60 seconds, as long as
 * the run lives. It is another incarnation: its history is recalled from metrics.jsonl. */
#ifndef PROTO_STREAM_SINK_ZMQ_H
#define PROTO_STREAM_SINK_ZMQ_H

#include "core/config/config.h"
#include "proto/stream/sink.h"

struct sink_zmq_options {
    const struct metrics_config *config; /* borrowed while the sink is open; has an endpoint */
    const char *run_id;
    const char *metrics; /* path of metrics.jsonl, which has what was told so far */
    /* Called several times a second while the sink waits; NULL: nothing to do. */
    void (*meanwhile)(void *context);
    void *context;
    bool resumed; /* sink_zmq_recall will say how much of the file is past; else nothing is */
};

/* Starts the process and waits until it serves. Keys are read and the sockets are bound now; if an
 * address is in use, *busy is true and the process tries again every second. ERR_CONFIG and
 * ERR_NOINPUT name the key file or the endpoint; ERR_FAILED, ERR_MEMORY. A process that cannot be
 * started, or dies at once, is no error but news. */
int sink_open_zmq(struct sink *s, const struct sink_zmq_options *o, bool *busy);

/* For a resumed run, once: what metrics.jsonl holds now, after it was cut, is the past, up to where
 * it ended when the sink was opened. Events that are emitted later are not part of it. */
void sink_zmq_recall(struct sink *s);

struct sink_zmq_news {
    bool begun;      /* another process serves: tell it what runs */
    char text[1016]; /* a sentence about trouble; "": none */
};

/* Looks after the process; call it about once a second. Never waits. Of another kind of sink there
 * is no news. */
void sink_zmq_tend(struct sink *s, struct sink_zmq_news *news);

#endif
