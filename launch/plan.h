/* plan.h - what `metaloop check` prints of a configuration: data, stages, what they take over and
 * leave behind. */
#ifndef LAUNCH_PLAN_H
#define LAUNCH_PLAN_H

#include "launch/solo.h"

int plan_print(const struct solo *s); /* to standard output. ERR_MEMORY */
int plan_json(
    const struct solo *s); /* the memory alone, as one JSON object on standard output; 0 */

#endif
