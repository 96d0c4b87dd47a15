/* pieces.c - where a vector is cut. */
#include "proto/comm/pieces.h"

size_t piece_bytes = 32 << 10;

static size_t divide_up(size_t a, size_t b)
{
    return a / b + (a % b > 0);
}

static size_t smaller(size_t a, size_t b)
{
    return a < b ? a : b;
}

struct pieces pieces_of(size_t n_items, size_t item_bytes)
{
    struct pieces p = {n_items, n_items, 1};
    size_t n = smaller(divide_up(n_items * item_bytes, piece_bytes), PIECES_MAX);

    if (n < 2)
        return p;
    p.each = divide_up(divide_up(n_items, n), PIECE_GRAIN) * PIECE_GRAIN;
    p.n = (uint32_t)divide_up(n_items, p.each);
    return p;
}

size_t pieces_most(size_t n_items, size_t item_bytes)
{
    size_t whole = divide_up(piece_bytes, item_bytes), least = divide_up(n_items, PIECES_MAX);

    return smaller(n_items, (whole > least ? whole : least) + PIECE_GRAIN);
}

struct piece_range pieces_at(const struct pieces *p, uint32_t i)
{
    size_t from = i * p->each;

    return (struct piece_range){from, smaller(p->each, p->n_items - from)};
}

struct piece_range piece_within(struct piece_range s, size_t begin, size_t n)
{
    size_t from = s.from > begin ? s.from - begin : 0;
    size_t end = s.from + s.n > begin ? smaller(s.from + s.n - begin, n) : 0;

    return from < end ? (struct piece_range){from, end - from} : (struct piece_range){0, 0};
}
