/* sink.h - where metrics go. An event is a kind and named values; a sink writes it somewhere.
 *
 * emit never blocks on anybody who watches, and never fails a run: what could not be written is counted, and when writing
 * works again an event "lost" tells how many are missing at that place. */
#ifndef PROTO_STREAM_SINK_H
#define PROTO_STREAM_SINK_H

#include <stddef.h>
#include <stdint.h>

enum field_type { FIELD_END, FIELD_INTEGER, FIELD_NUMBER, FIELD_NUMBERS, FIELD_TEXT, FIELD_LIST };

struct field { /* an event's list ends with {0} */
    const char *key;
    enum field_type type;
    int64_t integer;
    double number;         /* not finite: written as null */
    const double *numbers; /* (n) as number is: one per inner step */
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
    void *state;
    uint64_t lost;   /* events that could not be written */
    uint64_t gap;    /* of these, since the last one that was */
    char error[512]; /* why the last one could not */
};

struct sink_ops {
    const char *name;
    int (*emit)(struct sink *s, const char *kind, const struct field *fields);
    int (*flush)(struct sink *s);
    void (*close)(struct sink *s);
};

void sink_emit(struct sink *s, const char *kind, const struct field *fields);
int sink_flush(struct sink *s); /* to stable storage; ERR_IO */
void sink_close(struct sink *s);

enum { SINKS_MAX = 4 };

struct sinks { /* all of them hear the same */
    int n;
    struct sink *each[SINKS_MAX]; /* borrowed */
};
void sinks_emit(const struct sinks *all, const char *kind, const struct field *fields);

/* One JSON object a line, appended; the record of truth. A line is there whole or not at all: what a full disk took of
 * one is cut off again, before anything else is written. ERR_CANTCREAT, ERR_IO name the path. */
int sink_open_jsonl(struct sink *s, const char *path);

/* The same on a descriptor, which the sink owns from then on, also after an error; path is for errors. */
int sink_jsonl_of(struct sink *s, int fd, const char *path);

#endif
