/* sink_zmq.h - events to observers, live: docs/stream.md.
 *
 * A thread of its own publishes what emit hands over, keeps the history, answers those who join late, and tells once a
 * second that it lives. emit takes about a microsecond and waits for nobody: where the thread falls STREAM_QUEUE events
 * behind, events are dropped, counted, and missed in public ("lost", "heartbeat"). */
#ifndef PROTO_SINK_ZMQ_H
#define PROTO_SINK_ZMQ_H

#include "core/config.h"
#include "proto/sink.h"

/* Where the events go, as "metrics" in the configuration has it; metrics.endpoint must not be empty. Keys are read and the
 * sockets are bound now; where an address is in use, the thread tries again every second, and *busy is true. Errors:
 * ERR_CONFIG, ERR_NOINPUT name the key file or the endpoint; ERR_FAILED. */
int sink_open_zmq(struct sink *s, const struct metrics_config *c, const char *run_id, bool *busy);

/* An event of the run that is resumed, for the history only. May wait for the thread, up to a second. */
void sink_zmq_recall(struct sink *s, const char *kind, const struct field *fields);

/* What the thread could not do since the last call, the same once: a sentence of n bytes at most; false: nothing. */
bool sink_zmq_trouble(struct sink *s, char *text, size_t n);

#endif
