/* texture.h - smooth noise: random values on a coarse grid, linear between them. */
#ifndef CORE_DATA_TEXTURE_H
#define CORE_DATA_TEXTURE_H

#include "core/base/real.h"
#include "core/math/rng.h"

enum { TEXTURE_CELLS = 7 }; /* a side */

struct texture {
    double grid[TEXTURE_CELLS + 1][TEXTURE_CELLS + 1]; /* -1 .. 1 */
};

/* Draws the grid. */
void texture_init(struct texture *t, struct rng *r);

/* At pixel i, j of h x w. */
double texture_at(const struct texture *t, int i, int j, int h, int w);

/* The k-th ten bits of a random word as a number of -1 .. 1. */
static inline double noise_of(uint32_t word, int k)
{
    return (word >> 10 * k & 0x3ff) * 0x1p-9 - 1;
}

/* v, but at least 0 and at most 1. */
static inline real clamp(double v)
{
    return (real)(v < 0 ? 0 : v > 1 ? 1 : v);
}

#endif
