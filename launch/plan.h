/* plan.h - what `metaloop check` prints of a configuration: data, stages, what they take over and
 * leave behind. */
#ifndef LAUNCH_PLAN_H
#define LAUNCH_PLAN_H

#include "launch/solo.h"

/* To standard output. Errors of stage_init_open; ERR_MEMORY. */
int plan_print(const struct solo *s);

/* The memory, and what stages take from files, as one JSON object on standard output. Errors of
 * stage_init_open. */
int plan_json(const struct solo *s);

#endif
