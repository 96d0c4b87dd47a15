/* metric.h - what a task reports beside its contribution: scalars, summed exactly like the rest. */
#ifndef CORE_METRIC_H
#define CORE_METRIC_H

enum { STEPS_MAX = 64 }; /* inner steps */

/* Each is a sum over tasks; on whole data sets the curve's are sums over samples. Evaluation adds, per inner step k = 0 .. K, four sums from
 * TALLY_CURVE + 4 k on: query loss, its square, query accuracy, its square. */
enum tally_slot {
    TALLY_DONE,         /* tasks that contributed                                           */
    TALLY_FAILED,       /* tasks set aside: not finite, or beyond the sum's grid             */
    TALLY_SUPPORT_LOSS, /* support loss before adaptation                                   */
    TALLY_LOSS,         /* query loss after adaptation                                      */
    TALLY_ACCURACY,     /* query accuracy after adaptation; 0 for regression                */
    TALLY_SAMPLES,      /* evaluation on whole data sets: samples measured                  */
    TALLY_DISCREPANCY,  /* between the domains' features, before its weight                 */
    TALLY_DISCRIMINATOR_LOSS,
    TALLY_DISCRIMINATOR_SOURCE, /* its accuracy on features of the source, ...                 */
    TALLY_DISCRIMINATOR_TARGET, /* ... of the target                                           */
    TALLY_CURVE,
    TALLY_N = TALLY_CURVE + 4 * (STEPS_MAX + 1),
};

/* What a look at an adaptation sums, from TALLY_CURVE on, over the target's samples where not said otherwise. With C
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

struct tally {
    double v[TALLY_N];
};

#endif
