/* pieces.h - a vector travels in pieces: a rank passes the first ones on while the rest is still
 * coming. All ranks cut in the same way. */
#ifndef PROTO_COMM_PIECES_H
#define PROTO_COMM_PIECES_H

#include <stddef.h>
#include <stdint.h>

enum {
    PIECES_MAX = 32,
    PIECE_GRAIN = 64, /* items: a piece is so many, or a multiple, or the last one */
};

/* Bytes of a piece, more if there would be more than PIECES_MAX. Tests make it smaller, before any
 * rank starts. */
extern size_t piece_bytes;

struct pieces {
    size_t n_items, each; /* items of all pieces, and of each but the last */
    uint32_t n;           /* pieces, one at least */
};

struct piece_range { /* items from .. from + n - 1 */
    size_t from, n;
};

/* How a vector of n_items is cut, of so many bytes each. */
struct pieces pieces_of(size_t n_items, size_t item_bytes);

/* No piece has more items than that if no vector has more than n_items. */
size_t pieces_most(size_t n_items, size_t item_bytes);

/* The items of piece i < p->n. */
struct piece_range pieces_at(const struct pieces *p, uint32_t i);

/* What of s lies in n items from `begin` on, counted from `begin`. from is 0 if that is nothing. */
struct piece_range piece_within(struct piece_range s, size_t begin, size_t n);

#endif
