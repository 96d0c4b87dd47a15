/* rng.h - random numbers as a pure function of (seed, stream, round, slot, index).
 *
 * Philox4x32-10 (Salmon et al., SC 2011; Random123): key = seed, counter = (index, slot, round,
 * stream). A struct rng is a local cursor over the index; there is no shared state. */
#ifndef CORE_MATH_RNG_H
#define CORE_MATH_RNG_H

#include <stddef.h>
#include <stdint.h>

enum rng_stream { /* numbers are part of the result: never renumber */
                  RNG_INIT =
                      1, /* initial parameters            stage, segment                      */
                  RNG_TASK =
                      2, /* training tasks                round, slot                         */
                  RNG_EVALUATE =
                      3, /* evaluation episodes           0, episode                          */
                  RNG_GLYPH =
                      4, /* glyphs: a class's strokes     class, 0                            */
                  RNG_WRITER =
                      5, /* glyphs: one drawing of it     class, sample                       */
                  RNG_SINUSOID =
                      6, /* amplitude, phase, points      class, sample                       */
                  RNG_BATCH =
                      11, /* which samples a batch takes   epoch, n (rng_permute)              */
                  RNG_SUBSET =
                      12, /* which images a subset takes   0, n (rng_permute)                  */
                  RNG_SHIFT =
                      13, /* noise on an image             0, image; glyphs: class, sample     */
                  RNG_INNER =
                      14, /* + 256 pass: minibatches      round, slot                         */
                  RNG_AUGMENT =
                      15, /* + 256 (4 step + part): changes of images   round, slot            */
                  RNG_AUDIT =
                      16, /* which tasks are done twice   round, stage                        */
                  RNG_SIZES =
                      17, /* way and shot of a task        round, slot                         */
                  RNG_CLASSES =
                      18, /* balanced batches; + 256 (class + 1)   pass, n (rng_permute)  */
                  RNG_DROPOUT = 7, /* + 256 (pass mod 2^16) + 2^24 (layer mod 256)   round, slot;
                          * what is beyond moves the seed (layer/dropout.c)                   */
};

struct rng {
    uint64_t seed;
    uint32_t stream, round, slot, index;
    uint32_t block[4]; /* the four words of block index / 4 */
};

/* Begins at index 0. The words are a pure function of (seed, stream, round, slot, index). */
void rng_init(struct rng *r, uint64_t seed, uint32_t stream, uint32_t round, uint32_t slot);
uint32_t rng_u32(struct rng *r); /* the next word */

/* The words at index 4 first .. 4 (first + n) - 1, many at a time; the cursor stays. words (4 n) */
void rng_words(const struct rng *r, uint32_t first, size_t n, uint32_t *words);

uint32_t rng_below(struct rng *r, uint32_t n); /* uniform on 0 .. n-1, n > 0, unbiased */
double rng_uniform(struct rng *r, double low, double high); /* [low, high), 53 bits */
double rng_normal(struct rng *r);                           /* mean 0, variance 1 */

/* k distinct numbers of 0 .. n-1 in random order, k <= n. No memory, O(k^2). */
void rng_choose(struct rng *r, uint32_t n, uint32_t k, uint32_t *chosen);

/* Element i of a random permutation of 0 .. n-1, another one for every seed, stream, epoch and n:
 * the order of a pass over n samples, as a pure function. 1 <= n <= 2^31, i < n. No memory; about 8
 * to 32 Philox blocks. */
uint32_t rng_permute(uint64_t seed, uint32_t stream, uint32_t epoch, uint32_t n, uint32_t i);

#endif
