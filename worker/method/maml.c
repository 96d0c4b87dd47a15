/* maml.c - model-agnostic meta-learning (Finn, Abbeel, Levine 2017), exact second order: the query
 * loss at theta_K, differentiated through every inner step.                    math.md (5.2) */
#include "worker/contract/method.h"

static void maml_inner(const struct method *m, struct unroll_spec *s)
{
    (void)m;
    s->second = SECOND_THROUGH;
}

static const char *const maml_takes[] = {TAKES_INNER_LOOP, NULL};

const struct method_ops method_maml = {
    .name = "maml",
    .summary = "MAML, exact second order (Finn et al. 2017)",
    .traits = {.draws = DRAW_EPISODES, .inner_loop = true},
    .takes = maml_takes,
    .inner = maml_inner,
    .outer = method_through_steps,
};
