/* test_data_hostile.c - files that are cut off, damaged, or claim more than they hold: refused, at
 * once, with path and place, and without the memory they ask for. */
#include "tests/lib/data_files.h"

#include <sys/resource.h>
#include <time.h>

static struct bytes built[8]; /* of one test; freed by built_free */
static int n_built;

static struct bytes keep(struct bytes b)
{
    return built[n_built++] = b;
}

static void built_free(void)
{
    while (n_built > 0)
        free(built[--n_built].at);
}

static struct bytes zip_make(const char *kind)
{
    struct member m[N + 3];
    int n = folder_members(m);
    struct bytes b = archive_make(kind, m, n);

    for (int i = 0; i < n; i++)
        free(m[i].bytes.at);
    return keep(b);
}

static struct bytes npz_make(void)
{
    struct member m[] = {{"images.npy", npy_make("|u1", "6, 3, 4", pixels, sizeof pixels)},
                         {"labels.npy", npy_make("|u1", "6,", labels, N)}};
    struct bytes b = archive_make("zip", m, 2);

    free(m[0].bytes.at);
    free(m[1].bytes.at);
    return keep(b);
}

/* The first n bytes of a file, for every n, are refused with the file's name. */
static void expect_cuts_refused(const struct data_config *c, const char *name, struct bytes whole)
{
    put_bytes(name, whole);
    expect_set(c);
    for (size_t n = 0; n < whole.n; n++) {
        put(name, whole.at, n);
        expect_refused(c, ERR_DATA, name);
    }
    put_bytes(name, whole);
}

static void cut_npy(void **state)
{
    (void)state;
    put_set();
    expect_cuts_refused(&npy, "images.npy",
                        keep(npy_make("|u1", "6, 3, 4", pixels, sizeof pixels)));
    expect_cuts_refused(&npy, "labels.npy", keep(npy_make("|u1", "6,", labels, N)));
    built_free();
}

static const struct data_config npz = {.name = "z", .format = "npz", .path = "set.npz"};
static const struct data_config idx = {
    .name = "i", .format = "idx", .path = "images.gz", .labels = "labels"};
static const struct data_config zip = {.name = "f", .format = "folder", .path = "set.zip"};

static void cut_npz(void **state)
{
    (void)state;
    expect_cuts_refused(&npz, "set.npz", npz_make());
    built_free();
}

static struct bytes put_idx(void)
{
    struct bytes images = idx_make(8, 3, (uint32_t[]){N, H, W}, pixels, sizeof pixels);
    struct bytes marks = idx_make(8, 1, (uint32_t[]){N}, labels, N), gz = keep(gzip_make(images));

    put_bytes("images.gz", gz);
    put_bytes("labels", marks);
    free(images.at);
    free(marks.at);
    return gz;
}

static void cut_idx(void **state)
{
    struct data_config plain = idx;
    struct bytes marks = keep(idx_make(8, 1, (uint32_t[]){N}, labels, N));

    (void)state;
    expect_cuts_refused(&idx, "images.gz", put_idx());
    expect_cuts_refused(&plain, "labels", marks);
    built_free();
}

static void cut_folders(void **state)
{
    struct data_config c = zip;

    (void)state;
    expect_cuts_refused(&c, "set.zip", zip_make("zip"));
    c.path = "set.tar.gz";
    expect_cuts_refused(&c, "set.tar.gz", zip_make("tar.gz"));
    built_free();
}

static void cut_tar(void **state)
{
    struct data_config c = {.name = "f", .format = "folder", .path = "set.tar"};
    struct bytes b = zip_make("tar");

    (void)state;
    while (b.n > 0 && b.at[b.n - 1] == 0)
        b.n--;
    b.n = (b.n + 511) / 512 * 512 + 1024;
    expect_cuts_refused(&c, "set.tar", b);
    built_free();
}

static void cut_png(void **state)
{
    struct data_config c = {.name = "p", .format = "folder", .path = "cut"};
    struct bytes b = keep(png_grey(W, H, pixels));
    struct data d;

    (void)state;
    put_bytes("cut/a/1.png", b);
    expect_open(&d, &c);
    data_close(&d);
    for (size_t n = 0; n < b.n; n++) {
        put("cut/a/1.png", b.at, n);
        expect_refused(&c, ERR_DATA, "cut:a/1.png' is not a complete PNG image, at byte");
    }
    built_free();
}

/* A bit of every byte turned: refused, or what was meant all the same. */
static void expect_flips_noticed(const struct data_config *c, const char *name, struct bytes b)
{
    struct data d;
    int n_refused = 0;

    for (size_t i = 0; i < b.n; i++) {
        b.at[i] ^= (uint8_t)(1 << i % 8);
        put_bytes(name, b);
        b.at[i] ^= (uint8_t)(1 << i % 8);
        if (data_open(&d, c, root) == 0) {
            expect_images(&d);
            data_close(&d);
        } else {
            n_refused++;
        }
    }
    assert_true(n_refused > (int)b.n / 2);
}

static void flips_are_noticed(void **state)
{
    struct bytes gz = put_idx();

    (void)state;
    expect_flips_noticed(&idx, "images.gz", gz);
    expect_flips_noticed(&npz, "set.npz", npz_make());
    built_free();
}

/* No checksum guards these; any answer will do that is not a crash. */
static void flips_do_not_crash(void **state)
{
    static const char *const names[] = {"images.npy", "labels.npy", "set.zip"};
    struct bytes whole[] = {keep(npy_make("|u1", "6, 3, 4", pixels, sizeof pixels)),
                            keep(npy_make("<i4", "6,", pixels, 24)), zip_make("zip")};

    (void)state;
    put_set();
    for (int f = 0; f < 3; f++) {
        put_set();
        for (size_t i = 0; i < whole[f].n; i++) {
            struct data d;

            whole[f].at[i] ^= (uint8_t)(1 << i % 8);
            put_bytes(names[f], whole[f]);
            whole[f].at[i] ^= (uint8_t)(1 << i % 8);
            if (data_open(&d, f < 2 ? &npy : &zip, root) == 0)
                data_close(&d);
        }
    }
    built_free();
}

static double now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return t.tv_sec + 1e-9 * t.tv_nsec;
}

/* The most memory held since the last reset, in KiB. */
static long peak_reset(void)
{
    struct rusage usage;
    FILE *f = fopen("/proc/self/clear_refs", "w");

    if (f) {
        fputs("5", f);
        fclose(f);
    }
    getrusage(RUSAGE_SELF, &usage);
    return usage.ru_maxrss;
}

/* Refused within a quarter of a second of the processor and 4 MiB. */
static void expect_cheap_refusal(const struct data_config *c, const char *part)
{
    long before = peak_reset();
    struct rusage after;
    double start = now();

    expect_refused(c, ERR_DATA, part);
    assert_true(now() - start < 0.25);
    getrusage(RUSAGE_SELF, &after);
    assert_true(after.ru_maxrss - before < 4 << 10);
}

static void absurd_shapes(void **state)
{
    static const char *const shapes[] = {
        "4611686018427387904, 4, 4",
        "4294967296, 4294967296, 1",
        "1, 4294967295, 4294967295",
        "2147483648, 1, 1",
        "99999999999999999999999, 3, 4",
        "0, 3, 4",
        "6, 0, 4",
        "6, 3, 4, 0",
        "-6, 3, 4",
        "6, 3, 4, 1, 1",
        "6; 3",
        "",
    };

    (void)state;
    put_set();
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
        put_bytes("images.npy", keep(npy_make("|u1", shapes[i], pixels, sizeof pixels)));
        expect_cheap_refusal(&npy, "images.npy'");
        built_free();
    }
    put("images.npy", "\x93NUMPY\x02\0\xff\xff\xff\xff{'descr': ", 22);
    expect_cheap_refusal(&npy, "images.npy' states a header of 4294967295 bytes");
    put_bytes("images", keep(idx_make(8, 3, (uint32_t[]){~0u, ~0u, ~0u}, pixels, 9)));
    put_text("labels", "");
    expect_cheap_refusal(
        &(struct data_config){.name = "i", .format = "idx", .path = "images", .labels = "labels"},
        "images' ends at byte 25");
    built_free();
}

/* Twenty-four million zeros shrink a thousandfold. */
static void bombs(void **state)
{
    struct member m[] = {{"images.npy", npy_make("|u1", "24576, 32, 32", NULL, 0)},
                         {"labels.npy", npy_make("|u1", "6,", labels, N)}};
    struct bytes b = bytes_of(24 << 20);

    (void)state;
    memcpy(b.at, m[0].bytes.at, m[0].bytes.n);
    free(m[0].bytes.at);
    m[0].bytes = b;
    put_bytes("images.gz", keep(gzip_make(b)));
    put_bytes("set.npz", keep(archive_make("zip", m, 2)));
    m[0].name = "a/1.png";
    put_bytes("set.tar.gz", keep(archive_make("tar.gz", m, 2)));
    m[0].name = "a/readme";
    put_bytes("set.zip", keep(archive_make("zip", m, 2)));
    free(b.at);
    free(m[1].bytes.at);
    expect_cheap_refusal(&idx, "images.gz' unpacks to more than");
    expect_cheap_refusal(&npz, "set.npz' unpacks to more than");
    expect_cheap_refusal(
        &(struct data_config){.name = "f", .format = "folder", .path = "set.tar.gz"},
        "set.tar.gz' unpacks to more than");
    expect_cheap_refusal(&zip, "set.zip' unpacks to more than");
    built_free();
}

/* A whole tar, and then zeros without end. */
static void zeros_after_tar(void **state)
{
    struct data_config c = {.name = "f", .format = "folder", .path = "set.tar.gz"};
    struct bytes tar = zip_make("tar"), longer = keep(bytes_of(tar.n + (24 << 20)));

    (void)state;
    memcpy(longer.at, tar.at, tar.n);
    put_bytes("set.tar.gz", keep(gzip_make(longer)));
    expect_cheap_refusal(&c, "set.tar.gz' is damaged near byte");
    assert_non_null(strstr(err_text(), "unpacks to more than"));
    built_free();
}

static void png_bombs(void **state)
{
    static const uint32_t sides[][2] = {
        {0x7fffffff, 0x7fffffff}, {0x7fffffff, 1}, {1, 5000}, {0, 3}, {W, H + 1}, {4096, 4096}};
    struct data_config c = {.name = "p", .format = "folder", .path = "bomb"};

    (void)state;
    for (size_t i = 0; i < sizeof sides / sizeof *sides; i++) {
        put_bytes("bomb/a/1.png", keep(png_claiming(sides[i][0], sides[i][1])));
        expect_cheap_refusal(&c, "bomb:a/1.png' is not a complete PNG image");
        built_free();
    }
    assert_non_null(strstr(err_text(), "too short for the size it states"));
}

static void not_files(void **state)
{
    struct data_config c = npy;

    (void)state;
    put_set();
    c.path = ".";
    expect_refused(&c, ERR_DATA, "is not a regular file");
    assert_int_equal(mkfifo(in_root("pipe"), 0600), 0);
    c.path = "pipe";
    expect_refused(&c, ERR_DATA, "pipe' is not a regular file");
    c = zip;
    c.path = "pipe";
    expect_refused(&c, ERR_DATA, "pipe' is not a regular file");
    c.path = "loop";
    mkdir(in_root("loop"), 0755);
    assert_int_equal(symlink(".", in_root("loop/again")), 0);
    expect_refused(&c, ERR_DATA, "loop/again' leads back");
}

#define TEST(f) cmocka_unit_test(f)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(cut_npy),       TEST(cut_npz), TEST(cut_idx),           TEST(cut_folders),
        TEST(cut_tar),       TEST(cut_png), TEST(flips_are_noticed), TEST(flips_do_not_crash),
        TEST(absurd_shapes), TEST(bombs),   TEST(zeros_after_tar),   TEST(png_bombs),
        TEST(not_files),
    };

    return cmocka_run_group_tests(tests, set_make, root_remove);
}
