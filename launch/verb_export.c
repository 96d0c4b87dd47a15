/* verb_export.c - `metaloop export`: parameters of a network, and a PyTorch module for them. */
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/err.h"
#include "core/base/outfile.h"
#include "core/base/plural.h"
#include "core/file/checkpoint.h"
#include "core/math/net_torch.h"
#include "launch/print.h"
#include "launch/solo.h"
#include "launch/verbs.h"

struct export
{
    const struct options *options;
    struct solo solo;
    char path[4096]; /* of the checkpoint */
    struct checkpoint_info info;
    char *configuration, *data; /* owned: what the checkpoint tells of its run */
    real *theta;                /* owned: of the stage */
    size_t first;               /* where the network's parameters begin in theta */
};

/* If each target has its own model, that of --model. */
static int choose_model(struct export *e)
{
    const struct stage *stage = e->solo.stage;
    const char *wanted = e->options->model;

    if (stage->n_models == 1)
        return wanted ? err(ERR_USAGE, "stage '%s' has only one model: --model is of no use",
                            stage->config->name)
                      : 0;
    for (int i = 0; wanted && i < stage->n_models; i++)
        if (strcmp(e->solo.setup.data[stage->target[i]].name, wanted) == 0) {
            e->first = (size_t)i * stage->model.n;
            return 0;
        }
    return err(ERR_USAGE,
               "stage '%s' has a model for each target: --model with one of them, such as '%s'",
               stage->config->name, e->solo.setup.data[stage->target[0]].name);
}

static int read_theta(struct export *e)
{
    const struct stage *stage = e->solo.stage;
    const char *path = e->path;
    char kept[KEPT_NAME];
    int code;

    e->theta = malloc(stage->layout.n * sizeof *e->theta);
    if (!e->theta)
        return err(ERR_MEMORY, "no memory for %zu parameters", stage->layout.n);
    if (stage->index == e->info.stage)
        return checkpoint_read(path, &stage->layout, e->theta, NULL, NULL, &e->info);
    snprintf(kept, sizeof kept, "%02d", stage->index);
    code = checkpoint_read_kept(path, kept, &stage->layout, e->theta);
    return code < 0 ? err_within(code, "stage '%s', in a checkpoint of stage '%s'",
                                 stage->config->name, e->info.stage_name)
                    : 0;
}

static int write_parameters(struct export *e)
{
    const struct stage *stage = e->solo.stage;
    const struct layout *l = &stage->net.layout;
    real *scratch = malloc(l->n * sizeof *scratch);

    if (!scratch)
        return err(ERR_MEMORY, "no memory for %zu parameters", l->n);
    if (stage->index != e->info.stage)
        e->info.round = (uint64_t)stage->config->rounds;
    e->info.stage = stage->index;
    e->info.hash = layout_hash(l, e->theta + e->first, scratch);
    e->info.configuration = e->configuration;
    e->info.data = e->data;
    snprintf(e->info.stage_name, sizeof e->info.stage_name, "%s", stage->config->name);
    free(scratch);
    return checkpoint_write(e->options->places[1], l, e->theta + e->first, NULL, NULL, &e->info);
}

/* A text of the user's in a comment: its line does not end in it. */
static void put_comment(FILE *out, const char *text)
{
    for (; *text; text++)
        fputc((unsigned char)*text < ' ' ? '?' : *text, out);
}

static void print_module(const struct export *e, FILE *out)
{
    const struct stage *stage = e->solo.stage;
    const struct shape in = stage->net.in;

    fprintf(out, "# Made by metaloop %s of stage '", version);
    put_comment(out, stage->config->name);
    fprintf(out, "' (%s) after round %" PRIu64 ".\n#\n#     net = Net()\n", stage->config->method,
            e->info.round);
    fputs("#     net.load_state_dict(safetensors.torch.load_file(\"", out);
    put_comment(out, e->options->places[1]);
    fputs("\"))\n#     net.eval()\n", out);
    fprintf(out, "#\n# x is [n, %d, %d, %d], its values as data section '", in.c, in.h, in.w);
    put_comment(out, e->solo.setup.data[stage->data].name);
    fputs("' gives them.\n", out);
    if (net_is_coupled(&stage->net))
        fputs(
            "# Batch normalisation uses the statistics of the batch at hand, also after eval().\n",
            out);
    net_torch(&stage->net, out);
}

static int write_module(const struct export *e)
{
    char *text = NULL;
    size_t n = 0;
    FILE *out = e->options->python ? open_memstream(&text, &n) : NULL;
    int code;

    if (!e->options->python)
        return 0;
    if (out)
        print_module(e, out);
    if (!out || fclose(out) != 0)
        code = err(ERR_MEMORY, "no memory for the text of '%s'", e->options->python);
    else
        code = outfile_whole(e->options->python, text, n);
    free(text);
    return code;
}

static void print_result(const struct export *e)
{
    const struct layout *l = &e->solo.stage->net.layout;
    const char *out = e->options->places[1], *python = e->options->python;
    char digest[20];

    snprintf(digest, sizeof digest, "%016" PRIx64, e->info.hash);
    if (e->options->json) {
        print_json(json_pack("{s:s, s:s*, s:s, s:I, s:i, s:I, s:s}", "file", out, "python", python,
                             "stage", e->solo.stage->config->name, "round",
                             (json_int_t)e->info.round, "tensors", l->n_segments, "parameters",
                             (json_int_t)l->n, "digest", digest));
        return;
    }
    printf("'%s': stage '%s' after round %" PRIu64 ", %d tensor%s, %zu parameters, digest %s\n",
           out, e->solo.stage->config->name, e->info.round, l->n_segments, plural(l->n_segments),
           l->n, digest);
    if (python)
        printf("'%s': class Net, the network in PyTorch\n", python);
}

static int work(struct export *e)
{
    TRY(choose_model(e));
    TRY(read_theta(e));
    TRY(write_parameters(e));
    TRY(write_module(e));
    print_result(e);
    return 0;
}

static int export(const struct options *o)
{
    struct export e = {.options = o};
    int code;

    TRY(solo_find_checkpoint(o->places[0], e.path, sizeof e.path));
    TRY(checkpoint_peek(e.path, &e.info));
    TRY(solo_open_checkpoint(&e.solo, o, e.path));
    code = checkpoint_configuration(e.path, &e.configuration);
    if (code >= 0)
        code = checkpoint_text(e.path, "data", &e.data);
    if (code >= 0)
        code = work(&e);
    free(e.configuration);
    free(e.data);
    free(e.theta);
    solo_close(&e.solo);
    return code;
}

const struct verb verb_export = {
    .name = "export",
    .places = "CHECKPOINT|RUN_DIR OUT.safetensors",
    .min_places = 2,
    .max_places = 2,
    .options = "stage model python data-root json",
    .summary = "write a network's parameters alone, and a PyTorch module that loads them",
    .text = "The names, shapes and layouts are PyTorch's. Optimizer state, discriminators, inner\n"
            "rates and other stages stay behind. What is written starts another run\n"
            "(stage.NAME.init) and is a checkpoint for `evaluate`. The stage is the checkpoint's\n"
            "own, or one that it keeps for later stages.",
    .run = export,
};
