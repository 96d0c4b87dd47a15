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
 * the environment. ERR_USAGE if that is no number. */
int deadline_open(struct deadline *d, double limit);

/* A round has taken so many seconds. */
/* A round took so long: a slow one counts at once, a quick one little by little. */
void deadline_note_round(struct deadline *d, double seconds);

/* True if a round and a checkpoint of `save` seconds do not fit before the deadline. */
bool deadline_before_round(const struct deadline *d, double save);

/* True if the checkpoint alone does not fit any later: leave the round. */
bool deadline_before_save(const struct deadline *d, double save);

#endif
