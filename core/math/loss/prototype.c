/* prototype.c - means, distances, and both backwards; sums of a distance are in double. */
#include "core/math/loss/prototype.h"

#include "core/math/vec.h"

void prototypes_init(struct prototypes *p, size_t d, int n_support, int n_query,
                     struct arena *arena)
{
    size_t way = (size_t)n_support, ns = (size_t)n_support, nq = (size_t)n_query;

    *p = (struct prototypes){.d = d};
    p->mean = arena_reals(arena, way * d);
    p->g_mean = arena_reals(arena, way * d);
    p->y = arena_reals(arena, nq * way);
    p->gy = arena_reals(arena, nq * way);
    p->g_support = arena_reals(arena, ns * d);
    p->g_query = arena_reals(arena, nq * d);
    p->count = arena_take(arena, way * sizeof *p->count);
}

static void count_classes(struct prototypes *p, const struct batch *support)
{
    p->way = 0;
    for (int i = 0; i < support->n; i++)
        p->way = support->label[i] >= p->way ? support->label[i] + 1 : p->way;
    for (int c = 0; c < p->way; c++)
        p->count[c] = 0;
    for (int i = 0; i < support->n; i++)
        p->count[support->label[i]]++;
}

void prototypes_means(struct prototypes *p, const struct batch *support, const real *f)
{
    count_classes(p, support);
    vec_zero((size_t)p->way * p->d, p->mean);
    for (int i = 0; i < support->n; i++) {
        real *mean = p->mean + (size_t)support->label[i] * p->d;

        for (size_t j = 0; j < p->d; j++)
            mean[j] = (real)(mean[j] + f[(size_t)i * p->d + j] / p->count[support->label[i]]);
    }
}

static double distance(size_t d, const real *a, const real *b)
{
    double sum = 0;

    for (size_t j = 0; j < d; j++) {
        double x = (double)a[j] - b[j];

        sum += x * x;
    }
    return sum;
}

void prototypes_distances(struct prototypes *p, const real *mean, int way, int n, const real *f)
{
    for (int i = 0; i < n; i++)
        for (int c = 0; c < way; c++)
            p->y[i * way + c] =
                (real)-distance(p->d, f + (size_t)i * p->d, mean + (size_t)c * p->d);
}

/* d y / d f(q) = - 2 (f(q) - mean), d y / d mean the opposite. */
static void pair_backward(const struct prototypes *p, double gy, const real *f, const real *mean,
                          real *gf, real *g_mean)
{
    for (size_t j = 0; j < p->d; j++) {
        double g = 2 * gy * ((double)f[j] - mean[j]);

        gf[j] = (real)(gf[j] - g);
        g_mean[j] = (real)(g_mean[j] + g);
    }
}

void prototypes_backward(struct prototypes *p, const struct batch *support, int n,
                         const real *f_query)
{
    size_t d = p->d;

    vec_zero((size_t)n * d, p->g_query);
    vec_zero((size_t)p->way * d, p->g_mean);
    for (int i = 0; i < n; i++)
        for (int c = 0; c < p->way; c++)
            pair_backward(p, p->gy[i * p->way + c], f_query + (size_t)i * d,
                          p->mean + (size_t)c * d, p->g_query + (size_t)i * d,
                          p->g_mean + (size_t)c * d);
    for (int i = 0; i < support->n; i++)
        for (size_t j = 0; j < d; j++)
            p->g_support[(size_t)i * d + j] =
                (real)(p->g_mean[(size_t)support->label[i] * d + j] / p->count[support->label[i]]);
}
