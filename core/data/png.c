/* png.c - libpng over bytes in memory. */
#include "core/data/png.h"

#include <png.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/err.h"
#include "core/data/framing.h"

enum { DEFLATE_RATIO = 1032, SIGNATURE = 8, CHUNK_MIN = 12 }; /* deflate's most; bytes */

struct decoder {
    png_structp png;
    png_infop info;
    const uint8_t *bytes;
    size_t n, at, limit;
    struct picture *picture;
    bool grey; /* one channel is enough */
    int code;  /* err's, where the error is not libpng's */
    char text[128];
};

static void png_bytes(png_structp png, png_bytep to, size_t n)
{
    struct decoder *d = png_get_io_ptr(png);

    if (n > d->n - d->at)
        png_error(png, "it ends early");
    memcpy(to, d->bytes + d->at, n);
    d->at += n;
}

static void png_failed(png_structp png, png_const_charp text)
{
    struct decoder *d = png_get_error_ptr(png);

    snprintf(d->text, sizeof d->text, "%s", text);
    png_longjmp(png, 1);
}

static void png_warned(png_structp png, png_const_charp text)
{
    (void)png;
    (void)text;
}

static bool palette_is_grey(struct decoder *d)
{
    png_colorp colours;
    int n = 0;

    if (!png_get_PLTE(d->png, d->info, &colours, &n))
        return false;
    while (n > 0 && colours[n - 1].red == colours[n - 1].green &&
           colours[n - 1].green == colours[n - 1].blue)
        n--;
    return n == 0;
}

/* libpng makes room for a chunk of the length that it states before it reads it. */
static void chunks_check(struct decoder *d)
{
    size_t length = 0;

    for (size_t at = SIGNATURE; at < d->n; at += CHUNK_MIN + length) {
        d->at = at;
        if (d->n - at >= CHUNK_MIN)
            length = png_get_uint_32(d->bytes + at);
        if (d->n - at < CHUNK_MIN || length > d->n - at - CHUNK_MIN)
            png_error(d->png, "it ends early, inside the chunk that starts here");
        if (memcmp(d->bytes + at + 4, "IEND", 4) == 0)
            break;
    }
    d->at = 0;
}

static void header_read(struct decoder *d)
{
    png_uint_32 w, h;
    int depth, type;

    png_set_user_limits(d->png, SIDE_MAX, SIDE_MAX);
    png_set_chunk_malloc_max(d->png, 1 << 20);
    png_set_chunk_cache_max(d->png, 1); /* none: texts and the like are skipped */
    png_read_info(d->png, d->info);
    png_get_IHDR(d->png, d->info, &w, &h, &depth, &type, NULL, NULL, NULL);
    if (h * png_get_rowbytes(d->png, d->info) > DEFLATE_RATIO * d->n)
        png_error(d->png, "it is too short for the size it states");
    d->grey =
        !(type & PNG_COLOR_MASK_COLOR) || (type == PNG_COLOR_TYPE_PALETTE && palette_is_grey(d));
    png_set_expand(d->png);
    png_set_scale_16(d->png);
    png_set_interlace_handling(d->png);
    png_read_update_info(d->png, d->info);
    if (h * png_get_rowbytes(d->png, d->info) > d->limit)
        png_error(d->png, "it unpacks to too much for the size of the files");
}

static void rows_read(struct decoder *d)
{
    size_t h = png_get_image_height(d->png, d->info), row = png_get_rowbytes(d->png, d->info);
    int passes = png_set_interlace_handling(d->png);

    if (!picture_room(d->picture, h * row)) {
        d->code = ERR_MEMORY;
        png_error(d->png, "out of memory");
    }
    for (int pass = 0; pass < passes; pass++)
        for (size_t y = 0; y < h; y++)
            png_read_row(d->png, d->picture->pixels + y * row, NULL);
    png_read_end(d->png, NULL);
}

/* The first channel, and alpha if there is one, of n pixels; in place. */
static void grey_keep(uint8_t *pixels, size_t n, int from, int to)
{
    for (size_t i = 0; i < n; i++) {
        pixels[i * to] = pixels[i * from];
        pixels[i * to + to - 1] = to == 2 ? pixels[i * from + from - 1] : pixels[i * to];
    }
}

/* Everything that may longjmp, so no local variable here changes. */
static int decode_guarded(struct decoder *d)
{
    if (setjmp(png_jmpbuf(d->png)))
        return -1;
    png_set_read_fn(d->png, d, png_bytes);
    chunks_check(d);
    header_read(d);
    rows_read(d);
    return 0;
}

static int decode(struct decoder *d)
{
    struct shape s = {0};
    int from;

    d->png = png_create_read_struct(PNG_LIBPNG_VER_STRING, d, png_failed, png_warned);
    d->info = d->png ? png_create_info_struct(d->png) : NULL;
    if (!d->info) {
        snprintf(d->text, sizeof d->text, "out of memory");
        return ERR_MEMORY;
    }
    if (decode_guarded(d) < 0)
        return d->code ? d->code : ERR_DATA;
    from = png_get_channels(d->png, d->info);
    s.h = (int)png_get_image_height(d->png, d->info);
    s.w = (int)png_get_image_width(d->png, d->info);
    s.c = d->grey && from > 2 ? from - 2 : from;
    if (from != s.c)
        grey_keep(d->picture->pixels, (size_t)s.h * s.w, from, s.c);
    d->picture->shape = s;
    return 0;
}

int png_decode(struct picture *p, const uint8_t *bytes, size_t n, size_t limit, const char *what)
{
    struct decoder d = {.bytes = bytes, .n = n, .limit = limit, .picture = p};
    int code = decode(&d);

    png_destroy_read_struct(&d.png, &d.info, NULL);
    if (code < 0)
        return err(code, "'%s' is not a complete PNG image, at byte %zu: %s", what, d.at, d.text);
    return 0;
}
