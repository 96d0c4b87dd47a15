/* exif.h - how a camera was held. */
#ifndef CORE_DATA_EXIF_H
#define CORE_DATA_EXIF_H

#include <stddef.h>
#include <stdint.h>

/* The Exif orientation, 1 to 8, of a JPEG file in memory; 1 (upright) if it states none. */
int exif_orientation(const uint8_t *bytes, size_t n);

#endif
