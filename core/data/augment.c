/* augment.c - crop with a mirrored edge, flip, brightness, contrast. */
#include "core/data/augment.h"

#include <string.h>

#include "core/data/texture.h"

/* The words of an image: two blocks, so that image i begins at block 2 i whatever is wanted. */
enum word { WORD_DOWN, WORD_RIGHT, WORD_FLIP, WORD_BRIGHTNESS, WORD_CONTRAST, WORDS = 8 };

/* A whole number of -most .. most. */
static int offset_of(uint32_t word, int most)
{
    return (int)((uint64_t)word * (uint64_t)(2 * most + 1) >> 32) - most;
}

/* 1 - most .. 1 + most */
static double factor_of(uint32_t word, double most)
{
    return 1 + most * (2 * (word * 0x1p-32) - 1);
}

/* Beyond the edge of n pixels the picture is mirrored; the edge itself is not repeated. */
static int mirrored(int i, int n)
{
    return i < 0 ? -i : i >= n ? 2 * (n - 1) - i : i;
}

/* One line of w pixels of c values each, from `right` pixels further right. */
static void line_move(int w, int c, int right, const real *from, real *x)
{
    int first = right < 0 ? -right : 0, end = right > 0 ? w - right : w;

    memcpy(x + first * c, from + (first + right) * c, (size_t)((end - first) * c) * sizeof *x);
    for (int j = 0; j < w; j++)
        for (int k = 0; k < c && (j < first || j >= end); k++)
            x[j * c + k] = from[mirrored(j + right, w) * c + k];
}

static void move(struct shape s, int down, int right, real *x, real *room)
{
    int line = s.w * s.c;

    if (down == 0 && right == 0)
        return;
    memcpy(room, x, shape_size(s) * sizeof *x);
    for (int i = 0; i < s.h; i++)
        line_move(s.w, s.c, right, room + mirrored(i + down, s.h) * line, x + i * line);
}

static void flip(struct shape s, real *x)
{
    for (int i = 0; i < s.h; i++, x += s.w * s.c)
        for (int j = 0; j < s.w / 2; j++)
            for (int k = 0; k < s.c; k++) {
                real *a = x + j * s.c + k, *b = x + (s.w - 1 - j) * s.c + k, left = *a;

                *a = *b;
                *b = left;
            }
}

static double mean_of(size_t n, const real *x)
{
    double sum = 0;

    for (size_t i = 0; i < n; i++)
        sum += x[i];
    return sum / (double)n;
}

/* x <- centre + factor (x - centre) */
static void stretch(size_t n, double centre, double factor, real *x)
{
    for (size_t i = 0; i < n; i++)
        x[i] = clamp(centre + factor * (x[i] - centre));
}

void augment_image(const struct augment *a, struct shape shape, const struct rng *batch, uint32_t i,
                   real *x, real *room)
{
    size_t n = shape_size(shape);
    uint32_t words[WORDS];

    rng_words(batch, WORDS / 4 * i, WORDS / 4, words);
    move(shape, offset_of(words[WORD_DOWN], a->crop), offset_of(words[WORD_RIGHT], a->crop), x,
         room);
    if (a->flip && words[WORD_FLIP] >> 31)
        flip(shape, x);
    if (a->brightness > 0)
        stretch(n, 0, factor_of(words[WORD_BRIGHTNESS], a->brightness), x);
    if (a->contrast > 0)
        stretch(n, mean_of(n, x), factor_of(words[WORD_CONTRAST], a->contrast), x);
}
