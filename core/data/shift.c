/* shift.c - thicken and rotate tile by tile, from a box of the image; then invert and texture in
 * place. */
#include "core/data/shift.h"

#include <math.h>
#include <string.h>
#include <xxhash.h>

#include "core/base/err.h"
#include "core/config/config.h"
#include "core/data/texture.h"

enum {
    TILE = 32, /* pixels a side of what is made at once */
    BOX = 48,  /* of the part it is made from, at any angle: 31 (sin + cos) + 3 at most */
    WIDE = BOX + 2 * THICKEN_MAX /* and with what reaches into it */
};

struct box { /* a part of the image, thickened; 0 outside the image */
    int i, j, h, w;
    real x[BOX][BOX], from[WIDE][WIDE];
};

static int range_check(const char *key, double value, double low, double high)
{
    if (value >= low && value <= high)
        return 0;
    return err(ERR_CONFIG, "%s '%g' is not within %g and %g", key, value, low, high);
}

/* 1 to the radius, then down to 0 over one pixel. */
static void weights_set(struct shift *s, double radius)
{
    s->reach = (int)ceil(radius);
    for (int i = 0; i <= s->reach; i++)
        for (int j = 0; j <= s->reach; j++)
            s->weight[i][j] = clamp(radius + 1 - sqrt(i * i + j * j));
}

static double grid_round(double v)
{
    return rint(v * 0x1p24) * 0x1p-24;
}

int shift_set(struct shift *s, const struct data_config *c)
{
    double angle = c->rotate * (M_PI / 180);

    TRY(range_check("thicken", c->thicken, 0, THICKEN_MAX));
    TRY(range_check("rotate", c->rotate, -360, 360));
    TRY(range_check("texture", c->texture, 0, 1));
    *s = (struct shift){.turned = c->rotate != 0,
                        .cosine = grid_round(cos(angle)),
                        .sine = grid_round(sin(angle)),
                        .invert = c->invert,
                        .texture = c->texture,
                        .seed = (uint64_t)c->seed};
    weights_set(s, c->thicken);
    return 0;
}

int shift_refuse(const struct data_config *c)
{
    const char *key = c->first     ? "first"
                      : c->subset  ? "subset"
                      : c->margin  ? "margin"
                      : c->thicken ? "thicken"
                      : c->rotate  ? "rotate"
                      : c->texture ? "texture"
                                   : NULL;

    return key ? err(ERR_CONFIG, "format '%s' does not use the key '%s'", c->format, key) : 0;
}

/* Row i of the box: the maximum of the weighted pixels around. A pixel that is not finite gives
 * NaN. */
static void line_thicken(const struct shift *s, struct box *b, int i)
{
    const real *centre = &b->from[i + s->reach][s->reach];
    real *x = b->x[i];

    memset(x, 0, sizeof b->x[i]);
    for (int di = -s->reach; di <= s->reach; di++)
        for (int dj = -s->reach; dj <= s->reach; dj++) {
            real weight = s->weight[di < 0 ? -di : di][dj < 0 ? -dj : dj];
            const real *from = centre + di * WIDE + dj;

            for (int j = 0; weight > 0 && j < b->w; j++)
                x[j] = weight * from[j] > x[j] ? weight * from[j] : x[j];
        }
    for (int j = 0; j < b->w; j++)
        x[j] += 0 * centre[j];
}

/* Ink does not spread beyond the image. */
static void line_crop(struct box *b, int i, struct shape shape)
{
    bool inside = b->i + i >= 0 && b->i + i < shape.h;

    for (int j = 0; j < b->w; j++)
        if (!inside || b->j + j < 0 || b->j + j >= shape.w)
            b->x[i][j] = 0;
}

/* The box at b->i, b->j, of channel k. */
static void box_fill(const struct shift *s, const struct raster *r, int k, struct box *b)
{
    int reach = s->reach;

    for (int i = 0; reach == 0 && i < b->h; i++)
        raster_line(r, b->i + i, b->j, b->w, k, b->x[i]);
    if (reach == 0)
        return;
    for (int i = 0; i < b->h + 2 * reach; i++)
        raster_line(r, b->i + i - reach, b->j - reach, b->w + 2 * reach, k, b->from[i]);
    for (int i = 0; i < b->h; i++) {
        line_thicken(s, b, i);
        line_crop(b, i, raster_shape(r));
    }
}

/* The source of pixel i, j: rotated back about the centre. Along rows and columns it never
 * decreases or never increases, also after rounding, so the corners of a tile tell which part it
 * needs. */
static void origin(const struct shift *s, struct shape shape, int i, int j, double *y, double *x)
{
    double up = i + 0.5 - shape.h / 2.0, over = j + 0.5 - shape.w / 2.0;

    *y = over * s->sine + up * s->cosine + (shape.h / 2.0 - 0.5);
    *x = over * s->cosine - up * s->sine + (shape.w / 2.0 - 0.5);
}

/* The box that the tile i, j .. i + h - 1, j + w - 1 comes from. */
static void box_place(const struct shift *s, struct shape shape, int i, int j, int h, int w,
                      struct box *b)
{
    double y, x, low_y = HUGE_VAL, high_y = -HUGE_VAL, low_x = HUGE_VAL, high_x = -HUGE_VAL;

    for (int corner = 0; corner < 4; corner++) {
        origin(s, shape, i + (corner & 1 ? h - 1 : 0), j + (corner & 2 ? w - 1 : 0), &y, &x);
        low_y = fmin(low_y, y);
        high_y = fmax(high_y, y);
        low_x = fmin(low_x, x);
        high_x = fmax(high_x, x);
    }
    b->i = (int)floor(low_y);
    b->j = (int)floor(low_x);
    b->h = (int)floor(high_y) - b->i + 2;
    b->w = (int)floor(high_x) - b->j + 2;
}

static real box_at(const struct box *b, double y, double x)
{
    int i = (int)floor(y), j = (int)floor(x);
    real v = (real)(y - i), u = (real)(x - j);
    const real *a = &b->x[i - b->i][j - b->j], *c = a + BOX;
    real top = a[0] + u * (a[1] - a[0]), low = c[0] + u * (c[1] - c[0]);

    return top + v * (low - top);
}

static void tile_turn(const struct shift *s, const struct raster *r, int i0, int j0, real *x)
{
    struct shape shape = raster_shape(r);
    int h = shape.h - i0 < TILE ? shape.h - i0 : TILE,
        w = shape.w - j0 < TILE ? shape.w - j0 : TILE;
    double from_y, from_x;
    struct box b;

    box_place(s, shape, i0, j0, h, w, &b);
    for (int k = 0; k < shape.c; k++) {
        box_fill(s, r, k, &b);
        for (int i = i0; i < i0 + h; i++)
            for (int j = j0; j < j0 + w; j++) {
                origin(s, shape, i, j, &from_y, &from_x);
                x[((size_t)i * shape.w + j) * shape.c + k] = box_at(&b, from_y, from_x);
            }
    }
}

static void tile_thicken(const struct shift *s, const struct raster *r, int i0, int j0, real *x)
{
    struct shape shape = raster_shape(r);
    struct box b;

    b.i = i0;
    b.j = j0;
    b.h = shape.h - i0 < TILE ? shape.h - i0 : TILE;
    b.w = shape.w - j0 < TILE ? shape.w - j0 : TILE;
    for (int k = 0; k < shape.c; k++) {
        box_fill(s, r, k, &b);
        for (int i = 0; i < b.h; i++)
            for (int j = 0; j < b.w; j++)
                x[((size_t)(i0 + i) * shape.w + j0 + j) * shape.c + k] = b.x[i][j];
    }
}

/* Lightens what is dark, or with invert darkens what is light: the paper, and little of the
 * strokes. */
static void texture_add(const struct shift *s, struct shape shape, struct rng *r, real *x)
{
    struct texture t;

    texture_init(&t, r);
    for (int i = 0; i < shape.h; i++)
        for (int j = 0; j < shape.w; j++) {
            double grain = noise_of(rng_u32(r), 0);
            double u = 0.4 + 0.3 * texture_at(&t, i, j, shape.h, shape.w) + 0.15 * grain;

            u *= s->texture;
            for (int k = 0; k < shape.c; k++, x++)
                *x = clamp(s->invert ? *x - u * *x : *x + u * (1 - *x)) + 0 * *x; /* NaN stays */
        }
}

void shift_read(const struct shift *s, const struct raster *r, uint32_t round, uint32_t slot,
                real *x)
{
    struct shape shape = raster_shape(r);
    size_t size = shape_size(shape);
    struct rng noise;

    if (!shift_moves(s))
        raster_copy(r, x);
    else
        for (int i = 0; i < shape.h; i += TILE)
            for (int j = 0; j < shape.w; j += TILE)
                (s->turned ? tile_turn : tile_thicken)(s, r, i, j, x);
    for (size_t i = 0; i < size && s->invert; i++)
        x[i] = 1 - x[i];
    if (s->texture == 0)
        return;
    rng_init(&noise, s->seed, RNG_SHIFT, round, slot);
    texture_add(s, shape, &noise, x);
}

uint64_t shift_digest(const struct shift *s, uint64_t seed)
{
    double numbers[] = {s->reach, s->turned, s->cosine, s->sine, s->invert, s->texture};
    uint64_t digest = XXH3_64bits_withSeed(numbers, sizeof numbers, seed);

    digest = XXH3_64bits_withSeed(s->weight, sizeof s->weight, digest);
    return XXH3_64bits_withSeed(&s->seed, sizeof s->seed, digest);
}
