/* verb_check.c - `metaloop check`: validate, and print what would run. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "core/base/err.h"
#include "core/base/outfile.h"
#include "core/plan/sampler.h"
#include "launch/gradient_check.h"
#include "launch/leak_check.h"
#include "launch/notes.h"
#include "launch/plan.h"
#include "launch/solo.h"
#include "launch/verbs.h"
#include "proto/wire.h"
#include "worker/method/table.h"

static int write_task(const struct task *t, const char *method, const char *directory)
{
    struct buffer out = {0};
    char path[1200];
    int code;

    snprintf(path, sizeof path, "%s/task-%06u-%04u.bin", directory, t->round, t->slot);
    TRY(wire_pack_task(t, method, &out));
    code = outfile_whole(path, out.bytes, out.n);
    buffer_release(&out);
    return code;
}

static void print_task(const struct setup *s, const struct stage *stage, const struct task *t)
{
    printf("round %u slot %u:", t->round, t->slot);
    task_kind_at(stage, PURPOSE_TRAIN, t->slot)->describe_task(s, t, stdout);
    putchar('\n');
}

static int each_task(const struct solo *s, const struct options *o, struct task *t)
{
    struct sampler sampler = {&s->setup, s->stage, s->stage->data, PURPOSE_TRAIN, 0};

    for (int64_t i = 0; i < o->tasks * s->stage->n_tasks; i++) {
        sampler.round = (uint32_t)(1 + i / s->stage->n_tasks);
        sampler_draw(&sampler, (uint32_t)(i % s->stage->n_tasks), t);
        if (o->out)
            TRY(write_task(t, s->stage->config->method, o->out));
        else
            print_task(&s->setup, s->stage, t);
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

/* Needs no data. */
static int print_config(const struct options *o)
{
    struct config c;
    int code;

    TRY(config_read(&c, o->places[0], o->sets, o->n_sets, stage_owner));
    code = check_methods(&c);
    if (code >= 0)
        config_print(&c, stdout);
    config_release(&c);
    return code;
}

static int notes(const struct setup *s)
{
    struct sections known;

    TRY(setup_survey(s, known.each, &known.n));
    notes_of_setup(s, known.each, known.n);
    return leak_warn(s);
}

static int check(const struct options *o)
{
    struct solo s;
    int code;

    if (o->print_config)
        TRY(print_config(o));
    if (o->print_config && !o->gradients && !o->tasks && !o->leaks)
        return 0;
    TRY(solo_open(&s, o));
    code = notes(&s.setup);
    if (code >= 0)
        code = o->leaks          ? leak_check(&s.setup)
               : o->tasks        ? tasks(&s, o)
               : o->print_config ? 0
               : o->json         ? plan_json(&s)
                                 : plan_print(&s);
    if (code >= 0 && o->gradients)
        code = gradient_check(&s);
    solo_close(&s);
    return code;
}

const struct verb verb_check = {
    .name = "check",
    .places = "CONFIGURATION",
    .min_places = 1,
    .max_places = 1,
    .options = "set data-root stage tasks out gradients leaks print-config json",
    .summary = "validate a configuration and print the plan: data, stages, layers, memory, ranks",
    .run = check,
};
