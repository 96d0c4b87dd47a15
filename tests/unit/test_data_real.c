/* test_data_real.c - the published sets, as $METALOOP_DATA holds them (omniglot/, mnist/,
 * usps/). */
#include "tests/lib/data_files.h"

#include <math.h>
#include <time.h>

static const char *published;

static int find_published(void **state)
{
    (void)state;
    published = getenv("METALOOP_DATA");
    if (!published || !*published)
        printf("METALOOP_DATA is not set: tests on real data are skipped\n");
    return 0;
}

static void open_published(struct data *d, const struct data_config *c)
{
    int code;

    if (!published || !*published)
        skip();
    code = data_open(d, c, published);
    if (code < 0)
        fail_msg("code %d: %s", code, err_text());
}

static struct data_config omniglot = {.name = "omniglot",
                                      .format = "npz",
                                      .path = "omniglot/omniglot_28x28.npz",
                                      .names = "omniglot/classes.txt"};

static void omniglot_opens_fast(void **state)
{
    struct timespec a, b;
    struct data d;

    (void)state;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &a);
    open_published(&d, &omniglot);
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &b);
    assert_true((double)(b.tv_sec - a.tv_sec) + 1e-9 * (double)(b.tv_nsec - a.tv_nsec) < 1);
    data_close(&d);
}

static double ink_mean(const struct data *d)
{
    static real x[128 * 128];
    size_t size = shape_size(d->shape), n = 0;
    double sum = 0;

    for (uint32_t i = 0; i < d->n_classes; i++)
        for (uint32_t k = 0; k < data_class_size(d, i); k++, n++) {
            assert_int_equal(data_read(d, i, k, 0, x, NULL), 0);
            for (size_t j = 0; j < size; j++)
                sum += x[j];
        }
    return sum / (double)(n * size);
}

static void omniglot_arrays(void **state)
{
    struct data d;

    (void)state;
    open_published(&d, &omniglot);
    assert_int_equal(d.n_classes, 1623);
    for (uint32_t i = 0; i < d.n_classes; i++)
        assert_int_equal(data_class_size(&d, i), 20);
    assert_true(ink_mean(&d) > 0.0835 - 0.0015 && ink_mean(&d) < 0.0835 + 0.0015);
    data_close(&d);
}

static void omniglot_splits(void **state)
{
    static char *const lists[] = {"omniglot/train.txt", "omniglot/val.txt", "omniglot/test.txt"};
    static const uint32_t n[] = {1028, 172, 423};
    struct data_config c = omniglot;
    struct data d;

    (void)state;
    for (int i = 0; i < 3; i++) {
        char *list = lists[i];

        c.classes = (struct strings){1, &list};
        open_published(&d, &c);
        assert_int_equal(d.n_classes, n[i]);
        data_close(&d);
    }
    c.classes = (struct strings){3, (char **)lists};
    open_published(&d, &c);
    assert_int_equal(d.n_classes, 1623);
    data_close(&d);
}

/* Correlation of the two sets' images of one class and drawer, 28 x 28. */
static double agreement(const struct data *a, const struct data *b, uint32_t class_id, uint32_t k)
{
    real x[784], y[784];
    double xx = 0, yy = 0, xy = 0;

    assert_int_equal(data_read(a, class_id, k, 0, x, NULL), 0);
    assert_int_equal(data_read(b, class_id, k, 0, y, NULL), 0);
    for (int i = 0; i < 784; i++) {
        xx += x[i] * x[i];
        yy += y[i] * y[i];
        xy += x[i] * y[i];
    }
    return xy * xy / (xx * yy);
}

/* The originals, resized and inverted here, are the arrays that were made from them with another
 * filter: same classes in the same order, same drawers, nearly the same pixels. */
static void omniglot_originals(void **state)
{
    struct data_config c = {.name = "png",
                            .format = "folder",
                            .resize = 28,
                            .invert = true,
                            .path = "omniglot/omniglot_images.tar.gz"};
    struct data png, npz;
    char a[128], b[128];

    (void)state;
    open_published(&png, &c);
    open_published(&npz, &omniglot);
    assert_int_equal(png.n_classes, 1623);
    for (uint32_t i = 0; i < 1623; i++) {
        assert_int_equal(data_class_size(&png, i), 20);
        data_class_name(&png, i, a, sizeof a);
        data_class_name(&npz, i, b, sizeof b);
        assert_string_equal(strchr(a, '/') + 1, b);
        assert_true(agreement(&png, &npz, i, i % 20) > 0.9);
    }
    data_close(&png);
    data_close(&npz);
}

static void expect_counts(const struct data_config *c, int side, const uint32_t counts[10])
{
    struct data d;

    open_published(&d, c);
    assert_int_equal(d.n_classes, 10);
    assert_int_equal(d.shape.h, side);
    for (uint32_t i = 0; i < 10; i++)
        assert_int_equal(data_class_size(&d, i), counts[i]);
    data_close(&d);
}

static void mnist_counts(void **state)
{
    static const uint32_t train[] = {5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949},
                          test[] = {980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009};
    struct data_config c = {.name = "mnist",
                            .format = "idx",
                            .path = "mnist/train-images-idx3-ubyte.gz",
                            .labels = "mnist/train-labels-idx1-ubyte.gz"};

    (void)state;
    expect_counts(&c, 28, train);
    c.path = "mnist/t10k-images-idx3-ubyte.gz";
    c.labels = "mnist/t10k-labels-idx1-ubyte.gz";
    expect_counts(&c, 28, test);
}

static void usps_counts(void **state)
{
    static const uint32_t train[] = {1194, 1005, 731, 658, 652, 556, 664, 645, 542, 644},
                          test[] = {359, 264, 198, 166, 200, 160, 170, 147, 166, 177};
    struct data_config c = {.name = "usps",
                            .format = "npy",
                            .path = "usps/usps_train_images.npy",
                            .labels = "usps/usps_train_labels.npy"};

    (void)state;
    expect_counts(&c, 16, train);
    c.path = "usps/usps_test_images.npy";
    c.labels = "usps/usps_test_labels.npy";
    c.resize = 28;
    expect_counts(&c, 28, test);
}

static const struct data_config usps = {.name = "usps",
                                        .format = "npy",
                                        .path = "usps/usps_train_images.npy",
                                        .labels = "usps/usps_train_labels.npy"};

/* The share of ink outside the middle 20 x 20 pixels, over 500 images. */
static double ink_outside(const struct data_config *c)
{
    double all = 0, middle = 0;
    struct data d;
    real x[784];

    open_published(&d, c);
    assert_int_equal(d.shape.h, 28);
    for (uint32_t n = 0; n < 500; n++) {
        assert_int_equal(data_read_flat(&d, n, x), 0);
        for (int i = 0; i < 784; i++) {
            bool inside = i / 28 >= 4 && i / 28 < 24 && i % 28 >= 4 && i % 28 < 24;

            all += x[i];
            middle += inside ? x[i] : 0;
        }
    }
    data_close(&d);
    return 1 - middle / all;
}

static void usps_in_the_frame_of_mnist(void **state)
{
    struct data_config c = usps, mnist = {.name = "mnist",
                                          .format = "idx",
                                          .path = "mnist/train-images-idx3-ubyte.gz",
                                          .labels = "mnist/train-labels-idx1-ubyte.gz"};

    (void)state;
    assert_true(ink_outside(&mnist) < 0.05);
    c.resize = 28;
    assert_true(ink_outside(&c) > 0.25);
    c.resize = 20;
    c.margin = 4;
    assert_true(ink_outside(&c) < 1e-9);
}

/* 1,800 images at random: every class has its share of them, within four deviations. */
static void usps_at_random(void **state)
{
    struct data_config c = usps;
    struct data all, part;

    (void)state;
    c.subset = 1800;
    c.seed = 1;
    open_published(&all, &usps);
    open_published(&part, &c);
    assert_int_equal(all.n_samples, 7291);
    assert_int_equal(part.n_samples, 1800);
    for (uint32_t i = 0; i < 10; i++) {
        double share = 1800.0 / 7291 * data_class_size(&all, i);

        assert_true(fabs(data_class_size(&part, i) - share) < 4 * sqrt(share));
    }
    data_close(&all);
    data_close(&part);
}

#define TEST(f) cmocka_unit_test(f)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(omniglot_opens_fast),        TEST(omniglot_arrays), TEST(omniglot_splits),
        TEST(omniglot_originals),         TEST(mnist_counts),    TEST(usps_counts),
        TEST(usps_in_the_frame_of_mnist), TEST(usps_at_random),
    };

    return cmocka_run_group_tests(tests, find_published, NULL);
}
