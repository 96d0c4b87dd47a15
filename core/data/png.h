/* png.h - PNG files in memory. */
#ifndef CORE_DATA_PNG_H
#define CORE_DATA_PNG_H

#include "core/data/picture.h"

/* Any bit depth and colour type, without gamma conversion: a grey palette gives grey, 16 bits give
 * v * 255 / 65535, rounded. The rest is as picture_decode has it (core/data/decode.h). */
int png_decode(struct picture *p, const uint8_t *bytes, size_t n, size_t limit, const char *what);

#endif
