/* rundir.h - a run's directory: effective configuration, manifest, metrics, checkpoints. */
#ifndef COORDINATOR_RUNDIR_H
#define COORDINATOR_RUNDIR_H

#include <stdbool.h>

#include "coordinator/crew.h"
#include "proto/sink.h"

struct rundir {
    const char *path; /* borrowed */
    struct sink metrics;
};

enum rundir_mode {
    RUNDIR_FRESH,  /* refuses a directory that holds a run: ERR_CANTCREAT */
    RUNDIR_RESUME, /* goes on with what is there, or starts afresh */
    RUNDIR_ERASE,  /* removes the run that is there first */
};

/* Creates the directory and its parents. Errors name the path: ERR_CANTCREAT. */
int rundir_open(struct rundir *d, const char *path, enum rundir_mode mode);

/* On resuming: cuts metrics.jsonl at the first round line that lies beyond round `round` of stage `stage`, because
 * those rounds will be done again. ERR_IO. */
int rundir_rewind(const char *path, int stage, uint64_t round);

/* Writes configuration.conf and manifest.json. ERR_CANTCREAT, ERR_IO. */
int rundir_describe(const struct rundir *d, const char *configuration, const struct crew *c,
                    const char *version);

void rundir_close(struct rundir *d);

#endif
