/* verb_replay.c - `metaloop replay`: computes one recorded task again, alone. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/err.h"
#include "core/data/blob.h"
#include "core/file/checkpoint.h"
#include "core/math/exact.h"
#include "launch/print.h"
#include "launch/solo.h"
#include "launch/verbs.h"
#include "proto/wire.h"
#include "worker/trace.h"

struct replay {
    const struct options *options;
    struct solo solo;
    struct engine engine;
    real *theta, *anchor, *state; /* owned */
    const struct task_kind *kind; /* of the task */
    struct trace trace;           /* of a task that is set aside */
};

/* A task holds its stage and its slot; round 0 means an evaluation. */
static int choose_stage(struct replay *r, const struct task *t)
{
    if (t->stage >= (uint32_t)r->solo.setup.n_stages)
        return err(ERR_DATA, "the task belongs to stage %u, but the configuration has %d", t->stage,
                   r->solo.setup.n_stages);
    r->solo.stage = &r->solo.setup.stages[t->stage];
    r->kind =
        task_kind_at(r->solo.stage, t->round == 0 ? PURPOSE_EVALUATE : PURPOSE_TRAIN, t->slot);
    return task_check(&r->solo.setup, r->solo.stage, r->kind, t);
}

static bool measures(const struct replay *r)
{
    return r->kind->gives == GIVES_METRICS;
}

static int load_anchor(struct replay *r)
{
    const struct stage *s = r->solo.stage;
    const struct layout *l = s->anchor >= 0 ? &r->solo.setup.stages[s->anchor].layout : NULL;
    char name[KEPT_NAME];

    if (!l || !r->kind->anchor)
        return 0;
    snprintf(name, sizeof name, "%02d", s->anchor);
    r->anchor = malloc(l->n * sizeof *r->anchor);
    if (!r->anchor)
        return err(ERR_MEMORY, "no memory for %zu parameters", l->n);
    return checkpoint_read_kept(r->options->checkpoint, name, l, r->anchor);
}

/* Reads the parameters and, if tasks step a model, the optimizer's vectors, which follow them. */
static int load_theta(struct replay *r)
{
    const struct stage *s = r->solo.stage;
    const struct layout *l = measures(r) ? &s->model : &s->layout;
    const struct optim_ops *ops = r->kind->gives == GIVES_STATE ? optim_find(s->optim.name) : NULL;
    struct checkpoint_info info;

    r->theta = malloc(l->n * (size_t)(1 + (ops ? ops->n_state : 0)) * sizeof *r->theta);
    if (!r->theta)
        return err(ERR_MEMORY, "no memory for %zu parameters", l->n);
    TRY(checkpoint_read(r->options->checkpoint, l, r->theta, ops, ops ? r->theta + l->n : NULL,
                        &info));
    return load_anchor(r);
}

/* The state that travels with the task: its model, and that model's part of every vector. */
static int take_state(struct replay *r, const struct task *t)
{
    const struct stage *s = r->solo.stage;
    size_t n = s->model.n, vectors = task_state_size(s) / n;

    r->state = malloc(vectors * n * sizeof *r->state);
    if (!r->state)
        return err(ERR_MEMORY, "no memory for %zu parameters", vectors * n);
    for (size_t i = 0; i < vectors; i++)
        memcpy(r->state + i * n, r->theta + i * s->layout.n + t->slot * n, n * sizeof *r->state);
    return 0;
}

static double norm_of(const struct engine *e, real *grad)
{
    round_sum_mean_gradient(&e->total, grad);
    return optim_clip(grad, e->total.n, 0);
}

static void add_numbers(json_t *o, struct replay *r, const struct round_sum *total)
{
    if (!measures(r))
        json_object_set_new(o, "support_loss",
                            json_real(round_sum_read(total, METRIC_SUPPORT_LOSS)));
    json_object_set_new(o, "loss", json_real(round_sum_read(total, METRIC_LOSS)));
    json_object_set_new(o, "accuracy", json_real(round_sum_read(total, METRIC_ACCURACY)));
    if (r->kind->gives == GIVES_GRADIENT)
        json_object_set_new(o, "gradient_norm", json_real(norm_of(&r->engine, r->theta)));
}

static json_t *sample_json(const struct trace_sample *s, const struct data *d)
{
    char name[128];

    if (s->batch)
        return json_pack("{s:s, s:i, s:s, s:I}", "set", s->batch, "position", s->position, "data",
                         d->name, "number", (json_int_t)s->id);
    data_class_name(d, s->class_id, name, sizeof name);
    return json_pack("{s:s, s:i, s:s, s:I, s:s, s:I, s:i}", "set", s->support ? "support" : "query",
                     "position", s->position, "data", d->name, "class", (json_int_t)s->class_id,
                     "class_name", name, "sample", (json_int_t)s->id, "turns", (int)s->turns);
}

static json_t *trace_json(const struct trace *f, const struct data *d)
{
    static const char *const kinds[] = {"none", "parameters", "sample", "computation", "sum"};
    char text[1024];
    json_t *o;

    trace_describe(f, d, text, sizeof text);
    o = json_pack("{s:s, s:s}", "kind", kinds[f->kind], "where", text);
    if (f->kind == TRACE_SAMPLE)
        json_object_set_new(o, "sample", sample_json(&f->sample, d));
    if (f->step >= 0)
        json_object_set_new(o, "step", json_integer(f->step));
    if (f->set)
        json_object_set_new(o, "set", json_string(f->set));
    if (f->pass)
        json_object_set_new(o, "pass", json_string(f->pass));
    if (f->layer >= 0) {
        json_object_set_new(o, "layer", json_string(f->name));
        json_object_set_new(o, "layer_index", json_integer(f->layer));
        json_object_set_new(o, "layer_type", json_string(f->type));
    }
    if (f->segment[0])
        json_object_set_new(o, "segment", json_string(f->segment));
    if (f->kind == TRACE_SUM) {
        json_object_set_new(o, "quantity", json_string(f->quantity ? f->quantity : "gradient"));
        json_object_set_new(o, "value", json_real(f->value));
        json_object_set_new(o, "limit", json_real(EXACT_LIMIT));
    }
    return o;
}

/* The data section of the sample that the trace found. */
static const struct data *data_of(const struct replay *r, const struct task *t)
{
    const char *batch = r->trace.sample.batch;

    return &r->solo.setup.data[batch && strcmp(batch, "target") == 0 ? t->target : t->data];
}

static int print_replay(struct replay *r, const struct task *t)
{
    const struct round_sum *total = &r->engine.total;
    json_t *o = json_pack("{s:s, s:s, s:I, s:I, s:b}", "stage", r->solo.stage->config->name,
                          "purpose", purpose_name(r->kind->purpose), "round", (json_int_t)t->round,
                          "slot", (json_int_t)t->slot, "finite", !r->engine.failed);

    if (r->engine.failed)
        json_object_set_new(o, "trace", trace_json(&r->trace, data_of(r, t)));
    else
        add_numbers(o, r, total);
    if (r->options->json) {
        print_json(o);
        return 0;
    }
    json_dumpf(o, stdout, JSON_INDENT(2));
    putchar('\n');
    json_decref(o);
    return 0;
}

static int run_task(struct replay *r, const struct task *t)
{
    if (r->kind->gives == GIVES_STATE)
        TRY(take_state(r, t));
    TRY(engine_run(&r->engine, t, r->theta, r->state));
    if (r->engine.failed)
        TRY(engine_trace(&r->engine, t, r->state ? r->state : r->theta, &r->trace));
    return 0;
}

static int replay_task(void *context, const struct task *t)
{
    struct replay *r = context;

    TRY(choose_stage(r, t));
    TRY(load_theta(r));
    TRY(engine_open(&r->engine, &r->solo.setup));
    engine_begin(&r->engine, r->solo.stage, r->kind->purpose, r->anchor);
    TRY(run_task(r, t));
    return print_replay(r, t);
}

static int replay_file(struct replay *r, const char *path)
{
    struct blob file;
    int code;

    TRY(blob_map(&file, path));
    code = wire_unpack_task(file.bytes, file.n, replay_task, r);
    blob_release(&file);
    return code == ERR_DATA ? err_within(code, "'%s'", path) : code;
}

static int replay(const struct options *o)
{
    struct replay r = {.options = o};
    char *text;
    int code;

    if (!o->checkpoint)
        return err(ERR_USAGE, "'replay' needs --checkpoint FILE");
    TRY(checkpoint_configuration(o->checkpoint, &text));
    code = solo_open_text(&r.solo, o, text, o->checkpoint);
    free(text);
    TRY(code);
    code = replay_file(&r, o->places[0]);
    engine_close(&r.engine);
    free(r.theta);
    free(r.anchor);
    free(r.state);
    solo_close(&r.solo);
    return code;
}

const struct verb verb_replay = {
    .name = "replay",
    .places = "TASKFILE",
    .min_places = 1,
    .max_places = 1,
    .options = "checkpoint data-root json",
    .summary = "compute one recorded task again, alone, from a checkpoint",
    .text = "If a number of the task is not finite, or too large for the exact sum, replay\n"
            "finds the inner step and the layer where that begins. The configuration comes\n"
            "from the checkpoint. `metaloop check --tasks N --out DIR` records tasks.",
    .run = replay,
};
