/* serve.h - a worker rank's life: hello, rounds, bye. */
#ifndef WORKER_SERVE_H
#define WORKER_SERVE_H

#include <stdbool.h>

#include "core/plan/setup.h"
#include "proto/comm/comm.h"

/* Bytes of the parameters, the anchor's and their sum on a worker rank; its pool (pool_size) comes
 * on top. */
size_t worker_size(const struct setup *s);

/* Serves the coordinator at rank 0 until it says bye. Every rank but 0 must call it. Returns 0
 * after an orderly end, however the run ended, or the error that ended this worker: it has then
 * been reported to the coordinator if that was possible. ERR_LOST when the coordinator fell silent.
 * *lost: ranks were lost on the way, the coordinator or what its bye says. */
int worker_serve(struct comm *c, const char *version, bool *lost);

#endif
