/* checkpoint_files.h - finds the newest checkpoint of a directory, and removes old ones.
 *
 * A checkpoint is a file called checkpoint-SS-RRRRRRRRR.safetensors, stage and round; the order is
 * theirs. Files of other names are never looked at. Errors name the path. */
#ifndef CORE_FILE_CHECKPOINT_FILES_H
#define CORE_FILE_CHECKPOINT_FILES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/base/run_id.h"

struct checkpoint_key {
    int stage;
    uint64_t round;
};

/* "DIRECTORY/checkpoint-00-000000100.safetensors": stage 0, round 100. */
void checkpoint_path(const char *directory, int stage, uint64_t round, char *path, size_t n);
bool checkpoint_is_name(const char *name);

/* The newest checkpoint of run `run` (NULL: of any) that passes every check: its path into `path`
 * (n bytes). Damaged and unreadable ones and those of other runs are named through
 * complain(context, sentence) and skipped. 1: found; 0: there is none; ERR_NOINPUT if the
 * directory cannot be read, ERR_MEMORY. */
int checkpoint_newest(const char *directory, const struct run_identity *run, char *path, size_t n,
                      void (*complain)(void *context, const char *sentence), void *context);

/* Renames every checkpoint later than `last` (all if it is NULL) to NAME.damaged, or to NAME.other
 * if it is good and not of run `run`: they were skipped, and must not be taken for the newest once
 * the run has gone on without them. ERR_IO, ERR_CANTCREAT, ERR_NOINPUT. */
int checkpoint_set_aside(const char *directory, const struct run_identity *run,
                         const struct checkpoint_key *last);

/* Removes every checkpoint older than the `keep` newest good ones up to `last`, which has just been
 * written. Later ones than `last` neither count nor are removed. Files from `trusted` on are this
 * run's own and count as good; older ones are read first: a damaged one does not count, and one of
 * another run than `run` is renamed to NAME.other. ERR_IO, ERR_CANTCREAT, ERR_NOINPUT. */
int checkpoint_prune(const char *directory, const struct run_identity *run, int keep,
                     const struct checkpoint_key *trusted, const struct checkpoint_key *last);

/* Removes all checkpoints, newest first, and those set aside. ERR_IO, ERR_NOINPUT. */
int checkpoint_erase(const char *directory);

/* How many there are, whatever their state. ERR_NOINPUT. */
int checkpoint_count(const char *directory);

#endif
