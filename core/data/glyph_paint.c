/* glyph_paint.c - styles: from the distance to the strokes to grey values. */
#include "core/data/glyph.h"
#include "core/data/texture.h"

static void ink_paint(real *x, int size, double radius, struct rng *r)
{
    (void)r;
    for (int i = 0; i < size * size; i++)
        x[i] = clamp(radius + 0.5 - x[i]);
}

/* A broad pen. */
static void thick_paint(real *x, int size, double radius, struct rng *r)
{
    ink_paint(x, size, 1.25 * radius + 0.8 * size / 28, r);
}

/* Round dots of nearly one size, whatever the pen. */
static void dotted_paint(real *x, int size, double radius, struct rng *r)
{
    ink_paint(x, size, 0.4 * radius + 0.6 * size / 28, r);
}

/* Only the contour of the strokes, which are drawn broader for it. */
static void outline_paint(real *x, int size, double radius, struct rng *r)
{
    double broad = radius + size / 28.0, half = 0.5 * size / 28;

    (void)r;
    for (int i = 0; i < size * size; i++) {
        double away = x[i] > broad ? x[i] - broad : broad - x[i];

        x[i] = clamp(half + 0.5 - away);
    }
}

/* Bright and crumbling on a grey, dusty board. */
static void chalk_paint(real *x, int size, double radius, struct rng *r)
{
    struct texture dust;

    texture_init(&dust, r);
    for (int i = 0; i < size * size; i++) {
        uint32_t grain = rng_u32(r);
        double board = 0.3 + 0.13 * texture_at(&dust, i / size, i % size, size, size);
        double mark = clamp(1.2 * radius + 0.6 - x[i] + 0.5 * noise_of(grain, 0));

        board += 0.06 * noise_of(grain, 1);
        x[i] = clamp(board + (0.95 - board) * mark * (0.8 + 0.2 * noise_of(grain, 2)));
    }
}

/* Black on bright, uneven paper. */
static void inverted_paint(real *x, int size, double radius, struct rng *r)
{
    struct texture paper;

    texture_init(&paper, r);
    for (int i = 0; i < size * size; i++) {
        double sheet = 0.8 + 0.12 * texture_at(&paper, i / size, i % size, size, size);

        sheet += 0.04 * noise_of(rng_u32(r), 0);
        x[i] = clamp(sheet * (1 - clamp(radius + 0.5 - x[i])));
    }
}

/* n values, `step` apart, by the weights 1 4 6 4 1; those at the ends count on beyond them. */
static void line_blur(real *x, int n, int step)
{
    real a = x[0], b = x[0];

    for (int i = 0; i < n; i++) {
        real c = x[i * step], d = x[(i + 1 < n ? i + 1 : n - 1) * step],
             e = x[(i + 2 < n ? i + 2 : n - 1) * step];

        x[i * step] = (a + 4 * b + 6 * c + 4 * d + e) / 16;
        a = b;
        b = c;
    }
}

static void blurred_paint(real *x, int size, double radius, struct rng *r)
{
    ink_paint(x, size, radius, r);
    for (int pass = 0; pass < 1 + size / 14; pass++)
        for (int i = 0; i < size; i++)
            line_blur(x + i * size, size, 1);
    for (int pass = 0; pass < 1 + size / 14; pass++)
        for (int i = 0; i < size; i++)
            line_blur(x + i, size, size);
}

#define UPRIGHT                                                                                    \
    {                                                                                              \
        0.03, 0.1,                                                                                 \
        {                                                                                          \
            1, 0, 0, 1                                                                             \
        }                                                                                          \
    }

const struct glyph_style glyph_styles[] = {
    {"ink", UPRIGHT, 2.5, ink_paint},
    {"chalk", UPRIGHT, 4, chalk_paint},
    {"outline", UPRIGHT, 4.5, outline_paint},
    {"rotated", {0.03, 0.176, {0, 1, -1, 0}}, 2.5, ink_paint}, /* 90 degrees, and up to 20 more */
    {"blurred", UPRIGHT, 2.5, blurred_paint},
    {"inverted", UPRIGHT, 2.5, inverted_paint},
    {"thick", UPRIGHT, 3.5, thick_paint},
    {"dotted", UPRIGHT, 2.5, dotted_paint, 3},
    {"slanted", {0.03, 0.05, {0.7, -0.65, 0, 0.92}}, 2.5, ink_paint},
    {0},
};
