/* publish.h - what the process that serves observers (process.h) does.
 *
 * It publishes what comes through the ring, recalls what metrics.jsonl told before, answers those
 * who join late, and says once a second that the run lives. It runs at the lowest priority, links
 * MPI but never starts it, and knows nothing of the run but its arguments. */
#ifndef PROTO_STREAM_PUBLISH_H
#define PROTO_STREAM_PUBLISH_H

/* main() of the verb; returns the exit status, when the run stops it or is gone. 64, with a
 * sentence on standard error, if a person typed the verb. */
int stream_publish(int argc, char **argv);

#endif
