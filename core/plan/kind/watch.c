/* watch.c - measures an adaptation without labels of the target: batches of the stage's section and
 * of one target, the same in every such round. The sampler's section is the target. */
#include <stdio.h>

#include "core/base/plural.h"
#include "core/plan/kind/kinds.h"
#include "core/plan/metric.h"

enum { ORDER_SOURCE = 126, ORDER_TARGET = 127 }; /* kind_choose: beyond those of any stage */

static uint32_t count(const struct stage *s, uint32_t amount)
{
    return s->traits->adapts ? amount : 0;
}

static void draw(const struct sampler *s, uint32_t nth, struct task *t)
{
    const struct data *data = s->setup->data;
    struct task_size n = kind_step_size(s);

    t->data = (uint32_t)s->stage->data, t->target = (uint32_t)s->data;
    t->n_source = n.source, t->n_targets = n.targets;
    kind_choose(s, &data[t->data], ORDER_SOURCE, (uint64_t)nth * n.source, n.source, t, t->source);
    kind_choose(s, &data[t->target], ORDER_TARGET, (uint64_t)nth * n.targets, n.targets, t,
                t->targets);
}

static void describe(const struct setup *setup, const struct stage *s, char *text, size_t n)
{
    char step[100];

    (void)setup;
    kind_describe_step(s, step, sizeof step);
    snprintf(text, n, ", batches%s", step);
}

const struct task_kind kind_watch = {
    .name = "watch",
    .purpose = PURPOSE_WATCH,
    .gives = GIVES_METRICS,
    .anchor = true,
    .tasks = "batches",
    .file = "watch",
    .counted = METRIC_DONE,
    .count = count,
    .size = kind_step_size,
    .draw = draw,
    .check = kind_check_step,
    .describe = describe,
    .describe_task = kind_describe_samples,
};
