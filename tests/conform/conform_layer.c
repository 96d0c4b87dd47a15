/* conform_layer.c - the suite over every entry of the layer table, and the suite itself over wrong
 * layers. */
#include "tests/lib/conform_layer.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "core/math/blas.h"
#include "tests/lib/broken.c" /* a test program is one source */

enum { N_MAX = 5 };

/* A type without cases of its own gets those of type "". */
static const struct layer_case cases[] = {
    {{.type = ""}, {1, 1, 6}, false},
    {{.type = ""}, {5, 4, 3}, false},
    {{.type = "conv", .filters = 3, .kernel = 1, .stride = 1}, {3, 4, 2}, false},
    {{.type = "conv", .filters = 3, .kernel = 1, .stride = 2, .bias = true}, {5, 4, 3}, false},
    {{.type = "conv", .filters = 3, .kernel = 3, .stride = 1, .pad = 1}, {5, 5, 2}, false},
    {{.type = "conv", .filters = 4, .kernel = 3, .stride = 2, .pad = 1, .bias = true},
     {7, 5, 1},
     false},
    {{.type = "conv", .filters = 2, .kernel = 5, .stride = 1, .pad = 2, .bias = true},
     {6, 7, 2},
     false},
    {{.type = "conv", .filters = 2, .kernel = 3, .stride = 2}, {6, 8, 3}, false}, /* rows unused */
    {{.type = "conv", .filters = 2, .kernel = 5, .stride = 3, .pad = 2}, {9, 7, 2}, false},
    {{.type = "conv", .filters = 1, .kernel = 2, .stride = 3, .bias = true}, {5, 8, 1}, false},
    {{.type = "conv", .filters = 5, .kernel = 3, .stride = 1, .pad = 1, .bias = true},
     {1, 1, 4},
     false},
    {{.type = "conv", .filters = 2, .kernel = 3, .stride = 1, .pad = 3}, {2, 3, 1}, false},
    {{.type = "conv", .filters = 2, .kernel = 2, .stride = 1, .pad = 4},
     {2, 3, 2},
     false}, /* windows that miss the map */
    {{.type = "conv", .filters = 9, .kernel = 3, .stride = 2, .pad = 1, .bias = true},
     {2, 2, 17},
     false},
    {{.type = "conv", .filters = 3, .kernel = 5, .stride = 1, .pad = 2, .bias = true},
     {9, 9, 32}, /* n = 5: more than one piece of columns */
     false},
    {{.type = "conv1d", .filters = 3, .kernel = 3, .stride = 1, .pad = 1}, {7, 1, 2}, false},
    {{.type = "conv1d", .filters = 2, .kernel = 4, .stride = 3, .pad = 2, .bias = true},
     {9, 1, 3},
     false},
    {{.type = "conv1d", .filters = 5, .kernel = 1, .stride = 2, .bias = true}, {5, 1, 1}, false},
    {{.type = "conv1d", .filters = 2, .kernel = 2, .stride = 1, .pad = 3}, {1, 1, 4}, false},
    {{.type = "dense", .filters = 1}, {1, 1, 1}, false},
    {{.type = "dense", .filters = 7, .bias = true}, {1, 1, 13}, false},
    {{.type = "dense", .filters = 5, .bias = true, .head = true}, {1, 1, 33}, false},
    {{.type = "batchnorm"}, {4, 3, 1}, false},
    {{.type = "batchnorm"}, {9, 9, 5}, false}, /* more rows than the blocks they are summed in */
    {{.type = "batchnorm", .running = true}, {4, 4, 17}, false},
    {{.type = "batchnorm", .running = true}, {4, 4, 3}, true},
    {{.type = "batchnorm"}, {4, 4, 3}, true},
    {{.type = "batchnorm_relu"}, {4, 3, 1}, false},
    {{.type = "batchnorm_relu"}, {9, 9, 5}, false},
    {{.type = "batchnorm_relu", .running = true}, {4, 4, 17}, false},
    {{.type = "batchnorm_relu", .running = true}, {4, 4, 3}, true},
    {{.type = "groupnorm"}, {4, 3, 3}, false},
    {{.type = "groupnorm", .groups = 2}, {3, 4, 6}, false},
    {{.type = "groupnorm", .groups = 3}, {5, 1, 9}, true},
    {{.type = "groupnorm", .groups = 2}, {1, 1, 8}, false},
    {{.type = "layernorm"}, {1, 1, 7}, false},
    {{.type = "layernorm"}, {3, 2, 5}, false},
    {{.type = "layernorm"}, {6, 1, 4}, true},
    {{.type = "dropout"}, {5, 3, 4}, false},
    {{.type = "dropout", .percent = 50}, {1, 1, 1}, false},
    {{.type = "dropout", .percent = 50}, {1, 1, 17}, false},
    {{.type = "dropout", .percent = 20}, {5, 3, 4}, false},
    {{.type = "dropout", .percent = 50}, {5, 3, 4}, true},
    {{.type = "leaky_relu"}, {1, 1, 7}, false},
    {{.type = "leaky_relu", .percent = 25}, {5, 3, 4}, false},
    {{.type = "residual", .filters = 3}, {4, 3, 2}, false},
    {{.type = "residual", .filters = 2}, {5, 5, 4}, false}, /* fewer channels than go in */
    /* not one channel: the shortcut's batchnorm(w x) is then a step of width 0.003 at w = 0 */
    {{.type = "residual", .filters = 17, .running = true}, {3, 4, 3}, false},
    {{.type = "residual", .filters = 1}, {2, 3, 2}, false},
    {{.type = "residual", .filters = 3, .running = true}, {4, 3, 2}, true},
    {{.type = "residual", .filters = 4, .groups = 2}, {4, 3, 2}, false},
    {{.type = "residual", .filters = 6, .groups = 1}, {3, 3, 4}, true},
    {{.type = "relu"}, {1, 1, 7}, false},
    {{.type = "relu"}, {5, 3, 4}, false},
    {{.type = "tanh"}, {1, 1, 7}, false},
    {{.type = "tanh"}, {5, 3, 4}, false},
    {{.type = "maxpool", .kernel = 2, .stride = 2}, {7, 5, 3}, false},
    {{.type = "maxpool", .kernel = 3, .stride = 2}, {8, 9, 2}, false}, /* windows overlap */
    {{.type = "maxpool", .kernel = 2, .stride = 3}, {8, 7, 1}, false}, /* and leave gaps  */
    {{.type = "maxpool", .kernel = 1, .stride = 1}, {2, 3, 17}, false},
    {{.type = "maxpool", .kernel = 3, .stride = 2}, {8, 1, 3}, false}, /* a series */
    {{.type = "meanpool", .kernel = 2, .stride = 2}, {7, 1, 3}, false},
    {{.type = "meanpool"}, {5, 3, 4}, false},
    {{.type = "meanpool"}, {1, 1, 9}, false},
    {{.type = "meanpool", .kernel = 2, .stride = 2}, {7, 5, 3}, false},
    {{.type = "meanpool", .kernel = 3, .stride = 2}, {8, 9, 2}, false},
    {{.type = "flatten"}, {3, 5, 4}, false},
    {{.type = "flatten"}, {1, 1, 6}, false},
};
enum { N_CASES = sizeof cases / sizeof *cases };

static bool has_cases(const char *type)
{
    for (int i = 0; i < N_CASES; i++)
        if (strcmp(cases[i].spec.type, type) == 0)
            return true;
    return false;
}

static void check_cases(const struct layer_ops *ops, int parts)
{
    const char *type = has_cases(ops->name) ? ops->name : "";

    for (int i = 0; i < N_CASES; i++)
        for (int n = 1; strcmp(cases[i].spec.type, type) == 0 && n <= N_MAX; n++)
            if (layer_check(ops, &cases[i], n, parts))
                fail_msg("%s", err_text());
}

static void test_algebra(void **state)
{
    check_cases(*state, PART_ALGEBRA);
}

static void test_differences(void **state)
{
    if (!can_difference) {
        print_message("differences need REAL64: not run in " REAL_NAME "\n");
        skip();
    }
    check_cases(*state, PART_DIFFERENCES);
}

/* It has a text for PyTorch: of a module if and only if it has parameters. */
static void test_torch(void **state)
{
    const struct layer_ops *ops = *state;
    const char *type = has_cases(ops->name) ? ops->name : "";

    assert_non_null(ops->torch);
    for (int i = 0; i < N_CASES; i++) {
        struct layer l = {.ops = ops, .spec = cases[i].spec};
        struct layout layout = layout_measuring();
        struct torch_text t = {.flat = false};

        if (strcmp(cases[i].spec.type, type) != 0)
            continue;
        assert_int_equal(ops->plan(&l, cases[i].in, "own1", &layout), 0);
        ops->torch(&l, "own1", &t);
        assert_true(strlen(t.forward) > 0 && strlen(t.forward) + 1 < sizeof t.forward);
        assert_true(strlen(t.module) + 1 < sizeof t.module);
        assert_int_equal(t.module[0] != '\0', l.n_w > 0);
        assert_int_equal(strstr(t.forward, "self.own1(") != NULL, l.n_w > 0);
    }
}

/* ---- the suite must reject what is wrong, and for the reason it is wrong ---- */

static int check_broken(const struct broken *b)
{
    for (int n = 1; n <= N_MAX; n++) {
        struct layer_case c = {.in = {3, 2, 4}, .spec.running = true};

        TRY(layer_check(&b->ops, &c, n, PART_ALGEBRA | (can_difference ? PART_DIFFERENCES : 0)));
    }
    return 0;
}

static void test_broken(void **state)
{
    const struct broken *b = *state;
    int code;

    if (b->only_differences && !can_difference)
        skip();
    code = check_broken(b);
    if (!b->expected && code)
        fail_msg("rejects the right layer: %s", err_text());
    if (b->expected && !code)
        fail_msg("accepts '%s'", b->ops.name);
    if (b->expected && !strstr(err_text(), b->expected))
        fail_msg("rejects '%s' for another reason than '%s': %s", b->ops.name, b->expected,
                 err_text());
}

enum { TESTS_MAX = 256 };
static struct CMUnitTest tests[TESTS_MAX];
static size_t n_tests;

static void add(const char *group, const char *name, CMUnitTestFunction test, const void *state)
{
    char *full;

    if (n_tests == TESTS_MAX || asprintf(&full, "%s: %s", group, name) < 0)
        abort();
    tests[n_tests++] = (struct CMUnitTest){full, test, NULL, NULL, (void *)state};
}

int main(void)
{
    blas_single_thread();
    for (const struct layer_ops *const *ops = layer_table; *ops; ops++) {
        add("algebra", (*ops)->name, test_algebra, *ops);
        add("differences", (*ops)->name, test_differences, *ops);
        add("torch", (*ops)->name, test_torch, *ops);
    }
    for (const struct broken *b = broken_layers; b->ops.name; b++)
        add(b->expected ? "rejects" : "accepts", b->ops.name, test_broken, b);
    return _cmocka_run_group_tests("conform_layer", tests, n_tests, NULL, NULL);
}
