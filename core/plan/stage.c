/* stage.c - one stage planned: what it draws, its networks, its optimizer. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/err.h"
#include "core/plan/metric.h"
#include "core/plan/model.h"
#include "core/plan/setup.h"

static int data_index(const struct config *c, const char *name)
{
    return (int)(config_find_data(c, name) - c->data);
}

bool stage_is_transductive(const struct stage *stage)
{
    return net_is_coupled(&stage->net);
}

uint32_t stage_query(const struct setup *s, const struct stage *stage, int data)
{
    int64_t query = s->config->evaluate.query;

    if (s->data[data].n_grid)
        return s->data[data].n_grid;
    return (uint32_t)(query ? query : stage->shape->query);
}

uint32_t stage_evaluate_samples(const struct setup *s, const struct stage *stage, int data,
                                int64_t episodes)
{
    uint32_t n = s->data[data].n_samples;
    uint64_t drawn = (uint64_t)episodes * (uint64_t)stage->config->batch;

    if (stage->few_shot)
        return 0;
    return n == DATA_ENDLESS && drawn < n ? (uint32_t)drawn : n;
}

uint32_t stage_evaluate_tasks(const struct setup *s, const struct stage *stage, int data,
                              int64_t episodes)
{
    uint64_t n = stage_evaluate_samples(s, stage, data, episodes), batch = stage->evaluate.source;

    return (uint32_t)(stage->few_shot ? (uint64_t)episodes : (n + batch - 1) / batch);
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
    int own = *domain ? data_index(s->config, domain) : data;

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

/* ---- what it draws ---- */

static int check_class(const struct stage *stage, const struct data *d, uint32_t i, uint32_t need)
{
    char name[128];

    if (data_class_size(d, i) >= need)
        return 0;
    data_class_name(d, i, name, sizeof name);
    return err(ERR_CONFIG,
               "stage '%s': class '%s' of data '%s' has %u samples, shot + query needs %u",
               stage->config->name, name, d->name, data_class_size(d, i), need);
}

/* Every class must have shot + query samples; regression data have them without end. */
static int check_classes(const struct stage *stage, const struct data *d, uint32_t query)
{
    const struct stage_config *c = stage->shape;
    uint32_t way = d->n_target ? 1 : (uint32_t)c->way;
    uint32_t n = d->n_classes == DATA_ENDLESS ? 0 : d->n_classes;

    if (way > d->n_classes)
        return err(ERR_CONFIG, "stage '%s': way is %u, but data '%s' has %u classes",
                   stage->config->name, way, d->name, d->n_classes);
    for (uint32_t i = 0; i < n; i++)
        TRY(check_class(stage, d, i, (uint32_t)c->shot + query));
    return 0;
}

static int check_samples(const struct stage *stage, const struct data *d)
{
    if (d->n_samples == 0)
        return err(ERR_CONFIG, "stage '%s': method '%s' takes batches, data '%s' has none",
                   stage->config->name, stage->config->method, d->name);
    return 0;
}

static bool same_shape(const struct data *a, const struct data *b)
{
    return a->shape.h == b->shape.h && a->shape.w == b->shape.w && a->shape.c == b->shape.c &&
           a->n_target == b->n_target;
}

static int check_shape(const struct setup *s, const struct stage *stage, const char *key, int data)
{
    const struct data *own = &s->data[stage->data], *d = &s->data[data];

    if (same_shape(d, own))
        return 0;
    return err(ERR_CONFIG,
               "%s '%s' has samples of %d x %d x %d, stage '%s' trains on "
               "%d x %d x %d",
               key, d->name, d->shape.h, d->shape.w, d->shape.c, stage->config->name, own->shape.h,
               own->shape.w, own->shape.c);
}

static int outputs_for(const struct stage *stage, int data)
{
    const struct aux *old = stage_aux(stage, "old");

    return old && stage_measures_old(stage, data) ? old->net.n_out : stage->net.n_out;
}

static int check_evaluated(const struct setup *s, struct stage *stage, int data)
{
    const struct data *d = &s->data[data];

    TRY(check_shape(s, stage, "evaluate.data", data));
    if (stage->few_shot) {
        uint32_t query = stage_query(s, stage, data);

        TRY(check_classes(stage, d, query));
        stage->evaluate.query = query > stage->evaluate.query ? query : stage->evaluate.query;
        return 0;
    }
    TRY(check_samples(stage, d));
    if (d->n_classes != (uint32_t)outputs_for(stage, data))
        return err(ERR_CONFIG, "evaluate.data '%s' has %u classes, stage '%s' distinguishes %d",
                   d->name, d->n_classes, stage->config->name, outputs_for(stage, data));
    return 0;
}

static void add_evaluated(struct stage *stage, const struct config *c, const struct strings *names)
{
    for (int i = 0; i < names->n; i++)
        stage->evaluate_data[stage->n_evaluate++] = data_index(c, names->items[i]);
}

/* The stage's own list, or the run's, or its targets, or its data. */
static void choose_evaluated(const struct setup *s, struct stage *stage)
{
    const struct config *c = s->config;

    add_evaluated(stage, c, &stage->config->evaluate);
    if (stage->n_evaluate == 0)
        add_evaluated(stage, c, &c->evaluate.data);
    if (stage->n_evaluate == 0)
        add_evaluated(stage, c, &stage->config->target);
    if (stage->n_evaluate == 0)
        stage->evaluate_data[stage->n_evaluate++] = stage->data;
}

/* Where batch statistics make the batch a part of the figure it is what evaluate.batch says. Elsewhere it is no larger than in
 * training, for which there is room. */
static uint32_t measured_batch(const struct setup *s, const struct stage *stage)
{
    int64_t batch = s->config->evaluate.batch, trained = stage->config->batch;

    return (uint32_t)(stage_is_transductive(stage) || batch < trained ? batch : trained);
}

static int stage_evaluates(const struct setup *s, struct stage *stage)
{
    const struct stage_config *c = stage->shape;

    choose_evaluated(s, stage);
    stage->evaluate_steps =
        (int)(s->config->evaluate.steps ? s->config->evaluate.steps : c->inner_steps);
    if (c->inner_steps > STEPS_MAX || stage->evaluate_steps > STEPS_MAX)
        return err(ERR_CONFIG, "stage '%s': more than %d inner steps", stage->config->name,
                   STEPS_MAX);
    if (!stage->few_shot)
        stage->evaluate.source = measured_batch(s, stage), stage->evaluate_steps = 0;
    else
        stage->evaluate = (struct task_size){
            .way = s->data[stage->data].n_target ? 1 : (uint32_t)c->way, .shot = (uint32_t)c->shot};
    for (int i = 0; i < stage->n_evaluate; i++)
        TRY(check_evaluated(s, stage, stage->evaluate_data[i]));
    return 0;
}

static int stage_targets(const struct setup *s, struct stage *stage)
{
    const struct stage_config *c = stage->config;
    bool wanted = stage->form->draws & DRAW_TARGET;

    if (wanted != (c->target.n > 0))
        return err(ERR_CONFIG, "stage '%s': method '%s' %s", c->name, c->method,
                   wanted ? "needs a target" : "does not use a target");
    for (int i = 0; i < c->target.n; i++) {
        stage->target[stage->n_targets++] = data_index(s->config, c->target.items[i]);
        TRY(check_shape(s, stage, "target", stage->target[i]));
        TRY(check_samples(stage, &s->data[stage->target[i]]));
    }
    return 0;
}

static int stage_draws(const struct setup *s, struct stage *stage)
{
    const struct stage_config *c = stage->config;
    const struct data *d = &s->data[stage->data];
    unsigned draws = stage->form->draws;

    TRY(stage_targets(s, stage));
    stage->n_tasks = (uint32_t)c->tasks;
    if (draws & DRAW_EPISODES) {
        if (!d->n_target && c->way < 2)
            return err(ERR_CONFIG,
                       "stage '%s': way is %jd: one class leaves nothing to distinguish, way must "
                       "be 2 or more",
                       c->name, (intmax_t)c->way);
        stage->n_episodes = stage->n_tasks;
        stage->train = (struct task_size){.way = d->n_target ? 1 : (uint32_t)c->way,
                                          .shot = (uint32_t)c->shot,
                                          .query = (uint32_t)c->query};
        TRY(check_classes(stage, d, stage->train.query));
    }
    if (draws & DRAW_SOURCE) {
        if (!stage->form->inherits && !d->n_target && d->n_classes == 1)
            return err(ERR_DATA,
                       "stage '%s': data '%s' has one class, so there is nothing to distinguish",
                       c->name, d->name);
        TRY(check_samples(stage, d));
        stage->train.source = stage->batch = (uint32_t)c->batch;
    }
    if (draws & DRAW_TARGET)
        stage->train.targets = stage->target_batch =
            (uint32_t)(c->target_batch ? c->target_batch : c->batch);
    if ((draws & DRAW_EPISODES) && (draws & DRAW_SOURCE))
        stage->n_tasks += (uint32_t)c->batches;
    return 0;
}

/* ---- its vector ---- */

const struct aux *stage_aux(const struct stage *stage, const char *name)
{
    for (int i = 0; i < stage->n_aux; i++)
        if (strcmp(stage->aux[i].name, name) == 0)
            return &stage->aux[i];
    return NULL;
}

static void take_role(struct layout *l, enum role role)
{
    for (int i = 0; i < l->n_segments; i++)
        if (l->segments[i].role != ROLE_STAT)
            l->segments[i].role = role;
}

int stage_add(struct stage *stage, const char *name, enum role role, const struct layer_spec *specs,
              int n_specs, struct shape in, int n_out, const char *loss)
{
    struct aux *more = realloc(stage->aux, (size_t)(stage->n_aux + 1) * sizeof *more), *p;

    if (!more)
        return err(ERR_MEMORY, "no memory for network '%s'", name);
    stage->aux = more;
    p = &stage->aux[stage->n_aux];
    *p = (struct aux){.name = name, .offset = stage->model.n};
    TRY(net_plan(&p->net, specs, n_specs, in, n_out, loss_find(loss)));
    stage->n_aux++;
    take_role(&p->net.layout, role);
    return layout_append(&stage->model, name, &p->net.layout);
}

void stage_close(struct stage *stage)
{
    for (int i = 0; i < stage->n_aux; i++)
        net_release(&stage->aux[i].net);
    free(stage->aux);
    net_release(&stage->net);
    layout_release(&stage->model);
    layout_release(&stage->layout);
    *stage = (struct stage){0};
}

void stage_idle_behind(struct stage *stage, int act)
{
    const struct net *net = &stage->net;

    for (int i = 0; i < stage->model.n_segments && act < net->n_layers; i++) {
        struct segment *s = &stage->model.segments[i];

        s->idle |= s->offset >= net->layers[act].offset && s->offset < net->layout.n;
    }
}

static int outputs(const struct setup *s, const struct stage *stage)
{
    const struct data *d = &s->data[stage->data];
    bool episodes = stage->form->draws & DRAW_EPISODES;

    if (stage->form->inherits && stage->start >= 0)
        return s->stages[stage->start].net.n_out;
    if (d->n_target)
        return d->n_target;
    return episodes ? (int)stage->shape->way : d->n_classes > 1 << 20 ? -1 : (int)d->n_classes;
}

static bool same_input(const struct net *a, const struct net *b)
{
    return a->in.h == b->in.h && a->in.w == b->in.w && a->in.c == b->in.c;
}

static int stage_net(const struct setup *s, struct stage *stage)
{
    const struct stage_config *c = stage->config;
    const struct data *d = &s->data[stage->data];
    const char *loss = c->loss[0] ? c->loss : d->n_target ? "mse" : "cross_entropy";
    const struct model_config *model = config_find_model(s->config, c->model);
    int n_out = outputs(s, stage), code;

    if (n_out < 0)
        return err(ERR_CONFIG,
                   "stage '%s': data '%s' has endless classes; method '%s' needs data.first",
                   c->name, d->name, c->method);
    if ((strcmp(loss, "mse") == 0) != (d->n_target > 0))
        return err(ERR_CONFIG, "stage '%s': loss '%s' does not fit data '%s', which has %s",
                   c->name, loss, d->name, d->n_target ? "targets" : "classes");
    code = model_plan(model, stage->few_shot, &stage->net, d->shape, n_out, loss_find(loss));
    if (code < 0)
        return err_within(code, "stage '%s', model '%s'", c->name, model->name);
    if (stage->anchor >= 0 && !same_input(&s->stages[stage->anchor].net, &stage->net))
        return err(ERR_CONFIG, "stage '%s' and its anchor '%s' take samples of different sizes",
                   c->name, s->stages[stage->anchor].config->name);
    TRY(layout_append(&stage->model, "", &stage->net.layout));
    return stage->form->plan ? stage->form->plan(stage, s) : 0;
}

static bool has_statistics(const struct layout *l)
{
    for (int i = 0; i < l->n_segments; i++)
        if (l->segments[i].role == ROLE_STAT)
            return true;
    return false;
}

/* Statistics stay while the body does: there its training normalises by them, as its evaluation does. Those that a stage on
 * batches does not take from another were never estimated, and move from the first round on. */
static void stage_statistics(const struct setup *s, struct stage *stage)
{
    bool taken = stage->start >= 0 && has_statistics(&s->stages[stage->start].layout);

    if (stage->few_shot || taken)
        stage->optim.still =
            stage->config->body_rate == 0 ? UINT64_MAX : (uint64_t)stage->config->warm_up;
}

/* One model, or one per target, which then has its model to itself and steps on its own. */
static int stage_layout(const struct setup *s, struct stage *stage)
{
    stage->n_models = stage->n_targets > 1 ? stage->n_targets : 1;
    if (stage->n_models == 1)
        return layout_append(&stage->layout, "", &stage->model);
    stage->n_tasks = (uint32_t)stage->n_models;
    stage->steps = (uint32_t)stage->config->steps;
    stage->optim.rounds *= stage->config->steps;
    stage->train.source *= stage->steps, stage->train.targets *= stage->steps;
    for (int b = 0; b < stage->n_models; b++)
        TRY(layout_append(&stage->layout, s->data[stage->target[b]].name, &stage->model));
    return 0;
}

static void stage_optim(struct stage *stage)
{
    const struct stage_config *c = stage->config;
    struct optim_spec *o = &stage->optim;

    *o = (struct optim_spec){
        .rate = c->rate,
        .momentum = c->momentum,
        .beta1 = c->beta1 < 0 ? 0.9 : c->beta1,
        .beta2 = c->beta2,
        .epsilon = c->epsilon,
        .weight_decay = c->weight_decay,
        .clip = c->clip,
        .rate_end = c->rate_end,
        .step_every = (int)c->step_every,
        .step_factor = c->step_factor,
        .rounds = (int)c->rounds,
        .warm_up = (int)c->warm_up,
    };
    for (int role = 0; role < ROLES; role++)
        o->factor[role] = role == ROLE_BODY ? c->body_rate : 1;
    snprintf(o->name, sizeof o->name, "%s", c->optimizer);
    snprintf(o->schedule, sizeof o->schedule, "%s", c->schedule);
}

/* ---- what went before it ---- */

static int earlier(const struct setup *s, int index, const char *name)
{
    for (int i = 0; *name && i < index; i++)
        if (strcmp(s->stages[i].config->name, name) == 0)
            return i;
    return index - 1;
}

static int stage_before(const struct setup *s, struct stage *stage)
{
    const struct stage_config *c = stage->config;

    stage->start = earlier(s, stage->index, c->start);
    stage->anchor = stage->form->anchor ? earlier(s, stage->index, c->anchor) : -1;
    if ((stage->form->anchor || stage->form->inherits) && stage->index == 0)
        return err(ERR_CONFIG, "stage '%s': method '%s' needs a stage before it", c->name,
                   c->method);
    for (int i = 0; i < 2; i++) {
        int before = i ? stage->anchor : stage->start;

        if (before >= 0 && s->stages[before].n_models > 1)
            return err(
                ERR_CONFIG,
                "stage '%s' follows '%s', which has a model for each target: name another stage in "
                "'%s'",
                c->name, s->stages[before].config->name, i ? "anchor" : "start");
    }
    return 0;
}

static int stage_form(const struct setup *s, struct stage *stage)
{
    const struct stage_config *c = stage->config;
    const struct stage *before;

    stage->form = s->forms(c->method);
    if (!stage->form)
        return err(ERR_CONFIG, "no method is called '%s'", c->method);
    TRY(stage_before(s, stage));
    before = stage->start >= 0 ? &s->stages[stage->start] : NULL;
    stage->shape = stage->form->inherits ? before->shape : c;
    stage->few_shot =
        stage->form->inherits ? before->few_shot : (stage->form->draws & DRAW_EPISODES) != 0;
    return 0;
}

static void take_old(const struct setup *s, struct stage *stage)
{
    const struct strings *old = &stage->config->old;

    for (int i = 0; i < old->n; i++)
        stage->old[stage->n_old++] = data_index(s->config, old->items[i]);
}

int stage_open(struct setup *s, int index)
{
    struct stage *stage = &s->stages[index];

    *stage = (struct stage){.config = &s->config->stages[index], .index = index};
    stage->data = data_index(s->config, stage->config->data);
    TRY(stage_form(s, stage));
    take_old(s, stage);
    TRY(stage_draws(s, stage));
    stage_optim(stage);
    TRY(stage_net(s, stage));
    stage_statistics(s, stage);
    TRY(stage_layout(s, stage));
    return stage_evaluates(s, stage);
}
