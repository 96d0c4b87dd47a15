/* save.c - checkpoints during a stage, between stages and at the end. */
#include "coordinator/run/keeper.h"

#include <inttypes.h>
#include <stdio.h>
#include <time.h>

#include "core/base/clock.h"
#include "core/base/err.h"
#include "core/base/machine.h"
#include "core/math/blas.h"

#define STUCK 10.0  /* seconds that a slow disk may delay the start of a stage */
#define MOMENT 0.02 /* seconds between checks of the disk at the end */

enum { LAST_ATTEMPTS = 5 };

void keeper_note_saved(struct keeper *k)
{
    const struct saved *last = &k->saver.last;
    bool ended = saver_poll(&k->saver);
    char sentence[1024];

    if (ended)
        report_saved(k->report, last);
    if (ended && last->code >= 0)
        snprintf(k->checkpoint, sizeof k->checkpoint, "%s", last->path);
    if (k->saver.say[0])
        progress_warn(k->report->progress, "%s", k->saver.say);
    if (rundir_news(&k->rundir, sentence, sizeof sentence))
        progress_warn(k->report->progress, "%s", sentence);
}

/* Waits until nothing is being written, or for the limit; keeps the workers informed meanwhile. */
static int wait_disk(struct keeper *k, double seconds)
{
    double limit = clock_seconds() + seconds;
    int code;

    while ((code = saver_wait(&k->saver, MOMENT)) < 0 && clock_seconds() < limit)
        crew_reassure(k->crew);
    return code;
}

int keeper_check_finite(struct keeper *k, const struct stage_run *s)
{
    const char *name = stage_run_not_finite(s);

    if (!name)
        return 0;
    wait_disk(k, SAVER_PATIENCE); /* the write in progress is still valid: it is the last */
    keeper_note_saved(k);
    return err(ERR_NONFINITE,
               "'%s' is not finite after round %" PRIu64
               " of stage '%s': that round is not saved; %s%s%s; try a lower rate",
               name, s->round, s->stage->config->name,
               k->checkpoint[0] ? "the last checkpoint is '" : "there is no checkpoint",
               k->checkpoint, k->checkpoint[0] ? "'" : "");
}

int keeper_save(struct keeper *k, const struct stage_run *s)
{
    struct checkpoint_info info = {
        .run = k->rundir.run,
        .stage = s->stage->index,
        .round = s->round,
        .seed = (uint64_t)k->setup->config->run.seed,
        .hash = s->hash,
        .configuration = k->configuration,
        .data = k->data,
    };

    TRY(keeper_check_finite(k, s));
    snprintf(info.stage_name, sizeof info.stage_name, "%s", s->stage->config->name);
    snprintf(info.version, sizeof info.version, "%s", k->version);
    snprintf(info.blas, sizeof info.blas, "%s", blas_kernel());
    machine_cpu(info.cpu, sizeof info.cpu);
    stage_run_add_kept(s, &info);
    return saver_save(&k->saver, &s->stage->layout, s->theta, optim_find(s->stage->optim.name),
                      s->state, &info);
}

static void let_pass(struct keeper *k, double seconds)
{
    double limit = clock_seconds() + seconds;

    while (clock_seconds() < limit) {
        crew_reassure(k->crew);
        nanosleep(&(struct timespec){.tv_nsec = (long)(1e9 * MOMENT)}, NULL);
    }
}

static int save_once(struct keeper *k, const struct stage_run *s)
{
    TRY(wait_disk(k, SAVER_PATIENCE));
    keeper_note_saved(k);
    TRY(keeper_save(k, s));
    TRY(wait_disk(k, SAVER_PATIENCE));
    keeper_note_saved(k);
    return 0;
}

/* The run's last save: up to five attempts in five seconds. */
int keeper_save_last(struct keeper *k, const struct stage_run *s)
{
    const struct saved *last = &k->saver.last;

    TRY(save_once(k, s));
    for (int i = 1; last->code < 0 && i < LAST_ATTEMPTS; i++) {
        let_pass(k, 0.5 * i);
        TRY(save_once(k, s));
    }
    if (sink_flush(&k->rundir.metrics) < 0)
        progress_warn(k->report->progress, "warning: %s", err_text());
    if (last->code < 0)
        return err(ERR_IO, "%s; tried %d times%s%s%s", last->error, LAST_ATTEMPTS,
                   k->checkpoint[0] ? "; the last checkpoint is '" : "", k->checkpoint,
                   k->checkpoint[0] ? "'" : "");
    return 0;
}

/* Saves a stage's result while the next one begins; a disk that is stuck delays it only briefly. */
int keeper_save_between(struct keeper *k, const struct stage_run *s)
{
    if (wait_disk(k, STUCK) < 0)
        progress_warn(k->report->progress, "warning: %s; training goes on", err_text());
    keeper_note_saved(k);
    return saver_ready(&k->saver, true) ? keeper_save(k, s) : 0;
}

/* The run ends early: saves the rounds that are done. */
int keeper_give_up(struct keeper *k, const struct stage_run *s, int code)
{
    char why[1024];

    snprintf(why, sizeof why, "%s", err_text());
    if (k->homeless)
        return code;
    if (keeper_save_last(k, s) < 0)
        return err_within(code == ERR_STOPPED ? ERR_IO : code, "%s, but not saved", why);
    return err(code, "%s; round %" PRIu64 " of stage '%s' is saved as '%s', --resume continues",
               why, s->round, s->stage->config->name, k->checkpoint);
}
