/* rundir_internal.h - between the files that look after a run's directory. */
#ifndef COORDINATOR_RUN_RUNDIR_INTERNAL_H
#define COORDINATOR_RUN_RUNDIR_INTERNAL_H

#include <jansson.h>
#include <stdio.h>

#include "coordinator/run/rundir.h"

enum { PATH_ROOM = RUNDIR_PATH + 280 };

/* Puts "DIRECTORY/NAME" into path. */
static inline void rundir_file(const char *directory, const char *name, char path[PATH_ROOM])
{
    snprintf(path, PATH_ROOM, "%s/%s", directory, name);
}

/* Creates the directory and its parents, and opens it as d->fd. ERR_CANTCREAT, ERR_IO. */
int rundir_open_directory(struct rundir *d);

/* What manifest.json holds, owned by the caller; NULL: it is not there, or no JSON. */
json_t *rundir_manifest(const char *directory);

/* The digest that the manifest tells of a section or file: of that entry of its list whose key has
 * the name. NULL: none. */
const char *rundir_told(const json_t *manifest, const char *list, const char *key,
                        const char *name);

/* The id that the first line of the metrics tells. false: there are no metrics. */
bool rundir_metrics_tell(const char *directory, char id[RUN_ID_ROOM]);

/* Opens the metrics. Those of another run, and what is no file, are renamed to metrics.jsonl.other
 * first, and d->set_aside says so. ERR_CANTCREAT, ERR_IO. */
int rundir_metrics_open(struct rundir *d);

#endif
