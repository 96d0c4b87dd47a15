/* test_layout.c - the parameter vector's description. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>
#include <xxhash.h>

#include "core/math/layout.h"

static struct layout some_layout(void)
{
    struct layout l = {0};
    static const struct segment conv = {.name = "conv1.weight",
                                        .n_dims = 4,
                                        .dims = {2, 3, 2, 4},
                                        .init = INIT_UNIFORM,
                                        .scale = 0.5};
    static const struct segment mean = {
        .name = "bn1.running_mean", .n_dims = 1, .dims = {5}, .role = ROLE_STAT, .scale = 0.25};
    static const struct segment head = {.name = "head.weight",
                                        .n_dims = 2,
                                        .dims = {2, 7},
                                        .role = ROLE_HEAD,
                                        .init = INIT_UNIFORM,
                                        .scale = 2};

    assert_int_equal(layout_add(&l, conv), 0);
    assert_int_equal(layout_add(&l, mean), 0);
    assert_int_equal(layout_add(&l, head), 0);
    return l;
}

static void test_layout_add(void **state)
{
    struct layout l = some_layout();
    const struct segment more = {.name = "more", .n_dims = 1, .dims = {1}};

    (void)state;
    assert_int_equal(l.n, 48 + 5 + 14);
    assert_int_equal(l.segments[1].offset, 48);
    assert_int_equal(l.segments[2].offset, 53);
    assert_int_equal(l.segments[2].n, 14);
    assert_ptr_equal(layout_find(&l, "bn1.running_mean"), &l.segments[1]);
    assert_null(layout_find(&l, "bn1.running"));
    assert_null(layout_find(&l, ""));
    while (l.n_segments < 5000) /* as many as memory holds */
        assert_int_equal(layout_add(&l, more), 0);
    assert_string_equal(l.segments[2].name, "head.weight");
    assert_string_equal(l.segments[4999].name, "more");
    assert_int_equal(l.segments[4999].offset, 48 + 5 + 14 + 4996);
    layout_release(&l);
    assert_true(l.n == 0 && l.n_segments == 0 && !l.segments);
    assert_string_equal(role_name(ROLE_BODY), "body");
    assert_string_equal(role_name(ROLE_HEAD), "head");
    assert_string_equal(role_name(ROLE_STAT), "stat");
}

/* Names are copies of any length; a copy stays when the original is gone. */
static void test_layout_append(void **state)
{
    struct layout l = some_layout(), copy = {0}, domains = {0};
    char prefix[400];
    uint64_t digest = layout_digest(&l);

    (void)state;
    memset(prefix, 'p', sizeof prefix);
    prefix[sizeof prefix - 1] = '\0';
    assert_int_equal(layout_append(&copy, "", &l), 0);
    assert_int_equal(layout_append(&domains, prefix, &l), 0);
    assert_int_equal(layout_append(&domains, "b", &l), 0);
    layout_release(&l);
    assert_true(layout_digest(&copy) == digest && copy.n == 67);
    assert_int_equal(domains.n_segments, 6);
    assert_int_equal(domains.segments[5].offset, 67 + 53);
    assert_string_equal(domains.segments[5].name, "b.head.weight");
    assert_int_equal(strlen(domains.segments[0].name), 399 + strlen(".conv1.weight"));
    assert_string_equal(domains.segments[0].name + 399, ".conv1.weight");
    layout_release(&copy);
    layout_release(&domains);
}

/* It counts like any other, and holds nothing. */
static void test_layout_measuring(void **state)
{
    struct layout l = layout_measuring();

    (void)state;
    assert_int_equal(layout_add(&l, (struct segment){.name = "w", .n_dims = 2, .dims = {3, 4}}), 0);
    assert_int_equal(layout_add(&l, (struct segment){.name = "b", .n_dims = 1, .dims = {3}}), 0);
    assert_true(l.n == 15 && l.n_segments == 0 && !l.segments);
}

static void test_layout_digest(void **state)
{
    struct layout l = some_layout(), m = l;
    struct segment s[3]; /* m's, changed one at a time */
    uint64_t digest = layout_digest(&l);

    (void)state;
    assert_true(digest == UINT64_C(0x69364e293d9f4919)); /* as every version has it */
    memcpy(s, l.segments, sizeof s);
    m.segments = s;
    assert_true(layout_digest(&m) == digest);
    s[0].name = "conw1.weight";
    assert_true(layout_digest(&m) != digest);
    s[0] = l.segments[0], s[0].dims[3] = 3, s[0].dims[2] = 3;
    assert_true(layout_digest(&m) != digest);
    s[0] = l.segments[0], s[2].dims[0] = 7, s[2].dims[1] = 2;
    assert_true(layout_digest(&m) != digest);
    s[2] = l.segments[2], s[1].n_dims = 2, s[1].dims[0] = 1, s[1].dims[1] = 23;
    digest = layout_digest(&m);
    s[1].dims[0] = 12, s[1].dims[1] = 3;
    assert_true(layout_digest(&m) != digest);
    digest = layout_digest(&l);
    s[1] = l.segments[1], s[2].role = ROLE_BODY;
    assert_true(layout_digest(&m) != digest);
    s[0] = l.segments[2], s[2] = l.segments[0];
    assert_true(layout_digest(&m) != digest);
    memcpy(s, l.segments, sizeof s), m.n_segments = 2;
    assert_true(layout_digest(&m) != digest);
    layout_release(&l);
}

/* Uniform on [-scale, scale]: both ends are nearly reached. */
static void assert_range(const real *x, int n, double scale)
{
    double low = 0, high = 0;

    for (int i = 0; i < n; i++) {
        low = fmin(low, x[i]);
        high = fmax(high, x[i]);
    }
    assert_true(low >= -scale && low < -0.6 * scale && high > 0.6 * scale && high <= scale);
}

static void test_layout_init(void **state)
{
    struct layout l = some_layout(), other = {0};
    struct segment first = {.name = "first", .n_dims = 1, .dims = {9}};
    real a[67], b[67], c[28];

    (void)state;
    layout_init(&l, 5, 0, a);
    layout_init(&l, 5, 0, b);
    assert_memory_equal(a, b, sizeof a);
    for (int i = 0; i < 67; i++)
        assert_true(i < 48 ? fabs(a[i]) <= 0.5 : i < 53 ? a[i] == 0.25 : fabs(a[i]) <= 2);
    assert_range(a, 48, 0.5);
    assert_range(a + 53, 14, 2);
    layout_init(&l, 6, 0, b);
    assert_memory_not_equal(a, b, 48 * sizeof *a);
    layout_init(&l, 5, 1, b); /* another stage, other numbers */
    assert_memory_not_equal(a, b, 48 * sizeof *a);
    /* other segments before it change nothing, its own index does */
    layout_add(&other, first);
    layout_add(&other, l.segments[1]);
    layout_add(&other, l.segments[2]);
    layout_init(&other, 5, 0, c);
    assert_memory_equal(c + 14, a + 53, 14 * sizeof *a);
    assert_true(4 * a[0] != a[53]); /* no two segments alike, but for the scale */
    layout_release(&l);
    layout_release(&other);
}

/* conv1.weight is [2][3][2][4] in PyTorch, [out][kh][kw][in] here. */
static void test_layout_export(void **state)
{
    struct layout l = some_layout();
    real theta[67], torch[67], back[67] = {0};

    (void)state;
    for (int i = 0; i < 67; i++)
        theta[i] = (real)i;
    for (int i = 0; i < 3; i++) {
        layout_export(&l.segments[i], theta, torch + l.segments[i].offset);
        layout_import(&l.segments[i], torch + l.segments[i].offset, back);
    }
    assert_memory_equal(theta, back, sizeof theta);
    for (int o = 0; o < 2; o++)
        for (int in = 0; in < 3; in++)
            for (int ky = 0; ky < 2; ky++)
                for (int kx = 0; kx < 4; kx++)
                    assert_true(torch[((o * 3 + in) * 2 + ky) * 4 + kx] ==
                                theta[((o * 2 + ky) * 4 + kx) * 3 + in]);
    assert_memory_equal(torch + 48, theta + 48, 19 * sizeof *theta);
    layout_release(&l);
}

/* The columns of a dense layer that reads a map as it lies: [2][3 channels][4 positions] in
 * PyTorch, [2][4][3] here. */
static void test_layout_export_map(void **state)
{
    struct segment s = {
        .name = "discriminator.fc1.weight", .n_dims = 2, .dims = {2, 12}, .positions = 4};
    struct layout l = {0};
    real theta[24], torch[24], back[24] = {0};

    (void)state;
    assert_int_equal(layout_add(&l, s), 0);
    for (int i = 0; i < 24; i++)
        theta[i] = (real)i;
    layout_export(&l.segments[0], theta, torch);
    layout_import(&l.segments[0], torch, back);
    assert_memory_equal(theta, back, sizeof theta);
    for (int o = 0; o < 2; o++)
        for (int c = 0; c < 3; c++)
            for (int at = 0; at < 4; at++)
                assert_true(torch[o * 12 + c * 4 + at] == theta[o * 12 + at * 3 + c]);
    layout_release(&l);
}

static void test_layout_hash(void **state)
{
    struct layout l = some_layout();
    real theta[67], torch[67], scratch[67];

    (void)state;
    for (int i = 0; i < 67; i++)
        theta[i] = (real)i;
    for (int i = 0; i < 3; i++)
        layout_export(&l.segments[i], theta, torch + l.segments[i].offset);
    assert_true(layout_hash(&l, theta, scratch) == XXH64(torch, sizeof torch, 0));
    theta[66] = -theta[66];
    assert_true(layout_hash(&l, theta, scratch) != XXH64(torch, sizeof torch, 0));
    layout_release(&l);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_layout_add),        cmocka_unit_test(test_layout_append),
        cmocka_unit_test(test_layout_measuring),  cmocka_unit_test(test_layout_digest),
        cmocka_unit_test(test_layout_init),       cmocka_unit_test(test_layout_export),
        cmocka_unit_test(test_layout_export_map), cmocka_unit_test(test_layout_hash),
    };

    return cmocka_run_group_tests_name("layout", tests, NULL, NULL);
}
