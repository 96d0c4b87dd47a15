/* cg.c - one product a step. */
#include "core/math/cg.h"

#include <math.h>

#include "core/math/vec.h"

void cg_init(struct cg *s, size_t n, struct arena *arena)
{
    s->x = arena_reals(arena, n);
    s->r = arena_reals(arena, n);
    s->p = arena_reals(arena, n);
    s->q = arena_reals(arena, n);
}

static double dot(size_t n, const real *a, const real *b)
{
    double sum = 0;

    for (size_t i = 0; i < n; i++)
        sum += (double)a[i] * b[i];
    return sum;
}

/* y += by x */
static void add_scaled(size_t n, double by, const real *x, real *y)
{
    for (size_t i = 0; i < n; i++)
        y[i] = (real)(y[i] + by * x[i]);
}

/* The least r . r that a step can divide by: below it elements or their squares lose digits, and in
 * the end p . q rounds to 0. */
static double least(void)
{
    double element = REAL_MIN / REAL_EPS;

    return fmax(element * element, DBL_MIN / DBL_EPSILON);
}

void cg_solve(struct cg *s, size_t n, int64_t steps,
              void (*apply)(void *context, const real *p, real *q), void *context)
{
    double rr = dot(n, s->r, s->r);

    vec_zero(n, s->x);
    vec_copy(n, s->r, s->p);
    for (int64_t i = 0; i < steps && rr > least(); i++) {
        double step, next;

        apply(context, s->p, s->q);
        step = rr / dot(n, s->p, s->q);
        add_scaled(n, step, s->p, s->x);
        add_scaled(n, -step, s->q, s->r);
        next = dot(n, s->r, s->r);
        for (size_t j = 0; j < n; j++)
            s->p[j] = (real)(s->r[j] + next / rr * s->p[j]);
        rr = next;
    }
}
