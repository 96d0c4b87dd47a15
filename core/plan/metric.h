/* metric.h - what a task reports beside its contribution: scalars, summed exactly like the rest.
 *
 *     [ common slots | curve, or what a watch sums | how each target fits | the last step's figures
 *       by the support's statistics | the method's own | what tasks drew ]
 *
 * A stage says how many there are (stage->n_metrics) and where the method's own begin
 * (stage->own_metrics). */
#ifndef CORE_PLAN_METRIC_H
#define CORE_PLAN_METRIC_H

#include <string.h>

#include "core/math/exact.h"

/* The slots that every stage has. Each is a sum over tasks. */
enum metric_slot {
    METRIC_DONE,         /* tasks that contributed                                 */
    METRIC_FAILED,       /* tasks set aside: not finite, or beyond the sum's grid  */
    METRIC_SUPPORT_LOSS, /* support loss before adaptation                         */
    METRIC_LOSS,         /* query loss after adaptation                            */
    METRIC_ACCURACY,     /* query accuracy after adaptation; 0 for regression      */
    METRIC_SAMPLES,      /* evaluation on whole data sets: samples measured        */
    METRIC_EMPTY,        /* few-shot tasks and batches with nothing to measure: no loss in them */
    METRIC_CURVE,        /* metric_curve, or enum watch_slot, from here on         */
};

/* The curve's sums of an inner step. In evaluation they are of the query, before step k and after
 * the last, k = 0 .. K; on whole data sets k is 0 and they are sums over samples. In training with
 * an inner loop: loss and accuracy of the support before step k, k = 0 .. K-1. */
enum curve_sum { CURVE_LOSS, CURVE_LOSS_SQUARE, CURVE_ACCURACY, CURVE_ACCURACY_SQUARE, CURVE_SUMS };

/* The slot of a sum of inner step k. */
static inline int metric_curve(int k, enum curve_sum what)
{
    return METRIC_CURVE + CURVE_SUMS * k + (int)what;
}

/* Adds a loss and an accuracy to sums (CURVE_SUMS). */
static inline void metric_add_curve(double loss, double accuracy, double *sums)
{
    sums[CURVE_LOSS] += loss, sums[CURVE_LOSS_SQUARE] += loss * loss;
    sums[CURVE_ACCURACY] += accuracy, sums[CURVE_ACCURACY_SQUARE] += accuracy * accuracy;
}

/* Evaluation of a regression whose outputs estimate the targets: sums over the queries, or samples,
 * of which a target is known, for each target from stage->fit_metrics on. In the scale of the loss.
 * Of few-shot tasks FIT_SQUARE is about the mean of the task's queries, and FIT_SUM is 0. */
enum fit_sum {
    FIT_KNOWN,  /* how many */
    FIT_ERROR,  /* squares of output - target */
    FIT_SUM,    /* targets */
    FIT_SQUARE, /* their squares */
    FIT_SUMS,
};

/* A support loss within the inner loop is for people alone: one that the grid of the sum cannot
 * hold counts as its end, and its task counts. */
#define CURVE_LOSS_MAX (EXACT_LIMIT - 1)

/* What a look at an adaptation sums, from METRIC_CURVE on, over the target's samples if nothing
 * else is said. With C classes, up to WATCH_CLASSES_MAX, come C sums of probabilities of the target
 * from WATCH_CLASSES on, C of the source by the anchor, and up to WATCH_MOVES_MAX classes C x C
 * counts: samples of which the anchor is sure, by its class and ours. A look has too few samples to
 * judge more classes or more pairs of classes. */
enum watch_slot {
    WATCH_SAMPLES,     /* of each domain */
    WATCH_DISCREPANCY, /* squared mean discrepancy of the domains' features, a sum over batches */
    WATCH_ENTROPY,     /* of the predictions */
    WATCH_AGREE,       /* the anchor predicts the same class */
    WATCH_SURE,        /* the anchor's probability is at least WATCH_SURE_FROM */
    WATCH_DISCRIMINATOR_SOURCE, /* right about the source's samples */
    WATCH_DISCRIMINATOR_TARGET,
    WATCH_CLASSES = 8,
    WATCH_CLASSES_MAX = 120,
    WATCH_MOVES_MAX = 14,
    WATCH_SUMS_MAX = WATCH_CLASSES + 2 * WATCH_CLASSES_MAX, /* of any number of classes */
};
#define WATCH_SURE_FROM 0.9

/* How many sums a look has with so many classes. */
static inline int watch_sums(int classes)
{
    int own = classes <= WATCH_CLASSES_MAX ? 2 * classes : 0;

    return WATCH_CLASSES + own + (classes <= WATCH_MOVES_MAX ? classes * classes : 0);
}

struct task_metrics {
    int n;       /* the stage's n_metrics */
    double *v;   /* (n) borrowed: by enum metric_slot */
    double *own; /* the method's own, in v, in the order of its list of names */
};

/* Sets all n metrics to 0. */
static inline void task_metrics_clear(struct task_metrics *m)
{
    memset(m->v, 0, (size_t)m->n * sizeof *m->v);
}

#endif
