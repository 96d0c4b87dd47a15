/* resize.c - stb_image_resize: Mitchell's filter if it shrinks, Catmull and Rom's if it
 * grows. */
#include "core/data/resize.h"

#include <math.h>
#include <stdbool.h>
#include <string.h>

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

static int resize_any(const void *from, struct patch a, void *to, struct patch b, int c, int width,
                      stbir_datatype type)
{
    int done =
        stbir_resize(from, a.w, a.h, (int)a.row * width, to, b.w, b.h, (int)b.row * width, type, c,
                     STBIR_ALPHA_CHANNEL_NONE, 0, STBIR_EDGE_CLAMP, STBIR_EDGE_CLAMP,
                     STBIR_FILTER_DEFAULT, STBIR_FILTER_DEFAULT, STBIR_COLORSPACE_LINEAR, NULL);

    return done ? 0 : err(ERR_MEMORY, "out of memory for resizing %d x %d pixels", a.w, a.h);
}

static bool same_size(struct patch a, struct patch b)
{
    return a.h == b.h && a.w == b.w;
}

int resize_bytes(const uint8_t *from, struct patch a, uint8_t *to, struct patch b, int c)
{
    from += a.at;
    to += b.at;
    if (!same_size(a, b))
        return resize_any(from, a, to, b, c, sizeof *to, STBIR_TYPE_UINT8);
    for (size_t i = 0; i < (size_t)a.h; i++)
        memcpy(to + i * b.row, from + i * a.row, (size_t)a.w * (size_t)c);
    return 0;
}

static float kept(float v)
{
    return !isfinite(v) ? v : v < 0 ? 0 : v > 1 ? 1 : v; /* what is not finite stays, to be seen */
}

int resize_floats(const float *from, struct patch a, float *to, struct patch b, int c)
{
    from += a.at;
    to += b.at;
    if (!same_size(a, b))
        TRY(resize_any(from, a, to, b, c, sizeof *to, STBIR_TYPE_FLOAT));
    for (size_t i = 0; i < (size_t)b.h; i++)
        for (size_t k = 0; k < (size_t)b.w * (size_t)c; k++)
            to[i * b.row + k] = same_size(a, b) ? from[i * a.row + k] : kept(to[i * b.row + k]);
    return 0;
}
