/* joint.c - MAML on few-shot tasks of the source and ADDA on batches of both domains, in one round.
 * The outer step goes along the mean of the first plus weight times the mean of the second.
 *                                                                                math.md (7.5)
 *
 * A round's sum is divided by all its tasks, so a task counts by the inverse share of its kind. */
#include <math.h>

#include "core/base/err.h"
#include "core/math/vec.h"
#include "core/plan/task_kind.h"
#include "worker/transfer/adversary.h"

static void joint_inner(const struct method *m, struct unroll_spec *s)
{
    (void)m;
    s->second = SECOND_THROUGH;
}

/* The inner loop's curve, within what the sum holds. */
static void share_curve(struct task_metrics *metrics, int steps, double share)
{
    for (int k = 0; k < steps; k++) {
        double *curve = &metrics->v[metric_curve(k, CURVE_LOSS)];

        curve[CURVE_LOSS] = fmin(share * curve[CURVE_LOSS], CURVE_LOSS_MAX);
        curve[CURVE_ACCURACY] *= share;
    }
}

static int joint_episode(struct method *m, const struct episode *ep, const real *theta, real *grad,
                         struct task_metrics *metrics)
{
    double share = (double)m->stage->n_tasks / kind_episode.count(m->stage, 0);
    struct unroll *u = m->inner;

    TRY(unroll_forward(u, theta, ep, metrics));
    TRY(unroll_query(u, ep, metrics));
    unroll_adjoint(u, ep);
    for (size_t i = 0; i < m->net->layout.n; i++)
        grad[i] = (real)(grad[i] + share * u->adjoint[i]);
    metrics->v[METRIC_SUPPORT_LOSS] *= share;
    metrics->v[METRIC_LOSS] *= share;
    metrics->v[METRIC_ACCURACY] *= share;
    share_curve(metrics, u->spec.steps, share);
    return 0;
}

static int joint_batch(struct method *m, const struct episode *ep, const real *theta, real *grad,
                       struct task_metrics *metrics)
{
    double share = (double)m->stage->n_tasks / kind_batch.count(m->stage, 0);
    double weight = stage_weight(m->stage, ep->round);
    double loss = adversary_grad(m, ep, theta, share * weight, share, grad, metrics);

    if (!isfinite(loss))
        return err(ERR_NONFINITE, "the encoder's or the discriminator's loss is not finite");
    metrics->v[METRIC_LOSS] += share * weight * loss;
    metrics->own[ADVERSARY_DISCREPANCY] += share * loss;
    metrics->own[ADVERSARY_LOSS] *= share;
    metrics->own[ADVERSARY_SOURCE] *= share;
    metrics->own[ADVERSARY_TARGET] *= share;
    return 0;
}

static int joint_outer(struct method *m, const struct episode *ep, const real *theta, real *grad,
                       struct task_metrics *metrics)
{
    bool episode = task_kind_at(m->stage, PURPOSE_TRAIN, ep->slot) == &kind_episode;

    return (episode ? joint_episode : joint_batch)(m, ep, theta, grad, metrics);
}

static const char *const joint_takes[] = {
    TAKES_INNER_LOOP, TAKES_TARGET,    TAKES_WEIGHT,         "batches", "anchor",
    "layers",         "discriminator", "discriminator_rate", "guard",   NULL};

const struct method_ops method_joint = {
    .name = "joint",
    .summary = "MAML on the source and ADDA to the target, in one outer step",
    .traits = {.draws = DRAW_EPISODES | DRAW_SOURCE | DRAW_TARGET,
               .needs_classes = true,
               .inner_loop = true,
               .anchor = true,
               .adapts = true,
               .plan = adversary_plan,
               .metrics = adversary_metrics},
    .takes = joint_takes,
    .size = sizeof(struct passes),
    .init = adversary_init,
    .inner = joint_inner,
    .outer = joint_outer,
    .watch = adversary_watch,
};
