/* wire.h - turns plain structs into protobuf messages and back.
 *
 * Every wire_pack_* replaces what is in *out; ERR_MEMORY. Every wire_unpack_* checks what it reads
 * before it believes it: ERR_DATA for bytes that are no such message or make no sense, ERR_MEMORY.
 * Ids are checked later, by data_read, which knows the data set. */
#ifndef PROTO_WIRE_H
#define PROTO_WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/config/config.h"
#include "core/data/survey.h"
#include "core/plan/failed_set.h"
#include "core/plan/task.h"

enum { WIRE_RANGES_MAX = 64 }; /* ranges of slots in one message */

struct buffer {
    uint8_t *bytes; /* owned; grows, never shrinks */
    size_t n, room;
};

/* Makes room for at least so many bytes; what is in it stays. ERR_MEMORY. */
int buffer_reserve(struct buffer *b, size_t room);

/* Frees the bytes and zeroes *b. */
void buffer_release(struct buffer *b);

struct deal { /* of a round's tasks; with the parameters, behind the tree */
    uint32_t n_tasks;
    uint32_t amount; /* the sampler's */
    uint32_t dealt;  /* tasks that the nodes of the whole tree have */
    uint32_t audits; /* tasks that are done twice: core/plan/audit.h, or 0 */
};

struct given { /* coordinator to worker: tasks of the round, which the worker draws itself */
    struct slots ranges[WIRE_RANGES_MAX];
    int n;     /* ranges */
    bool last; /* the round has no more for this rank */
};

/* Packs ranges of tasks. */
int wire_pack_given(const struct given *g, struct buffer *out);

/* Fills *g. Refuses more ranges than WIRE_RANGES_MAX, and ranges that are empty or reach beyond
 * 2^32. */
int wire_unpack_given(const void *bytes, size_t n, struct given *g);

/* Packs a recorded task, as a file holds it, with the name of its method. */
int wire_pack_task(const struct task *t, const char *method, struct buffer *out);

/* Calls take(context, task) for a recorded task; the task and its arrays are valid during the call
 * only. Returns what take returns. */
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

/* Packs a hello with the sections of data that its rank has read. */
int wire_pack_hello(const struct hello *h, const struct sections *s, struct buffer *out);

/* Fills *h and *s. Refuses more sections than CONFIG_DATA_MAX, and impossible shapes. */
int wire_unpack_hello(const void *bytes, size_t n, struct hello *h, struct sections *s);

struct welcome {                     /* coordinator to worker: what to run */
    char *configuration, *data_root; /* unpacked: owned */
};

/* Packs the configuration, as text, and the folder that data paths begin at. */
int wire_pack_welcome(const struct welcome *w, struct buffer *out);

/* Fills *w, which the caller releases. */
int wire_unpack_welcome(const void *bytes, size_t n, struct welcome *w);

/* Frees what wire_unpack_welcome allocated. */
void welcome_release(struct welcome *w);

struct sightings { /* what tasks that are done twice gave, on one of their ranks */
    uint32_t n;
    uint32_t *slots;     /* (n) of the task, or of its audit (core/plan/audit.h) */
    uint64_t *checksums; /* (n) of what it added to the sum, or would have, and of its state */
};

struct done { /* worker to coordinator: all tasks given so far are finished */
    uint32_t tasks;
    uint64_t checksum;     /* round_sum_checksum of their total */
    struct sightings seen; /* of these tasks; unpacked: owned */
};

/* Packs a done. */
int wire_pack_done(const struct done *d, struct buffer *out);

/* Fills *d, which the caller releases. Refuses lists of different lengths. */
int wire_unpack_done(const void *bytes, size_t n, struct done *d);

/* Frees what wire_unpack_done allocated. */
void done_release(struct done *d);

struct alive { /* worker to coordinator: what it has done since it was ready */
    uint64_t tasks;
    double seconds, computing;     /* seconds of the clock; of these, spent computing */
    double operations, memory_mib; /* floating-point operations; resident memory */
};

/* Packs an alive. */
int wire_pack_alive(const struct alive *a, struct buffer *out);

/* Fills *a. Refuses numbers that are negative or not finite. */
int wire_unpack_alive(const void *bytes, size_t n, struct alive *a);

struct bye { /* coordinator to worker: end; worker to coordinator: it cannot go on */
    int code;
    bool lost;        /* ranks were lost on the way */
    bool spoiled;     /* from a worker: its data have changed, so its last results may be wrong */
    uint32_t damaged; /* from a worker: 1 + the rank whose message came damaged; 0: none did */
    char reason[512];
};

/* Packs a bye. */
int wire_pack_bye(const struct bye *b, struct buffer *out);

/* Fills *b. */
int wire_unpack_bye(const void *bytes, size_t n, struct bye *b);

/* Packs the tasks of a worker that were set aside in a round. */
int wire_pack_failed(const struct failed_set *s, struct buffer *out);

/* Fills *s. Refuses more slots than FAILED_SET_MAX or than are counted, and slots that do not
 * ascend. */
int wire_unpack_failed(const void *bytes, size_t n, struct failed_set *s);

#endif
