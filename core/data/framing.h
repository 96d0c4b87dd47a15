/* framing.h - one shape for all images of a set: channels, then size (docs/data.md, Size and
 * channels). */
#ifndef CORE_DATA_FRAMING_H
#define CORE_DATA_FRAMING_H

#include <stdint.h>

#include "core/math/layer.h"

struct data_config;

enum { SIDE_MAX = 4096 }; /* pixels a side of any image read */

enum crop {
    CROP_NONE,   /* stretched to the square */
    CROP_CENTRE, /* the centred square of the shorter side */
    CROP_FIT,    /* whole, with background beside it */
};

struct framing {
    int side; /* pixels a side of the square; 0: as the image is */
    enum crop crop;
    int channels;       /* 1, 3; 0: as the image is */
    uint8_t background; /* behind what is transparent, and beside what is fitted */
};

/* From the keys resize, crop, channels and background. ERR_CONFIG for values out of range. */
int framing_set(struct framing *f, const struct data_config *c);

/* ERR_CONFIG if one of those keys is set: for formats that do not use them. */
int framing_refuse(const struct data_config *c);

struct shape framing_shape(const struct framing *f, struct shape s); /* of an image of shape s */

/* The image, of shape s, as to: framing_shape(f, s) numbers. If channels are set, images have 1
 * (grey), 2 (grey and alpha), 3 (RGB) or 4 (RGB and alpha). ERR_MEMORY. */
int framing_bytes(const struct framing *f, const uint8_t *from, struct shape s, uint8_t *to);
int framing_floats(const struct framing *f, const float *from, struct shape s, float *to);

#endif
