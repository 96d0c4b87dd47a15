/* augment.h - random changes of an image, made anew each time that training reads it.
 *
 * A pure function of the image and of its place in a run (seed, round, slot, place in the task), by
 * + - * / alone, so every rank and machine sees the same. docs/data.md has the formulas. */
#ifndef CORE_DATA_AUGMENT_H
#define CORE_DATA_AUGMENT_H

#include <stdbool.h>
#include <stdint.h>

#include "core/base/real.h"
#include "core/math/layer.h"
#include "core/math/rng.h"

struct augment {
    int crop;          /* pixels that the picture moves at most, up, down, left or right */
    bool flip;         /* left and right, every other time */
    double brightness; /* values are multiplied by 1 - this .. 1 + this */
    double contrast;   /* distances from the mean likewise */
};

/* Whether it changes anything. */
static inline bool augment_any(const struct augment *a)
{
    return a->crop > 0 || a->flip || a->brightness > 0 || a->contrast > 0;
}

/* Changes image i of the batch that `batch` (at index 0) draws for: crop, flip, brightness,
 * contrast, in this order. x: (shape), overwritten; room: (shape) scratch. a->crop is less than
 * height and width. Values stay in 0..1; one that is not finite is not finite afterwards, unless
 * the crop moved it out of the picture. */
void augment_image(const struct augment *a, struct shape shape, const struct rng *batch, uint32_t i,
                   real *x, real *room);

#endif
