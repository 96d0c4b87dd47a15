/* test_jpeg.c - JPEG files made here by libjpeg: pixels as djpeg has them, orientation, and what is
 * refused. */
#include "tests/lib/jpeg_files.h"

#include <xxhash.h>

#include "core/data/decode.h"

enum { WIDE = 37, HIGH = 29, LIMIT = 1 << 24 };

static const struct jpeg_kind kinds[] = {
    {"grey", JCS_GRAYSCALE, JCS_GRAYSCALE, 1, 1, false, false, 0},
    {"grey, progressive", JCS_GRAYSCALE, JCS_GRAYSCALE, 1, 1, true, false, 0},
    {"4:2:0", JCS_RGB, JCS_YCbCr, 2, 2, false, false, 0},
    {"4:2:2", JCS_RGB, JCS_YCbCr, 2, 1, false, false, 0},
    {"4:4:0", JCS_RGB, JCS_YCbCr, 1, 2, false, false, 0},
    {"4:4:4", JCS_RGB, JCS_YCbCr, 1, 1, false, false, 0},
    {"4:1:1", JCS_RGB, JCS_YCbCr, 4, 1, false, false, 0},
    {"restarts", JCS_RGB, JCS_YCbCr, 2, 2, false, false, 1},
    {"progressive", JCS_RGB, JCS_YCbCr, 2, 2, true, false, 0},
    {"arithmetic", JCS_RGB, JCS_YCbCr, 2, 2, false, true, 0},
    {"RGB", JCS_RGB, JCS_RGB, 1, 1, false, false, 0},
    {"CMYK", JCS_CMYK, JCS_CMYK, 1, 1, false, false, 0},
    {"YCCK", JCS_CMYK, JCS_YCCK, 2, 2, true, false, 0},
};

static struct picture decoded(struct bytes b)
{
    struct picture p = {.size = 0};
    int code = picture_decode(&p, b.at, b.n, LIMIT, "x.jpg");

    if (code < 0)
        fail_msg("code %d: %s", code, err_text());
    return p;
}

/* The picture that djpeg makes of the file; false: there is no djpeg. */
static bool djpeg(const char *path, struct picture *p)
{
    char command[600];
    int type = 0, w = 0, h = 0;
    FILE *f;

    snprintf(command, sizeof command, "djpeg -pnm %s 2>/dev/null", path);
    f = popen(command, "r");
    assert_non_null(f);
    if (fscanf(f, "P%d %d %d 255", &type, &w, &h) != 3) {
        pclose(f);
        return false;
    }
    fgetc(f);
    p->shape = (struct shape){h, w, type == 5 ? 1 : 3};
    assert_true(picture_room(p, shape_size(p->shape)));
    assert_int_equal(fread(p->pixels, 1, shape_size(p->shape), f), shape_size(p->shape));
    assert_int_equal(pclose(f), 0);
    return true;
}

static void expect_same(const char *name, struct picture a, struct picture b)
{
    assert_int_equal(a.shape.h, b.shape.h);
    assert_int_equal(a.shape.w, b.shape.w);
    assert_int_equal(a.shape.c, b.shape.c);
    if (memcmp(a.pixels, b.pixels, shape_size(a.shape)) != 0)
        fail_msg("%s: other pixels than djpeg's", name);
}

static void as_djpeg(void **state)
{
    (void)state;
    if (system("command -v djpeg >/dev/null") != 0) {
        print_message("djpeg is not there (Debian: libjpeg-turbo-progs)\n");
        skip();
    }
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        struct bytes b = jpeg_make(kinds[i], WIDE, HIGH);
        struct picture ours = decoded(b), theirs = {.size = 0};

        put_bytes("x.jpg", b);
        assert_true(djpeg(in_root("x.jpg"), &theirs));
        expect_same(kinds[i].name, ours, theirs);
        picture_release(&ours);
        picture_release(&theirs);
        free(b.at);
    }
}

/* Of files in the corpus: XXH3 of what djpeg 2.1.5 made of them. */
static void as_stored(void **state)
{
    static const struct {
        const char *file;
        uint64_t digest;
    } stored[] = {
        {"grey", 0x079eb6402472e8cc},        {"colour", 0x15af1f179851c357},
        {"progressive", 0x15af1f179851c357}, {"arithmetic", 0x15af1f179851c357},
        {"restart", 0x15af1f179851c357},     {"cmyk", 0x84aac3bb3a1482cd},
    };

    (void)state;
    for (size_t i = 0; i < sizeof stored / sizeof *stored; i++) {
        struct bytes b = bytes_of(1 << 16);
        char path[200];
        FILE *f;

        snprintf(path, sizeof path, "tests/fuzz/corpus/jpeg/seed-%s", stored[i].file);
        f = fopen(path, "rb");
        if (!f)
            fail_msg("cannot open '%s'", path);
        b.n = fread(b.at, 1, b.n, f);
        fclose(f);
        struct picture p = decoded(b);
        assert_int_equal(XXH3_64bits(p.pixels, shape_size(p.shape)), stored[i].digest);
        picture_release(&p);
        free(b.at);
    }
}

/* An Exif segment with that orientation behind the first two bytes. */
static struct bytes exif_add(struct bytes b, int orientation, bool big)
{
    static const uint8_t little_form[] =
        "\xff\xe1\0\x22"
        "Exif\0\0II*\0\x8\0\0\0\x1\0\x12\x1\x3\0\x1\0\0\0?\0\0\0\0\0\0\0";
    static const uint8_t big_form[] =
        "\xff\xe1\0\x22"
        "Exif\0\0MM\0*\0\0\0\x8\0\x1\x1\x12\0\x3\0\0\0\x1\0?\0\0\0\0\0\0";
    size_t n = sizeof big_form - 1;
    struct bytes out = bytes_of(b.n + n);

    memcpy(out.at, b.at, 2);
    memcpy(out.at + 2, big ? big_form : little_form, n);
    *(uint8_t *)memchr(out.at + 24, '?', n - 22) = (uint8_t)orientation;
    memcpy(out.at + 2 + n, b.at + 2, b.n - 2);
    return out;
}

/* Of the stored pixels "abc" above "def". */
static void orientations(void **state)
{
    static const char *const turned[] = {NULL,     "abcdef", "cbafed", "fedcba", "defabc",
                                         "adbecf", "daebfc", "fcebda", "cfbead"};
    struct bytes plain = jpeg_make(kinds[5], 3, 2);
    struct picture p = decoded(plain);

    (void)state;
    for (int o = 0; o <= 9; o++) {
        struct bytes b = exif_add(plain, o, o % 2);
        struct picture q = decoded(b);
        const char *expected = turned[o >= 1 && o <= 8 ? o : 1];

        assert_int_equal(q.shape.h, o >= 5 && o <= 8 ? 3 : 2);
        assert_int_equal(q.shape.w, o >= 5 && o <= 8 ? 2 : 3);
        for (int i = 0; i < 6; i++)
            assert_memory_equal(q.pixels + 3 * i, p.pixels + 3 * (expected[i] - 'a'), 3);
        picture_release(&q);
        free(b.at);
    }
    picture_release(&p);
    free(plain.at);
}

static void expect_jpeg_refused(struct bytes b, const char *part)
{
    struct picture p = {.size = 0};

    expect_error(picture_decode(&p, b.at, b.n, LIMIT, "x.jpg"), ERR_DATA, part);
    assert_non_null(strstr(err_text(), "'x.jpg' is not a complete "));
    picture_release(&p);
}

/* However much of it is missing. */
static void cut_short(void **state)
{
    static const int cut[] = {2, 8, 12};

    (void)state;
    for (int i = 0; i < 3; i++) {
        struct bytes b = jpeg_make(kinds[cut[i]], WIDE, HIGH);

        for (size_t n = 0; n < b.n; n++)
            expect_jpeg_refused((struct bytes){n, b.at}, "");
        free(b.at);
    }
}

/* 0 where bits of an image were: libjpeg would make the pixels up. */
static void damaged(void **state)
{
    struct bytes b = jpeg_make(kinds[5], WIDE, HIGH);

    (void)state;
    b.at[b.n / 2] = 0xff;
    b.at[b.n / 2 + 1] = 0xd9;
    expect_jpeg_refused(b, "at byte ");
    free(b.at);
}

/* What lies between and behind is skipped, and harms nothing. */
static void more_bytes(void **state)
{
    struct bytes b = jpeg_make(kinds[2], WIDE, HIGH), more = bytes_of(b.n + 6);
    struct picture p = decoded(b), q;

    (void)state;
    memcpy(more.at, b.at, b.n - 2);
    memcpy(more.at + b.n - 2, "\1\2\3\xff\xd9\4\5\6", 8);
    q = decoded(more);
    expect_same("more bytes", p, q);
    picture_release(&p);
    picture_release(&q);
    free(b.at);
    free(more.at);
}

static uint8_t *header_of(struct bytes b)
{
    return memmem(b.at, b.n, "\xff\xc0", 2);
}

static void sizes(void **state)
{
    struct bytes b = jpeg_make(kinds[2], WIDE, HIGH);
    struct picture p = {.size = 0};

    (void)state;
    expect_error(picture_decode(&p, b.at, b.n, WIDE * HIGH * 3 - 1, "x.jpg"), ERR_DATA,
                 "it unpacks to too much");
    assert_int_equal(picture_decode(&p, b.at, b.n, WIDE * HIGH * 3, "x.jpg"), 0);
    picture_release(&p);
    memcpy(header_of(b) + 5, "\x10\x01", 2);
    expect_jpeg_refused(b, "more than 4096 pixels a side");
    memcpy(header_of(b) + 5, "\xff\xff", 2);
    expect_jpeg_refused(b, "65500 pixels");
    memcpy(header_of(b) + 5, "\0\x10", 2);
    header_of(b)[4] = 12; /* bits */
    expect_jpeg_refused(b, "precision 12");
    free(b.at);
}

#define TEST(f) cmocka_unit_test(f)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(as_djpeg), TEST(as_stored),  TEST(orientations), TEST(cut_short),
        TEST(damaged),  TEST(more_bytes), TEST(sizes),
    };

    return cmocka_run_group_tests(tests, root_make, root_remove);
}
