/* plan.c - the plan of a run, stage by stage. */
#include "launch/plan.h"

#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "core/base/err.h"
#include "core/base/machine.h"
#include "core/base/plural.h"
#include "core/plan/hand_over.h"
#include "core/plan/stage_init.h"
#include "core/plan/task_kind.h"
#include "launch/audit_odds.h"
#include "launch/memory.h"
#include "launch/print.h"
#include "worker/engine.h"
#include "worker/method_work.h"
#include "worker/pool.h"

/* How the classes of section i were matched with those of the section whose head it shares. */
static void print_matched(const struct setup *s, int i)
{
    static const char *const how[] = {
        [MATCHED_NAMES] = "by name",
        [MATCHED_ORDER] = "by name, and take its numbers",
        [MATCHED_NUMBERS] = "by number, because one of the two has no names",
    };

    if (s->matched[i] != MATCHED_NOT)
        printf("  its classes are matched with those of '%s' %s\n",
               s->data[s->matched_with[i]].name, how[s->matched[i]]);
}

static void print_data(const struct setup *s)
{
    for (int i = 0; i < s->n_data; i++) {
        const struct data *d = &s->data[i];

        if (!d->ops)
            continue;
        printf("data '%s': %s, ", d->name, d->ops->name);
        if (d->n_classes == DATA_ENDLESS)
            printf("endless classes");
        else
            printf("%u class%s", d->n_classes, plural_es(d->n_classes));
        if (d->n_samples && d->n_samples != DATA_ENDLESS)
            printf(", %u sample%s", d->n_samples, plural(d->n_samples));
        printf(" of %d x %d x %d%s\n", d->shape.h, d->shape.w, d->shape.c,
               d->turned_classes ? ", rotations as classes"
               : d->n_turns > 1  ? ", rotations drawn per class and task"
                                 : "");
        print_matched(s, i);
    }
}

static void print_layers(const char *title, const struct net *net)
{
    printf("  %-16s %-14s %s\n", title, "output", "parameters");
    for (int i = 0; i < net->n_layers; i++) {
        const struct layer *l = &net->layers[i];
        char name[48], shape[40];

        net_layer_name(net, i, name, sizeof name);
        snprintf(shape, sizeof shape, "%d x %d x %d", l->out.h, l->out.w, l->out.c);
        printf("  %-16s %-14s %zu%s%s%s\n", l->ops->name, shape, l->n_w, l->ops->prefix ? "  " : "",
               l->ops->prefix ? name : "",
               l->ops->kind != LAYER_NORM ? ""
               : l->coupled               ? "  (batch statistics: transductive)"
                                          : "  (running statistics in evaluation)");
    }
}

static void print_segments(const struct layout *l)
{
    for (int i = 0; i < l->n_segments; i++) {
        const struct segment *s = &l->segments[i];

        printf("  %-28s %s [", s->name, role_name(s->role));
        for (int k = 0; k < s->n_dims; k++)
            printf("%s%zu", k ? ", " : "", s->dims[k]);
        printf("]\n");
    }
}

static void print_targets(const struct setup *s, const struct stage *stage)
{
    for (int i = 0; i < stage->n_targets; i++)
        printf("%s'%s'", i ? ", " : " to ", s->data[stage->target[i]].name);
}

static void print_kind(const struct setup *s, const struct stage *stage,
                       const struct task_kind *kind)
{
    char text[160];

    kind->describe(s, stage, text, sizeof text);
    fputs(text, stdout);
}

/* " (2 of 3 tasks), 'b' (1 of 3)" */
static void print_mixed(const struct setup *s, const struct stage *stage)
{
    unsigned sum = 0;

    for (int i = 0; i < stage->n_mixed; i++)
        sum += stage->mixed[i].weight;
    for (int i = 0; i < stage->n_mixed && stage->n_mixed > 1; i++) {
        const struct mixed *m = &stage->mixed[i];

        if (i > 0)
            printf(", '%s'", s->data[m->data].name);
        printf(" (%u of %u%s)", m->weight, sum, i == 0 ? " tasks" : "");
    }
}

static void print_draws(const struct setup *s, const struct stage *stage)
{
    const struct stage_config *c = stage->config;

    printf("stage '%s': %s on '%s'", c->name, c->method, s->data[stage->data].name);
    print_mixed(s, stage);
    print_targets(s, stage);
    for (int i = 0; task_kinds[i]; i++)
        if (task_kinds[i]->purpose == PURPOSE_TRAIN && task_kinds[i]->count(stage, 0) > 0)
            print_kind(s, stage, task_kinds[i]);
    printf(" x %ld round%s\n", (long)c->rounds, plural((double)c->rounds));
}

/* "body, discriminator at 0.5": the roles that step, or those that do not. */
static void print_roles(const struct stage *stage, const char *title, bool frozen)
{
    bool seen[ROLES] = {false}, any = false;

    for (int i = 0; i < stage->model.n_segments; i++)
        seen[stage->model.segments[i].role] = true;
    for (int role = 0; role < ROLES; role++) {
        double factor = role == ROLE_STAT    ? stage->optim.still != UINT64_MAX
                        : role == ROLE_SCALE ? 0
                                             : stage->optim.factor[role];

        if (!seen[role] || (factor == 0) != frozen)
            continue;
        printf("%s%s", any ? ", " : title, role_name((enum role)role));
        if (stage->optim.own[role] > 0)
            printf(" (at %g)", stage->optim.own[role]);
        else if (!frozen && factor != 1 && role != ROLE_STAT)
            printf(" (at %g)", factor * stage->optim.rate);
        any = true;
    }
}

static void print_steps(const struct stage *stage)
{
    const struct stage_config *c = stage->config;

    if (stage->inner_steps > 0)
        printf("  %d inner step%s at %g\n", stage->inner_steps, plural(stage->inner_steps),
               stage->shape->inner_rate);
    printf("  %s at %g, %s", c->optimizer, c->rate, c->schedule);
    print_roles(stage, "; learns: ", false);
    print_roles(stage, "; frozen: ", true);
    if (c->warm_up)
        printf("; warm-up of %ld round%s: only the head", (long)c->warm_up,
               plural((double)c->warm_up));
    putchar('\n');
}

static void print_augment(const struct augment *a)
{
    const char *between = "  augmented in training: ";

    if (a->crop)
        printf("%scrop by %d pixel%s", between, a->crop, plural(a->crop)), between = ", ";
    if (a->flip)
        printf("%sflip", between), between = ", ";
    if (a->brightness > 0)
        printf("%sbrightness %g", between, a->brightness), between = ", ";
    if (a->contrast > 0)
        printf("%scontrast %g", between, a->contrast);
    if (augment_any(a))
        putchar('\n');
}

/* Segments that no gradient reaches, although their role learns. */
static void print_idle(const struct stage *stage)
{
    bool any = false;

    for (int i = 0; i < stage->model.n_segments; i++) {
        const struct segment *s = &stage->model.segments[i];

        if (!s->idle || stage->optim.factor[s->role] == 0)
            continue;
        printf("%s%s", any ? ", " : "  no gradient reaches: ", s->name);
        any = true;
    }
    if (any)
        putchar('\n');
}

static void print_line(void *context, const char *line)
{
    (void)context;
    puts(line);
}

static int print_init(const struct stage *stage)
{
    struct stage_init in;

    if (!*stage->config->init)
        return 0;
    TRY(stage_init_open(&in, stage));
    stage_init_describe(&in, print_line, NULL);
    stage_init_close(&in);
    return 0;
}

static void print_start(const struct setup *s, const struct stage *stage)
{
    const struct layout *l = &stage->model;
    bool any = false;

    if (stage->start < 0)
        return;
    printf("  starts from stage '%s'", s->stages[stage->start].config->name);
    for (int i = 0; i < l->n_segments; i++) {
        if (hand_over(s, stage, &l->segments[i]))
            continue;
        printf("%s%s", any ? ", " : "; initialised: ", l->segments[i].name);
        any = true;
    }
    putchar('\n');
}

static void print_anchor(const struct setup *s, const struct stage *stage)
{
    if (stage->anchor >= 0)
        printf("  anchor: the frozen result of stage '%s' (%zu parameters)\n",
               s->stages[stage->anchor].config->name, s->stages[stage->anchor].net.layout.n);
}

static void print_heirs(const struct setup *s, const struct stage *stage)
{
    bool any = false;

    for (int i = stage->index + 1; i < s->n_stages; i++) {
        const struct stage *later = &s->stages[i];
        bool start = later->start == stage->index, anchor = later->anchor == stage->index;

        if (!start && !anchor)
            continue;
        printf("%s'%s' (%s)", any ? ", " : "  hands over to: ", later->config->name,
               start && anchor ? "start and anchor"
               : start         ? "start"
                               : "anchor");
        any = true;
    }
    if (any)
        putchar('\n');
}

static void print_evaluated(const struct setup *s, const struct stage *stage)
{
    printf("  measured on");
    for (int i = 0; i < stage->n_evaluate; i++) {
        int data = stage->evaluate_data[i], model = stage_model(s, stage, data);

        printf("%s '%s'%s", i ? "," : "", s->data[data].name,
               model < 0                         ? " (not measured: no model for it)"
               : stage_measures_old(stage, data) ? " (old head)"
                                                 : "");
    }
    print_kind(s, stage, stage->measured);
    putchar('\n');
}

static void print_networks(const struct stage *stage)
{
    print_layers("layer", &stage->net);
    for (int i = 0; i < stage->n_aux; i++)
        print_layers(stage->aux[i].name, &stage->aux[i].net);
    if (stage->n_models > 1)
        printf("  segments of each of the %d domain models, with the target's name as prefix:\n",
               stage->n_models);
    print_segments(&stage->model);
}

static int print_stage(const struct setup *s, const struct stage *stage)
{
    struct engine e;

    print_draws(s, stage);
    print_start(s, stage);
    TRY(print_init(stage));
    TRY(engine_open(&e, s));
    engine_begin(&e, stage, PURPOSE_TRAIN, NULL);
    print_anchor(s, stage);
    print_augment(&stage->augment);
    print_steps(stage);
    print_idle(stage);
    print_networks(stage);
    printf("  %zu parameters, loss %s, %.4g MFLOP a %s, digest of the layout %016lx\n",
           stage->layout.n, stage->net.loss.ops->name, method_flops(s, stage) / 1e6,
           stage->steps ? "step" : "task", (unsigned long)layout_digest(&stage->layout));
    if (e.method.inner && e.method.inner->spec.second == SECOND_THROUGH)
        printf("  activations of inner steps: %s\n", e.method.inner->n_tapes == stage->inner_steps
                                                         ? "kept"
                                                         : "recomputed (cluster.memory)");
    print_evaluated(s, stage);
    print_heirs(s, stage);
    engine_close(&e);
    return 0;
}

/* What the file that a stage starts from gives it. */
static json_t *init_json(const struct stage_init *in)
{
    json_t *taken = json_object(), *drawn = json_object(), *left = json_array();
    const struct layout *l = &in->stage->model;
    char digest[20], reason[640];

    snprintf(digest, sizeof digest, "%016lx", (unsigned long)in->dict.digest);
    for (int i = 0; i < l->n_segments; i++) {
        const struct origin *o = &in->origins[i];

        stage_init_reason(in, i, reason, sizeof reason);
        json_object_set_new(o->kind == ORIGIN_FILE ? taken : drawn, l->segments[i].name,
                            json_string(o->kind == ORIGIN_FILE ? o->entry->tensor->name : reason));
    }
    for (int i = 0; i < in->dict.n; i++)
        if (!in->dict.entries[i].taken)
            json_array_append_new(left, json_string(in->dict.entries[i].tensor->name));
    return json_pack("{s:s, s:s, s:s, s:s, s:o, s:o, s:o}", "stage", in->stage->config->name,
                     "file", in->stage->config->init, "digest", digest, "paired",
                     in->by_order ? "order" : "name", "taken", taken, "drawn", drawn, "left", left);
}

static int add_init(const struct stage *stage, json_t *list)
{
    struct stage_init in;

    if (!*stage->config->init)
        return 0;
    TRY(stage_init_open(&in, stage));
    json_array_append_new(list, init_json(&in));
    stage_init_close(&in);
    return 0;
}

static struct memory plan_memory(const struct solo *s)
{
    return memory_plan(&s->setup, pool_threads(&s->config.cluster, machine_ranks_beside()));
}

int plan_json(const struct solo *s)
{
    struct memory memory = plan_memory(s);
    json_t *inits = json_array(), *out;

    for (int i = 0; i < s->setup.n_stages; i++) {
        int code = add_init(&s->setup.stages[i], inits);

        if (code < 0) {
            json_decref(inits);
            return code;
        }
    }
    out = memory_json(&memory);
    json_object_set_new(out, "init", inits);
    if (s->config.cluster.audit > 0)
        json_object_set_new(out, "audit", audit_json(&s->setup));
    print_json(out);
    return 0;
}

int plan_print(const struct solo *s)
{
    const struct config *c = &s->config;
    struct memory memory = plan_memory(s);

    print_data(&s->setup);
    for (int i = 0; i < s->setup.n_stages; i++)
        TRY(print_stage(&s->setup, &s->setup.stages[i]));
    memory_print(&memory);
    printf(
        "ranks: a single process, or a coordinator and workers; at most %u workers have a task at "
        "the same time\n",
        s->stage->n_tasks);
    audit_print(&s->setup);
    printf("run directory '%s'\n", c->run.directory);
    return 0;
}
