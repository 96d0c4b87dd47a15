/* round_sum.h - the sum of a round: contributions and metrics, as exact integers in one buffer.
 *
 *     [ gradient, 2 P words | metrics, 2 M words ]        evaluation: the metrics alone
 *
 * P parameters and M = stage->n_metrics. It is what threads fill, what travels up the tree, and
 * what the coordinator divides. */
#ifndef CORE_PLAN_ROUND_SUM_H
#define CORE_PLAN_ROUND_SUM_H

#include <stddef.h>
#include <stdint.h>

#include "core/base/real.h"
#include "core/plan/metric.h"

struct round_sum {
    size_t n;       /* P, or 0 for evaluation */
    int n_metrics;  /* M */
    size_t n_words; /* 2 (P + M) */
    int64_t *words; /* borrowed */
};

/* Words of the sum of so many parameters and metrics. */
static inline size_t round_sum_words(size_t n, int n_metrics)
{
    return 2 * (n + (size_t)n_metrics);
}

/* Wraps words (round_sum_words(n, n_metrics)), which are undefined before round_sum_clear. */
struct round_sum round_sum_over(int64_t *words, size_t n, int n_metrics);
void round_sum_clear(struct round_sum *t); /* the sum of nothing */

/* Wraps and clears them. */
struct round_sum round_sum_begin(int64_t *words, size_t n, int n_metrics);

/* Adds one task: its gradient (n) and metrics (n_metrics), counted as done. If a number is not
 * finite or beyond the grid, nothing of it is added and it counts as failed. Returns 0, or
 * ERR_NONFINITE. */
int round_sum_add(struct round_sum *t, const real *gradient, const struct task_metrics *metrics);
void round_sum_fail(struct round_sum *t); /* counts one failed task */

/* A checksum of words that is linear: the checksum of a sum is the sum of the checksums, modulo
 * 2^64, and that of a whole is the sum of its parts', each at its place: words[0] is word `first`
 * of its sum. Equal totals have equal checksums; totals that differ in one word, or in any bits but
 * by chance, do not. */
uint64_t round_sum_checksum(const int64_t *words, size_t first, size_t n_words);

/* The same of what round_sum_add(t, gradient, metrics) would add, or round_sum_fail if it would
 * fail: t's words are not read. metrics NULL: of round_sum_fail. Returns 0, or ERR_NONFINITE: it
 * would fail. */
int round_sum_checksum_task(const struct round_sum *t, const real *gradient,
                            const struct task_metrics *metrics, uint64_t *checksum);

/* The sum in a slot: of enum metric_slot, metric_curve or stage_metric. */
double round_sum_read(const struct round_sum *t, int slot);

/* How many of what METRIC_DONE or METRIC_SAMPLES counts had something to measure: what losses and
 * accuracies are means over. */
double round_sum_measured(const struct round_sum *t, int counted);
/* Over the tasks done: gradient (t->n), and its places from .. from + n - 1 alone. */
void round_sum_mean_gradient(const struct round_sum *t, real *gradient);
void round_sum_mean_part(const struct round_sum *t, size_t from, size_t n, real *gradient);

#endif
