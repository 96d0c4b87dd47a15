/* framing.c - alpha, luma, crop: bytes and floats by the same formulas. */
#include "core/data/framing.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/err.h"
#include "core/config/config.h"
#include "core/data/resize.h"

/* Luma of ITU-R BT.601: 0.299, 0.587 and 0.114, in 65536ths. */
enum { RED = 19595, GREEN = 38470, BLUE = 7471, ONE = 65536 };

static bool is_word(const char *text, const char *word)
{
    return text && strcmp(text, word) == 0;
}

int framing_set(struct framing *f, const struct data_config *c)
{
    if (c->resize < 0 || c->resize > SIDE_MAX)
        return err(ERR_CONFIG, "resize '%jd' is not within 0 and %d", (intmax_t)c->resize,
                   SIDE_MAX);
    if (c->channels != 0 && c->channels != 1 && c->channels != 3)
        return err(ERR_CONFIG, "channels is %jd, it must be 1 (grey), 3 (colour) or 0 (as stored)",
                   (intmax_t)c->channels);
    if (!(c->background >= 0 && c->background <= 1))
        return err(ERR_CONFIG, "background '%g' is not within 0 (black) and 1 (white)",
                   c->background);
    *f = (struct framing){.side = (int)c->resize,
                          .crop = is_word(c->crop, "centre") ? CROP_CENTRE
                                  : is_word(c->crop, "fit")  ? CROP_FIT
                                                             : CROP_NONE,
                          .channels = (int)c->channels,
                          .background = (uint8_t)(c->background * 255 + 0.5)};
    if (f->crop != CROP_NONE && f->side == 0)
        return err(ERR_CONFIG, "crop '%s' needs the key 'resize', the pixels per side", c->crop);
    return 0;
}

int framing_refuse(const struct data_config *c)
{
    const char *key = c->channels                               ? "channels"
                      : c->crop && strcmp(c->crop, "none") != 0 ? "crop"
                                                                : NULL;

    return key ? err(ERR_CONFIG, "format '%s' does not use the key '%s'", c->format, key) : 0;
}

struct shape framing_shape(const struct framing *f, struct shape s)
{
    return (struct shape){.h = f->side ? f->side : s.h,
                          .w = f->side ? f->side : s.w,
                          .c = f->channels ? f->channels : s.c};
}

static struct patch whole(struct shape s)
{
    return (struct patch){.h = s.h, .w = s.w, .row = (size_t)s.w * (size_t)s.c};
}

static struct patch part(struct shape s, int i, int j, int h, int w)
{
    struct patch a = whole(s);

    a.at = (size_t)i * a.row + (size_t)j * (size_t)s.c;
    a.h = h;
    a.w = w;
    return a;
}

/* The part of the image that is kept. */
static struct patch part_kept(const struct framing *f, struct shape s)
{
    int side = s.h < s.w ? s.h : s.w;

    return f->side && f->crop == CROP_CENTRE
               ? part(s, (s.h - side) / 2, (s.w - side) / 2, side, side)
               : whole(s);
}

/* a * b / c, rounded, at least 1. */
static int scaled(int a, int b, int c)
{
    int v = (int)((2 * (int64_t)a * b + c) / (2 * (int64_t)c));

    return v > 0 ? v : 1;
}

/* Where it comes to lie in the frame, of shape `to`. */
static struct patch part_filled(const struct framing *f, struct shape s, struct shape to)
{
    int longer = s.h > s.w ? s.h : s.w, h, w;

    if (!f->side || f->crop != CROP_FIT)
        return whole(to);
    h = scaled(s.h, f->side, longer);
    w = scaled(s.w, f->side, longer);
    return part(to, (f->side - h) / 2, (f->side - w) / 2, h, w);
}

/* n pixels of c channels to `to` of them. */
static void bytes_convert(const uint8_t *from, size_t n, int c, uint8_t *x, int to,
                          unsigned background)
{
    int base = c <= 2 ? 1 : 3;

    for (size_t i = 0; i < n; i++, from += c, x += to) {
        unsigned v[3], alpha = c % 2 ? 255 : from[c - 1];

        for (int k = 0; k < 3; k++)
            v[k] = (from[base == 1 ? 0 : k] * alpha + background * (255 - alpha) + 127) / 255;
        if (base == 3 && to == 1)
            v[0] = (v[0] * RED + v[1] * GREEN + v[2] * BLUE + ONE / 2) / ONE;
        for (int k = 0; k < to; k++)
            x[k] = (uint8_t)v[k];
    }
}

static void floats_convert(const float *from, size_t n, int c, float *x, int to, float background)
{
    int base = c <= 2 ? 1 : 3;

    for (size_t i = 0; i < n; i++, from += c, x += to) {
        float v[3], alpha = c % 2 ? 1 : from[c - 1];

        for (int k = 0; k < 3; k++)
            v[k] = from[base == 1 ? 0 : k] * alpha + background * (1 - alpha);
        if (base == 3 && to == 1)
            v[0] = (v[0] * RED + v[1] * GREEN + v[2] * BLUE) / ONE;
        for (int k = 0; k < to; k++)
            x[k] = v[k];
    }
}

/* *owned: the image in the frame's channels, of which *s then has the shape; NULL: it has them
 * already. width: bytes of a number, 1 or a float's. */
static int recolour(const struct framing *f, const void *from, struct shape *s, size_t width,
                    void **owned)
{
    size_t n = (size_t)s->h * (size_t)s->w;
    int c = f->channels ? f->channels : s->c;

    *owned = NULL;
    if (c == s->c)
        return 0;
    *owned = malloc(n * (size_t)c * width);
    if (!*owned)
        return err(ERR_MEMORY, "out of memory for an image of %d x %d pixels", s->h, s->w);
    if (width == 1)
        bytes_convert(from, n, s->c, *owned, c, f->background);
    else
        floats_convert(from, n, s->c, *owned, c, (float)f->background / 255);
    s->c = c;
    return 0;
}

int framing_bytes(const struct framing *f, const uint8_t *from, struct shape s, uint8_t *to)
{
    struct shape shape = framing_shape(f, s);
    void *owned;
    int code;

    TRY(recolour(f, from, &s, sizeof *from, &owned));
    if (f->crop == CROP_FIT)
        memset(to, f->background, shape_size(shape));
    code = resize_bytes(owned ? owned : from, part_kept(f, s), to, part_filled(f, s, shape), s.c);
    free(owned);
    return code;
}

int framing_floats(const struct framing *f, const float *from, struct shape s, float *to)
{
    struct shape shape = framing_shape(f, s);
    void *owned;
    int code;

    TRY(recolour(f, from, &s, sizeof *from, &owned));
    for (size_t i = 0; f->crop == CROP_FIT && i < shape_size(shape); i++)
        to[i] = (float)f->background / 255;
    code = resize_floats(owned ? owned : from, part_kept(f, s), to, part_filled(f, s, shape), s.c);
    free(owned);
    return code;
}
