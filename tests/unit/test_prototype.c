/* test_prototype.c - distances to the means of classes: their values, their gradient and its
 * derivative. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "core/math/loss/prototype.h"
#include "tests/lib/conform.h"

enum { N_SUPPORT = 6, N_QUERY = 4, D = 5, WAY = 3, N = (N_SUPPORT + N_QUERY) * D };

/* Classes of 3, 1 and 2 samples, in no order. */
static const int support_labels[N_SUPPORT] = {2, 0, 1, 0, 2, 0},
                 query_labels[N_QUERY] = {1, 0, 2, 1};
static const struct batch support = {.n = N_SUPPORT, .label = support_labels};
static const struct batch query = {.n = N_QUERY, .label = query_labels};

struct scene {
    struct arena arena;
    struct prototypes p;
    real x[N], g[N]; /* features of support and queries; the gradient with respect to them */
};

static struct scene *scene_open(uint64_t seed)
{
    struct scene *s = calloc(1, sizeof *s);

    assert_non_null(s);
    assert_int_equal(arena_init(&s->arena, 1 << 14), 0);
    prototypes_init(&s->p, D, N_SUPPORT, N_QUERY, &s->arena);
    fill_uniform(N, s->x, -1, 1, &seed);
    return s;
}

static void scene_close(struct scene *s)
{
    arena_release(&s->arena);
    free(s);
}

/* Cross entropy of the queries, and its gradient into s->g, whatever lay there. */
static double loss(struct scene *s)
{
    struct loss cross_entropy = loss_plain("cross_entropy");
    const real *f_query = s->x + N_SUPPORT * D;

    memset(s->p.g_support, 0xff, N_SUPPORT * D * sizeof(real));
    memset(s->p.g_query, 0xff, N_QUERY * D * sizeof(real));
    prototypes_means(&s->p, &support, s->x);
    prototypes_distances(&s->p, s->p.mean, s->p.way, N_QUERY, f_query);
    assert_int_equal(s->p.way, WAY);
    loss_grad(&cross_entropy, &query, WAY, s->p.y, s->p.gy);
    prototypes_backward(&s->p, &support, N_QUERY, f_query);
    memcpy(s->g, s->p.g_support, N_SUPPORT * D * sizeof(real));
    memcpy(s->g + N_SUPPORT * D, s->p.g_query, N_QUERY * D * sizeof(real));
    return loss_value(&cross_entropy, &query, WAY, s->p.y);
}

/* Loss and gradient (N) at x + h v. */
static double loss_at(struct scene *s, const real *v, double h, real *g)
{
    real x[N];
    double value;

    memcpy(x, s->x, sizeof x);
    for (int i = 0; i < N; i++)
        s->x[i] = (real)(x[i] + h * v[i]);
    value = loss(s);
    memcpy(g, s->g, sizeof s->g);
    memcpy(s->x, x, sizeof x);
    return value;
}

/* Means (1, 2) of (0, 1), (2, 3), and (5, 0); queries (1, 0) and (4, 2). */
static void test_values(void **state)
{
    static const int labels[3] = {0, 1, 0};
    const struct batch three = {.n = 3, .label = labels};
    const real f[6] = {0, 1, 5, 0, 2, 3}, q[4] = {1, 0, 4, 2}, means[4] = {1, 2, 5, 0};
    const real y[4] = {-4, -16, -9, -5};
    struct arena arena;
    struct prototypes p;

    (void)state;
    assert_int_equal(arena_init(&arena, 4096), 0);
    prototypes_init(&p, 2, 3, 2, &arena);
    prototypes_means(&p, &three, f);
    prototypes_distances(&p, p.mean, p.way, 2, q);
    assert_int_equal(p.way, 2);
    assert_memory_equal(p.mean, means, sizeof means);
    assert_memory_equal(p.y, y, sizeof y);
    arena_release(&arena);
}

/* d y / d f(q) = 2 (mean - f(q)), to the constant; a mean's samples have equal shares. */
static void test_one_distance(void **state)
{
    struct scene *s = scene_open(1);
    const real *f_query = s->x + N_SUPPORT * D;

    (void)state;
    prototypes_means(&s->p, &support, s->x);
    prototypes_distances(&s->p, s->p.mean, s->p.way, N_QUERY, f_query);
    memset(s->p.gy, 0, N_QUERY * WAY * sizeof(real));
    s->p.gy[2 * WAY + 0] = 1; /* query 2, class 0 of 3 samples */
    prototypes_backward(&s->p, &support, N_QUERY, f_query);
    for (int i = 0; i < N_QUERY; i++)
        for (int j = 0; j < D; j++) {
            double g = i == 2 ? 2 * ((double)s->p.mean[j] - f_query[2 * D + j]) : 0;

            assert_true(fabs(s->p.g_query[i * D + j] - g) <= 4 * REAL_EPS);
        }
    for (int i = 0; i < N_SUPPORT; i++)
        for (int j = 0; j < D; j++) {
            double g = support_labels[i] ? 0 : 2 * (f_query[2 * D + j] - (double)s->p.mean[j]) / 3;

            assert_true(fabs(s->p.g_support[i * D + j] - g) <= 4 * REAL_EPS);
        }
    scene_close(s);
}

/* Distances stay if all features move together, so gradients sum to 0 in each of them. */
static void test_gradient_sums_to_zero(void **state)
{
    struct scene *s = scene_open(2);

    (void)state;
    loss(s);
    assert_true(norm(N, s->g) > 0.1);
    for (int j = 0; j < D; j++) {
        double sum = 0;

        for (int i = 0; i < N_SUPPORT + N_QUERY; i++)
            sum += s->g[i * D + j];
        assert_true(fabs(sum) < N * REAL_EPS * largest(N, s->g));
    }
    scene_close(s);
}

static void skip_in_float(void)
{
    if (sizeof(real) == 8)
        return;
    print_message("differences need REAL64: not run in " REAL_NAME "\n");
    skip();
}

/* Along directions that move support and queries. A difference of values errs by h^2 = 1e-10 and by
 * REAL_EPS / h = 2e-11 of the loss. */
static void test_gradient(void **state)
{
    struct scene *s;
    real v[N], at[N], unused[N];
    uint64_t seed = 4;
    double h = 1e-5;

    (void)state;
    skip_in_float();
    s = scene_open(3);
    loss_at(s, s->x, 0, at);
    for (int k = 0; k < 8; k++) {
        double slope;

        fill_uniform(N, v, -1, 1, &seed);
        slope = (loss_at(s, v, h, unused) - loss_at(s, v, -h, unused)) / (2 * h);
        assert_true(fabs(dot(N, at, v) - slope) < 1e-8 * norm(N, at) * norm(N, v));
    }
    scene_close(s);
}

/* The gradient's derivative, by differences, is the value's second one and symmetric. A second
 * difference of values errs by 4 REAL_EPS / h^2 = 1e-7 at h = 1e-4. */
static void test_curvature(void **state)
{
    struct scene *s;
    real u[N], v[N], plus[N], minus[N], hu[N], hv[N];
    uint64_t seed = 6;
    double h = 1e-4, second, scale;

    (void)state;
    skip_in_float();
    s = scene_open(5);
    fill_uniform(N, u, -1, 1, &seed);
    fill_uniform(N, v, -1, 1, &seed);
    second = loss_at(s, v, h, plus) + loss_at(s, v, -h, minus) - 2 * loss_at(s, v, 0, hu);
    for (int i = 0; i < N; i++)
        hv[i] = (real)((plus[i] - minus[i]) / (2 * h));
    loss_at(s, u, h, plus), loss_at(s, u, -h, minus);
    for (int i = 0; i < N; i++)
        hu[i] = (real)((plus[i] - minus[i]) / (2 * h));
    scale = norm(N, hv) * norm(N, v);
    assert_true(scale > 0.1);
    assert_true(fabs(dot(N, v, hv) - second / (h * h)) < 1e-5 * scale);
    assert_true(fabs(dot(N, u, hv) - dot(N, v, hu)) < 1e-6 * scale);
    scene_close(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_values),    cmocka_unit_test(test_one_distance),
        cmocka_unit_test(test_gradient),  cmocka_unit_test(test_gradient_sums_to_zero),
        cmocka_unit_test(test_curvature),
    };

    return cmocka_run_group_tests_name("prototype", tests, NULL, NULL);
}
