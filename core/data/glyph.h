/* glyph.h - random characters: strokes, the writers who draw them, and the styles of the drawing.
 *
 * Everything is a pure function of random words, by + - * / and sqrt alone, so that every machine
 * draws the same bits. */
#ifndef CORE_DATA_GLYPH_H
#define CORE_DATA_GLYPH_H

#include "core/base/real.h"
#include "core/math/rng.h"

enum { GLYPH_CURVES = 12, GLYPH_SIDE_MIN = 12, GLYPH_SIDE_MAX = 128 };

struct point {
    double x, y;
};

struct curve { /* cubic Bezier */
    struct point p[4];
};

struct glyph { /* within 0..1; y goes down */
    int n;
    struct curve curves[GLYPH_CURVES];
};

/* A class's character: 2 to 4 strokes, which fill the middle of the square. */
void glyph_invent(struct glyph *g, struct rng *r);

struct hand {       /* how one writer draws */
    double wobble;  /* of control points */
    double turn;    /* largest tangent of half the angle */
    double base[4]; /* applied first: {1, 0, 0, 1} or a quarter turn */
};

/* One writer's version of it. */
void glyph_write(struct glyph *g, const struct hand *hand, struct rng *r);

/* x: size * size reals, overwritten with every pixel's distance to the curves in pixels, where it
 * is below reach; else with reach. gap > 0: to dots on them, that many pixels apart. */
void glyph_distance(const struct glyph *g, int size, double reach, double gap, real *x);

struct glyph_style {
    const char *name;
    struct hand hand;
    double reach; /* distance that matters, in pixels of a 28 x 28 image */
    /* From distances to grey values, in place; radius: half the pen's width in pixels. */
    void (*paint)(real *x, int size, double radius, struct rng *r);
    double gap; /* between dots, in pixels of a 28 x 28 image; 0: lines */
};

extern const struct glyph_style glyph_styles[]; /* ended by an entry without a name */

/* About normal, mean 0, variance 1, within -3.5 .. 3.5. */
double glyph_bell(struct rng *r);

#endif
