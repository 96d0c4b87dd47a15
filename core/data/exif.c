/* exif.c - one number of the TIFF directory in the APP1 segment of a JPEG file (Exif 2.3, 4.5). */
#include "core/data/exif.h"

#include <stdbool.h>
#include <string.h>

enum { APP1 = 0xe1, SCAN = 0xda, END = 0xd9, ORIENTATION = 0x0112, SHORT = 3, ENTRY = 12 };

struct tiff {
    const uint8_t *bytes; /* borrowed */
    size_t n;
    bool big; /* endian */
};

/* `width` bytes as a number; 0 beyond the end. */
static size_t number(const struct tiff *t, size_t at, size_t width)
{
    size_t v = 0;

    if (at > t->n || t->n - at < width)
        return 0;
    for (size_t i = 0; i < width; i++)
        v = v << 8 | t->bytes[at + (t->big ? i : width - 1 - i)];
    return v;
}

static int tiff_orientation(struct tiff t)
{
    size_t directory, n;

    t.big = t.n >= 4 && memcmp(t.bytes, "MM\0*", 4) == 0;
    if (!t.big && !(t.n >= 4 && memcmp(t.bytes, "II*\0", 4) == 0))
        return 1;
    directory = number(&t, 4, 4);
    n = number(&t, directory, 2);
    for (size_t i = 0; i < n; i++) {
        size_t entry = directory + 2 + i * ENTRY, value = number(&t, entry + 8, 2);

        if (number(&t, entry, 2) == ORIENTATION && number(&t, entry + 2, 2) == SHORT)
            return value >= 1 && value <= 8 ? (int)value : 1;
    }
    return 1;
}

int exif_orientation(const uint8_t *bytes, size_t n)
{
    struct tiff file = {.bytes = bytes, .n = n, .big = true};
    size_t at = 2, length;

    for (; at + 4 <= n && bytes[at] == 0xff; at += 2 + length) {
        int marker = bytes[at + 1];

        length = marker == 0xff ? 0 : number(&file, at + 2, 2); /* 0xff: fills up */
        if (marker == 0xff) {
            at--;
            continue;
        }
        if (marker == SCAN || marker == END || length < 2 || length > n - at - 2)
            return 1;
        if (marker == APP1 && length >= 8 && memcmp(bytes + at + 4, "Exif\0\0", 6) == 0)
            return tiff_orientation((struct tiff){.bytes = bytes + at + 10, .n = length - 8});
    }
    return 1;
}
