/* test_layer.c - what each layer computes, against the formula in loops; what plan makes of a spec.
 * conform_layer.c proves the derivatives of whatever forward does; this proves forward. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "core/math/blas.h"
#include "tests/lib/layer_oracle.h"

static const struct {
    struct layer_case c;
    oracle *oracle;
    struct shape out;
} values[] = {
    {{{.type = "conv", .filters = 3, .kernel = 3, .stride = 1, .pad = 1, .bias = true}, {5, 4, 2}},
     conv_oracle,
     {5, 4, 3}},
    {{{.type = "conv", .filters = 64, .kernel = 3, .stride = 2, .pad = 1, .bias = true},
      {28, 28, 1}},
     conv_oracle,
     {14, 14, 64}},
    {{{.type = "conv", .filters = 2, .kernel = 5, .stride = 3, .pad = 2}, {9, 7, 2}},
     conv_oracle,
     {3, 3, 2}},
    {{{.type = "conv", .filters = 4, .kernel = 2, .stride = 2}, {5, 6, 3}}, conv_oracle, {2, 3, 4}},
    {{{.type = "conv", .filters = 2, .kernel = 3, .stride = 1, .pad = 3}, {2, 3, 1}},
     conv_oracle,
     {6, 7, 2}},
    {{{.type = "conv", .filters = 3, .kernel = 5, .stride = 1, .pad = 2, .bias = true}, {9, 9, 32}},
     conv_oracle,
     {9, 9, 3}},
    {{{.type = "dense", .filters = 7, .bias = true}, {1, 1, 13}}, dense_oracle, {1, 1, 7}},
    {{{.type = "dense", .filters = 5}, {1, 1, 40}}, dense_oracle, {1, 1, 5}},
    {{{.type = "batchnorm"}, {9, 8, 5}}, batchnorm_oracle, {9, 8, 5}},
    {{{.type = "batchnorm", .running = true}, {4, 3, 3}}, batchnorm_oracle, {4, 3, 3}},
    {{{.type = "batchnorm", .running = true}, {4, 3, 3}, true}, batchnorm_oracle, {4, 3, 3}},
    {{{.type = "batchnorm"}, {4, 3, 3}, true}, batchnorm_oracle, {4, 3, 3}},
    {{{.type = "batchnorm_relu"}, {9, 8, 5}}, batchnorm_relu_oracle, {9, 8, 5}},
    {{{.type = "conv1d", .filters = 3, .kernel = 4, .stride = 2, .pad = 1, .bias = true},
      {9, 1, 2}},
     conv1d_oracle,
     {4, 1, 3}},
    {{{.type = "groupnorm", .groups = 3}, {4, 3, 6}}, groupnorm_oracle, {4, 3, 6}},
    {{{.type = "groupnorm"}, {1, 1, 8}, true}, groupnorm_oracle, {1, 1, 8}},
    {{{.type = "layernorm"}, {4, 3, 5}}, layernorm_oracle, {4, 3, 5}},
    {{{.type = "normalize"}, {4, 3, 5}}, normalize_oracle, {4, 3, 5}},
    {{{.type = "gelu"}, {4, 3, 5}}, gelu_oracle, {4, 3, 5}},
    {{{.type = "silu"}, {4, 3, 5}}, silu_oracle, {4, 3, 5}},
    {{{.type = "relu"}, {4, 3, 5}}, relu_oracle, {4, 3, 5}},
    {{{.type = "dropout"}, {4, 3, 5}}, dropout_oracle, {4, 3, 5}},
    {{{.type = "dropout", .percent = 50}, {4, 3, 5}, true}, dropout_oracle, {4, 3, 5}},
    {{{.type = "leaky_relu"}, {4, 3, 5}}, leaky_relu_oracle, {4, 3, 5}},
    {{{.type = "leaky_relu", .percent = 1}, {4, 3, 5}}, leaky_relu_oracle, {4, 3, 5}},
    {{{.type = "residual", .filters = 4}, {3, 5, 2}}, residual_oracle, {3, 5, 4}},
    {{{.type = "residual", .filters = 2, .running = true}, {5, 4, 3}}, residual_oracle, {5, 4, 2}},
    {{{.type = "residual", .filters = 2, .running = true}, {5, 4, 3}, true},
     residual_oracle,
     {5, 4, 2}},
    {{{.type = "tanh"}, {4, 3, 5}}, tanh_oracle, {4, 3, 5}},
    {{{.type = "maxpool", .kernel = 2, .stride = 2}, {7, 5, 3}}, maxpool_oracle, {3, 2, 3}},
    {{{.type = "maxpool", .kernel = 3, .stride = 2}, {8, 9, 2}}, maxpool_oracle, {3, 4, 2}},
    {{{.type = "maxpool", .kernel = 3, .stride = 2}, {8, 1, 2}}, maxpool_oracle, {3, 1, 2}},
    {{{.type = "meanpool", .kernel = 2, .stride = 2}, {7, 1, 2}}, meanpool_oracle, {3, 1, 2}},
    {{{.type = "meanpool"}, {5, 3, 4}}, meanpool_oracle, {1, 1, 4}},
    {{{.type = "meanpool", .kernel = 3, .stride = 2}, {8, 9, 2}}, meanpool_oracle, {3, 4, 2}},
    {{{.type = "flatten"}, {3, 5, 4}}, flatten_oracle, {1, 1, 60}},
};
enum { N_VALUES = sizeof values / sizeof *values };

/* A sum of at most m products of |w| <= 1 and |x| < 2 rounds by 2 m eps of the largest output. */
static void assert_outputs(struct probe *p, oracle *want)
{
    size_t m = (p->b[W].n > p->b[X].n ? p->b[W].n : p->b[X].n) + 1;
    double tolerance = 2 * (double)m * REAL_EPS * fmax(1, largest(p->b[Y].n, p->b[Y].v));
    struct shape out = p->l.out;

    for (int s = 0; s < p->n; s++)
        for (int i = 0; i < out.h * out.w * out.c; i++) {
            int y = i / out.c / out.w, x = i / out.c % out.w, c = i % out.c;
            double a = *at(p->b[Y].v, out, s, y, x, c), b = want(p, s, y, x, c);

            if (!(fabs(a - b) <= tolerance))
                fail_msg("%s, sample %d at %d, %d, channel %d: %.9g, not %.9g (+- %.1e)",
                         p->l.spec.type, s, y, x, c, a, b, tolerance);
        }
}

static void test_values(void **state)
{
    (void)state;
    for (int i = 0; i < N_VALUES; i++)
        for (int n = 1; n <= 5; n += 2) {
            struct probe p;

            assert_non_null(layer_find(values[i].c.spec.type));
            assert_int_equal(probe_init(&p, layer_find(values[i].c.spec.type), &values[i].c, n), 0);
            assert_memory_equal(&p.l.out, &values[i].out, sizeof p.l.out);
            probe_point(&p, 40 + (uint64_t)i);
            if (probe_run(&p, RUN_VALUES))
                fail_msg("%s", err_text());
            assert_outputs(&p, values[i].oracle);
            probe_release(&p);
        }
}

static void test_all_covered(void **state)
{
    (void)state;
    for (const struct layer_ops *const *ops = layer_table; *ops; ops++) {
        bool found = false;

        for (int i = 0; i < N_VALUES; i++)
            found |= strcmp(values[i].c.spec.type, (*ops)->name) == 0;
        if (!found)
            fail_msg("'%s' has no oracle here: write one", (*ops)->name);
        assert_ptr_equal(layer_find((*ops)->name), *ops);
        assert_non_null((*ops)->summary);
    }
    assert_null(layer_find("no such layer"));
}

/* A NaN that goes in comes out, wherever it was: the round must see it, to refuse the task. */
static void test_nan_passes(void **state)
{
    static const char *const types[] = {"relu",           "tanh",    "maxpool",    "batchnorm",
                                        "batchnorm_relu", "dropout", "leaky_relu", "residual",
                                        "gelu",           "silu",    "groupnorm",  "layernorm"};

    (void)state;
    for (size_t t = 0; t < sizeof types / sizeof *types; t++)
        for (size_t i = 0; i < 16; i++) {
            struct layer_case c = {
                {.filters = 2, .kernel = 2, .stride = 2, .percent = 50}, {4, 4, 1}, false};
            struct probe p;
            struct io io;
            bool seen = false;

            assert_int_equal(probe_init(&p, layer_find(types[t]), &c, 1), 0);
            probe_point(&p, 3);
            p.b[X].v[i] = NAN;
            io = probe_io(&p, 0, false);
            p.l.ops->forward(&p.l, &io);
            for (size_t k = 0; k < p.b[Y].n; k++)
                seen |= isnan(p.b[Y].v[k]) != 0;
            probe_release(&p);
            if (!seen)
                fail_msg("'%s' swallows a NaN at %zu", types[t], i);
        }
}

/* Of equal inputs the first gets the gradient, as in PyTorch. */
static void test_maxpool_ties(void **state)
{
    struct layer_case c = {{.kernel = 2, .stride = 2}, {2, 4, 1}, false};
    static const real x[8] = {1, 1, 0, 2, 1, 1, 2, 2}, want[8] = {5, 0, 0, 7, 0, 0, 0, 0};
    struct probe p;

    (void)state;
    assert_int_equal(probe_init(&p, layer_find("maxpool"), &c, 1), 0);
    memcpy(p.b[X].v, x, sizeof x);
    p.b[GY].v[0] = 5;
    p.b[GY].v[1] = 7;
    if (probe_run(&p, RUN_VALUES))
        fail_msg("%s", err_text());
    assert_memory_equal(p.b[GX].v, want, sizeof want);
    probe_release(&p);
}

/* Far from zero, where E x^2 - (E x)^2 would be noise: x = 1000 + noise of size 1. The mean's own
 * rounding, 1000 eps, is what is left, and y = a x + b loses it once more. */
static void test_batchnorm_far(void **state)
{
    struct layer_case c = {{.running = false}, {16, 16, 2}, false};
    struct probe p;
    uint64_t seed = 9;

    (void)state;
    assert_int_equal(probe_init(&p, layer_find("batchnorm"), &c, 3), 0);
    probe_point(&p, 1);
    fill_uniform(p.b[X].n, p.b[X].v, 999, 1001, &seed);
    if (probe_run(&p, RUN_VALUES))
        fail_msg("%s", err_text());
    for (int s = 0; s < 3; s++)
        for (int i = 0; i < 512; i++) {
            double y = *at(p.b[Y].v, c.in, s, i / 32, i / 2 % 16, i % 2);

            assert_true(fabs(y - batchnorm_oracle(&p, s, i / 32, i / 2 % 16, i % 2)) <=
                        8 * 1000 * REAL_EPS);
        }
    probe_release(&p);
}

/* What a block's four batch norms observe goes to gw: stat - observed, mean and variance. */
static void test_residual_statistics(void **state)
{
    struct layer_case c = {{.filters = 3, .running = true}, {4, 5, 2}, false};
    double y[BLOCK_MOST], seen[BLOCK_MOST];
    struct probe p;
    int found = 0;

    (void)state;
    assert_int_equal(probe_init(&p, layer_find("residual"), &c, 3), 0);
    probe_point(&p, 8);
    if (probe_run(&p, RUN_VALUES | RUN_STATS))
        fail_msg("%s", err_text());
    block_oracle(&p, y, seen);
    for (int i = 0; i < p.layout.n_segments; i++) {
        const struct segment *s = &p.layout.segments[i];

        for (size_t k = 0; s->role == ROLE_STAT && k < s->n; k++, found++) {
            double stat = p.b[W].v[s->offset + k], got = p.b[GW].v[s->offset + k];

            /* sums of m = 60 terms of sums of 27, of numbers up to 30 squared */
            if (!(fabs(got - (stat - seen[found])) <= 60 * 27 * 900 * REAL_EPS))
                fail_msg("'%s' %zu: %g, not %g", s->name, k, got, stat - seen[found]);
        }
    }
    assert_int_equal(found, 4 * 2 * 3);
    probe_release(&p);
}

/* ---- plan ---- */

static void test_plan_segments(void **state)
{
    struct layer_case conv = {
        {.filters = 4, .kernel = 3, .stride = 2, .pad = 1, .bias = true}, {7, 6, 2}, false};
    struct layer_case norm = {{.running = true}, {7, 6, 2}, false};
    struct layer_case head = {{.filters = 5, .bias = true, .head = true}, {1, 1, 8}, false};
    static const char *const names[] = {"probe1.weight", "probe1.bias", "probe1.running_mean",
                                        "probe1.running_var"};
    static const size_t dims[] = {4, 2, 3, 3};
    struct probe p = {.n = 1};

    (void)state;
    assert_int_equal(probe_plan(&p, layer_find("conv"), &conv), 0);
    assert_int_equal(p.layout.n_segments, 2);
    assert_int_equal(p.layout.segments[0].n_dims, 4);
    assert_memory_equal(p.layout.segments[0].dims, dims, sizeof dims);
    assert_string_equal(p.layout.segments[1].name, "probe1.bias");
    assert_true(p.l.multiply_adds == 4 * 3 * 4 * 3 * 3 * 2);
    assert_int_equal(p.l.n_w, 4 * 3 * 3 * 2 + 4);

    layout_release(&p.layout);
    p = (struct probe){.n = 1};
    assert_int_equal(probe_plan(&p, layer_find("batchnorm"), &norm), 0);
    assert_int_equal(p.layout.n_segments, 4);
    for (int i = 0; i < 4; i++) {
        assert_string_equal(p.layout.segments[i].name, names[i]);
        assert_int_equal(p.layout.segments[i].role, i < 2 ? ROLE_BODY : ROLE_STAT);
        assert_int_equal(p.layout.segments[i].init, INIT_CONSTANT);
        assert_true(p.layout.segments[i].scale == (i % 3 == 0)); /* gamma, var 1; beta, mean 0 */
    }

    layout_release(&p.layout);
    p = (struct probe){.n = 1};
    assert_int_equal(probe_plan(&p, layer_find("dense"), &head), 0);
    assert_int_equal(p.layout.segments[0].role, ROLE_HEAD);
    assert_int_equal(p.layout.segments[1].role, ROLE_HEAD);
    assert_true(p.l.multiply_adds == 40);
    layout_release(&p.layout);
}

/* PyTorch's names and order; the counts of MetaOptNet's first block. */
static void test_plan_residual(void **state)
{
    struct layer_case c = {{.filters = 64}, {84, 84, 3}, false};
    static const char *const names[] = {
        "conv1.weight",         "bn1.weight",         "bn1.bias",
        "conv2.weight",         "bn2.weight",         "bn2.bias",
        "conv3.weight",         "bn3.weight",         "bn3.bias",
        "shortcut.conv.weight", "shortcut.bn.weight", "shortcut.bn.bias"};
    struct probe p = {.n = 1};

    (void)state;
    assert_int_equal(probe_plan(&p, layer_find("residual"), &c), 0);
    assert_int_equal(p.layout.n_segments, 12);
    for (int i = 0; i < 12; i++) {
        assert_memory_equal(p.layout.segments[i].name, "probe1.", 7);
        assert_string_equal(p.layout.segments[i].name + 7, names[i]);
        assert_int_equal(p.layout.segments[i].role, ROLE_BODY);
    }
    assert_int_equal(p.l.n_w, 27 * 64 + 2 * 9 * 64 * 64 + 3 * 64 + 4 * 2 * 64);
    assert_true(p.l.multiply_adds == 84 * 84 * (27 * 64 + 2 * 9 * 64 * 64 + 3 * 64));
    assert_true(p.l.input_adds == 84 * 84 * (27 * 64 + 3 * 64));
    layout_release(&p.layout);
}

/* Zero is "not given": conv kernel 3, stride 1; maxpool kernel 2; a pool's stride is its kernel. */
static void test_plan_defaults(void **state)
{
    static const struct {
        struct layer_case c;
        struct shape out;
    } given[] = {
        {{{.type = "conv", .filters = 2}, {6, 8, 1}, false}, {4, 6, 2}},
        {{{.type = "maxpool"}, {7, 6, 3}, false}, {3, 3, 3}},
        {{{.type = "maxpool", .kernel = 3}, {7, 6, 3}, false}, {2, 2, 3}},
        {{{.type = "meanpool", .kernel = 3}, {7, 6, 3}, false}, {2, 2, 3}},
        {{{.type = "meanpool"}, {7, 6, 3}, false}, {1, 1, 3}},
    };

    (void)state;
    for (size_t i = 0; i < sizeof given / sizeof *given; i++) {
        struct probe p = {.n = 1};

        assert_int_equal(probe_plan(&p, layer_find(given[i].c.spec.type), &given[i].c), 0);
        assert_memory_equal(&p.l.out, &given[i].out, sizeof p.l.out);
        layout_release(&p.layout);
    }
}

static void test_plan_refuses(void **state)
{
    static const struct layer_case wrong[] = {
        {{.type = "conv", .filters = 0, .kernel = 3, .stride = 1}, {5, 5, 1}, false},
        {{.type = "conv", .filters = 2, .kernel = -1, .stride = 1}, {5, 5, 1}, false},
        {{.type = "conv", .filters = 2, .kernel = 3, .stride = -1}, {5, 5, 1}, false},
        {{.type = "conv", .filters = 2, .kernel = 3, .stride = 1, .pad = -1}, {5, 5, 1}, false},
        {{.type = "conv", .filters = 2, .kernel = 6, .stride = 1}, {5, 8, 1}, false},
        {{.type = "conv", .filters = 2, .kernel = 6, .stride = 1}, {8, 5, 1}, false},
        {{.type = "dense", .filters = 3}, {2, 1, 4}, false},
        {{.type = "conv1d", .filters = 2, .kernel = 3}, {8, 2, 1}, false},
        {{.type = "conv1d", .filters = 2, .kernel = 3}, {2, 1, 1}, false},
        {{.type = "groupnorm", .groups = 3}, {2, 2, 4}, false},
        {{.type = "groupnorm", .groups = -1}, {2, 2, 4}, false},
        {{.type = "dense", .filters = 0}, {1, 1, 4}, false},
        {{.type = "dropout", .percent = 100}, {1, 1, 4}, false},
        {{.type = "dropout", .percent = -1}, {1, 1, 4}, false},
        {{.type = "leaky_relu", .percent = 101}, {1, 1, 4}, false},
        {{.type = "leaky_relu", .percent = -1}, {1, 1, 4}, false},
        {{.type = "residual"}, {8, 8, 1}, false},
        {{.type = "maxpool", .kernel = 2, .stride = 2}, {1, 8, 1}, false},
        {{.type = "maxpool", .kernel = 2, .stride = -1}, {8, 8, 1}, false},
        {{.type = "maxpool", .kernel = -1, .stride = 1}, {8, 8, 1}, false},
        {{.type = "meanpool", .kernel = 9, .stride = 1}, {8, 8, 1}, false},
        {{.type = "meanpool", .kernel = 2, .stride = -1}, {8, 8, 1}, false},
        {{.type = "meanpool", .kernel = -2, .stride = 1}, {8, 8, 1}, false},
    };

    (void)state;
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        struct probe p = {.n = 1};

        if (probe_plan(&p, layer_find(wrong[i].spec.type), &wrong[i]) != ERR_CONFIG)
            fail_msg("plan accepts wrong %s, row %zu", wrong[i].spec.type, i);
        assert_non_null(strstr(err_text(), "probe1"));
        layout_release(&p.layout);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_values),        cmocka_unit_test(test_all_covered),
        cmocka_unit_test(test_nan_passes),    cmocka_unit_test(test_maxpool_ties),
        cmocka_unit_test(test_batchnorm_far), cmocka_unit_test(test_plan_segments),
        cmocka_unit_test(test_plan_defaults), cmocka_unit_test(test_plan_refuses),
        cmocka_unit_test(test_plan_residual), cmocka_unit_test(test_residual_statistics),
    };

    blas_single_thread();
    return cmocka_run_group_tests_name("layer", tests, NULL, NULL);
}
