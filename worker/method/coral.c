/* coral.c - Deep CORAL (Sun and Saenko 2016, eq. (1) and (6)): learns the source's labels, and
 * keeps
 * the covariances of both domains' features alike.                               math.md (7.2) */
#include "worker/transfer/align.h"

static struct align coral(void)
{
    return (struct align){.ops = discrepancy_find("coral")};
}

static int coral_plan(struct stage *s, const struct setup *setup)
{
    struct align a = coral();

    (void)setup;
    return align_plan(&a, s);
}

static void coral_init(struct method *m, const struct method_spec *spec, struct arena *arena)
{
    struct align a = coral();

    align_init(&a, m, spec, arena);
}

static int coral_outer(struct method *m, const struct episode *ep, const real *theta, real *grad,
                       struct task_metrics *metrics)
{
    struct align a = coral();

    return align_grad(&a, m, ep, theta, grad, metrics);
}

static const char *const coral_takes[] = {TAKES_TARGET, TAKES_WEIGHT, "layers", NULL};
static const char *const coral_metrics[] = {"discrepancy", NULL};

const struct method_ops method_coral = {
    .name = "coral",
    .summary = "source labels, and the distance of the domains' feature covariances (Sun 2016)",
    .traits = {.draws = DRAW_SOURCE | DRAW_TARGET, .plan = coral_plan, .metrics = coral_metrics},
    .takes = coral_takes,
    .size = sizeof(struct passes),
    .init = coral_init,
    .outer = coral_outer,
};
