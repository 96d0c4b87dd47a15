/* shift.h - another domain from the same images: thicker strokes, another angle, inverted, on a
 * texture.
 *
 * A pure function of the image and of (data.seed, image), by + - * / and sqrt alone; the sine and
 * cosine are taken once, rounded to multiples of 2^-24, so that every machine has the same. */
#ifndef CORE_DATA_SHIFT_H
#define CORE_DATA_SHIFT_H

#include <stdbool.h>
#include <stdint.h>

#include "core/data/raster.h"

struct data_config;

enum { THICKEN_MAX = 8 }; /* pixels */

struct shift {
    int reach;                                     /* of thicken, whole pixels; 0: none */
    real weight[THICKEN_MAX + 1][THICKEN_MAX + 1]; /* of a pixel that many rows, columns away */
    bool turned;
    double cosine, sine;
    bool invert;
    double texture; /* 0: none */
    uint64_t seed;
};

/* From the keys thicken, rotate, invert, texture and seed. ERR_CONFIG for values out of range. */
int shift_set(struct shift *s, const struct data_config *c);

/* ERR_CONFIG if one of those keys except invert, or margin, subset or first, is set: for formats
 * that do not use them. */
int shift_refuse(const struct data_config *c);

/* Digest of what it does, from `seed` on. */
uint64_t shift_digest(const struct shift *s, uint64_t seed);

/* Whether pixels move; if they do not, shift_read's r->values may be x itself. */
static inline bool shift_moves(const struct shift *s)
{
    return s->turned || s->reach > 0;
}

/* x, of raster_shape(r), is overwritten with the shifted image. (round, slot) names it, for its
 * noise. What is not finite in the image is not finite in x, unless the turn moved it out of the
 * picture. Takes 26 KiB of the stack, whatever the image's size. */
void shift_read(const struct shift *s, const struct raster *r, uint32_t round, uint32_t slot,
                real *x);

#endif
