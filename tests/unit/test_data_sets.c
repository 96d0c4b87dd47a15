/* test_data_sets.c - what all image sets have in common: class lists, rotations, resizing, sharing,
 * packing. */
#include "tests/lib/data_files.h"

#include <pthread.h>
#include <signal.h>
#include <sys/resource.h>

#include "core/data/pack.h"
#include "core/data/store.h"

static void put_names(void)
{
    put_set();
    put_text("names.txt", "new/alpha\r\n old/alpha \nold/beta\n");
}

static void expect_list(const char *text, int code, const char *part)
{
    struct data_config c = npy;
    char *list = "list.txt";

    put_names();
    put_text("list.txt", text);
    c.names = "names.txt";
    c.classes = (struct strings){1, &list};
    expect_refused(&c, code, part);
}

static void lists_select(void **state)
{
    struct data_config c = npy;
    char *lists[] = {"one.txt", "two.txt"}, name[32];
    struct data d;
    real x[SIZE];

    (void)state;
    put_names();
    put_text("one.txt", "\nbeta\n\n");
    put_text("two.txt", "\xef\xbb\xbf  old/alpha");
    c.names = "names.txt";
    c.classes = (struct strings){2, lists};
    expect_open(&d, &c);
    assert_int_equal(d.n_classes, 2);
    assert_int_equal(data_class_size(&d, 0), 2);
    assert_int_equal(data_class_size(&d, 1), 1);
    data_class_name(&d, 1, name, sizeof name);
    assert_string_equal(name, "old/alpha");
    data_class_name(&d, 1, name, 4);
    assert_string_equal(name, "old");
    assert_int_equal(data_read(&d, 0, 1, 0, x, NULL), 0);
    assert_int_equal(byte_of(x[3]), pixels[4 * SIZE + 3]);
    data_close(&d);
    put_text("one.txt", "2\n0\n");
    c.names = NULL;
    c.classes.n = 1;
    expect_open(&d, &c);
    assert_int_equal(data_class_size(&d, 1), 3);
    data_close(&d);
}

static void lists_refused(void **state)
{
    struct data_config c = npy;

    (void)state;
    expect_list("old/beta\n\ngamma\n", ERR_DATA, "list.txt' line 3: no class is named 'gamma'");
    expect_list("alpha\n", ERR_DATA, "list.txt' line 1: 'alpha' matches 2 classes");
    expect_list("beta\nold/beta\n", ERR_DATA, "list.txt' line 2: class 'old/beta' is listed twice");
    expect_list("eta\n", ERR_DATA, "no class is named 'eta'");
    expect_list("\n\n", ERR_DATA, "list.txt' names no class");
    expect_list("", ERR_DATA, "list.txt' has 0 lines");
    expect_list("beta\x01\n", ERR_DATA, "list.txt' line 1: byte 4 is not text");
    c.names = "names.txt";
    put_text("names.txt", "a\nb\n");
    expect_refused(&c, ERR_DATA, "names.txt' names 2 classes, labels go up to 2");
    put_text("names.txt", "a\n\nb\nd\n");
    expect_refused(&c, ERR_DATA, "names.txt' line 2 names no class");
    c.names = "absent.txt";
    expect_refused(&c, ERR_NOINPUT, "absent.txt'");
}

static void lists_refuse_empty_class(void **state)
{
    struct data_config c = npy;
    char *list = "list.txt";
    struct data d;

    (void)state;
    put_set();
    put_text("names.txt", "a\nb\nc\nd\n");
    put_text("list.txt", "d\n");
    c.names = "names.txt";
    expect_open(&d, &c);
    assert_int_equal(d.n_classes, 4);
    assert_int_equal(data_class_size(&d, 3), 0);
    data_close(&d);
    c.classes = (struct strings){1, &list};
    expect_refused(&c, ERR_DATA, "list.txt' line 1: class 'd' has no images");
}

/* Square images of two channels; side 3 and 4 have and lack a middle. */
static void put_squares(int side)
{
    char shape[32];

    snprintf(shape, sizeof shape, "2, %d, %d, 2", side, side);
    put_npy("images.npy", "|u1", shape, pixels, (size_t)(4 * side * side));
    put_npy("labels.npy", "|u1", "2,", labels + 1, 2);
}

/* numpy.rot90(x, turns), one quarter: new[i][j] = old[j][n - 1 - i]. */
static int turned_at(int side, int turns, int i, int j)
{
    for (; turns > 0; turns--) {
        int row = j;

        j = side - 1 - i;
        i = row;
    }
    return i * side + j;
}

static void expect_turned(const struct data *d, uint32_t class_id, int turns, int image, int all)
{
    int side = d->shape.h;
    real x[32];

    assert_int_equal(data_read(d, class_id, 0, turns, x, NULL), 0);
    for (int i = 0; i < side * side; i++)
        for (int c = 0; c < 2; c++)
            assert_int_equal(
                byte_of(x[2 * i + c]),
                pixels[2 * (image * side * side + turned_at(side, all, i / side, i % side)) + c]);
}

static void rotations_turn(void **state)
{
    struct data_config c = npy;
    struct data d;
    char name[16];

    (void)state;
    for (int side = 3; side <= 4; side++) {
        put_squares(side);
        c.rotations = "draw";
        expect_open(&d, &c);
        assert_int_equal(d.n_classes, 2);
        assert_int_equal(d.n_turns, 4);
        for (int turns = 0; turns < 6; turns++)
            expect_turned(&d, 1, turns, 1, turns % 4);
        data_close(&d);
        c.rotations = "classes";
        expect_open(&d, &c);
        assert_int_equal(d.n_classes, 8);
        assert_true(d.turned_classes);
        data_class_name(&d, 7, name, sizeof name);
        assert_string_equal(name, "1/rot270");
        for (int q = 0; q < 4; q++)
            expect_turned(&d, 4 + (uint32_t)q, 1, 1, (q + 1) % 4);
        data_close(&d);
    }
    put_set();
    expect_refused(&c, ERR_CONFIG, "need square images, these have 3 x 4");
    c.rotations = "some";
    expect_refused(&c, ERR_CONFIG, "rotations 'some'");
}

static void resize_and_invert(void **state)
{
    struct data_config c = npy;
    uint8_t half[2 * 64];
    struct data d;
    real x[16];

    (void)state;
    for (int i = 0; i < 128; i++)
        half[i] = i < 64 ? 51 : i % 8 < 4 ? 0 : 255;
    put_npy("images.npy", "|u1", "2, 8, 8", half, sizeof half);
    put_npy("labels.npy", "|u1", "2,", labels + 1, 2);
    c.resize = 4;
    c.invert = true;
    expect_open(&d, &c);
    assert_int_equal(d.shape.w, 4);
    assert_int_equal(data_read(&d, 0, 0, 0, x, NULL), 0);
    for (int i = 0; i < 16; i++)
        assert_int_equal(byte_of(x[i]), 204);
    assert_int_equal(data_read(&d, 1, 0, 0, x, NULL), 0);
    for (int i = 0; i < 16; i++) /* Mitchell rings a little */
        assert_in_range(byte_of(x[i] / 2), (i % 4) < 2 ? 112 : 0, (i % 4) < 2 ? 143 : 15);
    data_close(&d);
    c.resize = -1;
    expect_refused(&c, ERR_CONFIG, "resize '-1'");
}

static int maps_count(const char *path)
{
    FILE *f = fopen("/proc/self/maps", "r");
    char line[1024];
    int n = 0;

    while (fgets(line, sizeof line, f))
        n += strstr(line, path) != NULL;
    fclose(f);
    return n;
}

static int n_loads;

static int count_load(struct store *s, const struct store_source *src)
{
    (void)src;
    n_loads++;
    s->n = 1;
    s->n_classes = 1;
    s->labels = calloc(1, sizeof *s->labels);
    return store_set_shape(s, 1, 1, 1, "test");
}

static void pixels_are_shared(void **state)
{
    struct store_source src = {.format = "test", .path = "/nowhere"}, other = src;
    struct data_config part = npy;
    struct store *a, *b, *e;
    struct data d[3];

    (void)state;
    assert_int_equal(store_take(&a, &src, count_load), 0);
    assert_int_equal(store_take(&b, &src, count_load), 0);
    assert_ptr_equal(a, b);
    other.labels = "others";
    assert_int_equal(store_take(&e, &other, count_load), 0);
    assert_ptr_not_equal(a, e);
    assert_int_equal(n_loads, 2);
    store_give(a);
    store_give(b);
    store_give(e);
    assert_int_equal(store_take(&a, &src, count_load), 0);
    assert_int_equal(n_loads, 3);
    store_give(a);
    put_set();
    part.subset = 3;
    part.thicken = part.texture = 1;
    for (int i = 0; i < 3; i++)
        expect_open(&d[i], i < 2 ? &npy : &part);
    assert_int_equal(maps_count(in_root("images.npy")), 1);
    data_close(&d[0]);
    data_close(&d[2]);
    expect_images(&d[1]);
    data_close(&d[1]);
    assert_int_equal(maps_count(in_root("images.npy")), 0);
}

static void *open_and_read(void *failures)
{
    struct data d;
    real x[SIZE];

    for (int i = 0; i < 200; i++) {
        bool wrong = data_open(&d, &npy, root) < 0 || data_read(&d, 2, 1, 0, x, NULL) < 0 ||
                     byte_of(x[5]) != pixels[4 * SIZE + 5];

        *(int *)failures += wrong;
        data_close(&d);
    }
    return NULL;
}

static void threads_open_and_read(void **state)
{
    pthread_t threads[4];
    int failures[4] = {0};

    (void)state;
    put_set();
    for (int i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, open_and_read, &failures[i]), 0);
    for (int i = 0; i < 4; i++) {
        pthread_join(threads[i], NULL);
        assert_int_equal(failures[i], 0);
    }
}

struct seen {                 /* by data_each */
    const struct data *whole; /* the same set, with its pixels */
    uint32_t n;
    bool there[4 * N];
};

static int compare_sample(void *context, uint32_t index, const real *x)
{
    struct seen *s = context;
    real y[SIZE];

    assert_int_equal(data_read_flat(s->whole, index, y), 0);
    assert_memory_equal(x, y, shape_size(s->whole->shape) * sizeof *x);
    assert_false(s->there[index]);
    s->there[index] = true;
    s->n++;
    return 0;
}

static int stop_at_once(void *context, uint32_t index, const real *x)
{
    (void)context;
    (void)index;
    (void)x;
    return err(ERR_STOPPED, "enough");
}

/* Images one by one are those of the set that is in memory, whatever the keys. */
static void expect_each(struct data_config c)
{
    struct data whole, streamed;
    struct seen s = {.whole = &whole};

    expect_open(&whole, &c);
    assert_int_equal(data_open_streamed(&streamed, &c, root), 0);
    assert_int_equal(streamed.n_samples, whole.n_samples);
    assert_int_equal(data_each(&streamed, compare_sample, &s), 0);
    assert_int_equal(s.n, whole.n_samples);
    expect_error(data_each(&streamed, stop_at_once, NULL), ERR_STOPPED, "enough");
    data_close(&streamed);
    data_close(&whole);
}

static void each_streamed(void **state)
{
    static const char *const kinds[] = {"zip", "tar", "tar.gz"};
    struct data_config c = {.name = "f", .format = "folder", .path = "each"};
    struct member m[N + 3];
    int n = folder_members(m);

    (void)state;
    put_text("list.txt", "c\n");
    for (int i = 0; i < 3; i++) {
        put_made("each", archive_make(kinds[i], m, n));
        expect_each(c);
    }
    for (int i = 0; i < n; i++) {
        char name[64];

        snprintf(name, sizeof name, "tree/%s", m[i].name);
        put_made(name, m[i].bytes);
    }
    c.path = "tree";
    expect_each(c);
    c.classes = (struct strings){1, (char *[]){"list.txt"}};
    expect_each(c);
    c.classes.n = 0;
    c.subset = 4;
    c.texture = 0.5;
    expect_each(c);
    c.resize = 3;
    c.rotations = "classes";
    expect_each(c);
}

static void each_of_changed_files(void **state)
{
    struct data_config c = {.name = "f", .format = "folder", .path = "changed"};
    struct data d, whole;
    struct seen s = {.whole = &whole};

    (void)state;
    put_made("changed/a/1.png", png_grey(W, H, pixels));
    put_made("changed/b/1.png", png_grey(W, H, pixels));
    expect_open(&whole, &c);
    assert_int_equal(data_open_streamed(&d, &c, root), 0);
    unlink(in_root("changed/b/1.png"));
    expect_error(data_each(&d, compare_sample, &s), ERR_DATA, "of 2 images 1 are left");
    put_made("changed/b/2.png", png_grey(W, H, pixels));
    memset(s.there, 0, sizeof s.there);
    expect_error(data_each(&d, compare_sample, &s), ERR_DATA, "'b/2.png' is new");
    data_close(&d);
    data_close(&whole);
}

static int none_told(void *context, uint64_t n, uint64_t of)
{
    (void)context;
    (void)n;
    (void)of;
    return 0;
}

static struct pack_watch watch = {.written = none_told};

static void pack_round_trip(void **state)
{
    struct data_config c = {.name = "p",
                            .format = "npy",
                            .path = "out/set.npy",
                            .labels = "out/set_labels.npy",
                            .names = "out/set_classes.txt"};
    struct member m[N + 3];
    struct data_config from = {.name = "f", .format = "folder", .path = "set.zip"};
    struct bytes b = archive_make("zip", m, folder_members(m));
    struct data d;
    char name[32];

    (void)state;
    put_bytes("set.zip", b);
    put_text("out/x", "");
    expect_open(&d, &from);
    assert_int_equal(data_pack(&d, in_root("out/set.npy"), &watch), 0);
    data_close(&d);
    expect_set(&c);
    expect_open(&d, &c);
    data_class_name(&d, 1, name, sizeof name);
    assert_string_equal(name, "b/two");
    data_close(&d);
    free(b.at);
    for (int i = 0; i < N + 3; i++)
        free(m[i].bytes.at);
}

static int count_files(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)path;
    (void)st;
    (void)ftw;
    n_loads += type == FTW_F;
    return 0;
}

static void pack_refusals(void **state)
{
    struct data_config waves = {.name = "s", .format = "sinusoid"};
    struct rlimit was, small;
    struct data d;

    (void)state;
    expect_open(&d, &waves);
    expect_error(data_pack(&d, in_root("x.npy"), &watch), ERR_USAGE, "data 's' is endless");
    data_close(&d);
    put_set();
    put_text("empty/x", "");
    expect_open(&d, &npy);
    expect_error(data_pack(&d, in_root("empty/y.np"), &watch), ERR_USAGE,
                 "y.np' does not end in .npy");
    expect_error(data_pack(&d, in_root("nowhere/y.npy"), &watch), ERR_CANTCREAT, "nowhere/y.npy'");
    signal(SIGXFSZ, SIG_IGN);
    getrlimit(RLIMIT_FSIZE, &was);
    small = (struct rlimit){100, was.rlim_max};
    setrlimit(RLIMIT_FSIZE, &small);
    expect_error(data_pack(&d, in_root("empty/y.npy"), &watch), ERR_IO,
                 "empty/y.npy': File too large");
    setrlimit(RLIMIT_FSIZE, &was);
    data_close(&d);
    n_loads = 0;
    nftw(in_root("empty"), count_files, 4, FTW_PHYS);
    assert_int_equal(n_loads, 1);
}

#define TEST(f) cmocka_unit_test(f)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(lists_select),          TEST(lists_refused),         TEST(lists_refuse_empty_class),
        TEST(rotations_turn),        TEST(resize_and_invert),     TEST(pixels_are_shared),
        TEST(threads_open_and_read), TEST(pack_round_trip),       TEST(pack_refusals),
        TEST(each_streamed),         TEST(each_of_changed_files),
    };

    return cmocka_run_group_tests(tests, set_make, root_remove);
}
