/* wire.h - meaning as bytes: protobuf messages to and from plain structs.
 *
 * Whatever is read is checked before it is believed: counts against sizes, ids are checked where the
 * data set is known (data_read). Errors: ERR_DATA, ERR_MEMORY. */
#ifndef PROTO_WIRE_H
#define PROTO_WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/config/config.h"
#include "core/data/survey.h"
#include "core/plan/failed_set.h"
#include "core/plan/task.h"

enum { WIRE_TASKS_MAX = 64 }; /* tasks in one message */

struct buffer {
    uint8_t *bytes; /* owned; grows, never shrinks */
    size_t n, room;
};

int buffer_reserve(struct buffer *b, size_t room); /* ERR_MEMORY */
void buffer_release(struct buffer *b);

/* Several tasks, and whether the round has no more. */
int wire_pack_tasks(const struct task *tasks, int n, bool last, struct buffer *out);

/* Calls take(context, task) for each; the task and its arrays are valid during the call only. Stops at
 * the first error of take and returns it. */
int wire_unpack_tasks(const void *bytes, size_t n, bool *last,
                      int (*take)(void *context, const struct task *t), void *context);

/* One recorded task, as a file holds it. */
int wire_pack_task(const struct task *t, const char *method, struct buffer *out);
int wire_unpack_task(const void *bytes, size_t n, int (*take)(void *context, const struct task *t),
                     void *context);

struct sections { /* what the data sets of a configuration hold */
    int n;
    struct survey each[CONFIG_DATA_MAX];
};

struct hello { /* worker to coordinator: ready, or why not */
    char version[32], host[64], cpu[64], blas[32], precision[16], build[192], error[512];
    uint32_t pid, threads;
    uint64_t layout, arena;
    int code;
};
int wire_pack_hello(const struct hello *h, const struct sections *s, struct buffer *out);
/* Refused: more sections than CONFIG_DATA_MAX, shapes that are none. */
int wire_unpack_hello(const void *bytes, size_t n, struct hello *h, struct sections *s);

struct welcome {                     /* coordinator to worker: what to run */
    char *configuration, *data_root; /* unpacked: owned */
};
int wire_pack_welcome(const struct welcome *w, struct buffer *out);
int wire_unpack_welcome(const void *bytes, size_t n, struct welcome *w);
void welcome_release(struct welcome *w);

struct done { /* worker to coordinator: all tasks given so far are finished */
    uint32_t tasks;
    uint64_t checksum; /* round_sum_checksum of their total */
};
int wire_pack_done(const struct done *d, struct buffer *out);
int wire_unpack_done(const void *bytes, size_t n, struct done *d);

struct alive { /* worker to coordinator: what it has done since it was ready */
    uint64_t tasks;
    double seconds, computing, operations, memory_mib;
};
int wire_pack_alive(const struct alive *a, struct buffer *out);
/* Refused: what is negative or not finite. */
int wire_unpack_alive(const void *bytes, size_t n, struct alive *a);

struct bye {
    int code;
    bool lost;    /* ranks were lost on the way */
    bool spoiled; /* of a worker: what it computed last may be wrong, its data have changed */
    char reason[512];
};
int wire_pack_bye(const struct bye *b, struct buffer *out);
int wire_unpack_bye(const void *bytes, size_t n, struct bye *b);

/* The tasks of a worker that were set aside in a round. Refused: more slots than FAILED_SET_MAX or than counted, slots
 * that do not ascend. */
int wire_pack_failed(const struct failed_set *s, struct buffer *out);
int wire_unpack_failed(const void *bytes, size_t n, struct failed_set *s);

#endif
