/* stage_metrics.c - how many numbers a task of a stage reports, and if the method's own are. */
#include <string.h>

#include "core/plan/round_sum.h"
#include "core/plan/setup.h"

void stage_count_metrics(const struct setup *s, struct stage *stage)
{
    const struct net *net = &stage->net;
    int steps = stage->inner_steps;
    int last = steps > stage->evaluate_steps ? steps : stage->evaluate_steps;
    int curve = CURVE_SUMS * (last + 1);
    int watched = stage->traits->adapts ? watch_sums(stage->net.n_out) : 0;

    stage->n_fits = net->loss.ops->direct ? loss_targets(&net->loss, net->n_out) : 0;
    stage->fit_metrics = METRIC_CURVE + (curve > watched ? curve : watched);
    stage->own_metrics = stage->fit_metrics + FIT_SUMS * stage->n_fits;
    stage->inductive_metrics = 0;
    if (stage_is_measured_inductively(s, stage)) {
        stage->inductive_metrics = stage->own_metrics;
        stage->own_metrics += CURVE_SUMS;
    }
    stage->n_metrics = stage->own_metrics;
    for (const char *const *own = stage->traits->metrics; own && *own; own++)
        stage->n_metrics++;
}

size_t setup_sum_words(const struct setup *s)
{
    size_t most = 0;

    for (int i = 0; i < s->n_stages; i++) {
        size_t words = round_sum_words(s->stages[i].model.n, s->stages[i].n_metrics);

        most = words > most ? words : most;
    }
    return most;
}

int stage_metric(const struct stage *stage, const char *name)
{
    const char *const *own = stage->traits->metrics;

    for (int i = 0; own && own[i]; i++)
        if (strcmp(own[i], name) == 0)
            return stage->own_metrics + i;
    return -1;
}

struct task_metrics stage_metrics(const struct stage *stage, struct arena *arena)
{
    double *v = arena_take(arena, (size_t)stage->n_metrics * sizeof *v);
    struct task_metrics m = {stage->n_metrics, v, v ? v + stage->own_metrics : NULL};

    if (v)
        task_metrics_clear(&m);
    return m;
}
