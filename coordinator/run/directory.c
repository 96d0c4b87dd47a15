/* directory.c - a run's directory that is deleted, moved or emptied under it. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "coordinator/run/train_internal.h"
#include "core/base/err.h"

/* The run goes on in a directory made again; what is in memory is saved at once. */
static int remake(struct train *t, const char *what)
{
    char why[512];

    if (rundir_remake(&t->rundir, t->configuration, t->crew, t->version) < 0) {
        snprintf(why, sizeof why, "%s", err_text());
        t->homeless = true;
        return err(ERR_IO,
                   "%s, and cannot be made again: %s; the run ends after round %" PRIu64
                   " of stage '%s' with digest %016" PRIx64 ", not saved",
                   what, why, t->round, t->stage->config->name, t->hash);
    }
    report_begin(t);
    t->saver.owed = true;
    progress_warn(t->progress, "warning: %s: made again, what was in it is lost", what);
    return 0;
}

/* It is still this run's, under another name: saved there. */
static int follow(struct train *t)
{
    int code = err(ERR_IO, "'%s' has been moved to '%s': the run ends with digest %016" PRIx64,
                   t->directory, t->moved, t->hash);

    t->directory = t->rundir.path = t->moved;
    saver_move(&t->saver, t->moved);
    return code;
}

int train_check_directory(struct train *t)
{
    char where[sizeof t->moved], what[1200];

    switch (rundir_check(&t->rundir, where, sizeof where)) {
    case RUNDIR_STANDS:
        return 0;
    case RUNDIR_EMPTIED:
        snprintf(what, sizeof what, "metrics.jsonl or run.lock of '%s' is gone", t->directory);
        return remake(t, what);
    case RUNDIR_GONE:
        snprintf(what, sizeof what, "'%s' has been deleted", t->directory);
        return remake(t, what);
    case RUNDIR_MOVED:
        strcpy(t->moved, where);
        return follow(t);
    case RUNDIR_TAKEN:
        break;
    }
    t->homeless = true;
    return err(ERR_IO,
               "'%s' has been deleted, and something else stands in its place: the run ends after "
               "round %" PRIu64 " of stage '%s' with digest %016" PRIx64 ", not saved",
               t->directory, t->round, t->stage->config->name, t->hash);
}
