/* stream_queue.c - a ring, two counters. */
#include "proto/stream_queue.h"

#include <stdlib.h>
#include <string.h>

bool stream_queue_is_full(const struct stream_queue *q)
{
    return atomic_load_explicit(&q->put, memory_order_relaxed) -
               atomic_load_explicit(&q->taken, memory_order_acquire) ==
           STREAM_QUEUE;
}

void stream_queue_put(struct stream_queue *q, struct stream_event *e)
{
    uint64_t put = atomic_load_explicit(&q->put, memory_order_relaxed);
    struct stream_event **place = &q->place[put % STREAM_QUEUE];

    free(*place); /* taken long ago */
    *place = e;
    atomic_store_explicit(&q->put, put + 1, memory_order_release);
}

struct stream_event *stream_queue_take(struct stream_queue *q)
{
    uint64_t taken = atomic_load_explicit(&q->taken, memory_order_relaxed);
    const struct stream_event *e;
    struct stream_event *copy;

    if (taken == atomic_load_explicit(&q->put, memory_order_acquire))
        return NULL;
    e = q->place[taken % STREAM_QUEUE];
    copy = malloc(sizeof *e + e->n);
    if (!copy)
        return NULL;
    memcpy(copy, e, sizeof *e + e->n);
    atomic_store_explicit(&q->taken, taken + 1, memory_order_release);
    return copy;
}

void stream_queue_release(struct stream_queue *q)
{
    for (size_t i = 0; i < STREAM_QUEUE; i++)
        free(q->place[i]);
}
