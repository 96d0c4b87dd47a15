/* train.c - stages, rounds, steps, evaluations. */
#include "coordinator/run/train_internal.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "coordinator/run/errand.h"
#include "core/base/clock.h"
#include "core/base/err.h"
#include "proto/stream/sink_zmq.h"

#define CHECK_EVERY 1.0 /* seconds between two looks at the files of the data */
#define PATIENCE 30.0   /* seconds for the process of a lost attempt to let go of the directory */

/* Keeps what failed, and stops before the step where that is too much. */
static int set_aside(struct train *t, const struct round *r, const struct round_sum *total)
{
    uint64_t failed = (uint64_t)round_sum_read(total, METRIC_FAILED);
    int code;

    t->failed += (double)failed;
    failed_files_record(&t->aside, t->crew, r, failed, t->hash);
    code = failed_files_judge(&t->aside, t->crew, r, failed);
    return code < 0 ? train_give_up(t, code) : 0;
}

/* The models that came back take the place of those that went out. */
static void take_domains(struct train *t)
{
    const struct stage *s = t->stage;
    int n_state = train_optim(s)->n_state;
    size_t n = s->model.n, each = n * (size_t)(1 + n_state);

    for (int b = 0; b < s->n_models; b++) {
        const real *next = t->domains.next + (size_t)b * each;

        if (!t->domains.arrived[b])
            continue;
        memcpy(t->theta + (size_t)b * n, next, n * sizeof(real));
        for (int i = 0; i < n_state; i++)
            memcpy(t->state + (size_t)i * s->layout.n + (size_t)b * n, next + (size_t)(1 + i) * n,
                   n * sizeof(real));
    }
}

/* The outer step from the round's total; where tasks step a model each, what they made of it. */
static void step(struct train *t, const struct round_sum *total, double *norm)
{
    double done = round_sum_read(total, METRIC_DONE);

    if (t->stage->steps) {
        take_domains(t);
        *norm = NAN;
    } else {
        round_sum_mean_gradient(total, t->grad);
        *norm = optim_apply(&t->stage->optim, &t->stage->layout, t->round + 1, t->grad, t->theta,
                            t->state);
    }
    t->round++;
    t->loss = round_sum_read(total, METRIC_LOSS) / done;
    t->accuracy = t->stage->net.loss->accuracy && !t->stage->form->inherits
                      ? round_sum_read(total, METRIC_ACCURACY) / done
                      : -1;
    t->hash = layout_hash(&t->stage->layout, t->theta, t->scratch);
}

/* A round of training is finished after a signal; an evaluation is not, and neither may outlast the time limit. */
static bool is_interrupted(void *context, enum purpose purpose)
{
    struct train *t = context;

    report_workers(t);
    return (purpose != PURPOSE_TRAIN && *t->stop) ||
           deadline_before_save(&t->deadline, saver_cost(&t->saver));
}

/* Whether the files that are mapped are what they were, once a second, or now. Where they are not, what the rounds since
 * the last look have made is not kept. */
static int check_data(struct train *t, bool now)
{
    const struct sections *known = &t->crew->sections;

    if (!now && clock_seconds() - t->data_checked < CHECK_EVERY)
        return 0;
    t->data_checked = clock_seconds();
    return setup_check_files(t->setup, known->each, known->n);
}

static int one_round(struct train *t)
{
    struct round r = {
        .stage = t->stage,
        .purpose = PURPOSE_TRAIN,
        .data = t->stage->data,
        .round = t->round + 1,
        .n_tasks = t->stage->n_tasks,
        .theta = t->theta,
        .anchor = train_anchor(t),
        .domains = t->stage->steps ? &t->domains : NULL,
    };
    double start = clock_seconds(), norm = 0;
    struct round_sum total;

    *t->under_way = (int)r.round;
    TRY(crew_round(t->crew, &r, &total));
    TRY(check_data(t, false));
    TRY(set_aside(t, &r, &total));
    step(t, &total, &norm);
    TRY(train_check_finite(t));
    deadline_note_round(&t->deadline, clock_seconds() - start);
    report_round(t, &total, norm, clock_seconds() - start);
    report_progress(t);
    report_workers(t);
    return 0;
}

/* On the way, where the stage ends with the best encoder: a bad one is not the end. */
static bool may_recover(const struct train *t)
{
    return t->guard.active && t->stage->form->keeps_best &&
           t->round < (uint64_t)t->stage->config->rounds;
}

/* Measures on every data section that the stage is measured on. */
static int measure(struct train *t)
{
    TRY(check_data(t, true));
    for (int i = 0; i < t->stage->n_evaluate; i++) {
        struct round r;
        struct evaluation e = {0};
        int data = t->stage->evaluate_data[i], code;

        if (!evaluate_round(t->setup, t->stage, data, t->setup->config->evaluate.episodes, t->round,
                            t->theta, train_anchor(t), &r))
            continue;
        code = evaluate(t->crew, &r, &e);
        failed_files_record(&t->aside, t->crew, &r, e.failed, t->hash);
        if (code == ERR_NONFINITE && may_recover(t)) {
            progress_warn(t->progress, "warning: %s", err_text());
            continue;
        }
        if (code < 0)
            return code == ERR_NONFINITE ? train_give_up(t, code) : code;
        report_evaluation(t, &e, data);
        t->last[i] = e;
    }
    return 0;
}

static bool due(int64_t every, uint64_t round)
{
    return every > 0 && round % (uint64_t)every == 0;
}

static int check_stop(const struct train *t)
{
    return *t->stop || deadline_before_round(&t->deadline, saver_cost(&t->saver)) ? ERR_STOPPED : 0;
}

static int watch_and_measure(struct train *t)
{
    TRY(guard_watch(t));
    return measure(t);
}

static int stage_rounds(struct train *t)
{
    const struct config *c = t->setup->config;
    uint64_t rounds = (uint64_t)t->stage->config->rounds;

    progress_stage(t->progress, t->round);
    while (t->round < rounds) {
        TRY(check_stop(t));
        if (t->round > 0 &&
            due(c->evaluate.every, t->round)) /* also the first thing after a resume */
            TRY(watch_and_measure(t));
        TRY(one_round(t));
        TRY(train_check_directory(t));
        train_note_saved(t);
        if (t->round < rounds && saver_ready(&t->saver, due(c->checkpoint.every, t->round))) {
            TRY(check_data(t, true));
            TRY(train_save(t));
        }
    }
    *t->under_way = 0;
    return 0;
}

/* What came of data that are not what they were is not saved. */
static int data_failed(const struct train *t)
{
    char why[1024];

    snprintf(why, sizeof why, "%s", err_text());
    if (!t->checkpoint[0])
        return err(ERR_DATA, "%s; no checkpoint was saved before", why);
    return err(ERR_DATA, "%s; the last checkpoint, '%s', is from before: --resume goes on from it",
               why, t->checkpoint);
}

static int run_stage(struct train *t)
{
    int code;

    t->hash = layout_hash(&t->stage->layout, t->theta, t->scratch);
    memset(t->last, 0, sizeof t->last);
    report_start(t);
    progress_begin(t->progress, &(struct glance){.stage = t->stage->config->name,
                                                 .round = t->round,
                                                 .rounds = (uint64_t)t->stage->config->rounds});
    code = guard_open(t);
    if (code >= 0 && t->stage->form->adapts && t->round == 0) /* what adaptation begins with */
        code = measure(t);
    if (code >= 0)
        code = stage_rounds(t);
    if (code >= 0)
        code = guard_finish(t);
    if (code >= 0)
        code = measure(t);
    if (code >= 0)
        code = train_check_directory(t);
    if (code == ERR_STOPPED)
        err(code, *t->stop ? "stopped by a signal" : "stopped before the time limit");
    if (code == ERR_NONFINITE || code == ERR_FAILED) /* kept already; not to be trusted */
        return code;
    if (code == ERR_DATA)
        return data_failed(t);
    if (code < 0)
        return train_give_up(t, code);
    return t->stage->index + 1 < t->setup->n_stages ? train_save_between(t)
                                                    : train_save_and_wait(t);
}

/* Nothing of a run that is there is touched before it is known that this one may go on with it. */
static int open_directory(void *context)
{
    struct train *t = context;
    const struct rundir_start start = {t->mode, t->run_id, PATIENCE, t->stop};

    TRY(rundir_take(&t->rundir, t->directory, &start));
    t->resume = t->rundir.mode == RUNDIR_RESUME;
    if (t->resume)
        TRY(train_find(t));
    if (*t->from)
        TRY(train_compare_data(t));
    return rundir_begin(&t->rundir, t->configuration, t->crew, t->version);
}

int train_open(struct train *t, enum rundir_mode mode)
{
    t->mode = mode;
    TRY(errand_run(t->crew, open_directory, t));
    t->sinks = (struct sinks){1, {&t->rundir.metrics}};
    TRY(report_open(t));
    if (t->rundir.lock.plain)
        progress_warn(t->progress,
                      "warning: the file system of '%s' has no locks: a second start is noticed on "
                      "this host only",
                      t->directory);
    return 0;
}

static int resume(void *context)
{
    struct train *t = context;
    int first = 0;

    TRY(train_resume(t, &first));
    return first;
}

int train_run(struct train *t)
{
    int first;

    TRY(deadline_open(&t->deadline, t->time_limit));
    t->crew->notify = report_notice;
    t->crew->interrupt = is_interrupted;
    t->crew->context = t;
    TRY(saver_open(&t->saver, t->directory, (int)t->setup->config->checkpoint.keep,
                   train_snapshot_room(t->setup)));
    t->aside = (struct failed_files){
        .directory = t->directory,
        .configuration = t->configuration,
        .version = t->version,
        .run = &t->rundir.run,
        .metrics = &t->sinks,
        .progress = t->progress,
    };
    failed_files_open(&t->aside);
    TRY(first = errand_run(t->crew, resume, t));
    sink_zmq_recall(&t->stream);
    report_begin(t);
    report_changes(t);
    for (int i = first; i < t->setup->n_stages; i++) {
        if (i > first)
            TRY(train_stage(t, &t->setup->stages[i]));
        TRY(run_stage(t));
    }
    progress_clear(t->progress);
    report_end(t);
    return sink_flush(&t->rundir.metrics);
}

void train_release(struct train *t)
{
    saver_close(&t->saver);
    sink_close(&t->stream);
    failed_files_release(&t->aside);
    rundir_close(&t->rundir);
    train_changes_free(t);
    arena_release(&t->arena);
    guard_close(&t->guard);
    for (int i = 0; i < CONFIG_STAGE_MAX; i++)
        free(t->kept[i]);
}
