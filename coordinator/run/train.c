/* train.c - run = stage*; stage = begin round* end. Rounds are trained, and some of them are
 * followed by an evaluation or a save. */
#include "coordinator/run/train.h"

#include <math.h>
#include <stdio.h>

#include "coordinator/run/errand.h"
#include "coordinator/run/watch.h"
#include "core/base/clock.h"
#include "core/base/err.h"
#include "proto/stream/sink_zmq.h"

#define CHECK_EVERY 1.0 /* seconds between two checks of the files of the data */
#define PATIENCE 30.0   /* seconds for a lost attempt to release the directory */

/* ---- what may end a run ---- */

/* After a signal a training round is finished, an evaluation is not; neither may exceed the time
 * limit. */
static bool is_interrupted(void *context, const struct task_kind *kind)
{
    struct train *t = context;

    report_workers(&t->report);
    return (kind->gives == GIVES_METRICS && *t->start.stop) ||
           deadline_before_save(&t->deadline, saver_cost(&t->keeper.saver));
}

static int check_stop(const struct train *t)
{
    if (*t->start.stop || deadline_before_round(&t->deadline, saver_cost(&t->keeper.saver)))
        return ERR_STOPPED;
    return 0;
}

/* Checks that mapped data files are unchanged, once a second or now. If not, the rounds since the
 * last check are discarded. */
static int check_data(struct train *t, bool now)
{
    const struct sections *known = &t->start.crew->sections;

    if (!now && clock_seconds() - t->data_checked < CHECK_EVERY)
        return 0;
    t->data_checked = clock_seconds();
    return setup_check_files(t->start.setup, known->each, known->n);
}

/* Rounds on changed data are not saved. */
static int data_failed(const struct keeper *k)
{
    char why[1024];

    snprintf(why, sizeof why, "%s", err_text());
    if (!k->checkpoint[0])
        return err(ERR_DATA, "%s; no checkpoint was saved before", why);
    return err(ERR_DATA,
               "%s; the last checkpoint, '%s', is from before: --resume continues from it", why,
               k->checkpoint);
}

/* Writes failed tasks to files. If they are too many, the run ends before the step. */
static int set_aside(struct train *t, const struct round *r, const struct round_sum *total)
{
    uint64_t failed = (uint64_t)round_sum_read(total, METRIC_FAILED);
    int code;

    t->now.failed += (double)failed;
    failed_files_record(&t->keeper.failed, t->start.crew, r, failed, t->now.hash);
    code = failed_files_judge(&t->keeper.failed, t->start.crew, r, failed);
    return code < 0 ? keeper_give_up(&t->keeper, &t->now, code) : 0;
}

/* ---- a round ---- */

static void settle(void *train, size_t end)
{
    struct train *t = train;

    stage_run_settle(&t->now, end);
}

/* The rest of a round that is done: the rest of its step, and what is told of it. */
static int finish_round(void *train)
{
    struct train *t = train;
    double norm;

    if (!t->now.owes)
        return 0;
    norm = stage_run_finish(&t->now);
    TRY(keeper_check_finite(&t->keeper, &t->now));
    deadline_note_round(&t->deadline, t->round_seconds);
    TRY(report_round(&t->report, &t->now, &t->now.total, norm, t->round_seconds));
    report_progress(&t->report, &t->now);
    report_workers(&t->report);
    TRY(keeper_check_directory(&t->keeper, &t->now));
    keeper_note_saved(&t->keeper);
    return 0;
}

/* Its parameters leave piece by piece, each as soon as the step before has made it, and the round
 * before is finished while the workers compute. */
static int train_round(struct train *t)
{
    struct round r = stage_run_round(&t->now);
    double start = clock_seconds();
    struct round_sum total;

    r.settle = settle;
    r.sent = finish_round;
    r.context = t;
    *t->start.under_way = (int)r.round;
    TRY(crew_round(t->start.crew, &r, &total));
    TRY(check_data(t, false));
    TRY(set_aside(t, &r, &total));
    stage_run_owe(&t->now, &total);
    t->round_seconds = clock_seconds() - start;
    return 0;
}

/* During a stage, the present encoder may be worse than the best one. */
static bool may_recover(const struct stage_run *s)
{
    return s->guard.active && s->stage->traits->keeps_best && !stage_run_is_done(s);
}

/* Measures the stage on the i-th section of its list. */
static int measure_on(struct train *t, int i)
{
    struct stage_run *s = &t->now;
    int data = s->stage->evaluate_data[i], code;
    struct evaluation e = {0};
    struct round r;

    if (!evaluate_round(s->setup, s->stage, data, s->setup->config->evaluate.episodes, s->round,
                        s->theta, stage_run_anchor(s), &r))
        return 0;
    code = evaluate(t->start.crew, &r, &e);
    failed_files_record(&t->keeper.failed, t->start.crew, &r, e.failed, s->hash);
    if (code == ERR_NONFINITE && may_recover(s)) {
        progress_warn(t->start.progress, "warning: %s", err_text());
        return 0;
    }
    if (code < 0)
        return code == ERR_NONFINITE ? keeper_give_up(&t->keeper, s, code) : code;
    report_evaluation(&t->report, s, &e, data);
    evaluation_release(&s->last[i]);
    s->last[i] = e;
    return 0;
}

static int measure(struct train *t)
{
    TRY(check_data(t, true));
    for (int i = 0; i < t->now.stage->n_evaluate; i++)
        TRY(measure_on(t, i));
    return 0;
}

/* ---- a stage ---- */

static bool is_due(int64_t every, uint64_t round)
{
    return every > 0 && round > 0 && round % (uint64_t)every == 0;
}

static int save_if_due(struct train *t)
{
    uint64_t reached = stage_run_reached(&t->now);
    bool due = is_due(t->start.setup->config->checkpoint.every, reached);

    if (stage_run_is_done(&t->now) || !saver_ready(&t->keeper.saver, due))
        return 0;
    TRY(finish_round(t));
    TRY(check_data(t, true));
    return keeper_save(&t->keeper, &t->now);
}

static int stage_rounds(struct train *t)
{
    progress_stage(t->start.progress, t->now.round);
    while (!stage_run_is_done(&t->now)) {
        TRY(check_stop(t));
        if (is_due(t->start.setup->config->evaluate.every, stage_run_reached(&t->now))) {
            TRY(finish_round(t));
            TRY(watch_models(t->start.crew, &t->now, &t->report)); /* also after a resume */
            TRY(measure(t));
        }
        TRY(train_round(t));
        TRY(save_if_due(t));
    }
    TRY(finish_round(t));
    *t->start.under_way = 0;
    return 0;
}

static int stage_begin(struct train *t)
{
    struct stage_run *s = &t->now;

    stage_run_rehash(s);
    report_start(&t->report, s);
    progress_begin(t->start.progress,
                   &(struct glance){.stage = s->stage->config->name,
                                    .round = s->round,
                                    .rounds = (uint64_t)s->stage->config->rounds});
    TRY(watch_open(t->start.crew, s, &t->report));
    return s->stage->traits->adapts && s->round == 0 ? measure(t) : 0; /* what it begins with */
}

static int stage_end(struct train *t)
{
    TRY(watch_finish(t->start.crew, &t->now, &t->report));
    TRY(measure(t));
    return keeper_check_directory(&t->keeper, &t->now);
}

static int stage(struct train *t)
{
    TRY(stage_begin(t));
    TRY(stage_rounds(t));
    return stage_end(t);
}

/* The round before the failure is done; keeps the sentence. */
static int finish_owed(struct train *t, int code)
{
    char why[ERR_SENTENCE];

    if (!t->now.owes)
        return 0;
    snprintf(why, sizeof why, "%s", err_text());
    TRY(finish_round(t));
    err(code, "%s", why);
    return 0;
}

/* The stage failed: saves the state if it can be trusted. */
static int stage_failed(struct train *t, int code)
{
    TRY(finish_owed(t, code));
    if (code == ERR_STOPPED)
        err(code, *t->start.stop ? "stopped by a signal" : "stopped before the time limit");
    if (code == ERR_NONFINITE || code == ERR_FAILED) /* already saved; or not trustworthy */
        return code;
    return code == ERR_DATA ? data_failed(&t->keeper) : keeper_give_up(&t->keeper, &t->now, code);
}

static int run_stage(struct train *t)
{
    int code = stage(t);

    if (code < 0)
        return stage_failed(t, code);
    return t->now.stage->index + 1 < t->start.setup->n_stages
               ? keeper_save_between(&t->keeper, &t->now)
               : keeper_save_last(&t->keeper, &t->now);
}

/* ---- a run ---- */

static int take(void *context)
{
    struct train *t = context;
    const struct train_start *s = &t->start;
    const struct rundir_start start = {s->mode, s->run_id, PATIENCE, s->stop};

    return keeper_take(&t->keeper, s->directory, &start, s->other_data);
}

int train_open(struct train *t, const struct train_start *s)
{
    *t = (struct train){
        .start = *s,
        .now = {.setup = s->setup,
                .init_digest = t->keeper.inits.digest,
                .loss = NAN,
                .accuracy = -1},
        .keeper = {.crew = s->crew,
                   .setup = s->setup,
                   .report = &t->report,
                   .configuration = s->configuration,
                   .version = s->version},
        .report = {.crew = s->crew,
                   .setup = s->setup,
                   .rundir = &t->keeper.rundir,
                   .configuration = s->configuration,
                   .version = s->version,
                   .progress = s->progress},
    };
    TRY(errand_run(s->crew, take, t));
    TRY(report_open(&t->report, t->keeper.rundir.mode == RUNDIR_RESUME));
    if (t->keeper.rundir.lock.plain)
        progress_warn(s->progress,
                      "warning: the file system of '%s' has no locks: a second start is noticed on "
                      "this host only",
                      s->directory);
    return 0;
}

static int resume(void *context)
{
    struct train *t = context;

    return keeper_resume(&t->keeper, &t->now);
}

static int begin_next(void *context)
{
    struct train *t = context;

    return stage_run_begin(&t->now, t->now.stage + 1);
}

static void on_notice(void *context, const struct notice *n)
{
    struct train *t = context;

    report_notice(&t->report, n);
}

int train_run(struct train *t)
{
    struct crew *c = t->start.crew;

    TRY(deadline_open(&t->deadline, t->start.time_limit));
    c->notify = on_notice;
    c->interrupt = is_interrupted;
    c->context = t;
    TRY(keeper_open(&t->keeper));
    TRY(errand_run(c, resume, t));
    sink_zmq_recall(&t->report.stream);
    report_begin(&t->report);
    report_changes(&t->report, &t->keeper.changes);
    TRY(run_stage(t));
    while (t->now.stage->index + 1 < t->start.setup->n_stages) {
        TRY(errand_run(c, begin_next, t));
        TRY(run_stage(t));
    }
    progress_clear(t->start.progress);
    report_end(&t->report, &t->now);
    return sink_flush(&t->keeper.rundir.metrics);
}

void train_release(struct train *t)
{
    sink_close(&t->report.stream);
    keeper_release(&t->keeper);
    stage_run_release(&t->now);
}
