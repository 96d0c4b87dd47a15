/* failed_set.h - which tasks of a round failed: how many, and the lowest slots of them.
 *
 * A set, so that a task reported twice is one; the lowest are kept, so that what is kept does not depend on
 * who ran which task. */
#ifndef CORE_PLAN_FAILED_SET_H
#define CORE_PLAN_FAILED_SET_H

#include <stdint.h>

enum { SLOTS_MAX = 64 };

struct slots {
    uint64_t count;           /* tasks that failed, n or more */
    int n;                    /* of them known by slot */
    uint32_t slot[SLOTS_MAX]; /* (n) ascending, without doubles */
};

void slots_clear(struct slots *s);

/* Keeps slot if it is new and among the SLOTS_MAX lowest; count is the caller's. */
void slots_keep(struct slots *s, uint32_t slot);

void slots_merge(struct slots *s, const struct slots *other); /* counts are added */

#endif
