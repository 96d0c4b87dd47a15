/* domain.c - a target with a model of its own: a task takes several steps on it, each on a batch of
 * the stage's section and one of this target. The model travels with the task. */
#include <stdio.h>

#include "core/base/err.h"
#include "core/base/plural.h"
#include "core/plan/kind/kinds.h"

static uint32_t count(const struct stage *s, uint32_t amount)
{
    (void)amount;
    return s->n_targets > 1 ? (uint32_t)s->n_targets : 0;
}

static int plan(const struct setup *setup, struct stage *s)
{
    if (s->traits->draws & DRAW_EPISODES)
        return err(ERR_CONFIG, "stage '%s': method '%s' adapts to one target, %d are named",
                   s->config->name, s->config->method, s->n_targets);
    TRY(kind_plan_batches(setup, s));
    s->n_models = s->n_targets;
    s->steps = (uint32_t)s->config->steps;
    s->train.source *= s->steps, s->train.targets *= s->steps;
    return 0;
}

static struct task_size size(const struct sampler *s)
{
    return s->stage->train;
}

/* Steps go through both sets in order, from round to round. */
static void draw(const struct sampler *s, uint32_t nth, struct task *t)
{
    kind_choose_pair(s, s->round - 1, (uint32_t)s->stage->target[nth], size(s), t);
}

static int check(const struct setup *setup, const struct stage *s, const struct task *t)
{
    if (!kind_among(t->data, &s->data, 1) || t->slot >= (uint32_t)s->n_targets ||
        !kind_among(t->target, &s->target[t->slot], 1))
        return kind_err_section(t);
    return kind_check_batch(setup, s, t, s->train);
}

static void describe(const struct setup *setup, const struct stage *s, char *text, size_t n)
{
    char step[100];

    (void)setup;
    kind_describe_step(s, step, sizeof step);
    snprintf(text, n, ", %d domain model%s, %u step%s each%s", s->n_models, plural(s->n_models),
             s->steps, plural(s->steps), step);
}

const struct task_kind kind_domain = {
    .name = "domain",
    .purpose = PURPOSE_TRAIN,
    .gives = GIVES_STATE,
    .anchor = true,
    .tasks = "tasks",
    .file = "task",
    .count = count,
    .plan = plan,
    .fits = kind_fits_batches,
    .size = size,
    .draw = draw,
    .check = check,
    .describe = describe,
    .describe_task = kind_describe_samples,
};
