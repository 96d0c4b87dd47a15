/* train_internal.h - between the files that make a run. */
#ifndef COORDINATOR_RUN_TRAIN_INTERNAL_H
#define COORDINATOR_RUN_TRAIN_INTERNAL_H

#include "coordinator/run/train.h"

/* ---- begin.c ---- */

const struct optim_ops *train_optim(const struct stage *s);

/* Makes s the stage at hand, at round 0: fresh vectors, and where a stage went before, its parameters. ERR_MEMORY. */
int train_stage(struct train *t, const struct stage *s);

/* The parameters of the anchor of the stage at hand; NULL where it has none. */
const real *train_anchor(const struct train *t);

/* Whether stage j's result is started from or anchored to by stage i or a later one. */
bool train_needs(const struct setup *s, int j, int i);

/* Finds the checkpoint to go on from: t->from, t->origin. Errors of checkpoint_newest and train_compare. */
int train_find(struct train *t);

/* The stage and round to go on from, with its parameters; stage 0, round 0 where nothing is there. */
int train_resume(struct train *t, int *first);

/* ---- compare.c ---- */

struct change {
    char *key, *before, *now; /* owned */
};

struct changes {
    int n, room;
    struct change *each; /* owned */
    char refused[768];   /* those that a run cannot go on with, in words */
    int code;            /* ERR_MEMORY, or 0 */
    int stage;           /* that the checkpoint is of: those before are done */
    uint64_t round;
};

/* Compares every key with the configuration that t->from carries: t->changes are those it may go on with. ERR_CONFIG names
 * all others with both values; ERR_DATA, ERR_MEMORY. */
int train_compare(struct train *t);

/* After train_compare: whether the data are those that the run began with. ERR_DATA names the first section that is not;
 * with t->other_data each becomes one of t->changes. */
int train_compare_data(struct train *t);
void train_changes_free(struct train *t);

/* ---- train_check_directory.c ---- */

/* Whether the run's directory is still there. Deleted, it is made again, and a checkpoint is owed; moved, or another run's
 * now, the run ends: ERR_IO, for train_give_up, which saves where that can be. */
int train_check_directory(struct train *t);

/* ---- save.c ---- */

size_t train_snapshot_room(const struct setup *s); /* reals of the largest stage's checkpoint */
void train_note_saved(struct train *t);            /* tells of writes that have ended */
int train_check_finite(struct train *t);           /* ERR_NONFINITE: names what is not */
int train_save(struct train *t);                   /* never waits for the disk; ERR_NONFINITE */
int train_save_between(struct train *t);           /* a stage's result, while the next one begins */
int train_save_and_wait(struct train *t); /* the run's last: ERR_IO when it cannot be written */

/* The run cannot or shall not go on, for the reason in err_text: the rounds that are done are kept. Returns code, or
 * ERR_IO where a stopped run could not be saved. */
int train_give_up(struct train *t, int code);

/* ---- report.c ---- */

void report_inputs(struct train *t, int target, double source_low, double source_high,
                   double source_mean, double low, double high, double mean);
void report_watch(struct train *t, int model, const struct watch *l);

void report_begin(struct train *t);   /* which run this is, for metrics.jsonl */
void report_changes(struct train *t); /* what is not as it was before the run was resumed */
void report_start(struct train *t);
void report_round(struct train *t, const struct round_sum *total, double norm, double seconds);
void report_progress(struct train *t);
void report_evaluation(struct train *t, const struct evaluation *e, int data);
void report_notice(void *train, const struct notice *n); /* what happened to a rank */
void report_end(struct train *t);

/* ---- stream.c: what only observers hear ---- */

/* The stream itself, and what runs. ERR_CONFIG, ERR_NOINPUT. */
int report_open(struct train *t);
void report_run(struct train *t);     /* what runs: whoever serves observers has to hear it first */
void report_workers(struct train *t); /* once a second at most, whoever calls */

#endif
