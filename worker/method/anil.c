/* anil.c - almost no inner loop (Raghu, Raghu, Bengio, Vinyals 2020): the inner loop moves the head
 * alone. The outer gradient is exact, through the head's steps and the features that they see.
 *                                                                                math.md (8.1) */
#include "worker/contract/method.h"

static void anil_inner(const struct method *m, struct unroll_spec *s)
{
    s->second = SECOND_THROUGH;
    s->above = net_features(m->net);
}

static const char *const anil_takes[] = {TAKES_INNER_LOOP, NULL};

const struct method_ops method_anil = {
    .name = "anil",
    .summary = "MAML whose inner loop adapts only the head (Raghu et al. 2020)",
    .traits = {.draws = DRAW_EPISODES, .inner_loop = true},
    .takes = anil_takes,
    .inner = anil_inner,
    .outer = method_through_steps,
};
