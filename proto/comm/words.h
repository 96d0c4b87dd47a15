/* words.h - the words of a sum in as few bytes as they need, without loss.
 *
 *     [ width, shift: a byte each for every block | 255 up to 64 bytes | blocks ]
 *
 * A block is WORDS_BLOCK words; the last one is filled up with zeros. Its words are multiples of
 * 2^shift, and without these zeros they take `width` bytes: a plane of 4, 2 and 1 bytes of each
 * word, the low bytes first, as the bits of width say; width 8 is one plane. Contributions to an
 * exact sum (core/math/exact.h) have 24 bits that are not zero, so most blocks are narrow. Numbers
 * are in host byte order, as in all messages. */
#ifndef PROTO_COMM_WORDS_H
#define PROTO_COMM_WORDS_H

#include <stddef.h>
#include <stdint.h>

enum { WORDS_BLOCK = 64 };

/* Bytes of the head of n packed words: the widths and shifts. */
size_t words_head(size_t n);

/* Bytes that n packed words take at most, the head included. */
size_t words_room(size_t n);

/* Packs the sum of two vectors; beyond 64 bits it wraps around.
 *   words  (n)                      read only
 *   more   (n)                      read only; NULL: words alone are packed
 *   out    (words_room(n) bytes)    overwritten, aligned to 8
 * Returns the bytes of out that are now in use. */
size_t words_pack(const int64_t *words, const int64_t *more, size_t n, void *out);

/* Adds n packed words to sum (n); beyond 64 bits they wrap around. The bytes may be from anywhere,
 * and are aligned to 8. ERR_DATA: they are not n packed words; sum is untouched. */
int words_merge(const void *bytes, size_t n_bytes, int64_t *sum, size_t n);

#endif
