/* arena.c - a bump allocator that can also only count. */
#include "core/base/arena.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/err.h"

enum { ALIGN = 64 };

static size_t aligned(size_t bytes)
{
    return (bytes + ALIGN - 1) / ALIGN * ALIGN;
}

struct arena arena_measuring(void)
{
    return (struct arena){0};
}

int arena_init(struct arena *a, size_t size)
{
    *a = (struct arena){.size = aligned(size) + ALIGN};
    a->base = aligned_alloc(ALIGN, a->size);
    if (!a->base)
        return err(ERR_MEMORY, "no memory for %zu bytes of work space", a->size);
    memset(a->base, 0, a->size);
    return 0;
}

void arena_release(struct arena *a)
{
    free(a->base);
    *a = (struct arena){0};
}

static void note_peak(struct arena *a)
{
    if (a->used > a->most)
        a->most = a->used;
    if (a->most + a->kept > a->peak)
        a->peak = a->most + a->kept;
    assert(!a->base || a->most + a->kept <= a->size);
}

void *arena_take(struct arena *a, size_t bytes)
{
    size_t at = a->used;

    a->used += aligned(bytes);
    note_peak(a);
    return a->base ? a->base + at : NULL;
}

void *arena_keep(struct arena *a, size_t bytes)
{
    a->kept += aligned(bytes);
    note_peak(a);
    return a->base ? a->base + (a->size - a->kept) : NULL;
}

real *arena_reals(struct arena *a, size_t n)
{
    return arena_take(a, n * sizeof(real));
}

size_t arena_mark(const struct arena *a)
{
    return a->used;
}

void arena_reset(struct arena *a, size_t mark)
{
    a->used = mark;
}

void arena_clear(struct arena *a)
{
    a->used = a->kept = a->most = 0;
}
