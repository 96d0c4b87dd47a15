/* dan.c - deep adaptation network (Long et al. 2015, eq. (4)): learns the source's labels, and
 * keeps the embeddings of both domains' features alike, by multi-kernel mean discrepancies at
 * several
 * layers.                                                                        math.md (7.2) */
#include <stddef.h>
#include <string.h>

#include "worker/transfer/align.h"

struct dan_keys {
    char *estimator, *bandwidth, *kernels;
    double sigma;
};

/* clang-format off */
#define KEY(f) offsetof(struct dan_keys, f)
static const struct config_key dan_keys[] = {
{"stage", "estimator", CONFIG_STRING, "biased", 0, CONFIG_LENGTH, "biased|unbiased|linear", KEY(estimator),
 "estimator of the squared maximum mean discrepancy"},
{"stage", "bandwidth", CONFIG_STRING, "mean", 0, CONFIG_LENGTH, "mean|median", KEY(bandwidth),
 "width of the middle kernel: mean or median of the squared distances in a batch"},
{"stage", "sigma", CONFIG_REAL, "0", 0, 1e12, NULL, KEY(sigma),
 "width of the middle kernel; 0: as bandwidth says"},
{"stage", "kernels", CONFIG_STRING, "five", 0, CONFIG_LENGTH, "five|paper", KEY(kernels),
 "five: five Gaussians, widths a factor of 2 apart; paper: the 33 of the paper"},
{0}};
/* clang-format on */

static int name_index(const char *const *names, const char *name)
{
    int i = 0;

    while (names[i] && strcmp(names[i], name) != 0)
        i++;
    return i;
}

static struct align dan(const struct stage *s)
{
    const struct dan_keys *c = s->own;

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

static const char *dan_unproved(const struct stage *s)
{
    const struct dan_keys *c = s->own;

    return c->sigma == 0 ? "holds the bandwidth fixed that it finds in a batch, if sigma is 0"
                         : NULL;
}

static const char *const dan_takes[] = {TAKES_TARGET, TAKES_WEIGHT, "layers", NULL};
static const char *const dan_metrics[] = {"discrepancy", NULL};

const struct method_ops method_dan = {
    .name = "dan",
    .summary = "source labels, and the MMD between the domains' features (Long 2015)",
    .traits = {.draws = DRAW_SOURCE | DRAW_TARGET, .plan = dan_plan, .metrics = dan_metrics},
    .takes = dan_takes,
    .keys = dan_keys,
    .keys_size = sizeof(struct dan_keys),
    .unproved = dan_unproved,
    .size = sizeof(struct passes),
    .init = dan_init,
    .outer = dan_outer,
};
