/* decode.h - image files in memory, PNG or JPEG. */
#ifndef CORE_DATA_DECODE_H
#define CORE_DATA_DECODE_H

#include "core/data/picture.h"

/* By the first bytes, whatever the file is called. Refuses, before it allocates, images of more
 * than SIDE_MAX pixels a side, of more than `limit` bytes of pixels, or of more than n bytes can
 * hold. Errors: ERR_DATA naming what; ERR_MEMORY. */
int picture_decode(struct picture *p, const uint8_t *bytes, size_t n, size_t limit,
                   const char *what);

#endif
