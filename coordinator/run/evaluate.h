/* evaluate.h - accuracy and loss, with 95 % intervals: over few-shot episodes per inner step, or
 * over the samples of whole data sets. */
#ifndef COORDINATOR_RUN_EVALUATE_H
#define COORDINATOR_RUN_EVALUATE_H

#include "coordinator/crew/crew.h"

struct estimate {
    double mean;
    double ci95; /* 1.96 standard errors over episodes, or samples; not a number: there was one */
};

struct evaluation {
    int steps;                    /* the curve has steps + 1 entries */
    const struct task_kind *kind; /* what was measured; its unit is counted */
    uint64_t episodes, failed;    /* of that unit; tasks set aside as not finite */
    struct estimate *loss;        /* (steps + 1) owned: evaluation_release */
    struct estimate *accuracy;    /* (steps + 1) of classification; behind loss */
    bool has_accuracy;
    double sizes[2];    /* mean way and shot; not numbers: all tasks have the same */
    int n_fits;         /* targets of a regression whose outputs estimate them, else 0 */
    double *rmse, *r2;  /* (n_fits) behind loss: after the last step, over all queries or samples of
                        * which the target is known: the root of the mean squared error in the
                        * target's own units, and 1 - its share of the spread, within tasks if they
                        * are few-shot; not a number: no target is known, or it does not vary */
    bool transductive;  /* a prediction depends on the other samples of its query set, or batch */
    bool has_inductive; /* the following: after the last step, each query alone, normalised by the
                         * support's statistics; accuracy of classification */
    struct estimate inductive_loss, inductive_accuracy;
};

/* "0.1234 +- 0.0056" with so many digits, times `scale`; without an interval if there is none.
 */
void estimate_text(const struct estimate *e, double scale, int digits, char *text, size_t n);

/* "  rmse 3.21, 0.0021  R2 0.812, 0.702", of more than four targets the first; empty if e has no
 * fits. */
void evaluation_fits_text(const struct evaluation *e, char *text, size_t n);

/* Fills r with the round that measures `stage`, theta its whole vector after `round` rounds, on
 * data section `data`: the same episodes or samples at every call. false: it has a model per
 * target, and none for this section. */
bool evaluate_round(const struct setup *s, const struct stage *stage, int data, int64_t episodes,
                    uint64_t round, const real *theta, const real *anchor, struct round *r);

/* What a round's sums say of the stage, for evaluation_release. ERR_NONFINITE when nothing was
 * finite, ERR_MEMORY: then e holds nothing to release. */
int evaluation_of(const struct round *r, const struct round_sum *total, struct evaluation *e);

/* Runs it over the workers. Errors of crew_round and evaluation_of. */
int evaluate(struct crew *c, const struct round *r, struct evaluation *e);

/* Also of one that is zero. */
void evaluation_release(struct evaluation *e);

#endif
