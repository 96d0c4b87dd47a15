/* train.h - a whole run: its stages in order, from fresh parameters or a checkpoint. */
#ifndef COORDINATOR_RUN_TRAIN_H
#define COORDINATOR_RUN_TRAIN_H

#include <signal.h>

#include "coordinator/run/deadline.h"
#include "coordinator/run/keeper.h"
#include "coordinator/run/report.h"
#include "coordinator/run/stage_run.h"

struct train_start {   /* how a run is started; pointers are borrowed until train_release */
    struct crew *crew; /* gathered */
    const struct setup *setup;
    const char *directory;             /* of the run */
    const char *configuration;         /* effective text */
    const char *version;               /* of the program */
    const char *run_id;                /* of a start that goes on with its own run; "": none */
    enum rundir_mode mode;             /* if a run is there already */
    bool other_data;                   /* a resumed run may go on with other data than before */
    double time_limit;                 /* seconds, 0: none */
    const volatile sig_atomic_t *stop; /* set by a signal: finish the round, save, leave */
    volatile sig_atomic_t *under_way;  /* set to the round that is computed, 0: none */
    struct progress *progress;
};

struct train {
    struct train_start start;
    struct deadline deadline;
    double data_checked;  /* clock: the files of the data were last checked */
    double round_seconds; /* of the last round */

    struct stage_run now; /* the stage at hand, and its results */
    struct keeper keeper; /* where it is kept */
    struct report report; /* who is told */
};

/* Takes the run's directory, decides whether to go on with the run that is there, and opens the
 * stream if the configuration has one. Errors of keeper_take and report_open: ERR_CONFIG also for
 * values that a resumed run cannot change; ERR_CANTCREAT also if another process has the directory;
 * ERR_IO, ERR_NOINPUT, ERR_STOPPED. train_release also after an error. */
int train_open(struct train *t, const struct train_start *start);

/* Runs all stages. 0; ERR_STOPPED after a signal or before the time limit, saved; errors of
 * crew_round, saved unless ranks computed different results; ERR_NONFINITE if more of a round
 * failed than cluster.max_failed allows, the state before it saved; ERR_IO if the last checkpoint
 * could not be written. */
int train_run(struct train *t);

/* Closes the stream and the run's directory, and frees what the stages leave. */
/* Ends the stream, waits for the write in progress, and gives back all that the run holds. */
void train_release(struct train *t);

#endif
