/* inits.h - the files that stages start from (stage.NAME.init), as they were when the run began.
 *
 * A file matters only at the beginning of its stage. It is read when the run starts, so that what
 * is wrong with it is told at once, and again when the stage begins. The manifest keeps its digest:
 * a run that is resumed before that stage needs the same file. */
#ifndef COORDINATOR_RUN_INITS_H
#define COORDINATOR_RUN_INITS_H

#include <jansson.h>

#include "coordinator/run/rundir.h"
#include "core/plan/setup.h"

struct inits {
    const struct setup *setup;         /* borrowed */
    int begun;                         /* stages up to this one have begun; -1: none */
    uint64_t digest[CONFIG_STAGE_MAX]; /* of each stage's file; 0: none, or not known */
};

/* Reads the files of the stages after `begun` and tells what they give, a line at a time; digests
 * of other stages come from the manifest in `directory`. Errors of stage_init_open. */
int inits_look(struct inits *in, const struct setup *s, int begun, const char *directory,
               void (*say)(void *context, const char *line), void *context);

/* Calls `differs` with the name of each stage after in->begun whose file is not the one that the
 * manifest tells of, until it returns an error, which is returned. */
int inits_compare(const struct inits *in, const char *directory, rundir_differs *differs,
                  void *context);

/* For the manifest: a list of stage, file, digest; owned by the caller. */
json_t *inits_json(const struct inits *in);

#endif
