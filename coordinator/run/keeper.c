/* keeper.c - takes a run's directory, and continues the run that is in it. */
#include "coordinator/run/keeper.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/err.h"
#include "core/file/checkpoint_files.h"
#include "core/math/blas.h"

/* ---- the directory ---- */

static void complain(void *context, const char *sentence)
{
    struct keeper *k = context;

    progress_warn(k->report->progress,
                  "warning: %s; it is set aside, and the one before it is used", sentence);
}

/* Finds the checkpoint to continue from; checks that this configuration may. */
static int find(struct keeper *k, const char *directory)
{
    int found = checkpoint_newest(directory, &k->rundir.run, k->from, sizeof k->from, complain, k);

    TRY(found);
    if (!found)
        return 0;
    TRY(checkpoint_peek(k->from, &k->origin));
    return changes_find(&k->changes, k->from, &k->origin, k->setup->config, directory);
}

static void say(void *context, const char *line)
{
    struct keeper *k = context;

    progress_say(k->report->progress, "%s", line);
}

int keeper_take(struct keeper *k, const char *directory, const struct rundir_start *start,
                bool other_data)
{
    TRY(rundir_take(&k->rundir, directory, start));
    if (k->rundir.mode == RUNDIR_RESUME)
        TRY(find(k, directory));
    TRY(inits_look(&k->inits, k->setup, *k->from ? k->origin.stage : -1, directory, say, k));
    k->rundir.inits = inits_json(&k->inits);
    if (*k->from)
        TRY(changes_find_data(&k->changes, directory, &k->crew->sections, &k->inits, other_data));
    return rundir_begin(&k->rundir, k->configuration, k->crew, k->version);
}

int keeper_open(struct keeper *k)
{
    const struct sections *s = &k->crew->sections;

    k->data = setup_memory(k->setup, s->each, s->n);
    if (!k->data)
        return err(ERR_MEMORY, "no memory for a description of the data");
    TRY(saver_open(&k->saver, k->rundir.path, (int)k->setup->config->checkpoint.keep,
                   stage_run_room(k->setup)));
    k->failed = (struct failed_files){
        .directory = k->rundir.path,
        .configuration = k->configuration,
        .data = k->data,
        .version = k->version,
        .run = &k->rundir.run,
        .metrics = &k->report->sinks,
        .progress = k->report->progress,
    };
    failed_files_open(&k->failed);
    return 0;
}

void keeper_release(struct keeper *k)
{
    saver_close(&k->saver);
    failed_files_release(&k->failed);
    rundir_close(&k->rundir);
    changes_release(&k->changes);
    free(k->data);
}

/* ---- a run that is there ---- */

/* Starts at round 0, because there is no checkpoint to continue from. */
static int begin(struct keeper *k, struct stage_run *s)
{
    const char *directory = k->rundir.path;

    if (k->rundir.mode == RUNDIR_RESUME) {
        TRY(checkpoint_set_aside(directory, &k->rundir.run, NULL));
        TRY(rundir_rewind(directory, 0, 0));
        progress_warn(k->report->progress,
                      "no checkpoint to resume from in '%s': starting at round 0", directory);
    }
    return stage_run_begin(s, &k->setup->stages[0]);
}

/* The seed must be the same. Another BLAS kernel only changes the last bits. */
static int check_origin(const struct keeper *k, const struct checkpoint_info *info)
{
    int64_t seed = k->setup->config->run.seed;

    if (info->seed != (uint64_t)seed)
        return err(ERR_CONFIG,
                   "'%s' was trained with seed %" PRIu64 ", the configuration says %" PRId64,
                   k->from, info->seed, seed);
    if (strcmp(info->blas, blas_kernel()) != 0)
        progress_warn(k->report->progress,
                      "warning: '%s' was computed with OpenBLAS kernel '%s', here it is '%s': the "
                      "result will differ in its last bits",
                      k->from, info->blas, blas_kernel());
    return 0;
}

int keeper_resume(struct keeper *k, struct stage_run *s)
{
    struct checkpoint_info info = k->origin;

    if (!*k->from)
        return begin(k, s);
    TRY(stage_run_read(s, k->from, &info));
    TRY(check_origin(k, &info));
    TRY(checkpoint_set_aside(k->rundir.path, &k->rundir.run,
                             &(struct checkpoint_key){info.stage, info.round}));
    TRY(rundir_rewind(k->rundir.path, info.stage, info.round));
    progress_say(k->report->progress, "resuming %s at round %" PRIu64 " from '%s'",
                 s->stage->config->name, info.round, k->from);
    snprintf(k->checkpoint, sizeof k->checkpoint, "%s", k->from);
    return 0;
}
