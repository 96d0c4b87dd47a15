/* resize.h - one image to side x side, antialiased, channels last, no gamma conversion. */
#ifndef CORE_DATA_RESIZE_H
#define CORE_DATA_RESIZE_H

#include <stdint.h>

#include "core/math/layer.h"

int resize_bytes(const uint8_t *from, struct shape shape, uint8_t *to, int side); /* ERR_MEMORY */
int resize_floats(const float *from, struct shape shape, float *to, int side);    /* kept in 0..1 */

#endif
