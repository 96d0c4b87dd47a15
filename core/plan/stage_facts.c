/* stage_facts.c - questions about a stage that is planned. */
#include <math.h>
#include <string.h>

#include "core/base/err.h"
#include "core/plan/setup.h"
#include "core/plan/task_kind.h"

bool stage_is_transductive(const struct stage *stage)
{
    return net_is_coupled(&stage->net);
}

bool stage_is_measured_inductively(const struct setup *s, const struct stage *stage)
{
    return s->config->evaluate.inductive && stage->measured->few_shot &&
           stage_is_transductive(stage);
}

uint32_t stage_query(const struct setup *s, const struct stage *stage, int data)
{
    int64_t query = s->config->evaluate.query;

    if (s->data[data].n_grid)
        return s->data[data].n_grid;
    return (uint32_t)(query ? query : stage->shape->query);
}

bool stage_measures_old(const struct stage *stage, int data)
{
    for (int i = 0; i < stage->n_old; i++)
        if (stage->old[i] == data)
            return true;
    return false;
}

int stage_model(const struct setup *s, const struct stage *stage, int data)
{
    const char *domain = s->config->data[data].domain;
    int own = *domain ? (int)(config_find_data(s->config, domain) - s->config->data) : data;

    if (stage->n_models == 1)
        return 0;
    for (int b = 0; b < stage->n_targets; b++)
        if (stage->target[b] == own)
            return b;
    return -1;
}

double stage_weight(const struct stage *stage, uint64_t t)
{
    const struct stage_config *c = stage->config;
    double rounds = (double)c->rounds, done = (double)(t - 1);

    if (strcmp(c->weight_schedule, "rise") == 0) /* Ganin et al. 2016 */
        return c->weight * (2 / (1 + exp(-10 * done / rounds)) - 1);
    if (strcmp(c->weight_schedule, "linear") == 0)
        return c->weight + (c->weight_end - c->weight) * (rounds > 1 ? done / (rounds - 1) : 0);
    return c->weight;
}

int stage_has_samples(const struct stage *stage, const struct data *d)
{
    if (d->n_samples == 0)
        return err(ERR_CONFIG, "stage '%s': method '%s' takes batches, data '%s' has none",
                   stage->config->name, stage->config->method, d->name);
    return 0;
}

const struct aux *stage_aux(const struct stage *stage, const char *name)
{
    for (int i = 0; i < stage->n_aux; i++)
        if (strcmp(stage->aux[i].name, name) == 0)
            return &stage->aux[i];
    return NULL;
}
