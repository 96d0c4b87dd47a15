/* test_inductive.c - statistics of one batch that normalise another: every layer that has any. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "core/base/arena.h"
#include "core/math/net.h"
#include "core/math/rng.h"

enum { N = 6, OUT = 3, SIDE = 5 };

struct scene {
    struct net net;
    struct arena arena;
    struct tape tape;
    real *theta, *statistics, *support, *query;
};

static void fill(struct rng *r, size_t n, real *x, double shift)
{
    for (size_t i = 0; i < n; i++)
        x[i] = (real)rng_uniform(r, shift - 0.5, shift + 0.5);
}

static void lay_out(struct scene *s, struct arena *arena)
{
    size_t inputs = N * shape_size(s->net.in);

    tape_init(&s->tape, &s->net, N, TAPE_GRADIENT, tape_scratch(&s->net, N, arena), arena);
    s->tape.evaluate = true;
    s->theta = arena_reals(arena, s->net.layout.n);
    s->statistics = arena_reals(arena, net_statistics(&s->net));
    s->support = arena_reals(arena, inputs);
    s->query = arena_reals(arena, inputs);
}

static void open_scene(struct scene *s, const struct layer_spec *layer)
{
    struct layer_spec specs[] = {
        {.type = "conv", .filters = 4, .kernel = 3, .stride = 1, .pad = 1},
        *layer,
        {.type = "relu"},
        {.type = "flatten"},
        {.type = "dense", .head = true},
    };
    struct loss loss = loss_plain("cross_entropy");
    struct arena measure = arena_measuring();
    struct rng r;

    memset(s, 0, sizeof *s);
    assert_int_equal(net_plan(&s->net, specs, 5, (struct shape){SIDE, SIDE, 2}, OUT, &loss), 0);
    lay_out(s, &measure);
    assert_int_equal(arena_init(&s->arena, measure.peak), 0);
    lay_out(s, &s->arena);
    rng_init(&r, 1, 0, 0, 0);
    fill(&r, s->net.layout.n, s->theta, 0.1);
    fill(&r, N * shape_size(s->net.in), s->support, 0);
    fill(&r, N * shape_size(s->net.in), s->query, 2);
}

static void outputs(struct scene *s, real *x, int n, bool given, real *y)
{
    struct batch b = {.n = n, .x = x};
    const real *found =
        net_forward_by(&s->net, s->theta, &b, &s->tape, given ? s->statistics : NULL);

    memcpy(y, found, (size_t)(n * OUT) * sizeof *y);
}

static double apart(const real *a, const real *b, int n)
{
    double most = 0;

    for (int i = 0; i < n; i++)
        most = fmax(most, fabs((double)a[i] - (double)b[i]));
    return most;
}

/* Of the same batch they change no bit. Of another each query has the outputs that it has alone,
 * which are not those that it has among the others by theirs. */
static void check_layer(const struct layer_spec *layer)
{
    real own[N * OUT], given[N * OUT], together[N * OUT], alone[OUT];
    struct batch support;
    struct scene s;

    open_scene(&s, layer);
    assert_true(net_statistics(&s.net) > 0);
    support = (struct batch){.n = N, .x = s.support};
    net_observe(&s.net, s.theta, &support, &s.tape, s.statistics);
    outputs(&s, s.support, N, false, own);
    outputs(&s, s.support, N, true, given);
    assert_memory_equal(own, given, sizeof own);
    outputs(&s, s.query, N, true, given);
    outputs(&s, s.query, N, false, together);
    assert_true(apart(given, together, N * OUT) > 0.01);
    for (int i = 0; i < N; i++) {
        outputs(&s, s.query + (size_t)i * shape_size(s.net.in), 1, true, alone);
        assert_true(apart(alone, given + i * OUT, OUT) < 64 * REAL_EPS * 10);
    }
    arena_release(&s.arena);
    net_release(&s.net);
}

static void batchnorm(void **state)
{
    (void)state;
    check_layer(&(struct layer_spec){.type = "batchnorm"});
}

static void residual(void **state)
{
    (void)state;
    check_layer(&(struct layer_spec){.type = "residual", .filters = 3});
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(batchnorm),
        cmocka_unit_test(residual),
    };

    return cmocka_run_group_tests_name("inductive", tests, NULL, NULL);
}
