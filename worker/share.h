/* share.h - one piece of work on a long vector, shared by threads: each takes the next block as
 * soon as it has done its last, so a thread that is late costs no more than a block. */
#ifndef WORKER_SHARE_H
#define WORKER_SHARE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

enum { SHARE_BLOCK = 4096 }; /* elements: of 8 bytes, they stay in a core's first cache */

struct share {
    /* Does elements from .. end - 1. Blocks are disjoint; several threads call it at once. */
    void (*work)(void *context, size_t from, size_t end);
    void *context;        /* borrowed */
    size_t n;             /* elements */
    _Atomic size_t taken; /* blocks that somebody has taken; 0 at the start */
};

/* True if some block has not been taken yet. */
bool share_waits(const struct share *s);

/* Takes blocks and does them until none is left. When every thread that called it has returned, all
 * n elements are done, each once. */
void share_do(struct share *s);

#endif
