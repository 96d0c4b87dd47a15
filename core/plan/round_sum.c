/* round_sum.c - one buffer, added in any order. */
#include "core/plan/round_sum.h"

#include <string.h>

#include "core/base/err.h"
#include "core/math/exact.h"

static int64_t *tally_words(const struct total *t, int slot)
{
    return t->words + 2 * t->n + 2 * (size_t)slot;
}

struct total total_begin(int64_t *words, size_t n)
{
    memset(words, 0, total_words(n) * sizeof *words);
    return (struct total){n, total_words(n), words};
}

void total_fail(struct total *t)
{
    exact_add_one(1, tally_words(t, TALLY_FAILED));
}

static bool fits(const struct total *t, const real *gradient, const struct tally *tally)
{
    for (int i = 0; i < TALLY_N; i++)
        if (!exact_fits_one(tally->v[i]))
            return false;
    return t->n == 0 || exact_fits(t->n, gradient);
}

int total_add(struct total *t, const real *gradient, const struct tally *tally)
{
    if (!fits(t, gradient, tally)) {
        total_fail(t);
        return err(ERR_NONFINITE, "a gradient or loss is not finite, or beyond 2^22");
    }
    if (t->n)
        exact_add(t->n, gradient, t->words);
    for (int i = 0; i < TALLY_N; i++)
        if (tally->v[i] != 0)
            exact_add_one(tally->v[i], tally_words(t, i));
    exact_add_one(1, tally_words(t, TALLY_DONE));
    return 0;
}

void total_merge(struct total *t, const int64_t *words)
{
    exact_merge(t->n_words, words, t->words);
}

/* An odd factor for each place (SplitMix64's mixing). */
static uint64_t factor(uint64_t i)
{
    i = (i + 1) * 0x9e3779b97f4a7c15u;
    i = (i ^ i >> 30) * 0xbf58476d1ce4e5b9u;
    i = (i ^ i >> 27) * 0x94d049bb133111ebu;
    return (i ^ i >> 31) | 1;
}

uint64_t total_mark(const int64_t *words, size_t n_words)
{
    uint64_t mark = 0;

    for (size_t i = 0; i < n_words; i++)
        mark += (uint64_t)words[i] * factor(i);
    return mark;
}

double total_sum(const struct total *t, int slot)
{
    return exact_read_one(tally_words(t, slot));
}

void total_mean_gradient(const struct total *t, real *gradient)
{
    exact_read(t->n, t->words, total_sum(t, TALLY_DONE), gradient);
}
