/* sampler.c - tasks by counters. */
#include "coordinator/crew/sampler.h"

#include "core/math/rng.h"

struct task_size sampler_size(const struct sampler *s)
{
    struct task_size size = s->purpose == PURPOSE_EVALUATE ? s->stage->evaluate : s->stage->train;

    if (s->purpose == PURPOSE_EVALUATE && s->stage->few_shot)
        size.query = stage_query(s->setup, s->stage, s->data);
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

static void draw_episode(const struct sampler *s, struct task *t)
{
    const struct data *d = &s->setup->data[s->data];
    struct task_size size = sampler_size(s);
    struct rng r;

    rng_init(&r, t->seed, s->purpose == PURPOSE_EVALUATE ? RNG_EVALUATE : RNG_TASK, s->round,
             t->slot);
    t->way = size.way, t->shot = size.shot, t->query = size.query;
    rng_choose(&r, d->n_classes, t->way, t->classes);
    for (uint32_t k = 0; k < t->way; k++) {
        t->turns[k] = d->n_turns > 1 && !d->turned_classes ? rng_below(&r, 4) : 0;
        draw_samples(d, s->purpose == PURPOSE_EVALUATE && d->n_grid > 0, k, &r, t);
    }
}

/* Which n samples of a set: numbers from `at` on of the sequence `which`. */
static void choose_batch(const struct sampler *s, const struct data *d, uint32_t which, uint64_t at,
                         uint32_t n, const struct task *t, uint32_t *ids)
{
    uint32_t size = d->n_samples;
    struct rng r;

    rng_init(&r, t->seed, RNG_BATCH, s->round, t->slot << 7 | which);
    for (uint32_t i = 0; i < n; i++)
        ids[i] = size == DATA_ENDLESS
                     ? rng_below(&r, DATA_ENDLESS)
                     : rng_permute(t->seed, RNG_BATCH, (uint32_t)((at + i) / size) << 7 | which,
                                   size, (uint32_t)((at + i) % size));
}

/* For the part-th set of the stage: 0 source, 1 target. */
static void draw_batch(const struct sampler *s, const struct data *d, uint32_t part, uint32_t n,
                       const struct task *t, uint32_t *ids)
{
    const struct stage *stage = s->stage;
    uint64_t per_round = stage->steps ? 1 : stage->n_tasks - stage->n_episodes;
    uint64_t nth = stage->steps ? 0 : t->slot - stage->n_episodes;
    uint32_t which = (uint32_t)stage->index << 1 | part;

    choose_batch(s, d, which, ((s->round - 1) * per_round + nth) * n, n, t, ids);
}

static void draw_batches(const struct sampler *s, struct task *t)
{
    const struct stage *stage = s->stage;
    const struct data *data = s->setup->data;

    t->n_source = stage->train.source;
    draw_batch(s, &data[t->data], 0, t->n_source, t, t->source);
    if (stage->n_targets == 0)
        return;
    t->target = (uint32_t)stage->target[stage->steps ? t->slot : 0];
    t->n_targets = stage->train.targets;
    draw_batch(s, &data[t->target], 1, t->n_targets, t, t->targets);
}

/* The slot-th batches of an order of their own. */
static void watch_batches(const struct sampler *s, struct task *t)
{
    const struct stage *stage = s->stage;
    const struct data *data = s->setup->data;

    t->data = (uint32_t)stage->data, t->target = (uint32_t)s->data;
    t->n_source = stage->batch, t->n_targets = stage->target_batch;
    choose_batch(s, &data[t->data], 126, (uint64_t)t->slot * t->n_source, t->n_source, t,
                 t->source);
    choose_batch(s, &data[t->target], 127, (uint64_t)t->slot * t->n_targets, t->n_targets, t,
                 t->targets);
}

/* The slot-th batch of the whole set: it is cut into batches as equal as can be. Only batch statistics care which
 * samples are together, and then chance decides, the same at every evaluation. */
static void take_batch(const struct sampler *s, struct task *t)
{
    uint64_t n = s->samples, batch = s->stage->evaluate.source, batches = (n + batch - 1) / batch;
    uint32_t first = (uint32_t)(t->slot * n / batches);
    bool mixed = stage_is_transductive(s->stage);

    t->n_source = (uint32_t)((t->slot + 1) * n / batches) - first;
    for (uint32_t i = 0; i < t->n_source; i++)
        t->source[i] =
            mixed ? rng_permute(t->seed, RNG_BATCH, 125, (uint32_t)n, first + i) : first + i;
}

void sampler_draw(const struct sampler *s, uint32_t slot, struct task *t)
{
    t->stage = (uint32_t)s->stage->index, t->data = (uint32_t)s->data;
    t->round = s->round, t->slot = slot, t->seed = (uint64_t)s->setup->config->run.seed;
    t->way = t->shot = t->query = t->target = t->n_source = t->n_targets = 0;
    if (s->purpose == PURPOSE_WATCH)
        watch_batches(s, t);
    else if (s->purpose == PURPOSE_EVALUATE)
        (s->stage->few_shot ? draw_episode : take_batch)(s, t);
    else
        (slot < s->stage->n_episodes ? draw_episode : draw_batches)(s, t);
}
