/* hand_over.h - what a stage takes from the stage that it starts from. */
#ifndef CORE_PLAN_HAND_OVER_H
#define CORE_PLAN_HAND_OVER_H

#include "core/plan/setup.h"

/* The segment, in the layout of the stage that `stage` starts from, whose parameters `segment` of
 * stage->model goes on with: it has the same name and shape. A segment of ROLE_OLD
 * ("old.head.weight") goes on with the one of that name ("head.weight"). NULL: `segment` is drawn
 * anew. stage->start >= 0. */
const struct segment *hand_over(const struct setup *s, const struct stage *stage,
                                const struct segment *segment);

/* The segment's name in what the stage starts from, an earlier stage or a file; NULL: the method
 * wants a new one. */
const char *hand_over_name(const struct stage *stage, const struct segment *segment);

#endif
