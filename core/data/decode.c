/* decode.c - which of the formats it is. */
#include "core/data/decode.h"

#include <string.h>

#include "core/data/jpeg.h"
#include "core/data/png.h"

int picture_decode(struct picture *p, const uint8_t *bytes, size_t n, size_t limit,
                   const char *what)
{
    bool is_jpeg = n >= 3 && memcmp(bytes, "\xff\xd8\xff", 3) == 0;

    return is_jpeg ? jpeg_decode(p, bytes, n, limit, what) : png_decode(p, bytes, n, limit, what);
}
