/* train.h - a whole run: its stages in order, from fresh parameters or a checkpoint. */
#ifndef COORDINATOR_RUN_TRAIN_H
#define COORDINATOR_RUN_TRAIN_H

#include <signal.h>

#include "coordinator/crew/crew.h"
#include "coordinator/run/deadline.h"
#include "coordinator/run/evaluate.h"
#include "coordinator/run/failed_files.h"
#include "coordinator/run/guard.h"
#include "coordinator/run/progress.h"
#include "coordinator/run/rundir.h"
#include "coordinator/run/saver.h"

struct train {
    struct crew *crew;         /* borrowed, gathered */
    const struct setup *setup; /* borrowed */
    const char *directory;     /* of the run */
    const char *configuration; /* effective text */
    const char *version;
    const char *run_id; /* of a start that goes on with its own run; "": none */
    bool other_data;    /* a resumed run may go on with other data than it began with */
    enum rundir_mode mode;
    bool resume;                       /* as decided: there is a run to go on with */
    const volatile sig_atomic_t *stop; /* set by a signal: finish the round, save, leave */
    volatile sig_atomic_t
        *under_way;    /* set to the round that is computed, for what a signal says; 0: none */
    double time_limit; /* seconds, 0: none */
    struct deadline deadline;
    struct progress *progress;
    struct rundir rundir;
    char moved[1024];              /* where the directory is if it has been moved */
    bool homeless;                 /* another run has its place: nothing can be saved */
    char from[1280];               /* the checkpoint to go on from; "": none */
    struct checkpoint_info origin; /* what it tells */
    struct changes *changes;       /* owned: values changed since that checkpoint */
    struct sink stream;            /* to observers; not open: nobody can watch */
    struct sinks sinks;            /* what every event goes to: the metrics file, the stream */
    double told;                   /* clock: the last word about the workers */
    double data_checked;           /* clock: the last look at the files of the data */
    struct saver saver;
    struct failed_files aside; /* tasks that failed */

    struct arena arena;                   /* of the vectors below */
    real *theta, *grad, *state, *scratch; /* P, P of a model, n_state x P, P of the stage at hand */
    struct domain_models domains;         /* where its tasks step a model each */
    struct guard guard;
    real *kept[CONFIG_STAGE_MAX]; /* owned: results that later stages need */
    const struct stage *stage;
    uint64_t round; /* done in this stage */
    double failed;  /* tasks set aside in this stage */

    uint64_t hash; /* results: of the final parameters */
    double loss, accuracy;
    /* The last evaluation of each section of the stage's list, in its order; episodes 0: none. */
    struct evaluation last[CONFIG_DATA_MAX];
    char checkpoint[1280]; /* the last one written */
};

/* Runs all stages. 0; ERR_STOPPED after a signal or before the time limit, saved; errors of crew_round, saved unless ranks
 * computed different results; ERR_NONFINITE when more of a round failed than cluster.max_failed allows, the state before it
 * saved; ERR_IO when the last checkpoint could not be written. */
int train_run(struct train *t);

/* Takes the run's directory, decides whether to go on with the run that is there, and opens the stream if the configuration
 * has one. ERR_CONFIG also for values that a resumed run cannot change; ERR_CANTCREAT also if another process has the
 * directory; ERR_IO, ERR_NOINPUT, ERR_STOPPED. */
int train_open(struct train *t, enum rundir_mode mode);

/* Tells the observers how a run ended that has not come to its end: the code, and the sentence in err_text. */
void train_tell(struct train *t, int code);
void train_release(struct train *t);

#endif
