/* test_flat.c - samples by number: permutations of them, and data sets that read them so. */
#include "tests/lib/data_files.h"

#include "core/math/rng.h"

static void expect_bijection(uint32_t n, uint32_t epoch)
{
    uint8_t *seen = calloc(n, 1);

    assert_non_null(seen);
    for (uint32_t i = 0; i < n; i++) {
        uint32_t to = rng_permute(9, RNG_BATCH, epoch, n, i);

        assert_true(to < n && !seen[to]);
        seen[to] = 1;
    }
    free(seen);
}

static void permutations_are_bijections(void **state)
{
    static const uint32_t many[] = {1023, 1024, 1025, 7291, 16383, 16384, 16385, 60000, 65537};

    (void)state;
    for (uint32_t n = 1; n <= 300; n++)
        expect_bijection(n, n % 3);
    for (size_t i = 0; i < sizeof many / sizeof *many; i++)
        expect_bijection(many[i], 5);
}

/* Too many to tick off: different numbers lead to different ones, as far as a few thousand show. */
static void permutations_of_many(void **state)
{
    static const uint32_t sizes[] = {1u << 31, (1u << 31) - 1, (1u << 30) + 1, 1u << 30};
    enum { TRIED = 2000 };
    uint32_t to[TRIED];

    (void)state;
    for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++)
        for (uint32_t i = 0; i < TRIED; i++) {
            to[i] = rng_permute(1, RNG_BATCH, 0, sizes[s], sizes[s] - 1 - i);
            assert_true(to[i] < sizes[s]);
            for (uint32_t k = 0; k < i; k++)
                assert_true(to[i] != to[k]);
        }
}

/* Whatever one of the arguments is changed, about 1 of n elements stays where it was. */
static void permutations_differ(void **state)
{
    enum { n = 10000 };
    int same[4] = {0};

    (void)state;
    for (uint32_t i = 0; i < n; i++) {
        uint32_t to = rng_permute(7, RNG_BATCH, 3, n, i);

        assert_int_equal(to, rng_permute(7, RNG_BATCH, 3, n, i));
        same[0] += to == rng_permute(8, RNG_BATCH, 3, n, i);
        same[1] += to == rng_permute(7 + (1ull << 32), RNG_BATCH, 3, n, i);
        same[2] += to == rng_permute(7, RNG_SUBSET, 3, n, i);
        same[3] += to == rng_permute(7, RNG_BATCH, 4, n, i);
    }
    for (int k = 0; k < 4; k++)
        assert_true(same[k] < 10);
}

/* Chi-square of where element i goes over many epochs: n * n cells, (n - 1)^2 degrees of
 * freedom. */
static double chi_square(uint32_t n, uint32_t epochs)
{
    static uint32_t count[64 * 64];
    double sum = 0, expected = (double)epochs / n;

    memset(count, 0, sizeof count);
    for (uint32_t e = 0; e < epochs; e++)
        for (uint32_t i = 0; i < n; i++)
            count[i * n + rng_permute(3, RNG_BATCH, e, n, i)]++;
    for (uint32_t k = 0; k < n * n; k++)
        sum += (count[k] - expected) * (count[k] - expected) / expected;
    return sum;
}

/* Mean (n - 1)^2, standard deviation sqrt(2) (n - 1): within five of those. */
static void permutations_are_uniform(void **state)
{
    static const uint32_t sizes[] = {2, 3, 4, 5, 7, 10, 16, 17, 31, 64};

    (void)state;
    for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++) {
        double n = sizes[s] - 1, sum = chi_square(sizes[s], 20000);

        if (sum > n * n + 5 * 1.4143 * n || sum < n * n - 5 * 1.4143 * n)
            fail_msg("n = %u: chi-square %g, %g expected", sizes[s], sum, n * n);
    }
}

/* All 24 orders of four, alike often: 23 degrees of freedom. */
static void permutations_of_four(void **state)
{
    enum { EPOCHS = 24000 };
    int count[256] = {0}, found = 0;
    double sum = 0;

    (void)state;
    for (uint32_t e = 0; e < EPOCHS; e++) {
        uint32_t code = 0;

        for (uint32_t i = 0; i < 4; i++)
            code = 4 * code + rng_permute(3, RNG_BATCH, e, 4, i);
        count[code]++;
    }
    for (int k = 0; k < 256; k++)
        if (count[k]) {
            found++;
            sum += (count[k] - 1000.0) * (count[k] - 1000.0) / 1000;
        }
    assert_int_equal(found, 24);
    assert_true(sum < 23 + 5 * 6.8);
}

static uint32_t label_of(const struct data *d, uint32_t index)
{
    uint32_t class_id = 99;

    assert_int_equal(data_label_flat(d, index, &class_id), 0);
    return class_id;
}

/* That flat sample `index` is image i of the set. */
static void expect_image(const struct data *d, uint32_t index, int i)
{
    real x[SIZE];

    assert_int_equal(data_read_flat(d, index, x), 0);
    for (int k = 0; k < SIZE; k++)
        assert_true(x[k] == (real)pixels[i * SIZE + k] / 255);
}

static void flat_is_file_order(void **state)
{
    struct data d;
    uint32_t class_id;
    real x[SIZE];

    (void)state;
    put_set();
    expect_open(&d, &npy);
    assert_int_equal(d.n_samples, N);
    for (uint32_t i = 0; i < N; i++) {
        expect_image(&d, i, (int)i);
        assert_int_equal(label_of(&d, i), labels[i]);
    }
    expect_error(data_read_flat(&d, N, x), ERR_DATA, "data 'set': sample 6 of 6");
    expect_error(data_label_flat(&d, N, &class_id), ERR_DATA, "sample 6 of 6");
    data_close(&d);
}

/* The images come in the same order whatever the labels say; only what they are called moves. */
static void flat_is_blind_to_labels(void **state)
{
    static const uint8_t others[N] = {0, 2, 2, 1, 0, 0};
    struct data_config c = npy;
    struct data d;

    (void)state;
    put_set();
    put_npy("others.npy", "|u1", "6,", others, N);
    c.labels = "others.npy";
    expect_open(&d, &c);
    for (uint32_t i = 0; i < N; i++) {
        expect_image(&d, i, (int)i);
        assert_int_equal(label_of(&d, i), others[i]);
    }
    data_close(&d);
}

static void flat_counts_selected(void **state)
{
    static const int images[] = {0, 1, 3, 4, 5};
    static const uint32_t classes[] = {0, 1, 1, 0, 1};
    struct data_config c = npy;
    char *list = "list.txt";
    struct data d;

    (void)state;
    put_set();
    put_text("list.txt", "2\n0\n");
    c.classes = (struct strings){1, &list};
    expect_open(&d, &c);
    assert_int_equal(d.n_samples, 5);
    for (uint32_t i = 0; i < 5; i++) {
        expect_image(&d, i, images[i]);
        assert_int_equal(label_of(&d, i), classes[i]);
    }
    data_close(&d);
}

/* Folders: by path, however the files came. */
static void flat_folders_go_by_path(void **state)
{
    static const int images[] = {1, 3, 5, 2, 0, 4};
    struct data_config c = {.name = "f", .format = "folder", .path = "set.zip"};
    struct member m[N + 3];
    int n = folder_members(m);
    struct bytes b = archive_make("zip", m, n);
    struct data d;

    (void)state;
    put_bytes("set.zip", b);
    expect_open(&d, &c);
    assert_int_equal(d.n_samples, N);
    for (uint32_t i = 0; i < N; i++) {
        expect_image(&d, i, images[i]);
        assert_int_equal(label_of(&d, i), labels[images[i]]);
    }
    data_close(&d);
    for (int i = 0; i < n; i++)
        free(m[i].bytes.at);
    free(b.at);
}

/* A flat sample is what data_read gives as its class and its place there, quarter turns
 * included. */
static void expect_agreement(const struct data_config *c, uint32_t n, uint32_t stride)
{
    size_t size;
    real *x, *y;
    struct data d;
    uint32_t next[64] = {0};

    expect_open(&d, c);
    size = shape_size(d.shape);
    x = calloc(size, sizeof *x);
    y = calloc(size, sizeof *y);
    for (uint32_t i = 0; i < n; i++) {
        uint32_t class_id = label_of(&d, i), sample = next[class_id]++;

        assert_int_equal(data_read_flat(&d, i, x), 0);
        assert_int_equal(data_read(&d, class_id, sample, 0, y, NULL), 0);
        assert_memory_equal(x, y, size * sizeof *x);
        if (d.turned_classes)
            assert_int_equal(class_id % 4, i % 4);
        if (stride)
            assert_int_equal(class_id, i / stride);
    }
    free(x);
    free(y);
    data_close(&d);
}

static void flat_agrees_with_classes(void **state)
{
    struct data_config c = npy;

    (void)state;
    put_set();
    expect_agreement(&c, N, 0);
    c.rotations = "classes";
    put_npy("images.npy", "|u1", "6, 3, 3", pixels, N * 9);
    expect_agreement(&c, 4 * N, 0);
    c = (struct data_config){.name = "g", .format = "glyphs", .seed = 4};
    expect_agreement(&c, 64, 16);
    c.rotations = "classes";
    expect_agreement(&c, 256, 0);
}

static void flat_needs_samples(void **state)
{
    struct data_config c = {.name = "s", .format = "sinusoid", .grid = 3};
    struct data d;
    uint32_t class_id;
    real x;

    (void)state;
    expect_open(&d, &c);
    assert_int_equal(d.n_samples, 0);
    expect_error(data_read_flat(&d, 0, &x), ERR_CONFIG, "'sinusoid' has no flat samples");
    expect_error(data_label_flat(&d, 0, &class_id), ERR_CONFIG, "has no flat samples");
    data_close(&d);
    c = (struct data_config){.name = "g", .format = "glyphs"};
    expect_open(&d, &c);
    assert_true(d.n_samples == DATA_ENDLESS);
    expect_error(data_label_flat(&d, DATA_ENDLESS, &class_id), ERR_DATA, "sample 2147483648");
    data_close(&d);
}

#define TEST(f) cmocka_unit_test(f)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(permutations_are_bijections), TEST(permutations_of_many),
        TEST(permutations_differ),         TEST(permutations_are_uniform),
        TEST(permutations_of_four),        TEST(flat_is_file_order),
        TEST(flat_is_blind_to_labels),     TEST(flat_counts_selected),
        TEST(flat_folders_go_by_path),     TEST(flat_agrees_with_classes),
        TEST(flat_needs_samples),
    };

    return cmocka_run_group_tests(tests, set_make, root_remove);
}
