/* evaluate.h - accuracy and loss over episodes, with 95 % intervals, per inner step. */
#ifndef COORDINATOR_EVALUATE_H
#define COORDINATOR_EVALUATE_H

#include "coordinator/crew.h"

struct estimate {
    double mean, ci95; /* 1.96 standard errors over episodes */
};

struct evaluation {
    int steps;                 /* the curve has steps + 1 entries */
    uint64_t episodes, failed; /* measured; set aside as not finite */
    struct estimate loss[STEPS_MAX + 1];
    struct estimate accuracy[STEPS_MAX + 1]; /* of classification */
    bool has_accuracy;
};

/* Adapts theta to `episodes` episodes of data section `data`, spread over the workers. The same episodes at every
 * call. Errors of crew_round; ERR_NONFINITE when no episode was finite. */
int evaluate(struct crew *c, const struct stage *stage, int data, uint64_t round, uint32_t episodes,
             const real *theta, struct evaluation *e);

#endif
