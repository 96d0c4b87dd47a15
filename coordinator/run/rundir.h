/* rundir.h - a run's directory: who owns it, effective configuration, manifest, metrics,
 * checkpoints. */
#ifndef COORDINATOR_RUN_RUNDIR_H
#define COORDINATOR_RUN_RUNDIR_H

#include <jansson.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "coordinator/crew/crew.h"
#include "coordinator/run/run_lock.h"
#include "proto/stream/sink.h"

enum rundir_mode {
    RUNDIR_FRESH,  /* refuses a directory with metrics or checkpoints: ERR_CANTCREAT */
    RUNDIR_RESUME, /* goes on with what is there, or starts afresh */
    RUNDIR_ERASE,  /* removes the run that is there first */
};

enum { RUNDIR_PATH = 1000 }; /* most bytes of its path */

struct rundir {
    const char *path; /* borrowed */
    json_t *inits;    /* owned: for the manifest (inits.h); NULL: no stage starts from a file */
    int fd;           /* of the directory: it stays the same when the name becomes another's */
    struct run_lock lock;
    enum rundir_mode mode;   /* as decided: RUNDIR_RESUME also if the run is that of the start */
    struct run_identity run; /* whose directory it is now */
    struct sink metrics;
    dev_t metrics_device;
    ino_t metrics_inode;
    bool set_aside;     /* what stood at metrics.jsonl was not this run's */
    uint64_t gap, lost; /* of the metrics, as last told: missing now, lost before this trouble */
};

struct rundir_start { /* how a run is started */
    enum rundir_mode mode;
    const char *run_id;                /* "": one is drawn if the run begins */
    double patience;                   /* seconds to wait for a holder of the same run */
    const volatile sig_atomic_t *stop; /* ends that wait; NULL: nothing does */
};

/* Creates the directory and its parents, takes its lock, and decides whose run it is: if it tells
 * the id of the start, the run goes on whatever the mode says; else the mode counts. Writes nothing
 * but run.lock. Errors name the path:
 * ERR_CANTCREAT, also if another process holds the lock; ERR_IO if the disk is at fault;
 * ERR_STOPPED. rundir_close also after an error. */
int rundir_take(struct rundir *d, const char *path, const struct rundir_start *s);

/* Makes the directory that was taken this run's: the manifest first, which tells its id; then
 * removes an old run if the mode says so, and temporaries of killed ones; writes
 * configuration.conf, opens the metrics. ERR_CANTCREAT, ERR_IO. */
int rundir_begin(struct rundir *d, const char *configuration, const struct crew *c,
                 const char *version);

/* The run that manifest or metrics tell; `unnamed` and no id: a run of before there were ids.
 * false: neither is there. */
bool rundir_identity(const char *directory, struct run_identity *run);

/* What rundir_compare_data calls for a data section, with both digests. An error ends the
 * comparison. */
typedef int rundir_differs(void *context, const char *section, const char *before, const char *now);

/* On resuming: calls `differs` for each data section that does not hold what the manifest says that
 * it held, until it returns an error, which is returned. */
int rundir_compare_data(const char *directory, const struct sections *now, rundir_differs *differs,
                        void *context);

/* On resuming: cuts metrics.jsonl at the first round line that lies beyond round `round` of stage
 * `stage`, because those rounds will be done again; and a torn last line. Reads from the end.
 * ERR_IO, the file as it was. */
int rundir_rewind(const char *path, int stage, uint64_t round);

enum rundir_state {
    RUNDIR_STANDS,
    RUNDIR_EMPTIED, /* the directory is there, its lock or its metrics are not */
    RUNDIR_GONE,    /* deleted, and nothing stands in its place */
    RUNDIR_MOVED,   /* it has another name now, in `where` (n bytes) */
    RUNDIR_TAKEN,   /* deleted, and another directory stands in its place */
};

/* What has become of it. A few microseconds. */
enum rundir_state rundir_check(const struct rundir *d, char *where, size_t n);

/* Makes what was deleted again. ERR_CANTCREAT if somebody else has taken the place meanwhile,
 * ERR_IO. */
int rundir_remake(struct rundir *d, const char *configuration, const struct crew *c,
                  const char *version);

/* true, with a sentence for the user, once what stood at metrics.jsonl was set aside, when metrics
 * begin to be lost and when that is over; not in between. */
bool rundir_news(struct rundir *d, char *sentence, size_t n);

/* Closes the metrics and the directory, and gives up the lock. */
/* Closes the metrics and the directory, and gives the lock up. */
void rundir_close(struct rundir *d);

#endif
