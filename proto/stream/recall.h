/* recall.h - what metrics.jsonl told before, as history for those who join late.
 *
 * A file of up to RECALL_WHOLE bytes is read whole. A larger one is read in RECALL_BLOCKS blocks at
 * equal distances, and its last RECALL_TAIL bytes, whatever its size: one line a block of the
 * frequent kinds (round, adaptation), and every line of the others. So time and memory are bounded,
 * and a step never takes longer than a few milliseconds. */
#ifndef PROTO_STREAM_RECALL_H
#define PROTO_STREAM_RECALL_H

#include <stdbool.h>
#include <stdint.h>

#include "proto/stream/history.h"

enum {
    RECALL_WHOLE = 16 << 20,
    RECALL_BLOCKS = 2000,
    RECALL_BLOCK = 32 << 10, /* bytes; at most half the distance between blocks */
    RECALL_TAIL = 1 << 20,
    RECALL_STEP = 64 << 10, /* bytes read in one step */
    RECALL_LINE = 1 << 20,  /* a longer line is left out */
    RECALL_FREQUENT = 2,    /* kinds of which one line a block is enough */
};

struct recall_kind {     /* a frequent one */
    uint64_t seen, kept; /* lines */
    int64_t next;        /* byte from which on a line is wanted again */
    char *last;          /* owned: the newest line, if it was not kept */
};

struct recall {
    const char *path;           /* borrowed */
    int file;                   /* -1: none */
    int64_t limit, at, spacing; /* bytes; spacing 0: every line is wanted */
    bool in_tail;
    int64_t read;     /* bytes looked at */
    uint64_t seq;     /* of the last event recalled */
    uint64_t refused; /* lines that are no event */
    char why[512];    /* what is wrong with the first one */
    struct recall_kind frequent[RECALL_FREQUENT];
    char *buffer; /* owned (RECALL_LINE + 1) */
};

/* Opens the file at path, of which the first `limit` bytes are history. ERR_NOINPUT, ERR_MEMORY. */
int recall_open(struct recall *r, const char *path, int64_t limit);

/* Puts some more lines into the history. 1: there are more; 0: those were the last; ERR_IO. */
int recall_step(struct recall *r, struct history *h, const struct stream_source *source);

/* Says which lines could not be recalled, in at most n - 1 bytes; false if there are none. */
bool recall_trouble(const struct recall *r, char *text, size_t n);

/* Closes the file and frees the memory; what was put into the history stays. */ void
recall_close(struct recall *r);

#endif
