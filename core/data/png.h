/* png.h - PNG files in memory to 8-bit grey or RGB. */
#ifndef CORE_DATA_PNG_H
#define CORE_DATA_PNG_H

#include <stddef.h>
#include <stdint.h>

#include "core/math/layer.h"

struct picture { /* reused from image to image */
    struct shape shape;
    uint8_t *pixels; /* owned */
    size_t size;     /* bytes of pixels */
};

/* Any bit depth and colour type: c = 1 for grey (also as a palette), 3 for colour; what is
 * transparent lies on white; no gamma conversion. Refuses, before it allocates, images of more than
 * SIDE_MAX pixels a side, of more than `limit` bytes of pixels, or of more than n bytes can hold.
 * Errors:
 * ERR_DATA naming what; ERR_MEMORY. */
int picture_decode(struct picture *p, const uint8_t *bytes, size_t n, size_t limit,
                   const char *what);
void picture_release(struct picture *p);

#endif
