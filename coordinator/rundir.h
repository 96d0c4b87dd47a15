/* rundir.h - a run's directory: effective configuration, manifest, metrics, checkpoints. */
#ifndef COORDINATOR_RUNDIR_H
#define COORDINATOR_RUNDIR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "coordinator/crew.h"
#include "proto/sink.h"

struct rundir {
    const char *path; /* borrowed */
    struct sink metrics;
    uint64_t gap,
        lost; /* of the metrics, as last told: lines missing now, lines lost before this trouble */
};

enum rundir_mode {
    RUNDIR_FRESH,  /* refuses a directory with metrics or checkpoints: ERR_CANTCREAT */
    RUNDIR_RESUME, /* goes on with what is there, or starts afresh */
    RUNDIR_ERASE,  /* removes the run that is there first */
};

/* Creates the directory and its parents, removes the temporaries that killed runs left there, opens the metrics. Errors
 * name the path: ERR_CANTCREAT; ERR_IO where the disk is at fault (full, read-only, input/output error). */
int rundir_open(struct rundir *d, const char *path, enum rundir_mode mode);

/* On resuming: cuts metrics.jsonl at the first round line that lies beyond round `round` of stage `stage`, because
 * those rounds will be done again; and a torn last line. ERR_IO, the file as it was. */
int rundir_rewind(const char *path, int stage, uint64_t round);

/* Writes configuration.conf and manifest.json, each whole or not at all. ERR_CANTCREAT, ERR_IO. */
int rundir_describe(const struct rundir *d, const char *configuration, const struct crew *c,
                    const char *version);

/* true, with a sentence for the user, when metrics begin to be lost and when that is over; not in between. */
bool rundir_news(struct rundir *d, char *sentence, size_t n);

void rundir_close(struct rundir *d);

#endif
