/* adda.c - adversarial discriminative domain adaptation (Tzeng et al. 2017, eq. (9)), its second
 * stage: the encoder starts as the source's, and learns features of the target that a discriminator
 * takes for features of the source. The source encoder and the classifier stay as they are.
 *                                                                    math.md (7.3), (7.4) */
#include <math.h>

#include "core/base/err.h"
#include "worker/transfer/adversary.h"
#include "worker/transfer/align.h"

static int adda_plan(struct stage *s, const struct setup *setup)
{
    s->optim.factor[ROLE_HEAD] = 0;
    TRY(adversary_plan(s, setup));
    stage_idle_behind(s, tap_find(s, &s->net, 0));
    return 0;
}

static int adda_outer(struct method *m, const struct episode *ep, const real *theta, real *grad,
                      struct task_metrics *metrics)
{
    double loss = adversary_grad(m, ep, theta, 1, 1, grad, metrics);

    if (!isfinite(loss))
        return err(ERR_NONFINITE, "the encoder's or the discriminator's loss is not finite");
    metrics->v[METRIC_LOSS] += loss;
    return 0;
}

static const char *const adda_takes[] = {
    TAKES_TARGET,         "anchor", "layers", "steps", "discriminator",
    "discriminator_rate", "guard",  NULL};

const struct method_ops method_adda = {
    .name = "adda",
    .summary = "a target encoder whose features a discriminator cannot tell from the source's "
               "(Tzeng 2017)",
    .traits = {.draws = DRAW_SOURCE | DRAW_TARGET,
               .needs_classes = true,
               .anchor = true,
               .inherits = true,
               .adapts = true,
               .keeps_best = true,
               .plan = adda_plan,
               .metrics = adversary_metrics},
    .takes = adda_takes,
    .size = sizeof(struct passes),
    .init = adversary_init,
    .outer = adda_outer,
    .watch = adversary_watch,
};
