/* raster.h - one image in place, framed by black pixels that are not stored. */
#ifndef CORE_DATA_RASTER_H
#define CORE_DATA_RASTER_H

#include <stdint.h>

#include "core/base/real.h"
#include "core/math/layer.h"

struct raster {
    const uint8_t *u8;  /* borrowed; [h][w][c], 0..255: this */
    const float *f32;   /* borrowed; or this, 0..1 */
    const real *values; /* borrowed; or this, likewise */
    struct shape inner; /* of what is stored */
    int margin;         /* black pixels on each side */
};

struct shape raster_shape(const struct raster *r); /* margin included */

/* All of it, as 0..1. x: shape_size(raster_shape(r)) reals. */
void raster_copy(const struct raster *r, real *x);

/* Channel k of the n pixels from column j of row i on, counted with the margin; 0 outside the
 * image. */
void raster_line(const struct raster *r, int i, int j, int n, int k, real *to);

#endif
