/* picture.h - the pixels of one image file, of 8 bits. */
#ifndef CORE_DATA_PICTURE_H
#define CORE_DATA_PICTURE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/math/layer.h"

struct picture {        /* reused from image to image */
    struct shape shape; /* c = 1 grey, 2 grey and alpha, 3 RGB, 4 RGB and alpha */
    uint8_t *pixels;    /* owned */
    size_t size;        /* bytes of pixels */
};

/* Room for `size` bytes of pixels; false: no memory. What was there is lost. */
bool picture_room(struct picture *p, size_t size);
void picture_release(struct picture *p);

#endif
