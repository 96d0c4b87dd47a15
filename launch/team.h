/* team.h - all ranks of a run: one leads, the others work. */
#ifndef LAUNCH_TEAM_H
#define LAUNCH_TEAM_H

#include <signal.h>

#include "coordinator/crew.h"
#include "core/config.h"
#include "launch/options.h"

/* Set by SIGINT, SIGTERM, SIGUSR1 and SIGUSR2. */
extern volatile sig_atomic_t team_stop;

struct team { /* on the coordinator, when everybody is ready */
    const struct options *options;
    struct config config;
    char *configuration; /* owned: effective text */
    struct setup setup;
    struct crew crew;
};

/* Opens the ranks (MPI's, or coordinator and worker as threads when there is one process), reads the configuration,
 * gathers the crew and calls lead(team, context) on rank 0; dismisses the crew with its verdict. The other
 * ranks serve meanwhile. Must be called by every rank. */
int team_run(const struct options *o, int (*lead)(struct team *t, void *context), void *context);

#endif
