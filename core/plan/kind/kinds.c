/* kinds.c - batches: choosing, checking, words. */
#include "core/plan/kind/kinds.h"

#include <string.h>

#include "core/base/err.h"
#include "core/base/plural.h"
#include "core/math/rng.h"

void kind_choose(const struct sampler *s, const struct data *d, uint32_t which, uint64_t at,
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

/* As kind_choose, of a finite set: every class once in each n_classes numbers, in an order of its
 * own each time; every sample of a class once before any comes again. */
static void choose_balanced(const struct data *d, uint32_t which, uint64_t at, uint32_t n,
                            const struct task *t, uint32_t *ids)
{
    for (uint32_t i = 0; i < n; i++) {
        uint64_t visit = (at + i) / d->n_classes;
        uint32_t place = (uint32_t)((at + i) % d->n_classes);
        uint32_t k =
            rng_permute(t->seed, RNG_CLASSES, (uint32_t)visit << 7 | which, d->n_classes, place);
        uint32_t size = data_class_size(d, k);
        uint32_t sample =
            rng_permute(t->seed, RNG_CLASSES + 256 * (k + 1), (uint32_t)(visit / size) << 7 | which,
                        size, (uint32_t)(visit % size));

        ids[i] = data_index_flat(d, k, sample);
    }
}

/* Whether batches of section d have every class equally often. Classes of generators have no ends,
 * and come equally often as they are. */
static bool is_balanced(const struct stage *s, const struct data *d)
{
    return strcmp(s->config->draw, "balanced") == 0 && d->n_samples != DATA_ENDLESS;
}

void kind_choose_pair(const struct sampler *s, uint64_t nth, uint32_t target, struct task_size size,
                      struct task *t)
{
    const struct data *data = s->setup->data;
    uint32_t which = (uint32_t)s->stage->index << 1;

    t->n_source = size.source;
    if (is_balanced(s->stage, &data[t->data]))
        choose_balanced(&data[t->data], which, nth * size.source, size.source, t, t->source);
    else
        kind_choose(s, &data[t->data], which, nth * size.source, size.source, t, t->source);
    if (size.targets == 0)
        return;
    t->target = target;
    t->n_targets = size.targets;
    kind_choose(s, &data[target], which | 1, nth * size.targets, size.targets, t, t->targets);
}

int kind_plan_batches(const struct setup *setup, struct stage *s)
{
    const struct stage_config *c = s->config;

    (void)setup;
    s->train.source = s->batch = (uint32_t)c->batch;
    if (s->n_targets > 0)
        s->train.targets = s->target_batch =
            (uint32_t)(c->target_batch ? c->target_batch : c->batch);
    return 0;
}

/* Labels decide what a balanced batch has, so there must be some of each. What a checkpoint
 * remembers of a set is not drawn from. */
static int check_balanced(const struct stage *s, const struct data *d)
{
    char name[128];

    if (!is_balanced(s, d) || !d->ops->index_flat)
        return 0;
    if (d->n_target)
        return err(ERR_CONFIG,
                   "stage '%s': draw = \"balanced\" is for classes, data '%s' has targets",
                   s->config->name, d->name);
    for (uint32_t k = 0; k < d->n_classes; k++)
        if (data_class_size(d, k) == 0) {
            data_class_name(d, k, name, sizeof name);
            return err(ERR_CONFIG,
                       "stage '%s': class '%s' of data '%s' has no samples for a balanced draw",
                       s->config->name, name, d->name);
        }
    return 0;
}

int kind_fits_batches(const struct setup *setup, struct stage *s, int data)
{
    const struct data *d = &setup->data[data];

    if (!s->traits->inherits && !d->n_target && d->n_classes == 1)
        return err(ERR_DATA,
                   "stage '%s': data '%s' has one class, so there is nothing to distinguish",
                   s->config->name, d->name);
    TRY(stage_has_samples(s, d));
    return check_balanced(s, d);
}

bool kind_among(uint32_t data, const int *list, int n)
{
    for (int i = 0; i < n; i++)
        if (list[i] >= 0 && data == (uint32_t)list[i])
            return true;
    return false;
}

int kind_err_section(const struct task *t)
{
    return err(ERR_DATA, "task %u of round %u names data %u and target %u, which are not here",
               t->slot, t->round, t->data, t->target);
}

static int check_ids(const struct data *d, const uint32_t *ids, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++)
        TRY(data_check_flat(d, ids[i]));
    return 0;
}

int kind_check_batch(const struct setup *setup, const struct stage *s, const struct task *t,
                     struct task_size size)
{
    if (size.targets && !kind_among(t->target, s->target, s->n_targets))
        return kind_err_section(t);
    if (t->n_source != size.source || t->n_targets != size.targets || t->way != 0)
        return err(ERR_DATA, "task %u of round %u has %u and %u samples; stage '%s' has %u and %u",
                   t->slot, t->round, t->n_source, t->n_targets, s->config->name, size.source,
                   size.targets);
    TRY(check_ids(&setup->data[t->data], t->source, t->n_source));
    return size.targets ? check_ids(&setup->data[t->target], t->targets, t->n_targets) : 0;
}

static struct task_size step_size(const struct stage *s)
{
    return (struct task_size){.source = s->batch, .targets = s->target_batch};
}

struct task_size kind_step_size(const struct sampler *s)
{
    return step_size(s->stage);
}

int kind_check_step(const struct setup *setup, const struct stage *s, const struct task *t)
{
    if (!kind_among(t->data, &s->data, 1))
        return kind_err_section(t);
    return kind_check_batch(setup, s, t, step_size(s));
}

static void describe_ids(const struct data *d, const uint32_t *ids, uint32_t n, FILE *to)
{
    fprintf(to, " %u of '%s':", n, d->name);
    for (uint32_t i = 0; i < n && i < 8; i++)
        fprintf(to, " %u", ids[i]);
    if (n > 8)
        fputs(" ...", to);
}

void kind_describe_samples(const struct setup *setup, const struct task *t, FILE *to)
{
    describe_ids(&setup->data[t->data], t->source, t->n_source, to);
    if (t->n_targets > 0)
        describe_ids(&setup->data[t->target], t->targets, t->n_targets, to);
}

void kind_describe_step(const struct stage *s, char *text, size_t n)
{
    if (s->target_batch)
        snprintf(text, n, " of %u + %u sample%s (the target's without labels)", s->batch,
                 s->target_batch, plural(s->target_batch));
    else
        snprintf(text, n, " of %u", s->batch);
}
