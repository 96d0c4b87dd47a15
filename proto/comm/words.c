/* words.c - planes of bytes, which the compiler makes vectors of. */
#include "proto/comm/words.h"

#include <string.h>

#include "core/base/err.h"

enum { BLOCK = WORDS_BLOCK, ALIGN = 64, WIDEST = 8 };

struct word_width { /* of a block */
    uint8_t width, shift;
};
_Static_assert(sizeof(struct word_width) == 2, "two bytes");

static size_t block_count(size_t n)
{
    return (n + BLOCK - 1) / BLOCK;
}

size_t words_head(size_t n)
{
    return (block_count(n) * sizeof(struct word_width) + ALIGN - 1) / ALIGN * ALIGN;
}

size_t words_room(size_t n)
{
    return words_head(n) + block_count(n) * BLOCK * sizeof(int64_t);
}

/* The highest bit of x ^ 2 x is the sign bit that x needs, its lowest one is the lowest of x. */
static struct word_width frame_of(const int64_t *w)
{
    uint64_t edges = 0;
    int bits, shift;

    for (int i = 0; i < BLOCK; i++)
        edges |= (uint64_t)w[i] ^ (uint64_t)w[i] << 1;
    if (edges == 0)
        return (struct word_width){0, 0};
    bits = 64 - __builtin_clzll(edges);
    shift = __builtin_ctzll(edges);
    return (struct word_width){(uint8_t)((bits - shift + 7) / 8), (uint8_t)shift};
}

#define PACK_PLANE(type)                                                                           \
    static uint8_t *pack_##type(const int64_t *w, int shift, uint8_t *out)                         \
    {                                                                                              \
        type *plane = (type *)(void *)out;                                                         \
                                                                                                   \
        for (int i = 0; i < BLOCK; i++)                                                            \
            plane[i] = (type)((uint64_t)w[i] >> shift);                                            \
        return out + BLOCK * sizeof(type);                                                         \
    }
PACK_PLANE(uint64_t)
PACK_PLANE(uint32_t)
PACK_PLANE(uint16_t)
PACK_PLANE(uint8_t)

static uint8_t *pack_block(const int64_t *w, struct word_width f, uint8_t *out)
{
    int shift = f.shift;

    if (f.width == WIDEST)
        return pack_uint64_t(w, shift, out);
    if (f.width & 4) {
        out = pack_uint32_t(w, shift, out);
        shift += 32;
    }
    if (f.width & 2) {
        out = pack_uint16_t(w, shift, out);
        shift += 16;
    }
    return f.width & 1 ? pack_uint8_t(w, shift, out) : out;
}

static void add_block(const int64_t *words, const int64_t *more, int64_t *restrict block)
{
    for (int i = 0; i < BLOCK; i++)
        block[i] = (int64_t)((uint64_t)words[i] + (uint64_t)more[i]);
}

/* The first n words of a block, and zeros. */
static void add_last(size_t n, const int64_t *words, const int64_t *more, int64_t *block)
{
    memset(block, 0, BLOCK * sizeof *block);
    for (size_t i = 0; i < n; i++)
        block[i] = (int64_t)((uint64_t)words[i] + (more ? (uint64_t)more[i] : 0));
}

size_t words_pack(const int64_t *words, const int64_t *more, size_t n, void *out)
{
    struct word_width *frames = out;
    uint8_t *at = (uint8_t *)out + words_head(n);

    memset(out, 0xff, words_head(n)); /* no frame: what expects more blocks refuses it */
    for (size_t b = 0, from = 0; from < n; b++, from += BLOCK) {
        int64_t block[BLOCK];

        if (n - from < BLOCK)
            add_last(n - from, words + from, more ? more + from : NULL, block);
        else if (more)
            add_block(words + from, more + from, block);
        else
            memcpy(block, words + from, sizeof block);
        frames[b] = frame_of(block);
        at = pack_block(block, frames[b], at);
    }
    return (size_t)(at - (uint8_t *)out);
}

/* Adds a block; width is a constant where this is inlined. */
static inline void merge_width(const uint8_t *in, int width, int shift, int64_t *restrict sum)
{
    const uint64_t *all = (const void *)in;
    const uint32_t *low = (const void *)in;
    const uint16_t *middle = (const void *)(in + (width & 4) * BLOCK);
    const uint8_t *high = in + (width & 6) * BLOCK;
    uint64_t sign = 1ull << (8 * width - 1);

    for (int i = 0; i < BLOCK; i++) {
        uint64_t v = 0;

        if (width == WIDEST)
            v = all[i];
        if (width & 4)
            v = low[i];
        if (width & 2)
            v |= (uint64_t)middle[i] << 8 * (width & 4);
        if (width & 1)
            v |= (uint64_t)high[i] << 8 * (width & 6);
        v = (v ^ sign) - sign; /* its sign in all bits above */
        sum[i] = (int64_t)((uint64_t)sum[i] + (v << shift));
    }
}

#define MERGE_WIDTH(width)                                                                         \
    static void merge_##width(const uint8_t *in, int shift, int64_t *sum)                          \
    {                                                                                              \
        merge_width(in, width, shift, sum);                                                        \
    }
MERGE_WIDTH(1)
MERGE_WIDTH(2)
MERGE_WIDTH(3)
MERGE_WIDTH(4)
MERGE_WIDTH(5)
MERGE_WIDTH(6)
MERGE_WIDTH(7)
MERGE_WIDTH(8)

static void merge_block(const uint8_t *in, struct word_width f, int64_t *sum)
{
    static void (*const merge[])(const uint8_t *, int, int64_t *) = {
        merge_1, merge_2, merge_3, merge_4, merge_5, merge_6, merge_7, merge_8,
    };

    if (f.width > 0)
        merge[f.width - 1](in, f.shift, sum);
}

/* The frames tell as many bytes as there are. */
static int check(const void *bytes, size_t n_bytes, size_t n)
{
    const struct word_width *frames = bytes;
    size_t total = words_head(n);

    if (n_bytes < total)
        return err(ERR_DATA, "a sum of %zu bytes, too few for %zu words", n_bytes, n);
    for (size_t b = 0; b < block_count(n); b++) {
        if (frames[b].width > WIDEST || frames[b].shift > 63)
            return err(ERR_DATA, "a sum with a block of width %u and shift %u", frames[b].width,
                       frames[b].shift);
        total += (size_t)frames[b].width * BLOCK;
    }
    if (n_bytes != total)
        return err(ERR_DATA, "a sum of %zu bytes, expected %zu", n_bytes, total);
    return 0;
}

int words_merge(const void *bytes, size_t n_bytes, int64_t *sum, size_t n)
{
    const struct word_width *frames = bytes;
    const uint8_t *at = (const uint8_t *)bytes + words_head(n);
    size_t whole = n / BLOCK, rest = n % BLOCK;
    int64_t last[BLOCK] = {0};

    TRY(check(bytes, n_bytes, n));
    for (size_t b = 0; b < whole; at += (size_t)frames[b++].width * BLOCK)
        merge_block(at, frames[b], sum + b * BLOCK);
    if (rest == 0)
        return 0;
    memcpy(last, sum + whole * BLOCK, rest * sizeof *sum);
    merge_block(at, frames[whole], last);
    memcpy(sum + whole * BLOCK, last, rest * sizeof *sum);
    return 0;
}
