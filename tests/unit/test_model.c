/* test_model.c - the models: their layers, names and parameter counts; training with dropout
 * through the worker, the same whether activations are kept or recomputed. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "core/math/blas.h"
#include "core/math/vec.h"
#include "core/plan/model.h"
#include "tests/lib/engine_place.h"

/* ---- layers, names, counts ---- */

/* The network of a configuration's model, on inputs of one shape. */
static struct net *net_of(const char *model, struct shape in, int n_out)
{
    static const char rest[] = "data d { format = \"glyphs\" }\nstage s { data = \"d\" }\n";
    struct loss loss = loss_plain("cross_entropy");
    struct net *net = calloc(1, sizeof *net);
    struct config c;
    char text[512];

    assert_non_null(net);
    snprintf(text, sizeof text, "model { %s }\n%s", model, rest);
    if (config_parse(&c, text, "text", NULL, 0, stage_owner))
        fail_msg("%s", err_text());
    if (model_plan(&c.models[0], true, NULL, net, in, n_out, &loss))
        fail_msg("%s", err_text());
    config_release(&c);
    return net;
}

static void net_free(struct net *net)
{
    net_release(net);
    free(net);
}

static void assert_layers(const struct net *net, const char *const *names)
{
    for (int i = 0; i < net->n_layers; i++) {
        assert_non_null(names[i]);
        assert_string_equal(net->layers[i].ops->name, names[i]);
    }
    assert_null(names[net->n_layers]);
}

/* ADDA's LeNet on MNIST: 520 + 25,050 + 400,500 + 5,010. */
static void test_lenet(void **state)
{
    static const char *const layers[] = {"conv",    "relu",  "maxpool", "conv",  "relu", "maxpool",
                                         "flatten", "dense", "relu",    "dense", NULL};
    static const char *const names[] = {"conv1.weight", "conv1.bias", "conv2.weight", "conv2.bias",
                                        "fc1.weight",   "fc1.bias",   "head.weight",  "head.bias"};
    struct net *net = net_of("type = \"lenet\"", (struct shape){28, 28, 1}, 10);

    (void)state;
    assert_layers(net, layers);
    assert_int_equal(net->layout.n, 431080);
    assert_int_equal(net->layout.n_segments, 8);
    for (int i = 0; i < 8; i++)
        assert_string_equal(net->layout.segments[i].name, names[i]);
    assert_int_equal(shape_size(net->layers[6].out), 800);
    net_free(net);
}

/* Parameters of a block from c to f channels: three convolutions 3x3, one 1x1, four batch norms. */
static int block_count(int c, int f)
{
    return 9 * f * (c + 2 * f) + c * f + 4 * 2 * f;
}

/* The body's 12,424,320 parameters are those of MetaOptNet's ResNet-12. */
static void test_resnet12(void **state)
{
    static const char *const layers[] = {"residual", "maxpool", "residual", "maxpool",
                                         "residual", "maxpool", "residual", "maxpool",
                                         "meanpool", "dense",   NULL};
    struct net *net = net_of("type = \"resnet12\"", (struct shape){84, 84, 3}, 5);
    char name[32];

    (void)state;
    assert_layers(net, layers);
    assert_int_equal(net->layout.n, 12424320 + 640 * 5 + 5);
    assert_int_equal(net->layers[7].out.h, 5);
    assert_non_null(layout_find(&net->layout, "block4.shortcut.bn.bias"));
    assert_null(layout_find(&net->layout, "block1.bn1.running_mean"));
    net_layer_name(net, 4, name, sizeof name);
    assert_string_equal(name, "block3");
    net_free(net);

    net = net_of("type = \"resnet12\" filters = 8 statistics = \"running\"",
                 (struct shape){28, 28, 1}, 4);
    assert_int_equal(net->layout.n, block_count(1, 8) + block_count(8, 20) + block_count(20, 40) +
                                        block_count(40, 80) + 4 * 2 * (8 + 20 + 40 + 80) + 81 * 4);
    assert_non_null(layout_find(&net->layout, "block1.bn1.running_mean"));
    net_free(net);
}

static void test_mlp_dropout(void **state)
{
    static const char *const without[] = {"flatten", "dense", "relu", "dense",
                                          "relu",    "dense", NULL};
    static const char *const hidden[] = {"flatten", "dense",   "relu",  "dropout", "dense",
                                         "relu",    "dropout", "dense", NULL};
    static const char *const input[] = {"flatten", "dropout", "dense", "relu",
                                        "dense",   "relu",    "dense", NULL};
    struct shape in = {4, 4, 1};
    struct net *net = net_of("type = \"mlp\"", in, 3);
    size_t n = net->layout.n;

    (void)state;
    assert_layers(net, without);
    net_free(net);
    net = net_of("type = \"mlp\" dropout = 50", in, 3);
    assert_layers(net, hidden);
    assert_int_equal(net->layers[3].spec.percent, 50);
    assert_int_equal(net->layout.n, n);
    net_free(net);
    net = net_of("type = \"mlp\" input_dropout = 20", in, 3);
    assert_layers(net, input);
    assert_int_equal(net->layers[1].spec.percent, 20);
    assert_int_equal(net->first, 2); /* nobody wants the input's gradient */
    net_free(net);
}

static void test_layer_line(void **state)
{
    struct net *net = net_of("type = \"layers\" layers = {\"flatten\", \"dense features=7\", "
                             "\"leaky_relu percent=1\", \"dropout percent=30\", \"head\"}",
                             (struct shape){4, 4, 1}, 3);

    (void)state;
    assert_int_equal(net->layers[2].spec.percent, 1);
    assert_int_equal(net->layers[3].spec.percent, 30);
    net_free(net);
}

/* A gradient costs three forward passes, less the input's gradient of the first layer. */
static void test_flops(void **state)
{
    struct net *net = net_of("type = \"resnet12\" filters = 8", (struct shape){16, 16, 3}, 4);
    double forward = net_flops_forward(net, 2), reads_x = 2.0 * 2 * 256 * (27 * 8 + 3 * 8);

    (void)state;
    assert_true(net_flops_gradient(net, 2) == 3 * forward - reads_x);
    net_free(net);
}

/* ---- one task through the worker ---- */

static struct place *place_open(const char *model, const char *memory)
{
    char text[512];

    snprintf(text, sizeof text,
             "run { seed = 4 }\ncluster { memory = %s }\ndata d { format = \"glyphs\" size = 16 }\n"
             "model { %s }\nstage s { data = \"d\" way = 3 shot = 2 query = 2 inner_steps = 3 "
             "inner_rate = 0.1 }\n",
             memory, model);
    return place_of(text);
}

/* The outer gradient of the place's task, told to be of this round and slot. */
static void outer(struct place *p, uint32_t round, uint32_t slot)
{
    p->task.round = round, p->task.slot = slot;
    engine_begin(&p->engine, &p->setup.stages[0], false, NULL);
    if (engine_run(&p->engine, &p->task, p->theta, NULL) || p->engine.failed)
        fail_msg("the task fails: %s", err_text());
    memcpy(p->kept, p->engine.gradient, p->n * sizeof *p->kept);
}

/* Mean of -log softmax at the label, and how often the label's output is the largest. */
static double plain_loss(const struct batch *b, int n_out, const real *y, double *right)
{
    double loss = 0;

    *right = 0;
    for (int i = 0; i < b->n; i++, y += n_out) {
        double sum = 0;
        int best = 0;

        for (int c = 0; c < n_out; c++) {
            sum += exp((double)y[c] - y[b->label[i]]);
            best = y[c] > y[best] ? c : best;
        }
        loss += log(sum) / b->n;
        *right += (best == b->label[i]) / (double)b->n;
    }
    return loss;
}

/* What a task tells of its inner loop, beside plain descent on its support. Losses of size 1
 * through three steps. */
static void test_inner_loop_is_told(void **state)
{
    struct place *p = place_open("type = \"mlp\" widths = {\"20\"}", "64");
    const struct net *net = &p->setup.stages[0].net;
    const struct batch *b = &p->engine.episode.support;
    double right, loss, last = INFINITY;
    const double *v;
    struct tape t;

    (void)state;
    outer(p, 3, 5);
    v = p->engine.metrics.v;
    tape_init(&t, net, b->n, TAPE_GRADIENT, tape_scratch(net, b->n, &p->arena), &p->arena);
    assert_true(v[metric_curve(0, CURVE_LOSS)] == v[METRIC_SUPPORT_LOSS]);
    for (int k = 0; k < 3; k++) {
        loss = plain_loss(b, net->n_out, net_forward(net, p->theta, b, &t), &right);
        assert_true(fabs(v[metric_curve(k, CURVE_LOSS)] - loss) < 100 * REAL_EPS);
        assert_true(fabs(v[metric_curve(k, CURVE_ACCURACY)] - right) < 1e-12);
        assert_true(loss < last - 1e-2);
        last = loss;
        vec_zero(p->n, p->kept);
        net_backward(net, p->theta, b, &t, p->kept);
        for (size_t i = 0; i < p->n; i++)
            p->theta[i] -= (real)0.1 * p->kept[i];
    }
    assert_true(v[metric_curve(3, CURVE_LOSS)] == 0);
    place_close(p);
}

static double apart(size_t n, const real *a, const real *b)
{
    double most = 0;

    for (size_t i = 0; i < n; i++)
        most = fmax(most, fabs((double)a[i] - (double)b[i]));
    return most;
}

static const char *const dropping =
    "type = \"mlp\" widths = {\"20\", \"20\"} dropout = 50 input_dropout = 20";

static void test_task_is_pure(void **state)
{
    struct place *p = place_open(dropping, "64");
    real *again = malloc(p->n * sizeof *again);

    (void)state;
    assert_non_null(again);
    outer(p, 3, 5);
    memcpy(again, p->kept, p->n * sizeof *again);
    outer(p, 3, 6);
    assert_true(apart(p->n, p->kept, again) > 1e-4);
    outer(p, 4, 5);
    assert_true(apart(p->n, p->kept, again) > 1e-4);
    outer(p, 3, 5);
    assert_memory_equal(p->kept, again, p->n * sizeof *again);
    free(again);
    place_close(p);
}

/* Each inner step has masks of its own, and so has the query; all of them follow from the task. */
static void test_steps_differ(void **state)
{
    struct place *p = place_open(dropping, "64");
    const struct unroll *u;
    size_t size = 3 * 2 * 16 * 16; /* way shot pixels */
    real *before = malloc(size * sizeof *before);

    (void)state;
    assert_non_null(before);
    outer(p, 3, 5);
    u = p->engine.method.inner;
    for (int k = 0; k < 3; k++)
        assert_true(apart(size, u->support[k].save[1].v, u->support[(k + 1) % 3].save[1].v) > 0);
    memcpy(before, u->support[1].save[1].v, size * sizeof *before);
    outer(p, 3, 6);
    assert_true(apart(size, u->support[1].save[1].v, before) > 0);
    assert_memory_equal(&u->query.noise, (&(struct noise){4, 3, 6, 3}), sizeof(uint64_t) + 12);
    free(before);
    place_close(p);
}

/* Steps whose activations are made again draw the masks again: the same bits. */
static void test_recomputed(void **state)
{
    const char *const models[] = {dropping, "type = \"resnet12\" filters = 4"};

    (void)state;
    for (int i = 0; i < 2; i++) {
        struct place *kept = place_open(models[i], "512"), *made = place_open(models[i], "0");

        outer(kept, 3, 5);
        outer(made, 3, 5);
        assert_int_equal(kept->engine.method.inner->n_tapes, 3);
        assert_int_equal(made->engine.method.inner->n_tapes, 1);
        assert_memory_equal(kept->kept, made->kept, kept->n * sizeof *kept->kept);
        place_close(kept);
        place_close(made);
    }
}

/* The query loss after the inner loop, of this round and slot. */
static double outer_loss(struct place *p, const real *theta)
{
    engine_begin(&p->engine, &p->setup.stages[0], false, NULL);
    assert_int_equal(engine_run(&p->engine, &p->task, theta, NULL), 0);
    return p->engine.metrics.v[METRIC_LOSS];
}

/* MAML's gradient along itself against the difference of its outer loss, through three inner steps.
 * Relative cbrt(eps)^2 = 2.4e-5 in float, of a loss of size 1 over a slope of size |g|. */
static void test_outer_gradient(void **state)
{
    static const char *const models[] = {"type = \"mlp\" widths = {\"20\", \"20\"} activation = "
                                         "\"tanh\" dropout = 50 input_dropout = 20"};

    (void)state;
    for (size_t i = 0; i < sizeof models / sizeof *models; i++) {
        struct place *p = place_open(models[i], "64");
        real *moved = malloc(p->n * sizeof *moved);
        double h = cbrt(REAL_EPS), norm = 0, up, down;

        assert_non_null(moved);
        outer(p, 3, 5);
        for (size_t k = 0; k < p->n; k++)
            norm += (double)p->kept[k] * p->kept[k];
        norm = sqrt(norm);
        for (size_t k = 0; k < p->n; k++)
            moved[k] = (real)(p->theta[k] + h * p->kept[k] / norm);
        up = outer_loss(p, moved);
        for (size_t k = 0; k < p->n; k++)
            moved[k] = (real)(p->theta[k] - h * p->kept[k] / norm);
        down = outer_loss(p, moved);
        if (!(fabs((up - down) / (2 * h) - norm) <= 20 * pow(REAL_EPS, 2.0 / 3) * norm))
            fail_msg("%s: slope %.9g, gradient %.9g", models[i], (up - down) / (2 * h), norm);
        free(moved);
        place_close(p);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lenet),          cmocka_unit_test(test_resnet12),
        cmocka_unit_test(test_mlp_dropout),    cmocka_unit_test(test_layer_line),
        cmocka_unit_test(test_flops),          cmocka_unit_test(test_task_is_pure),
        cmocka_unit_test(test_recomputed),     cmocka_unit_test(test_steps_differ),
        cmocka_unit_test(test_outer_gradient), cmocka_unit_test(test_inner_loop_is_told),
    };

    blas_single_thread();
    return cmocka_run_group_tests_name("model", tests, NULL, NULL);
}
