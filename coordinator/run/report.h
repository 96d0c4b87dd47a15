/* report.h - who is told of a run, and what: the person at the terminal, metrics.jsonl, the
 * observers.
 *
 * report.c tells what metrics.jsonl keeps, and the lines that go with it; stream.c what only
 * observers hear. Nothing here waits for a reader or fails a run: what cannot be told is counted
 * (proto/stream/sink.h). */
#ifndef COORDINATOR_RUN_REPORT_H
#define COORDINATOR_RUN_REPORT_H

#include "coordinator/crew/crew.h"
#include "coordinator/run/changes.h"
#include "coordinator/run/inputs.h"
#include "coordinator/run/progress.h"
#include "coordinator/run/rundir.h"
#include "coordinator/run/saver.h"
#include "coordinator/run/stage_run.h"

struct report {
    struct crew *crew; /* borrowed, as all pointers here: what the workers say */
    const struct setup *setup;
    struct rundir *rundir;               /* which run it is, and its metrics file */
    const char *configuration, *version; /* the effective text; of the program */
    struct progress *progress;           /* the person */
    struct sink stream;                  /* owned: the observers; not open: nobody can watch */
    struct sinks sinks; /* what every event goes to: the metrics file, the stream */
    double told;        /* clock: the last word about the workers */
};

/* Opens the stream if the configuration has one, and tells it what runs; from now on lines go
 * there, too. The run's directory is taken. ERR_CONFIG, ERR_NOINPUT. */
int report_open(struct report *r, bool resumed);

void report_begin(struct report *r); /* which run this is, in metrics.jsonl */

/* What a resumed run does otherwise than before. */
void report_changes(struct report *r, const struct changes *c);

void report_start(struct report *r, const struct stage_run *s); /* a stage begins or goes on */

/* A round of training: its sum, the gradient's norm (not a number: none), the seconds it took.
 * ERR_MEMORY. */
int report_round(struct report *r, const struct stage_run *s, const struct round_sum *total,
                 double norm, double seconds);

void report_progress(struct report *r, const struct stage_run *s); /* the bar, or a line */

/* An evaluation on data section `data`. */
void report_evaluation(struct report *r, const struct stage_run *s, const struct evaluation *e,
                       int data);

void report_notice(struct report *r, const struct notice *n);   /* what happened to a rank */
void report_saved(struct report *r, const struct saved *saved); /* an attempt to write has ended */

/* The end of a run that came to its end; its metrics may not be on disk yet. */
void report_end(struct report *r, const struct stage_run *s);

/* Tells the observers how a run ended that has not come to its end: the code, and the sentence in
 * err_text, which stays. */
void report_failure(struct report *r, const struct stage_run *s, int code);

/* ---- adaptation: run/watch.c ---- */

/* The inputs of the stage's source section and of `target`; warns if they seem to be of different
 * kinds. */
void report_inputs(struct report *r, const struct stage_run *s, int target, const struct inputs *a,
                   const struct inputs *b);

/* What a measurement of a model says, beside the source encoder and the best so far. */
void report_watch(struct report *r, const struct stage_run *s, int model, const struct watch *w);

/* Warns of each of these alarms (enum alarm). */
void report_alarms(struct report *r, const struct stage_run *s, int model, unsigned alarms);

/* The model ends with its best encoder in the place of the one measured last. */
void report_replaced(struct report *r, const struct stage_run *s, int model,
                     const struct watch *last);

/* ---- the observers alone ---- */

/* What runs. A new process that serves observers hears it first. */
void report_run(struct report *r);

void report_workers(struct report *r); /* how the workers are, once a second at most */

#endif
