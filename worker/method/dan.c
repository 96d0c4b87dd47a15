/* dan.c - deep adaptation network (Long et al. 2015): the source's labels, and alike embeddings of both
 * domains' features by multi-kernel mean discrepancies at several layers, eq. (4).     math.md (7.2) */
#include <string.h>

#include "worker/transfer/align.h"

static int name_index(const char *const *names, const char *name)
{
    int i = 0;

    while (names[i] && strcmp(names[i], name) != 0)
        i++;
    return i;
}

static struct align dan(const struct stage *s)
{
    const struct stage_config *c = s->config;

    return (struct align){
        .ops = discrepancy_find("mmd"),
        .spec = {
            .estimator = (enum mmd_estimator)name_index(mmd_estimator_names, c->estimator),
            .bandwidth = (enum mmd_bandwidth)name_index(mmd_bandwidth_names, c->bandwidth),
            .sigma = c->sigma,
            .family = (enum mmd_family)name_index(mmd_family_names, c->kernels),
        }};
}

static int dan_plan(struct stage *s, const struct setup *setup)
{
    struct align a = dan(s);

    (void)setup;
    return align_plan(&a, s);
}

static void dan_init(struct method *m, const struct method_spec *spec, struct arena *arena)
{
    struct align a = dan(m->stage);

    align_init(&a, m, spec, arena);
}

static int dan_outer(struct method *m, const struct episode *ep, const real *theta, real *grad,
                     struct task_metrics *metrics)
{
    struct align a = dan(m->stage);

    return align_grad(&a, m, ep, theta, grad, metrics);
}

const struct method_ops method_dan = {
    .name = "dan",
    .summary = "source labels, and alike kernel embeddings of both domains' features (Long 2015)",
    .form = {.draws = DRAW_SOURCE | DRAW_TARGET, .plan = dan_plan},
    .size = sizeof(struct passes),
    .init = dan_init,
    .outer = dan_outer,
};
