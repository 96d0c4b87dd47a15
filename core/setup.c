/* setup.c - from configuration to open data and planned networks. */
#include "core/setup.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "core/err.h"
#include "core/metric.h"
#include "core/model.h"

static int data_index(const struct config *c, const char *name)
{
    return (int)(config_find_data(c, name) - c->data);
}

/* Only what is named is opened: a configuration may describe more data than this run uses. */
static int open_used(struct setup *s)
{
    const struct config *c = s->config;
    bool used[CONFIG_DATA_MAX] = {false};

    for (int i = 0; i < c->n_stages; i++)
        used[data_index(c, c->stages[i].data)] = true;
    for (int i = 0; i < c->evaluate.data.n; i++) {
        s->evaluate[s->n_evaluate++] = data_index(c, c->evaluate.data.items[i]);
        used[s->evaluate[i]] = true;
    }
    for (int i = 0; i < c->n_data; i++) {
        if (used[i])
            TRY(data_open(&s->data[i], &c->data[i], s->root));
        s->n_data = i + 1;
    }
    return 0;
}

uint32_t setup_query(const struct setup *s, const struct stage *stage, int data)
{
    int64_t query = s->config->evaluate.query;

    if (s->data[data].n_grid)
        return s->data[data].n_grid;
    return (uint32_t)(query ? query : stage->config->query);
}

/* Every class must have shot + query samples; regression data have them without end. */
static int check_classes(const struct data *d, const struct stage_config *c, uint32_t query)
{
    uint32_t need = (uint32_t)c->shot + query, way = d->n_target ? 1 : (uint32_t)c->way;
    uint32_t n = d->n_classes == DATA_ENDLESS ? 0 : d->n_classes;

    if (way > d->n_classes)
        return err(ERR_CONFIG, "stage '%s': way is %u, but data '%s' has %u classes", c->name, way,
                   d->name, d->n_classes);
    for (uint32_t i = 0; i < n; i++)
        if (data_class_size(d, i) < need) {
            char name[128];

            data_class_name(d, i, name, sizeof name);
            return err(ERR_CONFIG,
                       "stage '%s': class '%s' of data '%s' has %u samples, shot + query needs %u",
                       c->name, name, d->name, data_class_size(d, i), need);
        }
    return 0;
}

static bool same_shape(const struct data *a, const struct data *b)
{
    return a->shape.h == b->shape.h && a->shape.w == b->shape.w && a->shape.c == b->shape.c &&
           a->n_target == b->n_target;
}

static int check_evaluate(const struct setup *s, struct stage *stage)
{
    const struct data *own = &s->data[stage->data];

    for (int i = 0; i < s->n_evaluate; i++) {
        const struct data *d = &s->data[s->evaluate[i]];
        uint32_t query = setup_query(s, stage, s->evaluate[i]);

        if (!same_shape(d, own))
            return err(ERR_CONFIG,
                       "evaluate.data '%s' has samples of %d x %d x %d, stage '%s' trains on "
                       "%d x %d x %d",
                       d->name, d->shape.h, d->shape.w, d->shape.c, stage->config->name,
                       own->shape.h, own->shape.w, own->shape.c);
        TRY(check_classes(d, stage->config, query));
        if (query > stage->evaluate.query)
            stage->evaluate.query = query;
    }
    return 0;
}

static int stage_tasks(const struct setup *s, struct stage *stage)
{
    const struct stage_config *c = stage->config;
    const struct data *d = &s->data[stage->data];

    stage->train = (struct task_size){d->n_target ? 1 : (uint32_t)c->way, (uint32_t)c->shot,
                                      (uint32_t)c->query};
    stage->evaluate = stage->train;
    stage->evaluate.query = s->n_evaluate ? 0 : setup_query(s, stage, stage->data);
    stage->evaluate_steps =
        (int)(s->config->evaluate.steps ? s->config->evaluate.steps : c->inner_steps);
    if (c->inner_steps > STEPS_MAX || stage->evaluate_steps > STEPS_MAX)
        return err(ERR_CONFIG, "stage '%s': more than %d inner steps", c->name, STEPS_MAX);
    TRY(check_classes(d, c, stage->train.query));
    return check_evaluate(s, stage);
}

static int stage_net(const struct setup *s, struct stage *stage)
{
    const struct stage_config *c = stage->config;
    const struct data *d = &s->data[stage->data];
    const char *loss = c->loss[0] ? c->loss : d->n_target ? "mse" : "cross_entropy";
    const struct model_config *m = config_find_model(s->config, c->model);
    struct layer_spec specs[NET_MAX];

    if ((strcmp(loss, "mse") == 0) != (d->n_target > 0))
        return err(ERR_CONFIG, "stage '%s': loss '%s' does not fit data '%s', which has %s",
                   c->name, loss, d->name, d->n_target ? "targets" : "classes");
    int code = model_specs(m, specs, NET_MAX);
    if (code >= 0)
        code = net_plan(&stage->net, specs, code, d->shape, d->n_target ? d->n_target : (int)c->way,
                        loss_find(loss));
    return code < 0 ? err_within(code, "stage '%s', model '%s'", c->name, m->name) : 0;
}

static void stage_optim(struct stage *stage)
{
    const struct stage_config *c = stage->config;
    struct optim_spec *o = &stage->optim;

    *o = (struct optim_spec){
        .rate = c->rate,
        .momentum = c->momentum,
        .beta1 = c->beta1,
        .beta2 = c->beta2,
        .epsilon = c->epsilon,
        .weight_decay = c->weight_decay,
        .clip = c->clip,
        .rate_end = c->rate_end,
        .step_every = (int)c->step_every,
        .step_factor = c->step_factor,
        .rounds = (int)c->rounds,
    };
    snprintf(o->name, sizeof o->name, "%s", c->optimizer);
    snprintf(o->schedule, sizeof o->schedule, "%s", c->schedule);
}

static int stage_open(const struct setup *s, int index)
{
    struct stage *stage = &s->stages[index];

    *stage = (struct stage){.config = &s->config->stages[index], .index = index};
    stage->data = data_index(s->config, stage->config->data);
    TRY(stage_tasks(s, stage));
    TRY(stage_net(s, stage));
    stage_optim(stage);
    return 0;
}

static int setup_fill(struct setup *s)
{
    TRY(open_used(s));
    for (int i = 0; i < s->n_stages; i++)
        TRY(stage_open(s, i));
    return 0;
}

int setup_open(struct setup *s, const struct config *config, const char *root)
{
    int code;

    *s = (struct setup){.config = config, .n_stages = config->n_stages};
    s->root = strdup(root);
    s->stages = calloc((size_t)config->n_stages, sizeof *s->stages);
    code = s->root && s->stages ? setup_fill(s) : err(ERR_MEMORY, "no memory for the stages");
    if (code < 0)
        setup_close(s);
    return code;
}

void setup_close(struct setup *s)
{
    for (int i = 0; i < s->n_data; i++)
        if (s->data[i].ops)
            data_close(&s->data[i]);
    free(s->stages);
    free(s->root);
    *s = (struct setup){0};
}

int setup_stage(const struct setup *s, const char *name, const struct stage **stage)
{
    *stage = &s->stages[s->n_stages - 1];
    for (int i = 0; name && i < s->n_stages; i++)
        if (strcmp(s->stages[i].config->name, name) == 0) {
            *stage = &s->stages[i];
            return 0;
        }
    return name ? err(ERR_USAGE, "no stage is called '%s'", name) : 0;
}

uint64_t setup_digest(const struct setup *s)
{
    uint64_t digest = 0;

    for (int i = 0; i < s->n_stages; i++) {
        uint64_t layout = layout_digest(&s->stages[i].net.layout);

        digest = XXH64(&layout, sizeof layout, digest);
    }
    return digest;
}
