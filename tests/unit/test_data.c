/* test_data.c - the image formats. */
#include "tests/lib/data_files.h"
#include <math.h>

static void npy_bytes(void **state)
{
    struct data d;
    char name[8];
    real x[SIZE];

    (void)state;
    put_set();
    expect_set(&npy);
    expect_open(&d, &npy);
    data_class_name(&d, 2, name, sizeof name);
    assert_string_equal(name, "2");
    expect_error(data_read(&d, 3, 0, 0, x, NULL), ERR_DATA, "class 3 of 3");
    expect_error(data_read(&d, 1, 1, 0, x, NULL), ERR_DATA, "sample 1 of class 1, which has 1");
    expect_error(data_read(&d, 1, DATA_GRID, 0, x, NULL), ERR_DATA, "sample");
    expect_error(data_read(&d, 1, 0, 1, x, NULL), ERR_DATA, "rotation");
    data_close(&d);
}

static void npy_floats(void **state)
{
    double wide[N * SIZE];
    float narrow[N * SIZE];
    struct data d;
    real x[SIZE];

    (void)state;
    put_set();
    for (int i = 0; i < N * SIZE; i++) {
        narrow[i] = i / 100.0f;
        wide[i] = i / 100.0;
    }
    for (int i = 0; i < 2; i++) {
        put_npy("images.npy", i ? "<f8" : "<f4", "6, 3, 4", i ? (void *)wide : (void *)narrow,
                i ? sizeof wide : sizeof narrow);
        expect_open(&d, &npy);
        assert_int_equal(data_read(&d, 2, 1, 0, x, NULL), 0);
        for (int k = 0; k < SIZE; k++)
            assert_true(x[k] == (real)narrow[4 * SIZE + k]);
        data_close(&d);
    }
    narrow[7] = 1.5f;
    put_npy("images.npy", "<f4", "6, 3, 4", narrow, sizeof narrow);
    expect_refused(&npy, ERR_DATA, "images.npy' has the number 1.5 at index 7");
    wide[7] = 1e300; /* beyond float: an infinity there, and still out of range */
    put_npy("images.npy", "<f8", "6, 3, 4", wide, sizeof wide);
    expect_refused(&npy, ERR_DATA, "images.npy' has the number 1e+300 at index 7");
}

/* A damaged pixel does not make the set unusable: only readers of that image see it. */
static void npy_not_finite(void **state)
{
    float x[N * SIZE] = {0};
    struct data d;
    real got[SIZE];
    int bad = 0;

    (void)state;
    put_set();
    x[7] = (float)NAN, x[SIZE] = (float)-INFINITY;
    put_npy("images.npy", "<f4", "6, 3, 4", x, sizeof x);
    expect_open(&d, &npy);
    for (uint32_t class_id = 0; class_id < d.n_classes; class_id++)
        for (uint32_t i = 0; i < data_class_size(&d, class_id); i++) {
            assert_int_equal(data_read(&d, class_id, i, 0, got, NULL), 0);
            for (int k = 0; k < SIZE; k++)
                bad += !isfinite(got[k]);
        }
    assert_int_equal(bad, 2);
    data_close(&d);
}

static void npy_label_types(void **state)
{
    static const struct {
        const char *type;
        int width, big;
    } types[] = {{"|i1", 1, 0}, {"<i2", 2, 0}, {">u2", 2, 1}, {"<i4", 4, 0},
                 {">i4", 4, 1}, {"<u8", 8, 0}, {">i8", 8, 1}};
    uint8_t wide[N * 8];

    (void)state;
    put_set();
    for (size_t t = 0; t < sizeof types / sizeof *types; t++) {
        int width = types[t].width;

        memset(wide, 0, sizeof wide);
        for (int i = 0; i < N; i++)
            wide[i * width + (types[t].big ? width - 1 : 0)] = labels[i];
        put_npy("labels.npy", types[t].type, "6,", wide, (size_t)(N * width));
        expect_set(&npy);
    }
    wide[0] = 0x80;
    put_npy("labels.npy", "|i1", "6,", wide, N);
    expect_refused(&npy, ERR_DATA, "labels.npy' has a label out of range at index 0");
    memset(wide, 0xff, sizeof wide);
    put_npy("labels.npy", "<u8", "6,", wide, sizeof wide);
    expect_refused(&npy, ERR_DATA, "label out of range at index 0");
}

static void npy_refusals(void **state)
{
    struct data_config c = npy;

    (void)state;
    put_set();
    put_npy("labels.npy", "|u1", "5,", labels, 5);
    expect_refused(&npy, ERR_DATA, "labels.npy' has 5 labels for 6 images");
    put_npy("labels.npy", "|u1", "7,", pixels, 7);
    expect_refused(&npy, ERR_DATA, "labels.npy' has 7 labels for 6 images");
    put_npy("labels.npy", "<f4", "6,", pixels, 24);
    expect_refused(&npy, ERR_DATA, "labels are whole numbers");
    put_npy("labels.npy", "|u1", "2, 3", labels, 6);
    expect_refused(&npy, ERR_DATA, "in 2 dimensions");
    put_npy("images.npy", "<i4", "1, 3, 4", pixels, 48);
    expect_refused(&npy, ERR_DATA, "images.npy' has numbers of type i4");
    put_npy("images.npy", "<c8", "1, 3, 4", pixels, 48);
    expect_refused(&npy, ERR_DATA, "type '<c8'");
    put_npy("images.npy", "|u1", "6, 12", pixels, 72);
    expect_refused(&npy, ERR_DATA, "has 2 dimensions");
    put_npy("images.npy", "|u1", "1, 3, 1, 24", pixels, 72);
    expect_refused(&npy, ERR_DATA, "channels come first");
    put_text("images.npy", "\x93NUMPY\x01");
    expect_refused(&npy, ERR_DATA, "images.npy' ends at byte 7");
    put_text("images.npy", "hello, this is text");
    expect_refused(&npy, ERR_DATA, "images.npy' is not a .npy file");
    c.path = "absent.npy";
    expect_refused(&c, ERR_NOINPUT, "absent.npy': No such file");
    c.path = NULL;
    expect_refused(&c, ERR_CONFIG, "data 'set': format 'npy' needs the key 'path'");
    c.format = "nppy";
    expect_refused(&c, ERR_CONFIG, "unknown format 'nppy', did you mean 'npy'?");
}

static void npy_fortran_order(void **state)
{
    struct bytes b = npy_make("|u1", "6, 3, 4", pixels, sizeof pixels);
    char *order = memmem(b.at, b.n, "False", 5);

    (void)state;
    put_set();
    memcpy(order, "True ", 5);
    put_bytes("images.npy", b);
    expect_refused(&npy, ERR_DATA, "images.npy' is in Fortran order");
    free(b.at);
}

static void npz_members(void **state)
{
    struct member m[] = {{"labels.npy", npy_make("|u1", "6,", labels, N)},
                         {"images.npy", npy_make("|u1", "6, 3, 4", pixels, sizeof pixels)},
                         {"writers.npy", npy_make("<i8", "6,",
                                                  "012345678901234567890123456789"
                                                  "012345678901234567",
                                                  48)}};
    struct data_config c = {.name = "z", .format = "npz", .path = "set.npz"};
    struct bytes b = archive_make("zip", m, 3);

    (void)state;
    put_bytes("set.npz", b);
    expect_set(&c);
    c.path = "set.npz:images";
    c.labels = "labels";
    expect_set(&c);
    c.labels = "images";
    expect_refused(&c, ERR_CONFIG, "both images and labels");
    c.labels = "writers";
    expect_refused(&c, ERR_DATA, "set.npz:writers' has a label out of range");
    c.labels = "nobody";
    expect_refused(&c, ERR_DATA, "set.npz:nobody' is not there");
    for (int i = 0; i < 3; i++)
        free(m[i].bytes.at);
    free(b.at);
}

static void idx_plain_and_gzip(void **state)
{
    struct bytes images = idx_make(8, 3, (uint32_t[]){N, H, W}, pixels, sizeof pixels);
    struct bytes marks = idx_make(8, 1, (uint32_t[]){N}, labels, N), packed = gzip_make(images);
    struct data_config c = {.name = "i", .format = "idx", .path = "images.gz", .labels = "labels"};

    (void)state;
    put_bytes("images", images);
    put_bytes("images.gz", packed);
    put_bytes("labels", marks);
    expect_set(&c);
    c.path = "images";
    expect_set(&c);
    images.at[2] = 0x0d;
    put_bytes("images", images);
    expect_refused(&c, ERR_DATA, "images' ends at byte 88");
    images.at[2] = 7;
    put_bytes("images", images);
    expect_refused(&c, ERR_DATA, "images' is not an idx file");
    free(images.at);
    free(marks.at);
    free(packed.at);
}

/* The members again, under paths that begin with "/" or ".//". */
static void put_rooted(const struct member *m, int n)
{
    struct member rooted[N + 3];
    char names[N + 3][64];

    for (int i = 0; i < n; i++) {
        snprintf(names[i], sizeof names[i], "%s%s", i % 2 ? "/" : ".//", m[i].name);
        rooted[i] = (struct member){names[i], m[i].bytes};
    }
    struct bytes b = archive_make("tar", rooted, n);
    put_bytes("rooted.tar", b);
    free(b.at);
}

static void folder_kinds(void **state)
{
    static const char *const kinds[] = {"zip", "tar", "tar.gz"};
    struct data_config c = {.name = "f", .format = "folder"};
    struct member m[N + 3];
    char path[64], name[32];
    int n = folder_members(m);
    struct data d;

    (void)state;
    for (int k = 0; k < 3; k++) {
        struct bytes b = archive_make(kinds[k], m, n);

        snprintf(path, sizeof path, "set.%s", kinds[k]);
        put_bytes(path, b);
        c.path = path;
        expect_set(&c);
        free(b.at);
    }
    put_rooted(m, n);
    c.path = "rooted.tar";
    expect_set(&c);
    for (int i = 0; i < n; i++) {
        snprintf(path, sizeof path, "tree/%s", m[i].name);
        put_bytes(path, m[i].bytes);
        free(m[i].bytes.at);
    }
    c.path = "tree";
    expect_set(&c);
    expect_open(&d, &c);
    data_class_name(&d, 1, name, sizeof name);
    assert_string_equal(name, "b/two");
    data_close(&d);
    c.labels = "labels.npy";
    expect_refused(&c, ERR_CONFIG, "does not use the key 'labels'");
}

static void folder_refusals(void **state)
{
    struct data_config c = {.name = "f", .format = "folder", .path = "mixed"};
    struct bytes small = png_grey(W, H, pixels), large = png_grey(H, W, pixels);
    struct data d;

    (void)state;
    mkdir(in_root("mixed"), 0755);
    expect_refused(&c, ERR_DATA, "mixed' holds no PNG");
    put_bytes("mixed/a/1.png", small);
    put_bytes("mixed/a/2.png", large);
    expect_refused(&c, ERR_DATA, "pixels in grey, and");
    assert_non_null(strstr(err_text(), ".png' of"));
    c.resize = 5;
    expect_open(&d, &c);
    assert_int_equal(d.shape.h, 5);
    assert_int_equal(d.shape.w, 5);
    data_close(&d);
    put_bytes("mixed/1.png", small);
    expect_refused(&c, ERR_DATA, "'1.png' in no folder");
    c.path = "mixed/none";
    expect_refused(&c, ERR_NOINPUT, "mixed/none'");
    free(small.at);
    free(large.at);
}

/* One image of a kind, and what its two pixels should read as, channel by channel. */
static void expect_png(struct png_kind k, const void *rows, size_t row, int c, const int *expected)
{
    struct data_config config = {.name = "p", .format = "folder", .path = "kinds", .background = 1};
    struct bytes b = png_make(k, 2, 1, rows, row);
    struct data d;
    real x[6];

    put_bytes("kinds/a/1.png", b);
    free(b.at);
    expect_open(&d, &config);
    assert_int_equal(d.shape.c, c);
    assert_int_equal(data_read(&d, 0, 0, 0, x, NULL), 0);
    for (int i = 0; i < 2 * c; i++)
        assert_int_equal(byte_of(x[i]), expected[i]);
    data_close(&d);
}

static void png_kinds(void **state)
{
    static const png_color colours[] = {{1, 2, 3}, {4, 5, 6}}, greys[] = {{9, 9, 9}, {7, 7, 7}};
    static const int ramp[] = {0, 255}, rgb[] = {10, 20, 30, 40, 50, 60};

    (void)state;
    expect_png((struct png_kind){1, PNG_COLOR_TYPE_GRAY}, "\x40", 1, 1, ramp);
    expect_png((struct png_kind){2, PNG_COLOR_TYPE_GRAY}, "\x30", 1, 1, ramp);
    expect_png((struct png_kind){4, PNG_COLOR_TYPE_GRAY}, "\x5a", 1, 1, (int[]){85, 170});
    expect_png((struct png_kind){8, PNG_COLOR_TYPE_GRAY, true}, "\x11\x22", 2, 1, (int[]){17, 34});
    expect_png((struct png_kind){16, PNG_COLOR_TYPE_GRAY}, "\xff\xff\x80\x80", 4, 1,
               (int[]){255, 128});
    expect_png((struct png_kind){8, PNG_COLOR_TYPE_RGB}, (uint8_t[]){10, 20, 30, 40, 50, 60}, 6, 3,
               rgb);
    expect_png((struct png_kind){8, PNG_COLOR_TYPE_PALETTE, false, colours, 2}, "\x00\x01", 2, 3,
               (int[]){1, 2, 3, 4, 5, 6});
    expect_png((struct png_kind){8, PNG_COLOR_TYPE_PALETTE, false, greys, 2}, "\x00\x01", 2, 1,
               (int[]){9, 7});
    expect_png((struct png_kind){8, PNG_COLOR_TYPE_GRAY_ALPHA}, "\x0a\xff\x0a\x00", 4, 1,
               (int[]){10, 255});
    expect_png((struct png_kind){8, PNG_COLOR_TYPE_RGB_ALPHA},
               (uint8_t[]){10, 20, 30, 255, 0, 0, 0, 51}, 8, 3, (int[]){10, 20, 30, 204, 204, 204});
}

#define TEST(f) cmocka_unit_test(f)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(npy_bytes),    TEST(npy_floats),        TEST(npy_not_finite), TEST(npy_label_types),
        TEST(npy_refusals), TEST(npy_fortran_order), TEST(npz_members),    TEST(idx_plain_and_gzip),
        TEST(folder_kinds), TEST(folder_refusals),   TEST(png_kinds),
    };

    return cmocka_run_group_tests(tests, set_make, root_remove);
}
