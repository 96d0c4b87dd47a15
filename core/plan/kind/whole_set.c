/* whole_set.c - evaluation of every sample of a section, once, in batches of nearly equal size, at
 * most evaluate.batch. The order is that of the file or, if the network has batch statistics, drawn
 * from the seed, the same at every evaluation. From an endless set the first samples are taken. */
#include <stdio.h>

#include "core/base/err.h"
#include "core/math/rng.h"
#include "core/plan/kind/kinds.h"
#include "core/plan/metric.h"

enum { ORDER = 125 }; /* of rng_permute: beyond those of any stage */

static uint32_t count(const struct stage *s, uint32_t amount)
{
    uint64_t batch = s->evaluate.source;

    return s->measured == &kind_whole_set ? (uint32_t)((amount + batch - 1) / batch) : 0;
}

static uint32_t amount(const struct setup *setup, const struct stage *s, int data, int64_t episodes)
{
    uint32_t n = setup->data[data].n_samples;
    uint64_t drawn = (uint64_t)episodes * (uint64_t)s->config->batch;

    return n == DATA_ENDLESS && drawn < n ? (uint32_t)drawn : n;
}

/* With batch statistics the batch affects the result, so evaluate.batch decides alone. Otherwise it
 * is at most that of training, for which there is memory. */
static int plan(const struct setup *setup, struct stage *s)
{
    int64_t batch = setup->config->evaluate.batch, trained = s->config->batch;

    s->evaluate.source = (uint32_t)(stage_is_transductive(s) || batch < trained ? batch : trained);
    s->evaluate_steps = 0;
    return 0;
}

static int outputs_for(const struct stage *s, int data)
{
    const struct aux *old = stage_aux(s, "old");

    return old && stage_measures_old(s, data) ? old->net.n_out : s->net.n_out;
}

static int fits(const struct setup *setup, struct stage *s, int data)
{
    const struct data *d = &setup->data[data];

    TRY(stage_has_samples(s, d));
    if (!d->n_target && d->n_classes != (uint32_t)outputs_for(s, data))
        return err(ERR_CONFIG, "evaluate.data '%s' has %u classes, stage '%s' distinguishes %d",
                   d->name, d->n_classes, s->config->name, outputs_for(s, data));
    return 0;
}

static struct task_size size(const struct sampler *s)
{
    return (struct task_size){.source = s->stage->evaluate.source};
}

static void draw(const struct sampler *s, uint32_t nth, struct task *t)
{
    uint64_t n = s->amount, batches = count(s->stage, s->amount);
    uint32_t first = (uint32_t)(nth * n / batches);
    bool mixed = stage_is_transductive(s->stage);

    t->n_source = (uint32_t)((nth + 1ull) * n / batches) - first;
    for (uint32_t i = 0; i < t->n_source; i++)
        t->source[i] =
            mixed ? rng_permute(t->seed, RNG_BATCH, ORDER, (uint32_t)n, first + i) : first + i;
}

static int check(const struct setup *setup, const struct stage *s, const struct task *t)
{
    struct task_size size = {.source = t->n_source};

    if (!kind_among(t->data, s->evaluate_data, s->n_evaluate))
        return kind_err_section(t);
    if (t->n_source < 1 || t->n_source > s->evaluate.source)
        size.source = s->evaluate.source;
    return kind_check_batch(setup, s, t, size);
}

static void describe(const struct setup *setup, const struct stage *s, char *text, size_t n)
{
    (void)setup;
    if (stage_is_transductive(s))
        snprintf(text, n,
                 ", every sample, by the statistics of batches of at most %u drawn at random",
                 s->evaluate.source);
    else
        snprintf(text, n, ", every sample");
}

const struct task_kind kind_whole_set = {
    .name = "whole set",
    .purpose = PURPOSE_EVALUATE,
    .gives = GIVES_METRICS,
    .evaluates = true,
    .tasks = "batches",
    .file = "episode",
    .unit = "sample",
    .units = "samples",
    .counted = METRIC_SAMPLES,
    .count = count,
    .amount = amount,
    .plan = plan,
    .fits = fits,
    .size = size,
    .draw = draw,
    .check = check,
    .describe = describe,
    .describe_task = kind_describe_samples,
};
