/* keeper.h - where a run is kept: its directory, its checkpoints, the tasks of it that failed.
 *
 *     keeper_take    the directory is this run's; whether there is a run to go on with
 *     keeper_open    checkpoints can be written from now on
 *     keeper_resume  the stage at hand is where the run goes on
 *     keeper_save... checkpoints; keeper_check_directory between rounds */
#ifndef COORDINATOR_RUN_KEEPER_H
#define COORDINATOR_RUN_KEEPER_H

#include "coordinator/run/changes.h"
#include "coordinator/run/failed_files.h"
#include "coordinator/run/inits.h"
#include "coordinator/run/report.h"
#include "coordinator/run/rundir.h"
#include "coordinator/run/saver.h"
#include "coordinator/run/stage_run.h"

enum { KEEPER_PATH = 1280 };

struct keeper {
    struct crew *crew; /* borrowed, as these: hears of us while a disk is waited for */
    const struct setup *setup;
    struct report *report;               /* who is told */
    const char *configuration, *version; /* the effective text; of the program */
    char *data;                          /* owned: what checkpoints tell of the data */

    struct rundir rundir; /* rundir.path is the run's directory, wherever it is now */
    struct saver saver;
    struct failed_files failed;
    char checkpoint[KEEPER_PATH]; /* the last one written, or gone on from; "": none */

    char from[KEEPER_PATH];        /* the checkpoint to go on from; "": none */
    struct checkpoint_info origin; /* what it tells */
    struct changes changes;        /* since that checkpoint */
    struct inits inits;            /* files that stages start from */

    char moved[1024]; /* where the directory is if it was moved */
    bool homeless;    /* another run has its place: nothing can be saved */
};

/* Takes the directory, finds the checkpoint to go on from if there is a run to go on with, and
 * compares its configuration and data with those of now; reads the files that stages to come start
 * from, and tells what they give; only then is the directory written to.
 * Does not call the crew. Errors of rundir_take, checkpoint_newest, changes_find, inits_look,
 * changes_find_data, rundir_begin. */
int keeper_take(struct keeper *k, const char *directory, const struct rundir_start *start,
                bool other_data);

/* Starts the thread that writes checkpoints. ERR_MEMORY, ERR_FAILED. */
int keeper_open(struct keeper *k);

/* Makes s the stage and round that the run goes on from; stage 0, round 0 if there is no
 * checkpoint. Rounds that will be done again are cut from the metrics, checkpoints beyond are set
 * aside. Does not call the crew. ERR_CONFIG if the checkpoint is of another seed; errors of
 * stage_run_read, checkpoint_set_aside, rundir_rewind. */
int keeper_resume(struct keeper *k, struct stage_run *s);

/* ---- save.c ---- */

/* Tells of writes that have ended, and of metrics that are lost. */
void keeper_note_saved(struct keeper *k);

/* ERR_NONFINITE if a parameter or optimizer state is not finite: names the segment and the last
 * checkpoint. */
int keeper_check_finite(struct keeper *k, const struct stage_run *s);

/* Hands a checkpoint to the thread; never waits for the disk. ERR_NONFINITE, ERR_MEMORY. */
int keeper_save(struct keeper *k, const struct stage_run *s);

/* Saves a stage's result while the next one begins: a disk that is stuck holds it up for a moment
 * at most. */
int keeper_save_between(struct keeper *k, const struct stage_run *s);

/* The run's last save: waits for it, and tries five times. ERR_IO if it cannot be written;
 * ERR_NONFINITE. */
int keeper_save_last(struct keeper *k, const struct stage_run *s);

/* The run cannot or shall not go on, for the reason in err_text: keeps the rounds that are done.
 * Returns code, or ERR_IO if a stopped run could not be saved; the sentence tells both. */
int keeper_give_up(struct keeper *k, const struct stage_run *s, int code);

/* ---- directory.c ---- */

/* Whether the run's directory is still there. If it was deleted it is made again, and a checkpoint
 * is owed. If it was moved, or another run has its place, the run ends: ERR_IO, for keeper_give_up,
 * which saves if that is possible. */
int keeper_check_directory(struct keeper *k, const struct stage_run *s);

/* Waits for the write in progress (saver_close), leaves the directory. */
void keeper_release(struct keeper *k);

#endif
