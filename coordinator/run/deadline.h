/* deadline.h - when the run must be over, and what still has to be done before.
 *
 * A batch system ends a job at its time limit whatever it does. The run stops itself while one more
 * round and one more checkpoint would still fit. */
#ifndef COORDINATOR_RUN_DEADLINE_H
#define COORDINATOR_RUN_DEADLINE_H

#include <stdbool.h>

struct deadline {
    double at;    /* clock_seconds; infinite: none */
    double round; /* seconds that a round may take, from those seen */
};

/* The earlier of `limit` seconds from now (0: none) and SLURM_JOB_END_TIME (seconds since 1970) of
 * the environment. ERR_USAGE where that is no number. */
int deadline_open(struct deadline *d, double limit);

/* A round has taken so many seconds. */
void deadline_note_round(struct deadline *d, double seconds);

/* save: seconds that a checkpoint may take. */
bool deadline_before_round(const struct deadline *d, double save); /* a round and that do not fit */
bool deadline_before_save(const struct deadline *d, double save);  /* that alone: leave the round */

#endif
