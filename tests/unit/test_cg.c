/* test_cg.c - conjugate gradients beside elimination: the solution, how few steps suffice, where
 * they stop. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "core/math/cg.h"
#include "tests/lib/conform.h"

enum { MOST = 12 };

struct matrix { /* symmetric; what is solved for has `damping` on its diagonal */
    size_t n;
    double a[MOST][MOST], damping;
    int products;
};

static void multiply(void *context, const real *p, real *q)
{
    struct matrix *m = context;

    m->products++;
    for (size_t i = 0; i < m->n; i++) {
        double sum = m->damping * p[i];

        for (size_t j = 0; j < m->n; j++)
            sum += m->a[i][j] * p[j];
        q[i] = (real)sum;
    }
}

/* low + a square: every eigenvalue is `low` or more. */
static void fill_definite(struct matrix *m, size_t n, double low, uint64_t *seed)
{
    double half[MOST][MOST];

    *m = (struct matrix){.n = n};
    for (size_t i = 0; i < n; i++)
        for (size_t j = 0; j < n; j++)
            half[i][j] = draw_uniform(seed, -1, 1);
    for (size_t i = 0; i < n; i++)
        for (size_t j = 0; j < n; j++) {
            m->a[i][j] = i == j ? low : 0;
            for (size_t k = 0; k < n; k++)
                m->a[i][j] += half[i][k] * half[j][k];
        }
}

/* Gauss and Jordan; the pivots of a definite matrix are positive. */
static void eliminate(const struct matrix *m, const real *b, double *x)
{
    double a[MOST][MOST + 1];

    for (size_t i = 0; i < m->n; i++) {
        for (size_t j = 0; j < m->n; j++)
            a[i][j] = m->a[i][j] + (i == j ? m->damping : 0);
        a[i][m->n] = b[i];
    }
    for (size_t k = 0; k < m->n; k++) {
        assert_true(a[k][k] > 0);
        for (size_t i = 0; i < m->n; i++)
            for (size_t j = m->n + 1; i != k && j-- > k;)
                a[i][j] -= a[k][j] * a[i][k] / a[k][k];
    }
    for (size_t i = 0; i < m->n; i++)
        x[i] = a[i][m->n] / a[i][i];
}

/* The largest difference of `steps` steps from elimination, relative to the largest element. */
static double solve(struct matrix *m, const real *b, int64_t steps, real *x)
{
    struct arena arena;
    struct cg s;
    double exact[MOST], most = 0, apart = 0;

    assert_int_equal(arena_init(&arena, 4096), 0);
    cg_init(&s, m->n, &arena);
    for (size_t i = 0; i < m->n; i++)
        s.r[i] = b[i], s.x[i] = s.p[i] = s.q[i] = (real)NAN;
    m->products = 0;
    cg_solve(&s, m->n, steps, multiply, m);
    eliminate(m, b, exact);
    for (size_t i = 0; i < m->n; i++) {
        x[i] = s.x[i];
        most = fmax(most, fabs(exact[i]));
        apart = isfinite(x[i]) ? fmax(apart, fabs(x[i] - exact[i])) : INFINITY;
    }
    arena_release(&arena);
    return most > 0 ? apart / most : apart;
}

/* Eigenvalues lie between 1 and 1 + n^2, so a residual that was rounded n times at REAL_EPS moves
 * the solution by n^3 REAL_EPS at most. Twice n steps, because rounding costs some. */
static void test_solution(void **state)
{
    uint64_t seed = 5;
    struct matrix m;
    real b[MOST], x[MOST];

    (void)state;
    for (size_t n = 1; n <= MOST; n++) {
        fill_definite(&m, n, 1, &seed);
        fill_uniform(n, b, -1, 1, &seed);
        assert_true(solve(&m, b, 2 * (int64_t)n, x) < (double)(n * n * n) * REAL_EPS);
    }
}

/* As many steps as there are distinct eigenvalues, and not one less: directions are conjugate. */
static void test_steps(void **state)
{
    static const double eigenvalues[3] = {1, 2, 5};
    struct matrix m = {.n = 9};
    uint64_t seed = 6;
    real b[MOST], x[MOST];

    (void)state;
    fill_uniform(m.n, b, 1, 2, &seed);
    for (size_t i = 0; i < m.n; i++)
        m.a[i][i] = eigenvalues[i % 3];
    assert_true(solve(&m, b, 3, x) < 32 * REAL_EPS);
    assert_int_equal(m.products, 3);
    assert_true(solve(&m, b, 2, x) > 0.01);
    assert_int_equal(m.products, 2);
    assert_true(solve(&m, b, 0, x) == 1); /* x = 0 */
}

/* Damping is what makes an indefinite matrix definite; a large one leaves little of the matrix. */
static void test_damping(void **state)
{
    uint64_t seed = 7;
    struct matrix m;
    real b[MOST], x[MOST], other[MOST];

    (void)state;
    fill_definite(&m, 6, -0.5, &seed);
    fill_uniform(m.n, b, -1, 1, &seed);
    m.damping = 1;
    assert_true(solve(&m, b, 12, x) < 216 * REAL_EPS);
    m.damping = 2;
    assert_true(solve(&m, b, 12, other) < 216 * REAL_EPS);
    assert_true(fabs((double)x[0] - other[0]) > 0.01);
    m.damping = 1e6;
    solve(&m, b, 12, x);
    for (size_t i = 0; i < m.n; i++)
        assert_true(fabs(x[i] * 1e6 - b[i]) < 1e-4);
}

static void test_nothing_to_solve(void **state)
{
    real b[MOST] = {0}, x[MOST];
    uint64_t seed = 8;
    struct matrix m;

    (void)state;
    fill_definite(&m, 5, 1, &seed);
    assert_true(solve(&m, b, 10, x) == 0);
    assert_int_equal(m.products, 0);
    m = (struct matrix){.n = 5, .damping = 2}; /* one step leaves no residual */
    fill_uniform(m.n, b, -1, 1, &seed);
    assert_true(solve(&m, b, 10, x) == 0);
    assert_int_equal(m.products, 1);
}

/* However many steps are asked for: residuals that have become as small as a real can be, and whose
 * image is 0, are not divided by. */
static void test_many_steps(void **state)
{
    uint64_t seed = 9;
    real b[MOST], x[MOST];

    (void)state;
    for (int i = 0; i < 200; i++) {
        struct matrix m;

        fill_definite(&m, 1 + (size_t)i % MOST, 0.3, &seed);
        for (size_t k = 0; i % 2 && k < m.n; k++)
            for (size_t j = 0; j < m.n; j++)
                m.a[k][j] *= 0.05;
        fill_uniform(m.n, b, -1, 1, &seed);
        assert_true(solve(&m, b, 10000, x) < 1e5 * REAL_EPS);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_solution),         cmocka_unit_test(test_steps),
        cmocka_unit_test(test_damping),          cmocka_unit_test(test_many_steps),
        cmocka_unit_test(test_nothing_to_solve),
    };

    return cmocka_run_group_tests_name("cg", tests, NULL, NULL);
}
