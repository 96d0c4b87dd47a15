/* directory.c - what a run does if its directory is deleted, moved or emptied. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "coordinator/run/keeper.h"
#include "core/base/err.h"

/* Creates the directory again; what is in memory is saved at once. */
static int remake(struct keeper *k, const struct stage_run *s, const char *what)
{
    char why[512];

    if (rundir_remake(&k->rundir, k->configuration, k->crew, k->version) < 0) {
        snprintf(why, sizeof why, "%s", err_text());
        k->homeless = true;
        return err(ERR_IO,
                   "%s, and cannot be created again: %s; the run ends after round %" PRIu64
                   " of stage '%s' with digest %016" PRIx64 ", not saved",
                   what, why, s->round, s->stage->config->name, s->hash);
    }
    report_begin(k->report);
    k->saver.owed = true;
    progress_warn(k->report->progress,
                  "warning: %s; it has been created again, its content is lost", what);
    return 0;
}

/* The directory has been moved: the run saves there and ends. */
static int follow(struct keeper *k, const struct stage_run *s)
{
    int code = err(ERR_IO, "'%s' has been moved to '%s': the run ends with digest %016" PRIx64,
                   k->rundir.path, k->moved, s->hash);

    k->rundir.path = k->failed.directory = k->moved;
    saver_move(&k->saver, k->moved);
    return code;
}

int keeper_check_directory(struct keeper *k, const struct stage_run *s)
{
    char where[sizeof k->moved], what[1200];

    switch (rundir_check(&k->rundir, where, sizeof where)) {
    case RUNDIR_STANDS:
        return 0;
    case RUNDIR_EMPTIED:
        snprintf(what, sizeof what, "metrics.jsonl or run.lock of '%s' is gone", k->rundir.path);
        return remake(k, s, what);
    case RUNDIR_GONE:
        snprintf(what, sizeof what, "'%s' has been deleted", k->rundir.path);
        return remake(k, s, what);
    case RUNDIR_MOVED:
        strcpy(k->moved, where);
        return follow(k, s);
    case RUNDIR_TAKEN:
        break;
    }
    k->homeless = true;
    return err(ERR_IO,
               "'%s' has been deleted, and something else stands in its place: the run ends after "
               "round %" PRIu64 " of stage '%s' with digest %016" PRIx64 ", not saved",
               k->rundir.path, s->round, s->stage->config->name, s->hash);
}
