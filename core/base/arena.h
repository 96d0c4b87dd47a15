/* arena.h - memory that is planned at the start; nothing is allocated later.
 *
 * The same code first runs over a measuring arena (no memory; pointers are NULL) and then over
 * a real one of the measured size:
 *
 *     struct arena a = arena_measuring();
 *     method_init(&m, ..., &a);                    sizes only
 *     TRY(arena_init(&a, a.peak));
 *     method_init(&m, ..., &a);                    pointers
 */
#ifndef CORE_BASE_ARENA_H
#define CORE_BASE_ARENA_H

#include <stddef.h>

#include "core/base/real.h"

struct arena {
    char *base;        /* owned; NULL while measuring */
    size_t size;       /* bytes of base */
    size_t used, kept; /* bytes taken from the front, and kept at the end */
    size_t most;       /* the largest `used` since the arena was empty */
    size_t peak;       /* the largest most + kept: what an arena must hold */
};

struct arena arena_measuring(void);           /* no memory: takes only count */
int arena_init(struct arena *a, size_t size); /* zeroed, 64-byte aligned; ERR_MEMORY */
void arena_release(struct arena *a);          /* frees base; an arena of zeros may be released */

/* 64-byte aligned; NULL while measuring. Taking more from a real arena than was planned is a
 * bug, and asserts. */
void *arena_take(struct arena *a, size_t bytes);
real *arena_reals(struct arena *a, size_t n); /* n reals, likewise */

/* Like arena_take, but nothing overlays it: it stays until arena_clear. Use it for what
 * describes buffers that overlay each other, such as lists of pointers to them. */
void *arena_keep(struct arena *a, size_t bytes);

/* Gives back everything taken since the mark; what is taken next overlays it. What is kept
 * stays. */
size_t arena_mark(const struct arena *a);
void arena_reset(struct arena *a, size_t mark);

/* Gives back everything, also what is kept. */
void arena_clear(struct arena *a);

#endif
