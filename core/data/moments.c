/* moments.c - one pass over a set, its samples in order, each column by itself. */
#include "core/data/moments.h"

#include <math.h>
#include <stdlib.h>

#include "core/base/err.h"

/* Columns while they are counted: deviation holds the sum of squares. */
struct counted {
    struct moments *m;
    uint64_t *count; /* owned, (m->n) */
};

static int counted_begin(struct counted *p, struct moments *m, size_t n)
{
    *p = (struct counted){.m = m};
    if (!m)
        return 0;
    *m = (struct moments){.n = n,
                          .mean = calloc(n + 1, sizeof *m->mean),
                          .deviation = calloc(n + 1, sizeof *m->deviation)};
    p->count = calloc(n + 1, sizeof *p->count);
    if (m->mean && m->deviation && p->count)
        return 0;
    return err(ERR_MEMORY, "no memory for the means of %zu columns", n);
}

/* The next `rows` rows. */
static void counted_add(struct counted *p, const real *x, size_t rows)
{
    size_t n = p->m ? p->m->n : 0;

    for (size_t i = 0; i < rows * n; i++) {
        size_t k = i % n;
        double d = x[i] - p->m->mean[k];

        if (!isfinite(x[i]))
            continue;
        p->m->mean[k] += d / (double)++p->count[k];
        p->m->deviation[k] += d * (x[i] - p->m->mean[k]);
    }
}

static void counted_end(struct counted *p)
{
    struct moments *m = p->m;

    for (size_t k = 0; m && p->count && k < m->n; k++) {
        double variance = p->count[k] ? m->deviation[k] / (double)p->count[k] : 0;

        m->deviation[k] = variance > 0 ? sqrt(variance) : 1;
        if (variance > 0)
            continue;
        m->constant = m->n_constant++ ? m->constant : (uint32_t)k;
    }
    free(p->count);
}

static int read_sample(const struct data *d, uint32_t i, real *x, real *target)
{
    TRY(data_read_flat(d, i, x));
    return target ? data_target_flat(d, i, target) : 0;
}

static int read_all(const struct data *d, struct counted *inputs, struct counted *targets)
{
    size_t size = shape_size(d->shape), n_target = targets->m ? targets->m->n : 0;
    real *x = malloc((size + n_target) * sizeof *x);
    int code = x ? 0 : err(ERR_MEMORY, "no memory for a sample");

    for (uint32_t i = 0; i < d->n_samples && code >= 0; i++) {
        code = read_sample(d, i, x, n_target ? x + size : NULL);
        if (code < 0)
            break;
        counted_add(inputs, x, size / (size_t)d->shape.c);
        counted_add(targets, x + size, 1);
    }
    free(x);
    return code;
}

int moments_of(const struct data *d, struct moments *inputs, struct moments *targets)
{
    struct counted in = {0}, out = {0};
    int code = 0;

    if (d->n_samples == 0 || d->n_samples == DATA_ENDLESS)
        code = err(ERR_CONFIG,
                   "data '%s' has no end, so nothing can be computed of all of it: "
                   "give the numbers",
                   d->name);
    if (code >= 0)
        code = counted_begin(&in, inputs, (size_t)d->shape.c);
    if (code >= 0)
        code = counted_begin(&out, targets, (size_t)d->n_target);
    if (code >= 0)
        code = read_all(d, &in, &out);
    counted_end(&in);
    counted_end(&out);
    return code;
}

void moments_release(struct moments *m)
{
    free(m->mean);
    free(m->deviation);
    *m = (struct moments){0};
}
