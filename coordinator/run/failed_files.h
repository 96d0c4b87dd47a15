/* failed_files.h - tasks that were set aside, as files: each with the parameters it failed at, for `metaloop replay`.
 *
 *     task-SS-RRRRRRRRR-TTTTTT.bin   stage, round, slot of a training task
 *     episode-SS-DD-EEEEEE.bin       stage, data section, slot of an evaluation episode
 *     aside-SS-RRRRRRRRR.safetensors parameters of stage SS after R rounds, without the optimizer's state
 *
 * At most ASIDE_FILES task and episode files a run directory; the rest is counted. docs/failed-tasks.md. */
#ifndef COORDINATOR_RUN_FAILED_FILES_H
#define COORDINATOR_RUN_FAILED_FILES_H

#include "coordinator/crew/crew.h"
#include "coordinator/run/progress.h"
#include "core/base/run_id.h"
#include "proto/stream/sink.h"

/* For glob(3). */
#define ASIDE_TASKS "task-[0-9][0-9]-*-*.bin"
#define ASIDE_EPISODES "episode-[0-9][0-9]-*-*.bin"
#define ASIDE_PARAMETERS "aside-[0-9][0-9]-*.safetensors"

enum { ASIDE_FILES = 20, ASIDE_PATH = 1280 };

struct aside {
    const char *directory;               /* borrowed, as all of these */
    const char *configuration, *version; /* for the parameters' metadata */
    const struct run_identity *run;      /* likewise; NULL: none */
    const struct sinks *metrics;
    struct progress *progress;
    int n_files, n_said;         /* in the directory; messages given */
    bool full;                   /* and it has been said */
    char file[ASIDE_PATH];       /* of the last round: its first task's, or "" */
    char parameters[ASIDE_PATH]; /* that it failed at, or "" */
    struct buffer out;
};

/* Counts the files that an earlier part of the run has left. */
void aside_open(struct aside *a);
void aside_release(struct aside *a);

/* Records what crew_round has just set aside, `failed` tasks: files, an event, and the first times a message with the
 * command that does it again. hash: of r->theta. What cannot be written is told and is no error. */
void aside_record(struct aside *a, struct crew *c, const struct round *r, uint64_t failed,
                  uint64_t hash);

/* ERR_NONFINITE where all of a training round's tasks were set aside, or more than cluster.max_failed allows; the
 * sentence names round, stage, the numbers and the first task's file. */
int aside_judge(const struct aside *a, const struct crew *c, const struct round *r,
                uint64_t failed);

/* Their names; theta_round: rounds done by the parameters that round r runs at. */
void aside_task_path(const char *directory, const struct round *r, uint32_t slot, char *path,
                     size_t n);
void aside_parameters_path(const char *directory, const struct round *r, char *path, size_t n);
uint64_t aside_theta_round(const struct round *r);

#endif
