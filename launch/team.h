/* team.h - all ranks of a run: one leads, the others work. */
#ifndef LAUNCH_TEAM_H
#define LAUNCH_TEAM_H

#include <signal.h>
#include <stdbool.h>

#include "coordinator/crew/crew.h"
#include "core/base/run_id.h"
#include "core/config/config.h"
#include "launch/options.h"

/* Set by SIGINT, SIGTERM, SIGUSR1 and SIGUSR2, once team_catch_signals has been called. */
extern volatile sig_atomic_t team_stop;
extern volatile sig_atomic_t team_round; /* under way; 0: none */

/* Every rank takes the signals and goes on: the coordinator decides, at the end of a round. Before
 * MPI starts, so that a signal to the whole job finds no rank unprepared. */
void team_catch_signals(void);

/* Of the run that this process leads or has led; "": none. */
extern char team_run_id[RUN_ID_ROOM];

struct team { /* on the coordinator, when everybody is ready */
    const struct options *options;
    struct config config;
    char *configuration; /* owned: effective text */
    struct setup setup;
    struct crew crew;
};

/* Opens the ranks (MPI's, or coordinator and worker as threads when there is one process), reads
 * the configuration, gathers the crew and calls lead(team, context) on rank 0; dismisses the crew
 * with what lead returned. The other ranks serve meanwhile. Must be called by every rank. */
int team_run(const struct options *o, int (*lead)(struct team *t, void *context), void *context);

struct losses {
    bool any;        /* ranks were lost on the way: MPI_Finalize could wait for ever */
    char hosts[512]; /* theirs, each once, separated by blanks; the coordinator's knowledge */
    char wrong[512]; /* "rank 3 on node5, ...": who was found to compute wrongly */
};

/* Of the run that team_run has ended; none before. */
const struct losses *team_losses(void);

#endif
