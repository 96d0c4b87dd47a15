/* test_trace.c - where a task leaves the finite numbers: planted in one layer and pass, exactly
 * those are named. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/base/err.h"
#include "core/math/exact.h"
#include "core/math/net_trace.h"
#include "core/math/vec.h"
#include "core/plan/sampler.h"
#include "worker/method/table.h"
#include "worker/trace.h"

static const char conv4[] = "data glyphs { format = \"glyphs\" size = 28 }\n"
                            "model { type = \"conv4\" filters = 4 reduction = \"maxpool\" }\n"
                            "stage meta { data = \"glyphs\" way = 3 shot = 1 query = 2 inner_steps "
                            "= 3 inner_rate = 0.1 }\n";

#define SINE(activation, rate)                                                                     \
    "data sine { format = \"sinusoid\" }\n"                                                        \
    "model { type = \"mlp\" widths = {\"8\", \"8\"} activation = \"" activation "\" }\n"           \
    "stage meta { data = \"sine\" way = 1 shot = 5 query = 6 inner_steps = 8 inner_rate = " rate   \
    "}\n"

static const char sine[] = SINE("tanh", "0.01");

struct place {
    struct config config;
    struct setup setup;
    struct stage *stage;
    struct engine engine;
    struct arena arena;
    struct task task;
    const struct net *net;
    size_t n;
    real *theta, *gw, *hv, *v;
    struct tape tape, tangents;
    struct batch batch;
};

static void draw(struct place *p, bool evaluate)
{
    struct sampler s = {&p->setup, p->stage, 0, evaluate, !evaluate};

    sampler_draw(&s, 0, &p->task);
}

static struct place *place_open(const char *text)
{
    struct place *p = calloc(1, sizeof *p);
    struct task_size size;

    assert_non_null(p);
    assert_int_equal(config_parse(&p->config, text, "text", NULL, 0, stage_owner), 0);
    assert_int_equal(setup_open(&p->setup, &p->config, ".", method_traits_of), 0);
    p->stage = &p->setup.stages[0];
    p->net = &p->stage->net;
    p->n = p->net->layout.n;
    assert_int_equal(engine_open(&p->engine, &p->setup), 0);
    engine_begin(&p->engine, p->stage, false, NULL);
    assert_int_equal(arena_init(&p->arena, 64 << 20), 0);
    size = engine_task_size(p->stage);
    task_init(&p->task, size, &p->arena);
    p->theta = arena_reals(&p->arena, p->n);
    p->gw = arena_reals(&p->arena, p->n);
    p->hv = arena_reals(&p->arena, p->n);
    p->v = arena_reals(&p->arena, p->n);
    layout_init(&p->net->layout, 5, 0, p->theta);
    draw(p, false);
    return p;
}

static void place_close(struct place *p)
{
    engine_close(&p->engine);
    setup_close(&p->setup);
    config_release(&p->config);
    arena_release(&p->arena);
    free(p);
}

/* The support set on a tape of our own. */
static void tape_open(struct place *p)
{
    int n;

    assert_int_equal(episode_read(&p->engine.episode, &p->setup.data[0], &p->task), 0);
    p->batch = p->engine.episode.support;
    n = p->batch.n;
    tape_init(&p->tape, p->net, n, TAPE_SECOND, tape_scratch(p->net, n, &p->arena), &p->arena);
    net_trace_tangents(&p->tangents, p->net, n, &p->arena);
}

/* All passes, with what is planted so far; v is a direction of ones. */
static void passes(struct place *p)
{
    vec_zero(p->n, p->gw);
    vec_zero(p->n, p->hv);
    net_forward(p->net, p->theta, &p->batch, &p->tape);
    net_backward(p->net, p->theta, &p->batch, &p->tape, p->gw);
    for (size_t i = 0; i < p->n; i++)
        p->v[i] = 1;
    net_hvp(p->net, p->theta, p->v, &p->batch, &p->tape, &p->tangents, p->hv, NULL);
}

static void assert_clean(struct place *p)
{
    int n = p->batch.n;

    assert_int_equal(net_trace_forward(p->net, &p->tape, n), TRACE_CLEAN);
    assert_int_equal(net_trace_backward(p->net, &p->tape, n, p->gw), TRACE_CLEAN);
    assert_int_equal(net_trace_forward_tangent(p->net, &p->tangents, n), TRACE_CLEAN);
    assert_int_equal(net_trace_backward_tangent(p->net, &p->tangents, n, p->hv), TRACE_CLEAN);
}

static size_t size_of(const struct place *p, int i)
{
    return (size_t)p->batch.n * shape_size(p->net->layers[i].out);
}

/* One value, last in the buffer, and NaN or infinity by turns. */
static void plant(real *x, size_t n, int i)
{
    x[n - 1] = i % 2 ? (real)INFINITY : (real)NAN;
}

/* A walk finds what is planted on the tape, and of two the one that its pass meets first. */
static void test_walks(void **state)
{
    struct place *p = place_open(conv4);
    int n_layers = p->net->n_layers, first = p->net->first, n;

    (void)state;
    tape_open(p);
    n = p->batch.n;
    passes(p);
    assert_clean(p);
    assert_true(n_layers > 10);
    for (int i = n_layers - 1; i >= 0; i--) { /* every layer above stays planted */
        plant(p->tape.act[i + 1].v, size_of(p, i), i);
        assert_int_equal(net_trace_forward(p->net, &p->tape, n), i);
        if (i < first)
            continue;
        plant(p->tangents.act[i + 1].t, size_of(p, i), i);
        assert_int_equal(net_trace_forward_tangent(p->net, &p->tangents, n), i);
    }
    for (int i = first; i <= n_layers; i++) { /* every layer below does */
        if (i > first) {
            plant(p->tape.grad[i].v, size_of(p, i - 1), i);
            plant(p->tangents.grad[i].t, size_of(p, i - 1), i);
        }
        if (i < n_layers && p->net->layers[i].n_w) {
            plant(p->gw + p->net->layers[i].offset, p->net->layers[i].n_w, i);
            plant(p->hv + p->net->layers[i].offset, p->net->layers[i].n_w, i);
        }
        assert_int_equal(net_trace_backward(p->net, &p->tape, n, p->gw), i);
        assert_int_equal(net_trace_backward_tangent(p->net, &p->tangents, n, p->hv), i);
    }
    place_close(p);
}

/* Planted weights are first felt in their own layer, on the way up and in the tangents. */
static void test_weights(void **state)
{
    struct place *p = place_open(conv4);

    (void)state;
    tape_open(p);
    for (int i = 0; i < p->net->n_layers; i++) {
        size_t n_w = p->net->layers[i].n_w, at = p->net->layers[i].offset;
        real kept = p->theta[at];

        if (n_w == 0)
            continue;
        p->theta[at] = (real)NAN;
        net_forward(p->net, p->theta, &p->batch, &p->tape);
        assert_int_equal(net_trace_forward(p->net, &p->tape, p->batch.n), i);
        p->theta[at] = kept;
        passes(p);
        assert_clean(p);
        p->v[at] = (real)NAN;
        net_hvp(p->net, p->theta, p->v, &p->batch, &p->tape, &p->tangents, p->hv, NULL);
        assert_int_equal(net_trace_forward_tangent(p->net, &p->tangents, p->batch.n), i);
        passes(p);
        assert_clean(p);
    }
    place_close(p);
}

/* A spoiled "save" of batch normalisation is felt on the way down, in that layer, and nowhere on
 * the way up. */
static void test_saved(void **state)
{
    struct place *p = place_open(conv4);
    int seen = 0;

    (void)state;
    tape_open(p);
    for (int i = p->net->first; i < p->net->n_layers; i++) {
        if (strncmp(p->net->layers[i].ops->name, "batchnorm", 9) != 0)
            continue;
        passes(p);
        p->tape.save[i].v[0] = (real)NAN;
        vec_zero(p->n, p->gw);
        net_backward(p->net, p->theta, &p->batch, &p->tape, p->gw);
        assert_int_equal(net_trace_forward(p->net, &p->tape, p->batch.n), TRACE_CLEAN);
        assert_int_equal(net_trace_backward(p->net, &p->tape, p->batch.n, p->gw), i);
        seen++;
    }
    assert_int_equal(seen, 4);
    place_close(p);
}

/* A spoiled gradient on the tape is felt by the tangents' way down only, above the first layer
 * (whose input has no tangent that the gradient could meet). */
static void test_tangents_down(void **state)
{
    struct place *p = place_open(conv4);

    (void)state;
    tape_open(p);
    for (int i = p->net->first + 1; i < p->net->n_layers; i++) {
        if (p->net->layers[i].n_w == 0)
            continue;
        passes(p);
        for (size_t k = 0; k < size_of(p, i); k++)
            p->tape.grad[i + 1].v[k] = (real)NAN;
        vec_zero(p->n, p->hv);
        net_hvp(p->net, p->theta, p->v, &p->batch, &p->tape, &p->tangents, p->hv, NULL);
        assert_int_equal(net_trace_forward_tangent(p->net, &p->tangents, p->batch.n), TRACE_CLEAN);
        assert_int_equal(net_trace_backward_tangent(p->net, &p->tangents, p->batch.n, p->hv), i);
    }
    place_close(p);
}

static void test_names(void **state)
{
    static const char *const names[] = {"conv1", "bn1", "maxpool", "conv2", "bn2"};
    struct place *p = place_open(conv4);
    char name[48];

    (void)state;
    for (int i = 0; i < 5; i++) {
        net_layer_name(p->net, i, name, sizeof name);
        assert_string_equal(name, names[i]);
    }
    net_layer_name(p->net, p->net->n_layers - 1, name, sizeof name);
    assert_string_equal(name, "head");
    place_close(p);
}

/* ---- whole tasks ---- */

static void computed(struct place *p, bool fails)
{
    assert_int_equal(engine_run(&p->engine, &p->task, p->theta, NULL), 0);
    assert_int_equal(p->engine.failed, fails);
    assert_true(round_sum_read(&p->engine.total, METRIC_FAILED) == fails);
    assert_true(round_sum_read(&p->engine.total, METRIC_DONE) == !fails);
}

static struct trace traced(struct place *p, bool evaluate, bool fails)
{
    struct trace f;

    engine_begin(&p->engine, p->stage, evaluate, NULL);
    computed(p, fails);
    assert_int_equal(engine_trace(&p->engine, &p->task, p->theta, &f), 0);
    return f;
}

static void assert_says(const struct place *p, const struct trace *f, const char *piece)
{
    char text[1024];

    trace_describe(f, &p->setup.data[0], text, sizeof text);
    if (!strstr(text, piece))
        fail_msg("'%s' does not hold '%s'", text, piece);
}

static void test_finite(void **state)
{
    struct place *p = place_open(conv4);
    struct trace f = traced(p, false, false);

    (void)state;
    assert_int_equal(f.kind, TRACE_NONE);
    draw(p, true);
    f = traced(p, true, false);
    assert_int_equal(f.kind, TRACE_NONE);
    place_close(p);
}

static void test_parameters(void **state)
{
    struct place *p = place_open(conv4);
    struct trace f;

    (void)state;
    p->theta[layout_find(&p->net->layout, "bn3.bias")->offset] = (real)INFINITY;
    f = traced(p, false, true);
    assert_int_equal(f.kind, TRACE_PARAMETERS);
    assert_string_equal(f.segment, "bn3.bias");
    assert_says(p, &f, "'bn3.bias'");
    place_close(p);
}

static void scale(struct place *p, const char *name, double by)
{
    const struct segment *s = layout_find(&p->net->layout, name);

    assert_non_null(s);
    for (size_t i = 0; i < s->n; i++)
        p->theta[s->offset + i] *= (real)by;
}

/* Finite parameters, too large for one layer's output. */
static void test_forward_overflow(void **state)
{
    static const char *const layers[] = {"bn1", "bn2", "bn3", "bn4"};

    (void)state;
    for (int i = 0; i < 4; i++) {
        struct place *p = place_open(conv4);
        char segment[32];
        struct trace f;

        snprintf(segment, sizeof segment, "%s.weight", layers[i]);
        scale(p, segment, sizeof(real) == 4 ? 3.3e38 : 1.7e308);
        f = traced(p, false, true);
        assert_int_equal(f.kind, TRACE_COMPUTATION);
        assert_string_equal(f.name, layers[i]);
        assert_string_equal(f.type, "batchnorm_relu");
        assert_string_equal(f.pass, "forward");
        assert_string_equal(f.set, "support");
        assert_int_equal(f.step, 0);
        place_close(p);
    }
}

/* The inner step at which a diverging inner loop overflows, by the engine's own steps and tapes: k
 * where the loss at theta_k, an activation on its way, or theta_{k+1} is no longer finite; K where
 * all are. (An infinity that relu turns into 0 leaves the loss finite.) */
static int first_bad_step(struct place *p)
{
    const struct episode *ep = &p->engine.episode;
    struct unroll *u = p->engine.method.inner;

    assert_int_equal(u->n_tapes, u->spec.steps);
    unroll_begin(u, p->theta, ep);
    for (int k = 0; k < u->spec.steps; k++) {
        bool good =
            isfinite(unroll_step(u, k, ep, NULL)) && vec_finite(p->n, unroll_theta(u, k + 1));

        for (int i = 1; i <= p->net->n_layers; i++)
            good = good &&
                   vec_finite(5 * shape_size(p->net->layers[i - 1].out), u->support[k].act[i].v);
        if (!good)
            return k;
    }
    return u->spec.steps;
}

static bool is_inner(const struct trace *f)
{
    static const char *const passes_of[] = {"forward", "loss", "backward", "step"};
    bool inner = false;

    for (int i = 0; i < 4; i++)
        inner |= strcmp(f->pass, passes_of[i]) == 0;
    return inner && strcmp(f->set, "support") == 0;
}

/* Larger and larger inner rates: the overflow comes earlier and earlier, and each is named
 * rightly. */
static void test_diverging(void **state)
{
    static const char *const texts[] = {SINE("relu", "0.15"), SINE("relu", "0.3"),
                                        SINE("relu", "0.6"), SINE("relu", "3"),
                                        SINE("relu", "100")};
    int seen = 0, last = 99;

    (void)state;
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        struct place *p = place_open(texts[i]);
        struct trace f;
        int k;

        scale(p, "head.weight", 10);
        f = traced(p, false, true);
        assert_int_equal(episode_read(&p->engine.episode, &p->setup.data[0], &p->task), 0);
        k = first_bad_step(p);
        if (f.kind == TRACE_COMPUTATION && is_inner(&f)) {
            assert_int_equal(f.step, k);
            assert_true(f.layer >= 0 || f.segment[0] || strcmp(f.pass, "loss") == 0);
            assert_true(k <= last);
            seen += k < last;
            last = k;
        } else {
            assert_int_equal(k, 8);
        }
        place_close(p);
    }
    assert_true(seen >= 3);
    assert_true(last > 0);
}

/* A finite gradient that the inner rate takes beyond the largest float: named by the step, and the
 * segment. */
static void test_step_overflow(void **state)
{
    struct place *p = place_open(SINE("tanh", "100"));
    const struct segment *s;
    const real *next;
    struct trace f;

    (void)state;
    p->theta[layout_find(&p->net->layout, "head.bias")->offset] = (real)1e37;
    f = traced(p, false, true);
    assert_int_equal(f.kind, TRACE_COMPUTATION);
    assert_string_equal(f.pass, "step");
    assert_int_equal(f.step, 0);
    assert_int_equal(f.layer, -1);
    s = layout_find(&p->net->layout, f.segment);
    assert_non_null(s);
    next = unroll_theta(p->engine.method.inner, 1);
    assert_true(vec_finite(s->offset, next));
    assert_false(vec_finite(s->n, next + s->offset));
    assert_says(p, &f, s->name);
    place_close(p);
}

/* A loss that the grid cannot hold; in an evaluation its square already cannot. */
static void test_loss_beyond(void **state)
{
    struct place *p = place_open(sine);
    struct trace f;

    (void)state;
    p->theta[layout_find(&p->net->layout, "head.bias")->offset] = 1e5;
    f = traced(p, false, true);
    assert_int_equal(f.kind, TRACE_SUM);
    assert_string_equal(f.quantity, "the support loss before adaptation");
    assert_true(f.value > 0.9e10 && f.value < 1.1e10);
    p->theta[layout_find(&p->net->layout, "head.bias")->offset] = 200;
    f = traced(p, false, false);
    assert_int_equal(f.kind, TRACE_NONE);
    draw(p, true);
    f = traced(p, true, true);
    assert_int_equal(f.kind, TRACE_SUM);
    assert_string_equal(f.quantity, "the square of the query loss");
    assert_int_equal(f.step, 0);
    assert_true(f.value > EXACT_LIMIT);
    assert_says(p, &f, "after 0 inner steps");
    place_close(p);
}

/* What the inner loop is told to lose on its way is no reason to set a task aside: it ends where
 * the grid does. */
static void test_loss_beyond_on_the_way(void **state)
{
    struct place *p = place_open(sine);
    const double *v = p->engine.metrics.v;
    struct unroll *u;

    (void)state;
    engine_begin(&p->engine, p->stage, PURPOSE_TRAIN, NULL);
    u = p->engine.method.inner;
    vec_zero(p->n, u->rate);
    u->rate[layout_find(&p->net->layout, "head.bias")->offset] =
        5000; /* of -10^4 times the error */
    computed(p, true);
    assert_true(v[metric_curve(0, CURVE_LOSS)] == v[METRIC_SUPPORT_LOSS] &&
                v[METRIC_SUPPORT_LOSS] > 0);
    assert_true(v[metric_curve(1, CURVE_LOSS)] == CURVE_LOSS_MAX);
    assert_true(exact_fits_one(CURVE_LOSS_MAX) && v[METRIC_LOSS] > CURVE_LOSS_MAX);
    place_close(p);
}

/* Losses that fit, a gradient that does not: of the weights below a head of 1e5. */
static void test_gradient_beyond(void **state)
{
    struct place *p = place_open(SINE("tanh", "0")); /* stays at theta */
    const struct segment *s = layout_find(&p->net->layout, "fc1.weight");
    struct trace f;
    double most = 0;

    (void)state;
    scale(p, "head.weight", 1e6);
    scale(p, "fc2.weight", 1e-4);
    f = traced(p, false, true);
    assert_int_equal(f.kind, TRACE_SUM);
    assert_null(f.quantity);
    for (size_t i = 0; i < s->n; i++)
        most = fmax(most, fabs((double)p->engine.gradient[s->offset + i]));
    if (most >= EXACT_LIMIT)
        assert_string_equal(f.segment, "fc1.weight");
    else
        assert_string_equal(f.segment, "fc2.weight");
    assert_true(fabs(f.value) >= EXACT_LIMIT);
    place_close(p);
}

/* The samples come from the data, so this one is spoiled there. */
static int (*read_well)(const struct data *d, uint32_t class_id, uint32_t sample, real *x,
                        real *target);
static uint32_t bad_class, bad_sample;

static int read_badly(const struct data *d, uint32_t class_id, uint32_t sample, real *x,
                      real *target)
{
    int code = read_well(d, class_id, sample, x, target);

    if (class_id == bad_class && sample == bad_sample)
        x[20] = (real)NAN;
    return code;
}

static void test_sample(void **state)
{
    struct place *p = place_open(conv4);
    struct data_ops ops = *p->setup.data[0].ops;
    struct trace f;

    (void)state;
    read_well = ops.read;
    ops.read = read_badly;
    p->setup.data[0].ops = &ops;
    bad_class = p->task.classes[1], bad_sample = p->task.queries[3];
    f = traced(p, false, true);
    assert_int_equal(f.kind, TRACE_SAMPLE);
    assert_false(f.sample.support);
    assert_int_equal(f.sample.position, 3);
    assert_int_equal(f.sample.class_id, bad_class);
    assert_int_equal(f.sample.id, bad_sample);
    assert_string_equal(f.set, "query");
    assert_string_equal(f.name, "conv1");
    assert_int_equal(f.step, 3);
    draw(p, true);
    bad_class = p->task.classes[2], bad_sample = p->task.support[2];
    f = traced(p, true, true);
    assert_true(f.sample.support);
    assert_int_equal(f.sample.position, 2);
    assert_string_equal(f.set, "support");
    assert_int_equal(f.step, 0);
    assert_says(p, &f, "support sample 2");
    assert_says(p, &f, "conv1");
    place_close(p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_walks),           cmocka_unit_test(test_weights),
        cmocka_unit_test(test_saved),           cmocka_unit_test(test_tangents_down),
        cmocka_unit_test(test_names),           cmocka_unit_test(test_finite),
        cmocka_unit_test(test_parameters),      cmocka_unit_test(test_forward_overflow),
        cmocka_unit_test(test_diverging),       cmocka_unit_test(test_loss_beyond),
        cmocka_unit_test(test_gradient_beyond), cmocka_unit_test(test_loss_beyond_on_the_way),
        cmocka_unit_test(test_sample),          cmocka_unit_test(test_step_overflow),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
