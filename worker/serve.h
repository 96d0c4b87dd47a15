/* serve.h - a worker rank's life: hello, rounds, bye. */
#ifndef WORKER_SERVE_H
#define WORKER_SERVE_H

#include <stdbool.h>

#include "core/plan/setup.h"
#include "proto/comm/comm.h"

/* Bytes of the parameters, the anchor's and their sum on a worker rank; its pool (pool_size) comes
 * on top. */
size_t worker_size(const struct setup *s);

struct worker_place {          /* of a worker that shares its process with others; all borrowed */
    const struct setup *setup; /* open, of the configuration that the coordinator sends */
    const struct compute *compute;
    int n_threads;
    bool own_cores; /* a core for each of them: the rank's main thread has one while they rest */
};

/* Serves the coordinator at rank 0 until it says bye. Every rank but 0 must call it. place: NULL if
 * the process is the worker's own: it opens the data and computes with all cores that it may use.
 * Returns 0 after an orderly end, however the run ended, or the error that ended this worker: it
 * has then been reported to the coordinator if that was possible. ERR_LOST when the coordinator
 * fell silent. *lost: ranks were lost on the way, the coordinator or what its bye says. */
int worker_serve(struct comm *c, const char *version, const struct worker_place *place, bool *lost);

#endif
