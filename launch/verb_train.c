/* verb_train.c - `metaloop train` and `metaloop evaluate`. */
#include <inttypes.h>
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "coordinator/run/train.h"
#include "core/base/err.h"
#include "core/file/checkpoint.h"
#include "launch/print.h"
#include "launch/team.h"
#include "launch/verbs.h"

static json_t *real_or_null(double x)
{
    return isfinite(x) ? json_real(x) : json_null();
}

static json_t *reals(const double *v, int n)
{
    json_t *list = json_array();

    for (int i = 0; i < n; i++)
        json_array_append_new(list, real_or_null(v[i]));
    return list;
}

/* Loss and, for classification, accuracy after k inner steps. */
static void add_figures(json_t *o, const struct evaluation *e, int k)
{
    json_object_set_new(o, "loss", real_or_null(e->loss[k].mean));
    json_object_set_new(o, "loss_ci95", real_or_null(e->loss[k].ci95));
    if (!e->has_accuracy)
        return;
    json_object_set_new(o, "accuracy", json_real(e->accuracy[k].mean));
    json_object_set_new(o, "ci95", real_or_null(e->accuracy[k].ci95));
}

/* After the last step, each query alone. */
static void add_inductive(json_t *o, const struct evaluation *e)
{
    json_object_set_new(o, "inductive_loss", real_or_null(e->inductive_loss.mean));
    json_object_set_new(o, "inductive_loss_ci95", real_or_null(e->inductive_loss.ci95));
    if (!e->has_accuracy)
        return;
    json_object_set_new(o, "inductive_accuracy", json_real(e->inductive_accuracy.mean));
    json_object_set_new(o, "inductive_ci95", real_or_null(e->inductive_accuracy.ci95));
}

static json_t *evaluation_json(const struct stage *stage, const char *data,
                               const struct evaluation *e)
{
    json_t *steps = json_array(),
           *o = json_pack("{s:s, s:s, s:I, s:I, s:b}", "data", data, "stage", stage->config->name,
                          e->kind->units, (json_int_t)e->episodes, "failed", (json_int_t)e->failed,
                          "transductive", e->transductive);

    if (isfinite(e->sizes[0]))
        json_object_update_new(o, json_pack("{s:f, s:f}", "way", e->sizes[0], "shot", e->sizes[1]));
    add_figures(o, e, e->steps);
    if (e->has_inductive)
        add_inductive(o, e);
    for (int k = 0; k <= e->steps; k++) {
        json_t *s = json_pack("{s:i}", "step", k);

        add_figures(s, e, k);
        json_array_append_new(steps, s);
    }
    json_object_set_new(o, "by_step", steps);
    if (e->n_fits > 0) {
        json_object_set_new(o, "rmse", reals(e->rmse, e->n_fits));
        json_object_set_new(o, "r2", reals(e->r2, e->n_fits));
    }
    return o;
}

/* One result for each section that the last stage is measured on. */
static json_t *evaluations_json(const struct stage_run *s)
{
    json_t *all = json_array();

    for (int i = 0; i < s->stage->n_evaluate; i++)
        if (s->last[i].episodes)
            json_array_append_new(
                all, evaluation_json(s->stage, s->setup->data[s->stage->evaluate_data[i]].name,
                                     &s->last[i]));
    return all;
}

static void print_result(const struct stage_run *s, const char *checkpoint, bool json)
{
    char digest[20];
    json_t *o, *first;

    snprintf(digest, sizeof digest, "%016" PRIx64, s->hash);
    if (!json) {
        printf("digest %s  checkpoint %s\n", digest, checkpoint);
        return;
    }
    o = json_pack("{s:s, s:I, s:o, s:o, s:s, s:o}", "digest", digest, "rounds",
                  (json_int_t)s->round, "loss", real_or_null(s->loss), "accuracy",
                  real_or_null(s->accuracy >= 0 ? s->accuracy : NAN), "checkpoint", checkpoint,
                  "evaluations", evaluations_json(s));
    /* The first result again, at the top level, for readers of the older format. */
    first = json_array_get(json_object_get(o, "evaluations"), 0);
    json_object_set(o, "evaluation", first ? first : json_null());
    print_json(o);
}

static enum rundir_mode mode_of(const struct options *o)
{
    return o->overwrite ? RUNDIR_ERASE : o->resume ? RUNDIR_RESUME : RUNDIR_FRESH;
}

static int lead_train(struct team *team, void *context)
{
    const struct options *o = team->options;
    struct train *t = context;
    struct progress progress;
    const char *run_id = getenv("METALOOP_RUN_ID");
    int code;

    if (run_id && *run_id && !run_id_is(run_id))
        return err(ERR_USAGE,
                   "METALOOP_RUN_ID is '%.40s', must be 16 lower-case hexadecimal digits", run_id);
    progress_open(&progress, o->quiet ? 0 : team->config.progress.every);
    const struct train_start start = {
        .crew = &team->crew,
        .setup = &team->setup,
        .directory = team->config.run.directory,
        .configuration = team->configuration,
        .version = version,
        .run_id = run_id ? run_id : "",
        .mode = mode_of(o),
        .other_data = o->other_data,
        .time_limit = o->time_limit,
        .stop = &team_stop,
        .under_way = &team_round,
        .progress = &progress,
    };
    code = train_open(t, &start);
    strcpy(team_run_id, t->keeper.rundir.run.id);
    if (code >= 0)
        code = train_run(t);
    progress_clear(&progress);
    if (code >= 0)
        print_result(&t->now, t->keeper.checkpoint, o->json);
    else
        report_failure(&t->report, &t->now, code);
    train_release(t);
    return code;
}

static int train(const struct options *o)
{
    struct train *t = calloc(1, sizeof *t);
    int code;

    if (!t)
        return err(ERR_MEMORY, "no memory to start");
    if (o->resume && o->overwrite) {
        free(t);
        return err(ERR_USAGE, "'--resume' continues the run that is there, '--overwrite' removes "
                              "it: give only one of them");
    }
    code = team_run(o, lead_train, t);
    free(t);
    return code;
}

const struct verb verb_train = {
    .name = "train",
    .places = "CONFIGURATION",
    .min_places = 1,
    .max_places = 1,
    .options = "set run resume overwrite other-data data-root time-limit quiet json",
    .summary = "run the stages of a configuration",
    .text = "Rank 0 draws tasks and averages; the other ranks compute. A single process does\n"
            "both. Progress goes to standard error, the result to standard output. After\n"
            "SIGINT, SIGTERM, SIGUSR1 or SIGUSR2 the run finishes the round, saves and exits\n"
            "with 75. It does the same before --time-limit or the end of a Slurm job\n"
            "(SLURM_JOB_END_TIME). --resume continues from there.",
    .ranks = true,
    .run = train,
};

static void print_evaluation(const struct team *t, const struct stage *stage,
                             const struct evaluation *e, int data)
{
    const char *name = t->setup.data[data].name;

    if (t->options->json)
        print_json(evaluation_json(stage, name, e));
    else
        print_curve(name, e);
}

static int evaluate_all(struct team *t, const struct stage *stage, const real *theta)
{
    const struct options *o = t->options;
    bool any = false;
    int64_t episodes = o->episodes ? o->episodes : t->config.evaluate.episodes;

    for (int i = 0; i < stage->n_evaluate; i++) {
        int data = stage->evaluate_data[i];
        struct evaluation e;
        struct round r;

        if (o->domain && strcmp(o->domain, t->setup.data[data].name) != 0)
            continue;
        if (!evaluate_round(&t->setup, stage, data, episodes, 0, theta, NULL, &r))
            continue;
        TRY(evaluate(&t->crew, &r, &e));
        print_evaluation(t, stage, &e, data);
        evaluation_release(&e);
        fflush(stdout);
        any = true;
    }
    if (!any)
        return err(ERR_USAGE, "stage '%s' is not measured on '%s': --set stage.%s.evaluate=%s",
                   stage->config->name, o->domain ? o->domain : "", stage->config->name,
                   o->domain ? o->domain : "NAME");
    return 0;
}

/* The stage of --stage, otherwise that of the file; a file of another program belongs to the last
 * stage. */
static int choose_stage(const struct team *t, const struct stage **stage,
                        struct checkpoint_info *info)
{
    const struct options *o = t->options;

    TRY(checkpoint_peek(o->checkpoint, info));
    if (o->stage || !info->stage_name[0])
        return setup_stage(&t->setup, o->stage, stage);
    if (setup_stage(&t->setup, info->stage_name, stage) >= 0)
        return 0;
    return err(ERR_DATA,
               "'%s' belongs to stage '%s', which the configuration does not have; use --stage "
               "with a stage that its parameters fit",
               o->checkpoint, info->stage_name);
}

static int lead_evaluate(struct team *t, void *context)
{
    const struct stage *stage;
    struct checkpoint_info info;
    char of[CHECKPOINT_TEXT];
    real *theta;
    int code;

    (void)context;
    TRY(choose_stage(t, &stage, &info));
    snprintf(of, sizeof of, "%s", info.stage_name);
    theta = malloc(stage->layout.n * sizeof *theta);
    if (!theta)
        return err(ERR_MEMORY, "no memory for %zu parameters", stage->layout.n);
    code = checkpoint_read(t->options->checkpoint, &stage->layout, theta, NULL, NULL, &info);
    if (code == ERR_DATA && strcmp(of, stage->config->name) != 0)
        code = err_within(code, "stage '%s', a file of stage '%s'", stage->config->name, of);
    if (code >= 0)
        code = evaluate_all(t, stage, theta);
    free(theta);
    return code;
}

static int run_evaluate(const struct options *o)
{
    if (!o->checkpoint)
        return err(ERR_USAGE, "'evaluate' needs --checkpoint FILE");
    if (o->episodes > 1 << 20)
        return err(ERR_USAGE, "--episodes is %" PRId64 ", the limit is %d", o->episodes, 1 << 20);
    return team_run(o, lead_evaluate, NULL);
}

const struct verb verb_evaluate = {
    .name = "evaluate",
    .places = "CONFIGURATION",
    .min_places = 1,
    .max_places = 1,
    .options = "checkpoint set stage episodes domain data-root json",
    .summary = "measure a checkpoint's loss and accuracy, with 95 % intervals",
    .text = "Adapts the checkpoint to each episode's support set, and measures it on the\n"
            "query set before every inner step and after the last. Few-shot, batch\n"
            "normalisation normalises the query set as one batch (transductive), unless\n"
            "model.statistics is running. Whole data sets are measured sample by sample. By\n"
            "default the stage is the one that the checkpoint belongs to.",
    .ranks = true,
    .run = run_evaluate,
};
