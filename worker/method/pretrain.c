/* pretrain.c - supervised training on labelled batches; the first step of every transfer.
 *                                                                                math.md (7.1) */
#include <math.h>

#include "core/base/err.h"
#include "worker/transfer/batch.h"

static int pretrain_outer(struct method *m, const struct episode *ep, const real *theta, real *grad,
                          struct task_metrics *metrics)
{
    const real *y = batch_forward(m, ep, &ep->source, theta, &m->passes->source);

    if (!isfinite(batch_supervise(m, &ep->source, y, metrics)))
        return err(ERR_NONFINITE, "the loss is not finite");
    batch_backward(m, &ep->source, &m->passes->source, theta, grad);
    return 0;
}

const struct method_ops method_pretrain = {
    .name = "pretrain",
    .summary = "supervised training on labelled batches",
    .traits = {.draws = DRAW_SOURCE},
    .size = sizeof(struct passes),
    .init = batch_init,
    .outer = pretrain_outer,
};

/* finetune: a network that was trained elsewhere, with its head initialised, learns another task.
 * Its body learns at a rate of its own (stage.body_rate), or is frozen; a warm-up of the head alone
 * comes first if `warm_up` says so. */
static const char *const finetune_takes[] = {"warm_up", NULL};

const struct method_ops method_finetune = {
    .name = "finetune",
    .summary = "a new head on a trained body, which has its own rate or is frozen",
    .traits = {.draws = DRAW_SOURCE, .new_head = true},
    .takes = finetune_takes,
    .size = sizeof(struct passes),
    .init = batch_init,
    .outer = pretrain_outer,
};
