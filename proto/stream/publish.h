/* publish.h - the process that serves observers (stream_process.h), from its first line to its last.
 *
 * It publishes what comes through the ring, recalls what metrics.jsonl told before, answers those who join late, and tells
 * once a second that the run lives. It runs at the lowest priority, links MPI but never starts it, and knows no more of
 * the run than its arguments. */
#ifndef PROTO_STREAM_PUBLISH_H
#define PROTO_STREAM_PUBLISH_H

/* main() for the verb: its exit status. It returns when the run stops it, or is gone. 64, with a sentence on standard error: a
 * person typed the verb. */
int stream_publish(int argc, char **argv);

#endif
