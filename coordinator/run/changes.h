/* changes.h - what a resumed run is told to do otherwise than before: which of it is allowed. */
#ifndef COORDINATOR_RUN_CHANGES_H
#define COORDINATOR_RUN_CHANGES_H

#include "coordinator/run/inits.h"
#include "coordinator/run/rundir.h"
#include "core/config/config.h"
#include "core/file/checkpoint.h"

struct change {
    char *key, *before, *now; /* owned */
};

struct changes { /* zero: there is none */
    int n, room;
    struct change *each; /* owned */
    char refused[768];   /* those that a run cannot go on with, in words */
    int code;            /* ERR_MEMORY, or 0 */
    int stage;           /* that the checkpoint is of: those before are done */
    uint64_t round;      /* of that stage, done */
};

/* Compares every key with the configuration that checkpoint `path` carries; info is what
 * checkpoint_peek said of it. c becomes the list of changes that the run may go on with. ERR_CONFIG
 * names all others, with both values; ERR_DATA, ERR_MEMORY. */
int changes_find(struct changes *c, const char *path, const struct checkpoint_info *info,
                 const struct config *now, const char *directory);

/* Compares the data, and the files that later stages start from, with those that the run in the
 * directory began with. ERR_DATA names the first that is not the same; if `allowed`, each of them
 * is added to c instead. ERR_MEMORY. */
int changes_find_data(struct changes *c, const char *directory, const struct sections *now,
                      const struct inits *inits, bool allowed);

/* Frees what it holds; of zeros too. */
void changes_release(struct changes *c); /* frees the list; *c is zero afterwards */

#endif
