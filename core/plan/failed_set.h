/* failed_set.h - which tasks of a round failed: how many, and the lowest slots of them.
 *
 * A set, so that a task reported twice is one; the lowest are kept, so that what is kept does not
 * depend on who ran which task. */
#ifndef CORE_PLAN_FAILED_SET_H
#define CORE_PLAN_FAILED_SET_H

#include <stdint.h>

enum { FAILED_SET_MAX = 64 };

struct failed_set {
    uint64_t count;                /* tasks that failed, n or more */
    int n;                         /* of them known by slot */
    uint32_t slot[FAILED_SET_MAX]; /* (n) ascending, without doubles */
};

/* Makes it empty. */
void failed_set_clear(struct failed_set *s);

/* Keeps slot if it is new and among the FAILED_SET_MAX lowest; count is the caller's. */
void failed_set_keep(struct failed_set *s, uint32_t slot);

void failed_set_merge(struct failed_set *s, const struct failed_set *other); /* counts are added */

#endif
