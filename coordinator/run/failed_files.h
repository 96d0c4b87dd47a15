/* failed_files.h - tasks that were set aside, as files: each with the parameters it failed at, for
 * `metaloop replay`.
 *
 *     task-SS-RRRRRRRRR-TTTTTT.bin   stage, round, slot of a training task
 *     episode-SS-DD-EEEEEE.bin       stage, data section, slot of an evaluation episode
 *     aside-SS-RRRRRRRRR.safetensors parameters of stage SS after R rounds, without the optimizer's
 *     state
 *
 * At most FAILED_FILES_MAX task and episode files a run directory; the rest is counted.
 * docs/failed-tasks.md. */
#ifndef COORDINATOR_RUN_FAILED_FILES_H
#define COORDINATOR_RUN_FAILED_FILES_H

#include "coordinator/crew/crew.h"
#include "coordinator/run/progress.h"
#include "core/base/run_id.h"
#include "proto/stream/sink.h"

/* For glob(3). */
#define FAILED_FILES_TASKS "task-[0-9][0-9]-*-*.bin"
#define FAILED_FILES_EPISODES "episode-[0-9][0-9]-*-*.bin"
#define FAILED_FILES_PARAMETERS "aside-[0-9][0-9]-*.safetensors"

enum { FAILED_FILES_MAX = 20, FAILED_FILES_PATH = 1280 };

struct failed_files {
    const char *directory;               /* borrowed, as all of these */
    const char *configuration, *version; /* for the parameters' metadata */
    const struct run_identity *run;      /* likewise; NULL: none */
    const struct sinks *metrics;
    struct progress *progress;
    const char *data; /* also for the parameters' metadata; NULL: they tell nothing of the data */
    int n_files, n_said;                /* in the directory; messages given */
    bool full;                          /* and it has been said */
    char file[FAILED_FILES_PATH];       /* of the last round: its first task's, or "" */
    char parameters[FAILED_FILES_PATH]; /* that it failed at, or "" */
    struct buffer out;
};

/* Counts the files that an earlier part of the run has left. */
void failed_files_open(struct failed_files *a);
void failed_files_release(struct failed_files *a); /* gives its buffer back */

/* Records what crew_round has just set aside, `failed` tasks: files, an event, and the first times
 * a message with the command that does it again. hash: of r->theta. What cannot be written is told
 * and is no error. */
void failed_files_record(struct failed_files *a, struct crew *c, const struct round *r,
                         uint64_t failed, uint64_t hash);

/* ERR_NONFINITE if all of a training round's tasks were set aside, or more than
 * cluster.max_failed allows; the sentence names round, stage, the numbers and the first task's
 * file. */
int failed_files_judge(const struct failed_files *a, const struct crew *c, const struct round *r,
                       uint64_t failed);

#endif
