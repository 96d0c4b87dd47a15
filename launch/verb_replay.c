/* verb_replay.c - `metaloop replay`: one recorded task again, alone. */
#include <stdio.h>
#include <stdlib.h>

#include "core/checkpoint.h"
#include "core/data/blob.h"
#include "core/err.h"
#include "launch/print.h"
#include "launch/solo.h"
#include "launch/verbs.h"
#include "proto/wire.h"
#include "worker/engine.h"

struct replay {
    const struct options *options;
    struct solo solo;
    struct engine engine;
    real *theta; /* owned */
};

/* A task knows its stage; evaluation episodes are recognised by their query size. */
static int choose_stage(struct replay *r, const struct task *t)
{
    if (t->stage >= (uint32_t)r->solo.setup.n_stages)
        return err(ERR_DATA, "the task is of stage %u, the configuration has %d", t->stage,
                   r->solo.setup.n_stages);
    r->solo.stage = &r->solo.setup.stages[t->stage];
    return 0;
}

static int load_theta(struct replay *r)
{
    const struct layout *l = &r->solo.stage->net.layout;
    struct checkpoint_info info;

    r->theta = malloc(l->n * sizeof *r->theta);
    if (!r->theta)
        return err(ERR_MEMORY, "no memory for %zu parameters", l->n);
    return checkpoint_read(r->options->checkpoint, l, r->theta, NULL, NULL, &info);
}

static double norm_of(const struct engine *e, real *grad)
{
    total_mean_gradient(&e->total, grad);
    return optim_clip(grad, e->total.n, 0);
}

static int print_replay(struct replay *r, const struct task *t)
{
    const struct total *total = &r->engine.total;
    json_t *o = json_pack("{s:s, s:I, s:I, s:b}", "stage", r->solo.stage->config->name, "round",
                          (json_int_t)t->round, "slot", (json_int_t)t->slot, "finite",
                          total_sum(total, TALLY_DONE) == 1);

    if (total_sum(total, TALLY_DONE) == 1) {
        json_object_set_new(o, "support_loss", json_real(total_sum(total, TALLY_SUPPORT_LOSS)));
        json_object_set_new(o, "loss", json_real(total_sum(total, TALLY_LOSS)));
        json_object_set_new(o, "accuracy", json_real(total_sum(total, TALLY_ACCURACY)));
        json_object_set_new(o, "gradient_norm", json_real(norm_of(&r->engine, r->theta)));
    }
    if (r->options->json) {
        print_json(o);
        return 0;
    }
    json_dumpf(o, stdout, JSON_INDENT(2));
    putchar('\n');
    json_decref(o);
    return 0;
}

static int replay_task(void *context, const struct task *t)
{
    struct replay *r = context;

    TRY(choose_stage(r, t));
    TRY(load_theta(r));
    TRY(engine_open(&r->engine, &r->solo.setup));
    engine_begin(&r->engine, r->solo.stage, false);
    TRY(engine_run(&r->engine, t, r->theta, false));
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
    solo_close(&r.solo);
    return code;
}

const struct verb verb_replay = {
    .name = "replay",
    .places = "TASKFILE",
    .min_places = 1,
    .max_places = 1,
    .options = "checkpoint data-root json",
    .summary = "one recorded task again, alone, from a checkpoint",
    .text = "The configuration is the checkpoint's. `metaloop check --tasks N --out DIR` records "
            "tasks.",
    .run = replay,
};
