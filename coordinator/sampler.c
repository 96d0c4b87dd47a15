/* sampler.c - tasks by counters. */
#include "coordinator/sampler.h"

#include "core/rng.h"

struct task_size sampler_size(const struct sampler *s)
{
    struct task_size size = s->stage->train;

    if (s->evaluate)
        size.query = setup_query(s->setup, s->stage, s->data);
    return size;
}

/* Support and query ids of the task's k-th class. */
static void draw_samples(const struct data *d, bool grid, uint32_t k, struct rng *r, struct task *t)
{
    uint32_t n = data_class_size(d, t->classes[k]), drawn = grid ? t->shot : t->shot + t->query;
    uint32_t ids[drawn];

    rng_choose(r, n, drawn, ids);
    for (uint32_t i = 0; i < t->shot; i++)
        t->support[k * t->shot + i] = ids[i];
    for (uint32_t i = 0; i < t->query; i++)
        t->queries[k * t->query + i] = grid ? DATA_GRID + i : ids[t->shot + i];
}

void sampler_draw(const struct sampler *s, uint32_t slot, struct task *t)
{
    const struct data *d = &s->setup->data[s->data];
    uint64_t seed = (uint64_t)s->setup->config->run.seed;
    struct task_size size = sampler_size(s);
    struct rng r;

    rng_init(&r, seed, s->evaluate ? RNG_EVALUATE : RNG_TASK, s->round, slot);
    t->stage = (uint32_t)s->stage->index, t->data = (uint32_t)s->data;
    t->round = s->round, t->slot = slot, t->seed = seed;
    t->way = size.way, t->shot = size.shot, t->query = size.query;
    rng_choose(&r, d->n_classes, t->way, t->classes);
    for (uint32_t k = 0; k < t->way; k++) {
        t->turns[k] = d->n_turns > 1 && !d->turned_classes ? rng_below(&r, 4) : 0;
        draw_samples(d, s->evaluate && d->n_grid > 0, k, &r, t);
    }
}
