/* evaluate.c - a round whose sum is a curve. */
#include "coordinator/evaluate.h"

#include <math.h>

#include "core/err.h"

static struct estimate estimate_of(const struct total *t, int slot, double n)
{
    double mean = total_sum(t, slot) / n, squares = total_sum(t, slot + 1);
    double var = n > 1 ? (squares - n * mean * mean) / (n - 1) : 0;

    return (struct estimate){mean, 1.96 * sqrt(fmax(var, 0) / n)};
}

int evaluate(struct crew *c, const struct stage *stage, int data, uint64_t round, uint32_t episodes,
             const real *theta, struct evaluation *e)
{
    struct round r = {stage, PURPOSE_EVALUATE, data, round, episodes, theta};
    struct total total;
    double done;

    TRY(crew_round(c, &r, &total));
    done = total_sum(&total, TALLY_DONE);
    *e = (struct evaluation){.steps = stage->evaluate_steps,
                             .episodes = (uint64_t)done,
                             .failed = (uint64_t)total_sum(&total, TALLY_FAILED),
                             .has_accuracy = stage->net.loss->accuracy != NULL};
    if (done == 0)
        return err(ERR_NONFINITE, "none of %u episodes of stage '%s' had a finite loss", episodes,
                   stage->config->name);
    for (int k = 0; k <= e->steps; k++) {
        e->loss[k] = estimate_of(&total, TALLY_CURVE + 4 * k, done);
        e->accuracy[k] = estimate_of(&total, TALLY_CURVE + 4 * k + 2, done);
    }
    return 0;
}
