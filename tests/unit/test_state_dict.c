/* test_state_dict.c - numbers of 16 bits; names of a file's tensors, by rules and by order. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "core/base/err.h"
#include "core/file/state_dict.h"

/* What the bits of a number of this type stand for. */
static double value_of(enum dtype type, uint16_t bits)
{
    struct tensor t = {"x", type, 0, {0}, 1, &bits};

    return tensor_get(&t, 0);
}

static bool same(double a, double b)
{
    return (isnan(a) && isnan(b)) || (a == b && signbit(a) == signbit(b));
}

static void test_halves(void **state)
{
    static const struct {
        uint16_t bits;
        double value;
    } known[] = {{0, 0},
                 {0x8000, -0.0},
                 {1, 0x1p-24},
                 {0x03ff, 0x3ffp-24},
                 {0x0400, 0x1p-14},
                 {0x3c00, 1},
                 {0xc000, -2},
                 {0x3555, 0x1.554p-2},
                 {0x7bff, 65504},
                 {0xfc00, -INFINITY},
                 {0x7c00, INFINITY}};

    (void)state;
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        assert_true(same(value_of(DTYPE_F16, known[i].bits), known[i].value));
    assert_true(isnan(value_of(DTYPE_F16, 0x7c01)));
#ifdef __FLT16_MAX__
    for (uint32_t i = 0; i <= 0xffff; i++) {
        uint16_t bits = (uint16_t)i;
        _Float16 half;

        memcpy(&half, &bits, sizeof half);
        assert_true(same(value_of(DTYPE_F16, bits), (double)half));
    }
#endif
}

static void test_brain(void **state)
{
    (void)state;
    for (uint32_t i = 0; i <= 0xffff; i++) {
        uint32_t whole = i << 16;
        float x;

        memcpy(&x, &whole, sizeof x);
        assert_true(same(value_of(DTYPE_BF16, (uint16_t)i), (double)x));
    }
}

/* ---- names ---- */

static char path[64];
static float numbers[64];

static void write_names(const char *const *names, const size_t (*dims)[2], int n)
{
    struct tensor t[16];

    for (int i = 0; i < n; i++)
        t[i] = (struct tensor){.name = names[i],
                               .dtype = DTYPE_F32,
                               .n_dims = dims[i][1] ? 2 : 1,
                               .dims = {dims[i][0], dims[i][1]},
                               .n = dims[i][0] * (dims[i][1] ? dims[i][1] : 1),
                               .data = numbers};
    if (safetensors_write(path, t, n, NULL, 0) < 0)
        fail_msg("%s", err_text());
}

static void test_rules(void **state)
{
    static const char *const names[] = {"module.a.0.weight", "a.0.bias",  "a.1.weight",
                                        "optimizer.m.x",     "kept.00.x", "module.module.b",
                                        "kept.01.y",         "ab.weight", "c.num_batches_tracked"};
    static const size_t dims[][2] = {{2, 2}, {2}, {2}, {2}, {2}, {2}, {2}, {2}, {2}};
    char *rules[] = {"a=net", "a.0=head", "kept.01=", "module.module.b=whole"};
    static const char *const wanted[] = {"head.weight", "head.bias", "net.1.weight",
                                         "whole",       "y",         "ab.weight"};
    struct state_dict d;

    (void)state;
    write_names(names, dims, 9);
    if (state_dict_open(&d, path, rules, 4) < 0)
        fail_msg("%s", err_text());
    assert_int_equal(d.n, 6);
    for (int i = 0; i < 6; i++)
        assert_string_equal(d.entries[i].name, wanted[i]);
    state_dict_close(&d);
    assert_int_equal(state_dict_open(&d, path, (char *[]){"x=y"}, 1), ERR_CONFIG);
    assert_non_null(strstr(err_text(), "no tensor or module 'x'"));
}

/* fc1 [3, 2], fc2 [3, 3], head [2, 3] */
static struct layout layout_of(void)
{
    static const char *const names[] = {"fc1.weight", "fc1.bias", "fc2.weight", "head.weight"};
    static const size_t dims[][2] = {{3, 2}, {3}, {3, 3}, {2, 3}};
    struct layout l = {0};

    for (int i = 0; i < 4; i++)
        assert_int_equal(layout_add(&l, (struct segment){.name = names[i],
                                                         .n_dims = dims[i][1] ? 2 : 1,
                                                         .dims = {dims[i][0], dims[i][1]}}),
                         0);
    return l;
}

static bool orders(const char *const *names, const size_t (*dims)[2], int n, const char *first)
{
    struct layout l = layout_of();
    struct state_dict d;
    bool found;

    write_names(names, dims, n);
    assert_int_equal(state_dict_open(&d, path, NULL, 0), 0);
    found = state_dict_order(&d, &l);
    assert_string_equal(d.entries[0].name, first);
    state_dict_close(&d);
    layout_release(&l);
    return found;
}

static void test_order(void **state)
{
    static const size_t forward[][2] = {{3, 2}, {3, 3}, {7, 3}},
                        turned[][2] = {{3, 3}, {3, 2}, {7, 3}},
                        twins[][2] = {{3, 2}, {3, 2}, {7, 3}};

    (void)state;
    /* in the order of the file */
    assert_true(
        orders((const char *[]){"z.weight", "b.weight", "a.weight"}, forward, 3, "fc1.weight"));
    /* sorted by name: by numbers */
    assert_true(
        orders((const char *[]){"a.10.weight", "a.9.weight", "b.weight"}, turned, 3, "fc2.weight"));
    /* other shapes, other numbers of modules: nothing changes */
    assert_false(
        orders((const char *[]){"a.1.weight", "a.2.weight", "b.weight"}, turned, 3, "a.1.weight"));
    assert_false(orders((const char *[]){"a.1.weight", "a.2.weight"}, forward, 2, "a.1.weight"));
    assert_false(
        orders((const char *[]){"a.1.weight", "a.2.weight", "b.weight"}, twins, 3, "a.1.weight"));
}

/* Sorted by name, two weights of one shape whose names differ in more than numbers. */
static void test_doubtful_order(void **state)
{
    static const char *const names[] = {"blocks.weight", "stem.weight", "top.weight"};
    static const size_t dims[][2] = {{3, 3}, {3, 3}, {7, 3}};
    struct layout l = {0};
    struct state_dict d;

    (void)state;
    for (int i = 0; i < 3; i++)
        assert_int_equal(
            layout_add(&l, (struct segment){.name = (const char *[]){"fc1.weight", "fc2.weight",
                                                                     "head.weight"}[i],
                                            .n_dims = 2,
                                            .dims = {dims[i][0], dims[i][1]}}),
            0);
    write_names(names, dims, 3);
    assert_int_equal(state_dict_open(&d, path, NULL, 0), 0);
    assert_false(state_dict_order(&d, &l));
    assert_string_equal(d.entries[0].name, "blocks.weight");
    state_dict_close(&d);
    layout_release(&l);
}

static int setup(void **state)
{
    (void)state;
    snprintf(path, sizeof path, "/tmp/test_state_dict_%d.safetensors", (int)getpid());
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    return unlink(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_halves),         cmocka_unit_test(test_brain),
        cmocka_unit_test(test_rules),          cmocka_unit_test(test_order),
        cmocka_unit_test(test_doubtful_order),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
