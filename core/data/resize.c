/* resize.c - stb_image_resize: Mitchell's filter if it shrinks, Catmull and Rom's if it
 * grows. */
#include "core/data/resize.h"

#include <math.h>

#include "core/base/err.h"

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wunused-parameter"
#pragma GCC diagnostic ignored "-Wunused-function"
#pragma GCC diagnostic ignored "-Wshadow"
#pragma GCC diagnostic ignored "-Wsign-compare"
#define STB_IMAGE_RESIZE_STATIC
#define STB_IMAGE_RESIZE_IMPLEMENTATION
#include <stb/stb_image_resize.h>
#pragma GCC diagnostic pop

static int resize_any(const void *from, struct shape s, void *to, int side, stbir_datatype type)
{
    int done =
        stbir_resize(from, s.w, s.h, 0, to, side, side, 0, type, s.c, STBIR_ALPHA_CHANNEL_NONE, 0,
                     STBIR_EDGE_CLAMP, STBIR_EDGE_CLAMP, STBIR_FILTER_DEFAULT, STBIR_FILTER_DEFAULT,
                     STBIR_COLORSPACE_LINEAR, NULL);

    return done ? 0 : err(ERR_MEMORY, "out of memory for resizing %d x %d pixels", s.w, s.h);
}

int resize_bytes(const uint8_t *from, struct shape shape, uint8_t *to, int side)
{
    return resize_any(from, shape, to, side, STBIR_TYPE_UINT8);
}

int resize_floats(const float *from, struct shape shape, float *to, int side)
{
    TRY(resize_any(from, shape, to, side, STBIR_TYPE_FLOAT));
    for (int i = 0; i < side * side * shape.c; i++)
        if (isfinite(to[i])) /* what is not stays, to be seen */
            to[i] = to[i] < 0 ? 0 : to[i] > 1 ? 1 : to[i];
    return 0;
}
