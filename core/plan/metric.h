/* metric.h - what a task reports beside its contribution: scalars, summed exactly like the rest. */
#ifndef CORE_PLAN_METRIC_H
#define CORE_PLAN_METRIC_H

#include "core/math/exact.h"

enum { STEPS_MAX = 64 }; /* inner steps */

/* Each is a sum over tasks; on whole data sets the curve's are sums over samples. */
enum metric_slot {
    METRIC_DONE,         /* tasks that contributed                                           */
    METRIC_FAILED,       /* tasks set aside: not finite, or beyond the sum's grid             */
    METRIC_SUPPORT_LOSS, /* support loss before adaptation                                   */
    METRIC_LOSS,         /* query loss after adaptation                                      */
    METRIC_ACCURACY,     /* query accuracy after adaptation; 0 for regression                */
    METRIC_SAMPLES,      /* evaluation on whole data sets: samples measured                  */
    METRIC_DISCREPANCY,  /* between the domains' features, before its weight                 */
    METRIC_DISCRIMINATOR_LOSS,
    METRIC_DISCRIMINATOR_SOURCE, /* its accuracy on features of the source, ...                 */
    METRIC_DISCRIMINATOR_TARGET, /* ... of the target                                           */
    METRIC_CURVE,                /* metric_curve                                              */
    METRIC_N = METRIC_CURVE + 4 * (STEPS_MAX + 1),
};

/* The curve's sums of an inner step. Evaluation: of the query, before step k and after the last, k = 0 .. K. Training, where
 * there is an inner loop: loss and accuracy of the support before step k, k = 0 .. K-1. */
enum curve_sum { CURVE_LOSS, CURVE_LOSS_SQUARE, CURVE_ACCURACY, CURVE_ACCURACY_SQUARE };

static inline int metric_curve(int k, enum curve_sum what)
{
    return METRIC_CURVE + 4 * k + (int)what;
}

/* A support loss within the inner loop is for people alone: one that the grid of the sum cannot hold counts as its end,
 * and its task counts. */
#define CURVE_LOSS_MAX (EXACT_LIMIT - 1)

/* What a look at an adaptation sums, from METRIC_CURVE on, over the target's samples where not said otherwise. With C
 * classes, up to WATCH_CLASSES_MAX, come C sums of probabilities of the target from WATCH_CLASSES on, C of the source by the
 * anchor, and up to WATCH_MOVES_MAX classes C x C counts: samples of which the anchor is sure, by its class and ours. */
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
};
#define WATCH_SURE_FROM 0.9

struct task_metrics {
    double v[METRIC_N];
};

#endif
