/* round_sum.c - one buffer, added in any order. */
#include "core/plan/round_sum.h"

#include <assert.h>
#include <string.h>

#include "core/base/err.h"
#include "core/math/exact.h"

static int64_t *metric_words(const struct round_sum *t, int slot)
{
    return t->words + 2 * t->n + 2 * (size_t)slot;
}

struct round_sum round_sum_over(int64_t *words, size_t n, int n_metrics)
{
    return (struct round_sum){n, n_metrics, round_sum_words(n, n_metrics), words};
}

void round_sum_clear(struct round_sum *t)
{
    memset(t->words, 0, t->n_words * sizeof *t->words);
}

struct round_sum round_sum_begin(int64_t *words, size_t n, int n_metrics)
{
    struct round_sum t = round_sum_over(words, n, n_metrics);

    round_sum_clear(&t);
    return t;
}

void round_sum_fail(struct round_sum *t)
{
    exact_add_one(1, metric_words(t, METRIC_FAILED));
}

static bool fits(const struct round_sum *t, const real *gradient,
                 const struct task_metrics *metrics)
{
    for (int i = 0; i < t->n_metrics; i++)
        if (!exact_fits_one(metrics->v[i]))
            return false;
    return t->n == 0 || exact_fits(t->n, gradient);
}

int round_sum_add(struct round_sum *t, const real *gradient, const struct task_metrics *metrics)
{
    assert(metrics->n == t->n_metrics);
    if (!fits(t, gradient, metrics)) {
        round_sum_fail(t);
        return err(ERR_NONFINITE, "a gradient or loss is not finite, or beyond 2^22");
    }
    if (t->n)
        exact_add(t->n, gradient, t->words);
    for (int i = 0; i < t->n_metrics; i++)
        if (metrics->v[i] != 0)
            exact_add_one(metrics->v[i], metric_words(t, i));
    exact_add_one(1, metric_words(t, METRIC_DONE));
    return 0;
}

/* An odd factor for each place (SplitMix64's mixing). */
static uint64_t factor(uint64_t i)
{
    i = (i + 1) * 0x9e3779b97f4a7c15u;
    i = (i ^ i >> 30) * 0xbf58476d1ce4e5b9u;
    i = (i ^ i >> 27) * 0x94d049bb133111ebu;
    return (i ^ i >> 31) | 1;
}

uint64_t round_sum_checksum(const int64_t *words, size_t first, size_t n_words)
{
    uint64_t checksum = 0;

    for (size_t i = 0; i < n_words; i++)
        checksum += (uint64_t)words[i] * factor(first + i);
    return checksum;
}

/* Of what exact_add makes of n numbers, block by block. */
static uint64_t checksum_gradient(const real *gradient, size_t n)
{
    enum { BLOCK = 512 };
    int64_t words[2 * BLOCK];
    uint64_t checksum = 0;

    for (size_t from = 0; from < n; from += BLOCK) {
        size_t m = n - from < BLOCK ? n - from : BLOCK;

        memset(words, 0, sizeof words);
        exact_add(m, gradient + from, words);
        checksum += round_sum_checksum(words, from, m);
        checksum += round_sum_checksum(words + m, n + from, m);
    }
    return checksum;
}

static uint64_t checksum_metric(const struct round_sum *t, double value, int slot)
{
    int64_t words[2] = {0};

    exact_add_one(value, words);
    return round_sum_checksum(words, 2 * t->n + 2 * (size_t)slot, 2);
}

int round_sum_checksum_task(const struct round_sum *t, const real *gradient,
                            const struct task_metrics *metrics, uint64_t *checksum)
{
    if (!metrics || !fits(t, gradient, metrics)) {
        *checksum = checksum_metric(t, 1, METRIC_FAILED);
        return ERR_NONFINITE;
    }
    *checksum = checksum_gradient(gradient, t->n) + checksum_metric(t, 1, METRIC_DONE);
    for (int i = 0; i < t->n_metrics; i++)
        if (metrics->v[i] != 0)
            *checksum += checksum_metric(t, metrics->v[i], i);
    return 0;
}

double round_sum_read(const struct round_sum *t, int slot)
{
    return exact_read_one(metric_words(t, slot));
}

double round_sum_measured(const struct round_sum *t, int counted)
{
    return round_sum_read(t, counted) - round_sum_read(t, METRIC_EMPTY);
}

void round_sum_mean_part(const struct round_sum *t, size_t from, size_t n, real *gradient)
{
    exact_read(n, t->words + from, t->words + t->n + from, round_sum_read(t, METRIC_DONE),
               gradient + from);
}

void round_sum_mean_gradient(const struct round_sum *t, real *gradient)
{
    round_sum_mean_part(t, 0, t->n, gradient);
}
