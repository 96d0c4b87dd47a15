/* share.c - a counter of blocks. */
#include "worker/share.h"

static size_t block_count(const struct share *s)
{
    return (s->n + SHARE_BLOCK - 1) / SHARE_BLOCK;
}

bool share_waits(const struct share *s)
{
    return atomic_load(&s->taken) < block_count(s);
}

void share_do(struct share *s)
{
    size_t block, end, n_blocks = block_count(s);

    while ((block = atomic_fetch_add(&s->taken, 1)) < n_blocks) {
        end = (block + 1) * SHARE_BLOCK;
        s->work(s->context, block * SHARE_BLOCK, end < s->n ? end : s->n);
    }
}
