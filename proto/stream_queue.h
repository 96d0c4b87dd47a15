/* stream_queue.h - events on their way from the run to the thread that publishes them.
 *
 * One thread puts, one takes, and neither ever waits for the other: no lock, and no memory that one allocates and the other
 * frees, so that it does not matter how rarely the taking thread may run. */
#ifndef PROTO_STREAM_QUEUE_H
#define PROTO_STREAM_QUEUE_H

#include <stdatomic.h>
#include <stdbool.h>

#include "proto/stream_event.h"

enum { STREAM_QUEUE = 16384 }; /* events between put and take */

struct stream_queue {                         /* starts zeroed */
    struct stream_event *place[STREAM_QUEUE]; /* owned by the putting thread */
    _Atomic uint64_t put, taken;              /* events so far */
};

/* The putting thread's. */
bool stream_queue_is_full(const struct stream_queue *q);
void stream_queue_put(struct stream_queue *q, struct stream_event *e); /* takes e; not when full */

/* The taking thread's: a copy of the oldest, owned by the caller: free(). NULL: there is none, or no memory for it. */
struct stream_event *stream_queue_take(struct stream_queue *q);

/* When both threads are done with it. */
void stream_queue_release(struct stream_queue *q);

#endif
