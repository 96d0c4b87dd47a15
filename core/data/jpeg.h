/* jpeg.h - JPEG files in memory. */
#ifndef CORE_DATA_JPEG_H
#define CORE_DATA_JPEG_H

#include "core/data/picture.h"

/* Baseline, progressive and arithmetic JPEG of 8 bits, as djpeg makes it: grey, or RGB from RGB,
 * YCbCr, CMYK or YCCK; turned as its Exif orientation says. A warning of libjpeg that pixels were
 * made up is an error. The rest is as picture_decode has it (core/data/decode.h). */
int jpeg_decode(struct picture *p, const uint8_t *bytes, size_t n, size_t limit, const char *what);

#endif
