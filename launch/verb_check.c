/* verb_check.c - `metaloop check`: validate, and print what would run. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "coordinator/sampler.h"
#include "core/err.h"
#include "launch/prove.h"
#include "launch/solo.h"
#include "launch/verbs.h"
#include "proto/wire.h"
#include "worker/engine.h"

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
            printf("%u classes", d->n_classes);
        printf(" of %d x %d x %d%s\n", d->shape.h, d->shape.w, d->shape.c,
               d->turned_classes ? ", rotations as classes"
               : d->n_turns > 1  ? ", rotations drawn per class and task"
                                 : "");
    }
}

static void print_layers(const struct net *net)
{
    printf("  %-16s %-14s %s\n", "layer", "output", "parameters");
    for (int i = 0; i < net->n_layers; i++) {
        const struct layer *l = &net->layers[i];
        bool normalises =
            strncmp(l->ops->name, "batchnorm", 9) == 0 || strcmp(l->ops->name, "residual") == 0;
        char shape[32];

        snprintf(shape, sizeof shape, "%d x %d x %d", l->out.h, l->out.w, l->out.c);
        printf("  %-16s %-14s %zu%s\n", l->ops->name, shape, l->n_w,
               !normalises       ? ""
               : l->spec.running ? "  (running statistics in evaluation)"
                                 : "  (batch statistics: transductive)");
    }
}

static void print_segments(const struct layout *l)
{
    for (int i = 0; i < l->n_segments; i++) {
        const struct segment *s = &l->segments[i];

        printf("  %-20s %s [", s->name, role_name(s->role));
        for (int k = 0; k < s->n_dims; k++)
            printf("%s%zu", k ? ", " : "", s->dims[k]);
        printf("]\n");
    }
}

static int print_stage(const struct setup *s, const struct stage *stage)
{
    const struct stage_config *c = stage->config;
    struct engine e;

    TRY(engine_open(&e, s));
    engine_begin(&e, stage, PURPOSE_TRAIN, NULL);
    printf("stage '%s': %s on '%s', %u-way %u-shot, %u query a class, %ld tasks x %ld rounds\n",
           c->name, c->method, s->data[stage->data].name, stage->train.way, stage->train.shot,
           stage->train.query, (long)c->tasks, (long)c->rounds);
    printf("  %ld inner steps at %g, then %s at %g, %s\n", (long)c->inner_steps, c->inner_rate,
           c->optimizer, c->rate, c->schedule);
    print_layers(&stage->net);
    print_segments(&stage->layout);
    printf("  %zu parameters, loss %s, %.4g MFLOP a task, digest of the layout %016lx\n",
           stage->layout.n, stage->net.loss->name, method_flops(&e.method) / 1e6,
           (unsigned long)layout_digest(&stage->layout));
    printf("  activations of inner steps: %s\n",
           e.method.train.n_tapes == c->inner_steps ? "kept" : "recomputed (cluster.memory)");
    engine_close(&e);
    return 0;
}

static int print_plan(const struct solo *s)
{
    const struct config *c = &s->config;

    print_data(&s->setup);
    for (int i = 0; i < s->setup.n_stages; i++)
        TRY(print_stage(&s->setup, &s->setup.stages[i]));
    printf("memory: %.1f MiB of work space per compute thread\n",
           (double)engine_size(&s->setup) / 1048576);
    printf("ranks: 1 (coordinator and worker in one process) or 1 coordinator + workers; up to %ld "
           "workers have a task each\n",
           (long)s->stage->config->tasks);
    printf("run directory '%s'\n", c->run.directory);
    return 0;
}

static int write_task(const struct task *t, const char *method, const char *directory)
{
    struct buffer out = {0};
    char path[1200];
    FILE *f;
    bool bad = true;

    snprintf(path, sizeof path, "%s/task-%06u-%04u.bin", directory, t->round, t->slot);
    TRY(wire_pack_task(t, method, &out));
    f = fopen(path, "w");
    if (f) {
        bad = fwrite(out.bytes, 1, out.n, f) != out.n;
        bad |= fclose(f) != 0;
    }
    buffer_release(&out);
    return bad ? err(f ? ERR_IO : ERR_CANTCREAT, "cannot write '%s': %s", path, strerror(errno))
               : 0;
}

static void print_task(const struct setup *s, const struct task *t)
{
    printf("round %u slot %u:", t->round, t->slot);
    for (uint32_t k = 0; k < t->way; k++) {
        char name[128];

        data_class_name(&s->data[t->data], t->classes[k], name, sizeof name);
        printf("%s %s", k ? "," : "", name);
        if (t->turns[k])
            printf(" turned %u", 90 * t->turns[k]);
    }
    putchar('\n');
}

static int each_task(const struct solo *s, const struct options *o, struct task *t)
{
    struct sampler sampler = {&s->setup, s->stage, s->stage->data, PURPOSE_TRAIN, 0};

    for (int64_t i = 0; i < o->tasks * s->stage->config->tasks; i++) {
        sampler.round = (uint32_t)(1 + i / s->stage->config->tasks);
        sampler_draw(&sampler, (uint32_t)(i % s->stage->config->tasks), t);
        if (o->out)
            TRY(write_task(t, s->stage->config->method, o->out));
        else
            print_task(&s->setup, t);
    }
    return 0;
}

static int tasks(const struct solo *s, const struct options *o)
{
    struct arena measure = arena_measuring(), a;
    struct task t;
    int code;

    task_init(&t, s->stage->train, &measure);
    TRY(arena_init(&a, measure.peak));
    task_init(&t, s->stage->train, &a);
    if (o->out && mkdir(o->out, 0777) != 0 && errno != EEXIST)
        code = err(ERR_CANTCREAT, "cannot create '%s': %s", o->out, strerror(errno));
    else
        code = each_task(s, o, &t);
    arena_release(&a);
    return code;
}

static int check(const struct options *o)
{
    struct solo s;
    int code;

    TRY(solo_open(&s, o));
    if (o->print_config)
        config_print(&s.config, stdout);
    code = o->print_config ? 0 : o->tasks ? tasks(&s, o) : print_plan(&s);
    if (code >= 0 && o->gradients)
        code = prove_gradients(&s);
    solo_close(&s);
    return code;
}

const struct verb verb_check = {
    .name = "check",
    .places = "CONFIGURATION",
    .min_places = 1,
    .max_places = 1,
    .options = "set data-root stage tasks out gradients print-config",
    .summary = "validate a configuration; print the plan: data, stages, layers, memory, ranks",
    .run = check,
};
