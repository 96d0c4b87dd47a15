/* sink.h - where metrics go. An event is a kind and named values; a sink writes it somewhere.
 *
 * No sink fails a run. sink_emit counts an event that could not be written; when writing works
 * again, an event "lost" tells how many are missing at that place. */
#ifndef PROTO_STREAM_SINK_H
#define PROTO_STREAM_SINK_H

#include <stddef.h>
#include <stdint.h>

enum field_type {
    FIELD_END,
    FIELD_INTEGER,
    FIELD_NUMBER,
    FIELD_NUMBERS,
    FIELD_METRICS, /* numbers with names of their own, which Event need not know */
    FIELD_TEXT,
    FIELD_LIST
};

struct field {       /* one named value; a list of fields ends with {0} */
    const char *key; /* borrowed, as all pointers here, while the event is emitted */
    enum field_type type;
    int64_t integer;
    double number;            /* not finite: written as null */
    const double *numbers;    /* (n) as number is: one per inner step, or per name */
    const char *const *names; /* (n) of metrics */
    size_t n;
    const char *text;
    const struct field *const *list; /* of objects, ended by NULL; each ends with {0} */
};

#define INTEGER(k, v)                                                                              \
    {                                                                                              \
        .key = (k), .type = FIELD_INTEGER, .integer = (int64_t)(v)                                 \
    }
#define NUMBER(k, v)                                                                               \
    {                                                                                              \
        .key = (k), .type = FIELD_NUMBER, .number = (v)                                            \
    }
#define NUMBERS(k, v, count)                                                                       \
    {                                                                                              \
        .key = (k), .type = FIELD_NUMBERS, .numbers = (v), .n = (size_t)(count)                    \
    }
#define METRICS(k, names_of, v, count)                                                             \
    {                                                                                              \
        .key = (k), .type = FIELD_METRICS, .names = (names_of), .numbers = (v),                    \
        .n = (size_t)(count)                                                                       \
    }
#define TEXT(k, v)                                                                                 \
    {                                                                                              \
        .key = (k), .type = FIELD_TEXT, .text = (v)                                                \
    }

#define LIST(k, v)                                                                                 \
    {                                                                                              \
        .key = (k), .type = FIELD_LIST, .list = (v)                                                \
    }

struct sink {
    const struct sink_ops *ops; /* borrowed */
    void *state;                /* owned by ops */
    uint64_t lost;              /* events that could not be written */
    uint64_t gap;               /* those of them since the last event that was written */
    char error[512];            /* why the last of them could not be written */
};

struct sink_ops { /* what a sink does; only the thread that opened it calls it */
    const char *name;

    /* Takes one event. kind and fields are borrowed during the call. Never waits for anybody who
     * reads the events; it may wait for a local disk. A negative code, any of err.h with the
     * sentence kept: the event is not written, not even in part, and the next one may be. The
     * caller counts it. */
    int (*emit)(struct sink *s, const char *kind, const struct field *fields);

    /* Brings what was emitted to stable storage, if the sink keeps anything; may block for as long
     * as the disk takes. ERR_IO. */
    int (*flush)(struct sink *s);

    /* Gives readers a moment to take what was emitted, and frees s->state. May block for a few
     * seconds, never for ever. */
    void (*close)(struct sink *s);
};

/* Emits an event; first an event "lost", if some are missing before it. Failures are counted in
 * s->lost, and s->error says why. Does nothing to a sink that is not open. */
void sink_emit(struct sink *s, const char *kind, const struct field *fields);

/* sink_ops.flush. ERR_IO. 0 for a sink that is not open. */
int sink_flush(struct sink *s);

/* sink_ops.close, and zeroes *s. Does nothing to a sink that is not open. */
void sink_close(struct sink *s);

enum { SINKS_MAX = 4 };

struct sinks { /* sinks that hear the same */
    int n;
    struct sink *each[SINKS_MAX]; /* borrowed */
};

/* sink_emit for each of them. */
void sinks_emit(const struct sinks *all, const char *kind, const struct field *fields);

/* Appends events to the file at path, one JSON object a line: the record of truth. A line is there
 * whole or not at all: if a full disk took part of one, that part is cut off before anything else
 * is written. ERR_CANTCREAT and ERR_IO name the path. */
int sink_open_jsonl(struct sink *s, const char *path);

/* The same on a descriptor, which the sink owns from then on, even if this fails; path is for
 * errors. ERR_MEMORY. */
int sink_jsonl_of(struct sink *s, int fd, const char *path);

#endif
