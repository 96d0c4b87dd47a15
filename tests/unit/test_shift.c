/* test_shift.c - parts of a set, frames and domain shifts, beside a plain reference. */
#include "tests/lib/data_files.h"

#include <math.h>

#include "core/math/rng.h"

/* An image of h x w x c as the reference has it. */
struct plain {
    int h, w, c;
    double *x; /* owned */
};

static double *plain_at(const struct plain *p, int i, int j, int k)
{
    return &p->x[((size_t)i * p->w + j) * p->c + k];
}

static struct plain plain_new(int h, int w, int c)
{
    struct plain p = {h, w, c, calloc((size_t)h * w * c, sizeof(double))};

    assert_non_null(p.x);
    return p;
}

static double plain_get(const struct plain *p, int i, int j, int k)
{
    return i < 0 || j < 0 || i >= p->h || j >= p->w ? 0 : *plain_at(p, i, j, k);
}

static struct plain plain_framed(const struct plain *p, int margin)
{
    struct plain q = plain_new(p->h + 2 * margin, p->w + 2 * margin, p->c);

    for (int i = 0; i < q.h; i++)
        for (int j = 0; j < q.w; j++)
            for (int k = 0; k < q.c; k++)
                *plain_at(&q, i, j, k) = plain_get(p, i - margin, j - margin, k);
    return q;
}

static double around_max(const struct plain *p, double radius, int i, int j, int k)
{
    double most = 0;

    for (int di = -9; di <= 9; di++)
        for (int dj = -9; dj <= 9; dj++) {
            double weight = fmax(0, fmin(1, radius + 1 - hypot(di, dj)));

            most = fmax(most, weight * plain_get(p, i + di, j + dj, k));
        }
    return most;
}

static struct plain plain_thick(const struct plain *p, double radius)
{
    struct plain q = plain_new(p->h, p->w, p->c);

    for (int i = 0; i < q.h; i++)
        for (int j = 0; j < q.w; j++)
            for (int k = 0; k < q.c; k++)
                *plain_at(&q, i, j, k) = around_max(p, radius, i, j, k);
    return q;
}

static double between(const struct plain *p, double y, double x, int k)
{
    int i = (int)floor(y), j = (int)floor(x);
    double v = y - i, u = x - j;

    return (1 - v) * ((1 - u) * plain_get(p, i, j, k) + u * plain_get(p, i, j + 1, k)) +
           v * ((1 - u) * plain_get(p, i + 1, j, k) + u * plain_get(p, i + 1, j + 1, k));
}

/* Counter-clockwise; y points down. */
static struct plain plain_turned(const struct plain *p, double degrees)
{
    struct plain q = plain_new(p->h, p->w, p->c);
    double angle = degrees * M_PI / 180, y0 = (p->h - 1) / 2.0, x0 = (p->w - 1) / 2.0;

    for (int i = 0; i < q.h; i++)
        for (int j = 0; j < q.w; j++)
            for (int k = 0; k < q.c; k++) {
                double radius = hypot(i - y0, j - x0), at = atan2(-(i - y0), j - x0) - angle;

                *plain_at(&q, i, j, k) =
                    between(p, y0 - radius * sin(at), x0 + radius * cos(at), k);
            }
    return q;
}

/* One image of random pixels, half of them black, as images.npy: bytes or floats. */
static struct plain put_image(int h, int w, int c, bool floats)
{
    struct plain p = plain_new(h, w, c);
    size_t n = (size_t)h * w * c;
    uint8_t *bytes = calloc(n, 1);
    float *f = calloc(n, sizeof *f);
    char shape[64];
    struct rng r;

    rng_init(&r, 1, 99, (uint32_t)h, (uint32_t)w);
    for (size_t i = 0; i < n; i++) {
        bytes[i] = rng_below(&r, 2) ? (uint8_t)rng_below(&r, 256) : 0;
        f[i] = bytes[i] / 255.0f;
        p.x[i] = bytes[i] / 255.0;
    }
    snprintf(shape, sizeof shape, "1, %d, %d, %d", h, w, c);
    put_npy("images.npy", floats ? "<f4" : "|u1", shape, floats ? (void *)f : (void *)bytes,
            floats ? n * sizeof *f : n);
    put_npy("labels.npy", "|u1", "1,", "", 1);
    free(bytes);
    free(f);
    return p;
}

static real *read_new(const struct data_config *c, uint32_t index, struct shape *shape)
{
    struct data d;
    real *x;

    expect_open(&d, c);
    *shape = d.shape;
    x = calloc(shape_size(d.shape), sizeof *x);
    assert_non_null(x);
    assert_int_equal(data_read_flat(&d, index, x), 0);
    data_close(&d);
    return x;
}

static void expect_plain(const struct data_config *c, const struct plain *p)
{
    struct shape s;
    real *x = read_new(c, 0, &s);

    assert_true(s.h == p->h && s.w == p->w && s.c == p->c);
    for (size_t i = 0; i < shape_size(s); i++)
        if (!(fabs(x[i] - p->x[i]) < 1e-5))
            fail_msg("%d x %d x %d, thicken %g, rotate %g: %g is not %g at %zu", s.h, s.w, s.c,
                     c->thicken, c->rotate, (double)x[i], p->x[i], i);
    free(x);
}

/* Frame, thicken, rotate, invert: one after the other. */
static void expect_shift(const struct plain *p, struct data_config c)
{
    struct plain framed = plain_framed(p, (int)c.margin), thick = plain_thick(&framed, c.thicken),
                 turned = plain_turned(&thick, c.rotate);

    for (int i = 0; c.invert && i < turned.h * turned.w * turned.c; i++)
        turned.x[i] = 1 - turned.x[i];
    expect_plain(&c, &turned);
    free(framed.x);
    free(thick.x);
    free(turned.x);
}

static void shifts_are_as_the_reference(void **state)
{
    static const int sizes[][3] = {{1, 1, 1},   {1, 2, 3},   {3, 4, 2},   {28, 28, 1},
                                   {31, 33, 1}, {32, 64, 1}, {70, 50, 2}, {7, 130, 1}};
    static const double radii[] = {0, 0.4, 1, 1.5, 2.75, 8}, angles[] = {0, 12.5, -45, 100, 225};

    (void)state;
    for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++) {
        struct plain p = put_image(sizes[s][0], sizes[s][1], sizes[s][2], s % 2);

        for (int r = 0; r < 6; r++)
            for (int a = 0; a < 5; a++) {
                struct data_config c = npy;

                c.thicken = radii[r];
                c.rotate = angles[a];
                c.margin = (r + a) % 3;
                c.invert = a % 2;
                expect_shift(&p, c);
            }
        free(p.x);
    }
}

/* Where a number tells bits apart: quarter turns are those of `rotations`, and a whole turn is
 * none. */
static void quarter_turns_are_exact(void **state)
{
    struct data_config c = npy;
    struct plain p = put_image(37, 37, 2, false);
    real x[37 * 37 * 2], *y;
    struct data d;
    struct shape s;

    (void)state;
    c.rotations = "draw";
    expect_open(&d, &c);
    for (int turns = -4; turns <= 4; turns++) {
        c.rotate = 90 * turns;
        assert_int_equal(data_read(&d, 0, 0, turns, x, NULL), 0);
        y = read_new(&c, 0, &s);
        for (size_t i = 0; i < shape_size(s); i++)
            assert_true(x[i] == y[i]);
        free(y);
    }
    data_close(&d);
    free(p.x);
}

static void margin_is_black(void **state)
{
    struct data_config c = npy;
    struct shape s;
    real *x;

    (void)state;
    put_set();
    c.margin = 2;
    c.invert = true;
    x = read_new(&c, 1, &s);
    assert_int_equal(s.h, H + 4);
    assert_int_equal(s.w, W + 4);
    for (int i = 0; i < s.h; i++)
        for (int j = 0; j < s.w; j++) {
            bool inside = i >= 2 && i < H + 2 && j >= 2 && j < W + 2;
            int at = (i - 2) * W + j - 2;

            assert_true(x[i * s.w + j] == (inside ? 1 - (real)pixels[SIZE + at] / 255 : 1));
        }
    free(x);
}

/* Grey strokes of `ink` on black: what texture does to the background, and to the ink. */
static void texture_is_on_the_background(void **state)
{
    struct data_config c = {.name = "g", .format = "glyphs", .seed = 3}, t = c;
    double ground = 0, ink = 0, spread = 0;
    int n_ground = 0, n_ink = 0;
    struct shape s;

    (void)state;
    t.texture = 0.5;
    for (int inverted = 0; inverted < 2; inverted++)
        for (uint32_t index = 0; index < 40; index++) {
            real *x, *y;

            c.invert = t.invert = inverted;
            x = read_new(&c, index, &s);
            y = read_new(&t, index, &s);
            for (size_t i = 0; i < shape_size(s); i++) {
                double moved = fabs(x[i] - y[i]), light = inverted ? 1 - x[i] : x[i];

                assert_true(y[i] >= 0 && y[i] <= 1);
                ground += light == 0 ? moved : 0;
                spread += light == 0 ? (moved - 0.2) * (moved - 0.2) : 0;
                n_ground += light == 0;
                ink += light > 0.9 ? moved : 0;
                n_ink += light > 0.9;
            }
            free(x);
            free(y);
        }
    assert_true(fabs(ground / n_ground - 0.2) < 0.01);
    assert_true(sqrt(spread / n_ground) > 0.05);
    assert_true(n_ink > 1000 && ink / n_ink < 0.02);
}

static bool same(const real *x, const real *y, struct shape s)
{
    return memcmp(x, y, shape_size(s) * sizeof *x) == 0;
}

/* The noise of an image is its own: whichever images and classes stand beside it, and of a seed. */
static void texture_belongs_to_the_image(void **state)
{
    struct data_config c = npy;
    char *list = "list.txt";
    real *x[4];
    struct shape s;

    (void)state;
    memset(pixels, 0, sizeof pixels);
    put_set();
    put_text("list.txt", "0\n");
    c.texture = 1;
    x[0] = read_new(&c, 3, &s);
    x[1] = read_new(&c, 4, &s);
    c.seed = 1;
    x[2] = read_new(&c, 3, &s);
    c.seed = 0;
    c.classes = (struct strings){1, &list};
    x[3] = read_new(&c, 1, &s); /* image 3 is the second of class 0 */
    assert_false(same(x[0], x[1], s));
    assert_false(same(x[0], x[2], s));
    assert_true(same(x[0], x[3], s));
    for (int i = 0; i < 4; i++)
        free(x[i]);
    set_make(state);
}

/* What is not finite is still seen, wherever it is. */
static void damage_stays(void **state)
{
    static const float kinds[] = {NAN, INFINITY, -INFINITY};
    struct data_config c = npy;
    struct shape s;

    (void)state;
    put_set();
    for (int at = 0; at < 3 * SIZE; at++) {
        float x[N * SIZE] = {0};
        int bad = 0;
        real *y;

        x[at / 3] = kinds[at % 3];
        put_npy("images.npy", "<f4", "6, 3, 4", x, sizeof x);
        c.thicken = at % 2 ? 1.5 : 0;
        c.rotate = at % 5 ? 0 : 180;
        c.texture = at % 7 ? 0.5 : 0;
        c.margin = at % 4;
        y = read_new(&c, 0, &s);
        for (size_t i = 0; i < shape_size(s); i++)
            bad += !isfinite(y[i]);
        assert_true(bad > 0);
        free(y);
    }
}

/* Noise darkens a few pixels of a dark ground: there, too, an infinity does not become 1. */
static void damage_stays_under_texture(void **state)
{
    enum { WIDE = 40 * 40 };
    struct data_config c = npy;
    float infinite[WIDE];
    struct shape s;

    (void)state;
    for (int i = 0; i < WIDE; i++)
        infinite[i] = INFINITY;
    put_npy("images.npy", "<f4", "1, 40, 40", infinite, sizeof infinite);
    put_npy("labels.npy", "|u1", "1,", "", 1);
    c.texture = 1;
    for (c.seed = 0; c.seed < 40; c.seed++) {
        real *x = read_new(&c, 0, &s);

        for (int i = 0; i < WIDE; i++)
            assert_false(isfinite(x[i]));
        free(x);
    }
}

/* FNV-1a of shifted images, to a fifteenth: on any machine and in either precision. */
static void shifts_never_change(void **state)
{
    struct data_config c = {.name = "g", .format = "glyphs", .seed = 42};
    uint32_t hash = 2166136261u;
    struct shape s;

    (void)state;
    c.thicken = 0.75;
    c.rotate = 25;
    c.texture = 0.6;
    for (uint32_t index = 0; index < 32; index++) {
        real *x;

        c.invert = index % 2;
        x = read_new(&c, index, &s);
        for (size_t i = 0; i < shape_size(s); i++)
            hash = (hash ^ (uint32_t)(x[i] * 15 + (real)0.37)) * 16777619u;
        free(x);
    }
    if (hash != 0x49381551)
        fail_msg("0x%08x", hash);
}

static void first_classes(void **state)
{
    struct data_config c = npy;
    char *list = "list.txt", name[16];
    struct data d;
    uint32_t class_id;

    (void)state;
    put_set();
    put_text("list.txt", "2\n0\n1\n");
    c.classes = (struct strings){1, &list};
    c.first = 2;
    expect_open(&d, &c);
    assert_int_equal(d.n_classes, 2);
    assert_int_equal(d.n_samples, 5);
    data_class_name(&d, 0, name, sizeof name);
    assert_string_equal(name, "2");
    assert_int_equal(data_label_flat(&d, 2, &class_id), 0);
    assert_int_equal(class_id, 1);
    data_close(&d);
    c.classes.n = 0;
    c.first = 1;
    expect_open(&d, &c);
    assert_int_equal(d.n_samples, 3);
    assert_int_equal(data_class_size(&d, 0), 3);
    data_close(&d);
}

static void first_glyphs(void **state)
{
    struct data_config c = {.name = "g", .format = "glyphs", .first = 10};
    static real x[784], y[784];
    struct data d;

    (void)state;
    for (int turned = 0; turned < 2; turned++) {
        c.rotations = turned ? "classes" : "none";
        expect_open(&d, &c);
        assert_int_equal(d.n_classes, turned ? 40 : 10);
        assert_true(d.n_samples == DATA_ENDLESS);
        for (uint32_t i = 0; i < 100; i++) {
            uint32_t class_id, base = turned ? i / 4 : i;

            assert_int_equal(data_label_flat(&d, i, &class_id), 0);
            assert_int_equal(class_id, turned ? 4 * (base % 10) + i % 4 : base % 10);
            assert_int_equal(data_read_flat(&d, i, x), 0);
            assert_int_equal(data_read(&d, class_id, base / 10, 0, y, NULL), 0);
            assert_memory_equal(x, y, sizeof x);
        }
        expect_error(data_read(&d, d.n_classes, 0, 0, x, NULL), ERR_DATA, "class");
        data_close(&d);
    }
}

/* A set of n images of one pixel, image i of value i; their labels turn around by `by`. */
static void put_many(int n, int by)
{
    uint8_t *values = calloc((size_t)n, 1), *marks = calloc((size_t)n, 1);
    char shape[32];

    for (int i = 0; i < n; i++) {
        values[i] = (uint8_t)i;
        marks[i] = (uint8_t)((i + by) % 3);
    }
    snprintf(shape, sizeof shape, "%d, 1, 1", n);
    put_npy("images.npy", "|u1", shape, values, (size_t)n);
    snprintf(shape, sizeof shape, "%d,", n);
    put_npy("labels.npy", "|u1", shape, marks, (size_t)n);
    free(values);
    free(marks);
}

/* The values of a subset of 50 of 200, in order; each also lies in its class. */
static void subset_read(int by, int64_t seed, int got[50])
{
    struct data_config c = npy;
    uint32_t seen[3] = {0}, class_id;
    struct data d;
    real x, y;

    put_many(200, by);
    c.subset = 50;
    c.seed = seed;
    expect_open(&d, &c);
    assert_int_equal(d.n_samples, 50);
    for (uint32_t i = 0; i < 50; i++) {
        assert_int_equal(data_read_flat(&d, i, &x), 0);
        got[i] = byte_of(x);
        assert_int_equal(data_label_flat(&d, i, &class_id), 0);
        assert_int_equal(class_id, (got[i] + by) % 3);
        assert_int_equal(data_read(&d, class_id, seen[class_id]++, 0, &y, NULL), 0);
        assert_true(x == y);
    }
    for (uint32_t k = 0; k < 3; k++)
        assert_int_equal(data_class_size(&d, k), seen[k]);
    data_close(&d);
}

static void subset_is_blind_to_labels(void **state)
{
    int a[50], b[50], taken[200] = {0};

    (void)state;
    subset_read(0, 1, a);
    for (int i = 1; i < 50; i++)
        assert_true(a[i] > a[i - 1]);
    subset_read(1, 1, b);
    assert_memory_equal(a, b, sizeof a);
    for (int seed = 0; seed < 200; seed++) {
        subset_read(0, seed, b);
        for (int i = 0; i < 50; i++)
            taken[b[i]]++;
    }
    for (int i = 0; i < 200; i++) /* 50 on average, deviation 6 */
        assert_in_range(taken[i], 50 - 30, 50 + 30);
    set_make(state);
}

static void expect_key(struct data_config c, const char *part)
{
    expect_refused(&c, ERR_CONFIG, part);
}

static void keys_refused(void **state)
{
    struct data_config c = npy, g = {.name = "g", .format = "glyphs"},
                       s = {.name = "s", .format = "sinusoid", .grid = 1};

    (void)state;
    put_set();
#define REFUSED(set, key, value, part)                                                             \
    do {                                                                                           \
        struct data_config with = set;                                                             \
        with.key = value;                                                                          \
        expect_key(with, part);                                                                    \
    } while (0)
    REFUSED(c, first, 4, "first is 4, but there are 3 classes");
    REFUSED(c, first, -1, "first is -1, but there are 3 classes");
    REFUSED(c, subset, 7, "subset is 7, but there are 6 images");
    REFUSED(c, subset, -7, "subset is -7, but there are 6 images");
    REFUSED(c, subset, (1ll << 32) + 1, "subset is 4294967297, but there are 6 images");
    REFUSED(c, margin, -1, "margin '-1' around");
    REFUSED(c, margin, 2047, "margin '2047' around images of 3 x 4 pixels, the limit is 4096");
    REFUSED(c, margin, INT64_MAX, "margin '9223372036854775807' around");
    REFUSED(c, thicken, NAN, "thicken 'nan' is not within 0 and 8");
    REFUSED(c, thicken, -0.5, "thicken '-0.5'");
    REFUSED(c, thicken, 1e30, "thicken '1e+30'");
    REFUSED(c, rotate, INFINITY, "rotate 'inf' is not within -360 and 360");
    REFUSED(c, texture, 1.5, "texture '1.5' is not within 0 and 1");
    REFUSED(g, texture, NAN, "texture 'nan'");
    REFUSED(g, first, 1 << 21, "first '2097152' is not within 0 and 1048576");
    REFUSED(g, subset, 1, "format 'glyphs' does not use the key 'subset'");
    REFUSED(g, margin, 1, "format 'glyphs' does not use the key 'margin'");
    REFUSED(s, first, 1, "format 'sinusoid' does not use the key 'first'");
    REFUSED(s, texture, 1, "format 'sinusoid' does not use the key 'texture'");
    c.subset = 5; /* of the three images of class 0 */
    c.first = 1;
    expect_key(c, "subset is 5, but there are 3 images");
}

static void largest_margin(void **state)
{
    struct data_config c = npy;
    struct plain p = put_image(1, 1, 1, false);
    struct shape s;
    real *x;

    (void)state;
    c.margin = 2047;
    c.thicken = 1;
    c.rotate = 30;
    x = read_new(&c, 0, &s);
    assert_int_equal(s.h, 4095);
    assert_true(fabs(x[(size_t)2047 * 4095 + 2047] - p.x[0]) < 1e-6);
    free(x);
    free(p.x);
}

#define TEST(f) cmocka_unit_test(f)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(shifts_are_as_the_reference),
        TEST(quarter_turns_are_exact),
        TEST(margin_is_black),
        TEST(texture_is_on_the_background),
        TEST(texture_belongs_to_the_image),
        TEST(damage_stays),
        TEST(damage_stays_under_texture),
        TEST(shifts_never_change),
        TEST(first_classes),
        TEST(first_glyphs),
        TEST(subset_is_blind_to_labels),
        TEST(keys_refused),
        TEST(largest_margin),
    };

    return cmocka_run_group_tests(tests, set_make, root_remove);
}
