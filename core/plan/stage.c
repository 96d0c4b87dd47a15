/* stage.c - one stage planned: what it draws, its networks, its optimizer. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/err.h"
#include "core/plan/drawn.h"
#include "core/plan/mix.h"
#include "core/plan/model.h"
#include "core/plan/scale.h"
#include "core/plan/setup.h"
#include "core/plan/task_kind.h"

static int data_index(const struct config *c, const char *name)
{
    return (int)(config_find_data(c, name) - c->data);
}

/* ---- what it draws ---- */

static bool same_shape(const struct data *a, const struct data *b)
{
    return a->shape.h == b->shape.h && a->shape.w == b->shape.w && a->shape.c == b->shape.c &&
           a->n_target == b->n_target;
}

static int check_shape(const struct setup *s, const struct stage *stage, const char *key, int data)
{
    const struct data *own = &s->data[stage->data], *d = &s->data[data];

    if (same_shape(d, own) && d->columns != own->columns)
        return err(ERR_CONFIG,
                   "%s '%s' has other columns than '%s', on which stage '%s' trains: name them in "
                   "'inputs' and 'targets'",
                   key, d->name, own->name, stage->config->name);
    if (same_shape(d, own))
        return 0;
    return err(ERR_CONFIG,
               "%s '%s' has samples of %d x %d x %d, stage '%s' trains on "
               "%d x %d x %d",
               key, d->name, d->shape.h, d->shape.w, d->shape.c, stage->config->name, own->shape.h,
               own->shape.w, own->shape.c);
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
        add_evaluated(stage, c, &stage->config->data);
}

static int stage_evaluates(const struct setup *s, struct stage *stage)
{
    const struct stage_config *c = stage->shape;

    choose_evaluated(s, stage);
    if (s->traits_of(c->method)->inner_loop) {
        stage->inner_steps = (int)c->inner_steps;
        stage->evaluate_steps =
            s->config->evaluate.steps ? (int)s->config->evaluate.steps : stage->inner_steps;
    }
    TRY(stage->measured->plan(s, stage));
    for (int i = 0; i < stage->n_evaluate; i++) {
        TRY(check_shape(s, stage, "evaluate.data", stage->evaluate_data[i]));
        TRY(stage->measured->fits(s, stage, stage->evaluate_data[i]));
    }
    return 0;
}

static int stage_targets(const struct setup *s, struct stage *stage)
{
    const struct stage_config *c = stage->config;
    bool wanted = stage->traits->draws & DRAW_TARGET;

    if (wanted != (c->target.n > 0))
        return err(ERR_CONFIG, "stage '%s': method '%s' %s", c->name, c->method,
                   wanted ? "needs a target" : "does not use a target");
    for (int i = 0; i < c->target.n; i++) {
        stage->target[stage->n_targets++] = data_index(s->config, c->target.items[i]);
        TRY(check_shape(s, stage, "target", stage->target[i]));
        TRY(stage_has_samples(stage, &s->data[stage->target[i]]));
    }
    return 0;
}

static int stage_augments(const struct setup *s, struct stage *stage)
{
    const struct stage_config *c = stage->config;
    const struct data *d = &s->data[stage->data];
    int side = d->shape.h < d->shape.w ? d->shape.h : d->shape.w;

    stage->augment = (struct augment){(int)c->augment_crop, c->augment_flip, c->augment_brightness,
                                      c->augment_contrast};
    if (augment_any(&stage->augment) && side < 2)
        return err(ERR_CONFIG, "stage '%s': only images can be augmented, data '%s' has %d x %d",
                   c->name, d->name, d->shape.h, d->shape.w);
    if (c->augment_crop > 0 && c->augment_crop >= side)
        return err(ERR_CONFIG, "stage '%s': augment_crop is %d, data '%s' has %d x %d pixels",
                   c->name, stage->augment.crop, d->name, d->shape.h, d->shape.w);
    return 0;
}

/* The number of tasks of all kinds in a round of the stage. */
static int stage_draws(const struct setup *s, struct stage *stage)
{
    TRY(stage_targets(s, stage));
    for (int m = 1; m < stage->n_mixed; m++)
        TRY(check_shape(s, stage, "data", stage->mixed[m].data));
    for (int i = 0; task_kinds[i]; i++) {
        const struct task_kind *kind = task_kinds[i];
        uint32_t n = kind->purpose == PURPOSE_TRAIN ? kind->count(stage, 0) : 0;

        if (n == 0)
            continue;
        TRY(kind->plan(s, stage));
        for (int m = 0; m < stage->n_mixed; m++)
            TRY(kind->fits(s, stage, stage->mixed[m].data));
        stage->n_tasks += n;
    }
    return 0;
}

/* ---- its vector ---- */

static void take_role(struct layout *l, enum role role)
{
    for (int i = 0; i < l->n_segments; i++)
        if (role_learns(l->segments[i].role))
            l->segments[i].role = role;
}

int stage_add(struct stage *stage, const char *name, enum role role, const struct layer_spec *specs,
              int n_specs, struct shape in, int n_out, const char *loss)
{
    struct aux *more = realloc(stage->aux, (size_t)(stage->n_aux + 1) * sizeof *more), *p;
    struct loss plain = loss_plain(loss);

    if (!more)
        return err(ERR_MEMORY, "no memory for network '%s'", name);
    stage->aux = more;
    p = &stage->aux[stage->n_aux];
    *p = (struct aux){.name = name, .offset = stage->model.n};
    TRY(net_plan(&p->net, specs, n_specs, in, n_out, &plain));
    stage->n_aux++;
    take_role(&p->net.layout, role);
    return layout_append(&stage->model, name, &p->net.layout);
}

void stage_close(struct stage *stage)
{
    for (int i = 0; i < stage->n_aux; i++)
        net_release(&stage->aux[i].net);
    free(stage->aux);
    drawn_release(&stage->drawn);
    free(stage->mixed);
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

static int outputs(const struct setup *s, const struct stage *stage, const struct loss *loss)
{
    const struct data *d = &s->data[stage->data];
    bool episodes = stage->traits->draws & DRAW_EPISODES;

    if (stage->traits->inherits && stage->start >= 0)
        return s->stages[stage->start].net.n_out;
    if (d->n_target)
        return d->n_target * loss->per_target;
    if (episodes && stage->shape->way_max > 0)
        return (int)stage->shape->way_max;
    return episodes ? (int)stage->shape->way : d->n_classes > 1 << 20 ? -1 : (int)d->n_classes;
}

static bool same_input(const struct net *a, const struct net *b)
{
    return a->in.h == b->in.h && a->in.w == b->in.w && a->in.c == b->in.c;
}

/* Its loss, or that of its data. */
static int stage_loss(const struct setup *s, const struct stage *stage, struct loss *loss)
{
    const struct stage_config *c = stage->config;
    const struct data *d = &s->data[stage->data];
    const char *name = c->loss[0] ? c->loss : d->n_target ? "mse" : "cross_entropy";
    int code = loss_form(loss, name, config_own(s->config, c, "loss"));

    if (code < 0)
        return err_within(code, "stage '%s'", c->name);
    if (stage->traits->needs_classes && d->n_target > 0)
        return err(ERR_CONFIG, "stage '%s': method '%s' needs classes, data '%s' has targets",
                   c->name, c->method, d->name);
    if (loss_is_regression(loss) != (d->n_target > 0))
        return err(ERR_CONFIG, "stage '%s': loss '%s' does not fit data '%s', which has %s",
                   c->name, name, d->name, d->n_target ? "targets" : "classes");
    if (loss->ops->refuses && scale_wanted(stage->normalize_targets))
        return err(ERR_CONFIG,
                   "stage '%s': loss '%s' takes targets as they are: "
                   "'normalize_targets' is of no use",
                   c->name, name);
    return 0;
}

static int stage_net(const struct setup *s, struct stage *stage)
{
    const struct stage_config *c = stage->config;
    const struct data *d = &s->data[stage->data];
    const struct model_config *model = config_find_model(s->config, c->model);
    struct layer_spec first = {.type = "normalize", .holes = d->holes};
    struct loss loss;
    int n_out, code;

    TRY(stage_loss(s, stage, &loss));
    n_out = outputs(s, stage, &loss);

    if (n_out < 0)
        return err(ERR_CONFIG,
                   "stage '%s': data '%s' has endless classes; method '%s' needs data.first",
                   c->name, d->name, c->method);
    code =
        model_plan(model, stage->measured->few_shot, scale_wanted(stage->normalize) ? &first : NULL,
                   &stage->net, d->shape, n_out, &loss);
    if (code < 0)
        return err_within(code, "stage '%s', model '%s'", c->name, model->name);
    if (stage->anchor >= 0 && !same_input(&s->stages[stage->anchor].net, &stage->net))
        return err(ERR_CONFIG, "stage '%s' and its anchor '%s' take samples of different sizes",
                   c->name, s->stages[stage->anchor].config->name);
    TRY(layout_append(&stage->model, "", &stage->net.layout));
    if (stage->traits->plan)
        TRY(stage->traits->plan(stage, s));
    return scale_add_targets(s, stage);
}

static bool has_statistics(const struct layout *l)
{
    for (int i = 0; i < l->n_segments; i++)
        if (l->segments[i].role == ROLE_STAT)
            return true;
    return false;
}

/* Statistics stay fixed while the body is frozen: training then normalises by them, as evaluation
 * does. If a stage on batches does not take them over from another stage, they were never
 * estimated, and move from the first round on. */
static void stage_statistics(const struct setup *s, struct stage *stage)
{
    bool taken = *stage->config->init ||
                 (stage->start >= 0 && has_statistics(&s->stages[stage->start].layout));

    if (stage->measured->few_shot || taken)
        stage->optim.still =
            stage->config->body_rate == 0 ? UINT64_MAX : (uint64_t)stage->config->warm_up;
}

/* One model, or one per target, which then has its own and steps by itself. */
static int stage_layout(const struct setup *s, struct stage *stage)
{
    if (stage->n_models == 1)
        return layout_append(&stage->layout, "", &stage->model);
    stage->optim.rounds *= stage->config->steps;
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

/* Whether the stage may start from a file. */
static int check_init(const struct stage *stage)
{
    const struct stage_config *c = stage->config;

    if (!*c->init)
        return c->init_map.n == 0 ? 0
                                  : err(ERR_CONFIG, "stage '%s': 'init_map' needs 'init'", c->name);
    if (*c->start)
        return err(ERR_CONFIG,
                   "stage '%s' has 'start' and 'init': it starts from a stage or from a file",
                   c->name);
    if (stage->traits->inherits)
        return err(ERR_CONFIG,
                   "stage '%s': method '%s' goes on with the network of an earlier stage: give "
                   "'init' to that one",
                   c->name, c->method);
    return 0;
}

static int stage_before(const struct setup *s, struct stage *stage)
{
    const struct stage_config *c = stage->config;

    TRY(check_init(stage));
    stage->start = *c->init ? -1 : earlier(s, stage->index, c->start);
    stage->anchor = stage->traits->anchor ? earlier(s, stage->index, c->anchor) : -1;
    if ((stage->traits->anchor || stage->traits->inherits) && stage->index == 0)
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

static bool learns_rates(const struct stage *stage)
{
    for (int i = 0; i < stage->model.n_segments; i++)
        if (stage->model.segments[i].role == ROLE_RATE)
            return true;
    return false;
}

/* Outputs, few-shot tasks and evaluation are taken from the stage it starts from. */
static int inherit(struct stage *stage, const struct stage *before)
{
    if (learns_rates(before))
        return err(ERR_CONFIG,
                   "stage '%s': method '%s' cannot go on from stage '%s' of method '%s', whose "
                   "inner rates are learned",
                   stage->config->name, stage->config->method, before->config->name,
                   before->config->method);
    stage->shape = before->shape;
    stage->measured = before->measured;
    stage->evaluate_way = before->evaluate_way;
    return 0;
}

static int stage_form(const struct setup *s, struct stage *stage)
{
    const struct stage_config *c = stage->config;

    stage->traits = s->traits_of(c->method);
    stage->own = config_own(s->config, c, "method");
    if (!stage->traits)
        return err(ERR_CONFIG, "unknown method '%s'", c->method);
    TRY(mix_form(s, stage));
    TRY(stage_before(s, stage));
    if (stage->traits->inherits)
        return inherit(stage, &s->stages[stage->start]);
    stage->shape = c;
    stage->measured =
        stage->traits->draws & DRAW_EPISODES ? &kind_evaluation_episode : &kind_whole_set;
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

    *stage = (struct stage){.config = &s->config->stages[index], .index = index, .n_models = 1};
    TRY(stage_form(s, stage));
    TRY(scale_form(s, stage));
    take_old(s, stage);
    TRY(stage_draws(s, stage));
    TRY(stage_augments(s, stage));
    stage_optim(stage);
    TRY(stage_net(s, stage));
    stage_statistics(s, stage);
    TRY(stage_layout(s, stage));
    TRY(stage_evaluates(s, stage));
    stage_count_metrics(s, stage);
    return drawn_plan(s, stage);
}
