/* batch.c - labelled samples of the stage's section, and of one target samples without labels.
 * Training goes through each set in an order of its own per epoch, every sample once. */
#include <stdio.h>

#include "core/base/plural.h"
#include "core/plan/kind/kinds.h"

static uint32_t count(const struct stage *s, uint32_t amount)
{
    const struct stage_config *c = s->config;
    unsigned draws = s->traits->draws;

    (void)amount;
    if (!(draws & DRAW_SOURCE) || s->n_targets > 1)
        return 0;
    return (uint32_t)(draws & DRAW_EPISODES ? c->batches : c->tasks);
}

static void draw(const struct sampler *s, uint32_t nth, struct task *t)
{
    uint64_t before = (uint64_t)(s->round - 1) * count(s->stage, 0);

    kind_choose_pair(s, before + nth, (uint32_t)s->stage->target[0], kind_step_size(s), t);
}

static void describe(const struct setup *setup, const struct stage *s, char *text, size_t n)
{
    char step[100];
    uint32_t batches = count(s, 0);

    (void)setup;
    kind_describe_step(s, step, sizeof step);
    snprintf(text, n, ", %u batch%s%s", batches, plural_es(batches), step);
}

const struct task_kind kind_batch = {
    .name = "batch",
    .purpose = PURPOSE_TRAIN,
    .gives = GIVES_GRADIENT,
    .anchor = true,
    .tasks = "tasks",
    .file = "task",
    .count = count,
    .plan = kind_plan_batches,
    .fits = kind_fits_batches,
    .size = kind_step_size,
    .draw = draw,
    .check = kind_check_step,
    .describe = describe,
    .describe_task = kind_describe_samples,
};
