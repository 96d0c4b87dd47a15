/* glyph.c - characters of random strokes, and how writers' hands vary them. */
#include "core/data/glyph.h"

#include <math.h>

static double uniform(struct rng *r, double low, double high)
{
    return low + (high - low) * (rng_u32(r) * 0x1p-32);
}

/* The sum of four uniforms of 16 bits. */
double glyph_bell(struct rng *r)
{
    uint32_t a = rng_u32(r), b = rng_u32(r);
    double sum = (a & 0xffff) + (a >> 16) + (b & 0xffff) + (b >> 16);

    return (sum * 0x1p-16 - 2) * 1.7320508;
}

static struct point mix(struct point a, struct point b, double t)
{
    return (struct point){a.x + t * (b.x - a.x), a.y + t * (b.y - a.y)};
}

static struct point curve_at(const struct curve *c, double t)
{
    struct point a = mix(c->p[0], c->p[1], t), b = mix(c->p[1], c->p[2], t),
                 d = mix(c->p[2], c->p[3], t);

    return mix(mix(a, b, t), mix(b, d, t), t);
}

/* From a to b, bent aside by fractions of its length at one and two thirds. */
static void curve_add(struct glyph *g, struct point a, struct point b, double bend1, double bend2)
{
    struct point u = mix(a, b, 1 / 3.0), v = mix(a, b, 2 / 3.0);
    double dx = b.x - a.x, dy = b.y - a.y;

    g->curves[g->n++] = (struct curve){
        {a, {u.x - bend1 * dy, u.y + bend1 * dx}, {v.x - bend2 * dy, v.y + bend2 * dx}, b}};
}

static struct point point_free(struct rng *r)
{
    struct point p = {uniform(r, 0, 1), 0};

    p.y = uniform(r, 0, 1);
    return p;
}

/* A point at least `least` away from a. */
static struct point point_away(struct rng *r, struct point a, double least)
{
    struct point p = point_free(r);

    for (int i = 0; i < 8; i++) {
        double dx = p.x - a.x, dy = p.y - a.y;

        if (dx * dx + dy * dy >= least * least)
            break;
        p = point_free(r);
    }
    return p;
}

/* Strokes often begin on one drawn before: at its ends, its middle or anywhere. */
static struct point stroke_start(const struct glyph *g, struct rng *r)
{
    static const double places[] = {0, 0.5, 1};
    uint32_t kind = rng_below(r, 10);
    double t = kind < 5 ? places[kind % 3] : uniform(r, 0.2, 0.8);

    if (g->n == 0 || kind >= 7)
        return point_free(r);
    return curve_at(&g->curves[rng_below(r, (uint32_t)g->n)], t);
}

static void line_add(struct glyph *g, struct rng *r)
{
    struct point a = stroke_start(g, r), b = point_away(r, a, 0.5);
    double bend = uniform(r, -0.06, 0.06);

    curve_add(g, a, b, bend, bend);
}

static void arc_add(struct glyph *g, struct rng *r)
{
    struct point a = stroke_start(g, r), b = point_away(r, a, 0.4);
    double bend = uniform(r, 0.35, 1), side = rng_below(r, 2) ? 1 : -1;

    curve_add(g, a, b, side * bend, side * (bend + uniform(r, -0.3, 0.3)));
}

static void wave_add(struct glyph *g, struct rng *r)
{
    struct point a = stroke_start(g, r), b = point_away(r, a, 0.5);
    double bend = uniform(r, 0.4, 1), side = rng_below(r, 2) ? 1 : -1;

    curve_add(g, a, b, side * bend, -side * (bend + uniform(r, -0.3, 0.3)));
}

static void corner_add(struct glyph *g, struct rng *r)
{
    struct point a = stroke_start(g, r), b = point_away(r, a, 0.4), c = point_away(r, b, 0.4);

    curve_add(g, a, b, 0, uniform(r, -0.2, 0.2));
    curve_add(g, b, c, uniform(r, -0.3, 0.3), 0);
}

/* There and back on either side: an oval or a drop, sometimes left open. */
static void loop_add(struct glyph *g, struct rng *r)
{
    struct point a = stroke_start(g, r), b = point_away(r, a, 0.3);
    double bend = uniform(r, 0.3, 0.8), open = rng_below(r, 3) ? 0 : uniform(r, 0.2, 0.5);

    curve_add(g, a, b, bend, bend);
    curve_add(g, b, mix(a, b, open), bend, bend);
}

static void hull_of(const struct glyph *g, struct point *low, struct point *high)
{
    *low = *high = g->curves[0].p[0];
    for (int i = 0; i < g->n; i++)
        for (int k = 0; k <= 8; k++) {
            struct point p = curve_at(&g->curves[i], k / 8.0);

            low->x = p.x < low->x ? p.x : low->x;
            low->y = p.y < low->y ? p.y : low->y;
            high->x = p.x > high->x ? p.x : high->x;
            high->y = p.y > high->y ? p.y : high->y;
        }
}

/* p <- m (p - from) + to */
static void glyph_map(struct glyph *g, const double m[4], struct point from, struct point to)
{
    for (int i = 0; i < g->n; i++)
        for (int k = 0; k < 4; k++) {
            struct point *p = &g->curves[i].p[k];
            double x = p->x - from.x, y = p->y - from.y;

            *p = (struct point){m[0] * x + m[1] * y + to.x, m[2] * x + m[3] * y + to.y};
        }
}

static const struct point middle = {0.5, 0.5};

/* Scales it to fill most of the square, and centres it; at most twice as much one way as the
 * other. */
static void glyph_fit(struct glyph *g)
{
    struct point low, high;
    double w, h, wide;

    hull_of(g, &low, &high);
    w = high.x - low.x;
    h = high.y - low.y;
    wide = w > h ? w : h;
    w = w > wide / 2 ? w : wide / 2;
    h = h > wide / 2 ? h : wide / 2;
    glyph_map(g, (const double[]){0.74 / w, 0, 0, 0.74 / h}, mix(low, high, 0.5), middle);
}

void glyph_invent(struct glyph *g, struct rng *r)
{
    static void (*const kinds[])(struct glyph *, struct rng *) = {
        line_add, line_add, line_add, arc_add, arc_add, arc_add, wave_add, corner_add, loop_add};
    int n_strokes = 2 + (int)rng_below(r, 3);

    g->n = 0;
    for (int i = 0; i < n_strokes; i++)
        kinds[rng_below(r, sizeof kinds / sizeof *kinds)](g, r);
    glyph_fit(g);
}

/* Shakes control points. Curves that go on where the one before ended still do. */
static void glyph_shake(struct glyph *g, double wobble, struct rng *r)
{
    struct point was = {-9, -9}, now = was;

    for (int i = 0; i < g->n; i++) {
        struct point *p = g->curves[i].p, end = p[3];
        int joined = p[0].x == was.x && p[0].y == was.y;

        for (int k = 0; k < 4; k++) {
            p[k].x += wobble * glyph_bell(r);
            p[k].y += wobble * glyph_bell(r);
        }
        if (joined)
            p[0] = now;
        was = end;
        now = p[3];
    }
}

static void product(double c[4], const double a[4], const double b[4])
{
    double ab[4] = {a[0] * b[0] + a[1] * b[2], a[0] * b[1] + a[1] * b[3], a[2] * b[0] + a[3] * b[2],
                    a[2] * b[1] + a[3] * b[3]};

    for (int i = 0; i < 4; i++)
        c[i] = ab[i];
}

void glyph_write(struct glyph *g, const struct hand *hand, struct rng *r)
{
    double t = uniform(r, -hand->turn, hand->turn), m[4]; /* tan of half the angle */
    double cosine = (1 - t * t) / (1 + t * t), sine = 2 * t / (1 + t * t);
    double slant = 0.2 * glyph_bell(r), size = uniform(r, 0.68, 1.02);
    struct point to = {0.5 + 0.055 * glyph_bell(r), 0};

    to.y = 0.5 + 0.055 * glyph_bell(r);
    glyph_shake(g, hand->wobble, r);
    product(m, (const double[]){cosine, -sine, sine, cosine}, hand->base);
    product(m, (const double[]){1, slant, 0, 1}, m);
    product(m, (const double[]){size * uniform(r, 0.75, 1.15), 0, 0, size}, m);
    glyph_map(g, m, middle, to);
}

/* Lowers x to the squared distance to the segment a b, in pixels, in the box around it. */
static void segment_stamp(struct point a, struct point b, int size, double reach, real *x)
{
    double ux = b.x - a.x, uy = b.y - a.y, length2 = ux * ux + uy * uy;
    double scale = length2 > 0 ? 1 / length2 : 0;
    int x0 = (int)((a.x < b.x ? a.x : b.x) - reach), x1 = (int)((a.x > b.x ? a.x : b.x) + reach);
    int y0 = (int)((a.y < b.y ? a.y : b.y) - reach), y1 = (int)((a.y > b.y ? a.y : b.y) + reach);

    for (int i = y0 > 0 ? y0 : 0; i <= y1 && i < size; i++)
        for (int j = x0 > 0 ? x0 : 0; j <= x1 && j < size; j++) {
            double px = j + 0.5 - a.x, py = i + 0.5 - a.y, t = (px * ux + py * uy) * scale;
            double dx, dy;

            t = t < 0 ? 0 : t > 1 ? 1 : t;
            dx = px - t * ux;
            dy = py - t * uy;
            if (dx * dx + dy * dy < x[i * size + j])
                x[i * size + j] = (real)(dx * dx + dy * dy);
        }
}

/* A curve as chords of about two pixels. */
static void curve_stamp(const struct curve *c, int size, double reach, real *x)
{
    struct point a = {c->p[0].x * size, c->p[0].y * size};
    double length = 0;
    int n;

    for (int k = 0; k < 3; k++) {
        double dx = c->p[k + 1].x - c->p[k].x, dy = c->p[k + 1].y - c->p[k].y;

        length += sqrt(dx * dx + dy * dy) * size;
    }
    n = 1 + (length < 60 ? (int)(length / 2) : 30);
    for (int k = 1; k <= n; k++) {
        struct point b = curve_at(c, (double)k / n);

        b.x *= size;
        b.y *= size;
        segment_stamp(a, b, size, reach, x);
        a = b;
    }
}

/* A curve as dots, `gap` pixels apart along 30 chords. */
static void curve_dot(const struct curve *c, int size, double reach, double gap, real *x)
{
    struct point a = {c->p[0].x * size, c->p[0].y * size};
    double ahead = 0; /* to the next dot */

    for (int k = 1; k <= 30; k++) {
        struct point b = curve_at(c, k / 30.0);
        double length;

        b.x *= size;
        b.y *= size;
        length = sqrt((b.x - a.x) * (b.x - a.x) + (b.y - a.y) * (b.y - a.y));
        for (; ahead < length; ahead += gap) {
            struct point dot = mix(a, b, ahead / length);

            segment_stamp(dot, dot, size, reach, x);
        }
        ahead -= length;
        a = b;
    }
}

void glyph_distance(const struct glyph *g, int size, double reach, double gap, real *x)
{
    for (int i = 0; i < size * size; i++)
        x[i] = (real)(reach * reach);
    for (int i = 0; i < g->n; i++)
        if (gap > 0)
            curve_dot(&g->curves[i], size, reach, gap, x);
        else
            curve_stamp(&g->curves[i], size, reach, x);
    for (int i = 0; i < size * size; i++)
        x[i] = (real)sqrt((double)x[i]);
}
