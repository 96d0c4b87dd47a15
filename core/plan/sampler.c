/* sampler.c - a task's place and seed, and the samples that its kind draws. */
#include "core/plan/sampler.h"

struct sampler sampler_of_round(const struct setup *setup, const struct stage *stage,
                                enum purpose purpose, int data, uint64_t round, uint32_t amount)
{
    bool measures = task_kind_of_round(stage, purpose)->gives == GIVES_METRICS;

    return (struct sampler){setup, stage, data, purpose, measures ? 0 : (uint32_t)round, amount};
}

void sampler_draw(const struct sampler *s, uint32_t slot, struct task *t)
{
    const struct task_kind *kind = task_kind_at(s->stage, s->purpose, slot);

    t->stage = (uint32_t)s->stage->index, t->data = (uint32_t)s->data;
    t->round = s->round, t->slot = slot, t->seed = (uint64_t)s->setup->config->run.seed;
    t->way = t->shot = t->query = t->target = t->n_source = t->n_targets = 0;
    kind->draw(s, slot - task_kind_first(s->stage, kind), t);
}
