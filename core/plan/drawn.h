/* drawn.h - metrics that tell what tasks drew: mean way and shot, and how each of several data
 * sections went. A stage has them if its tasks differ in these; they stand behind the method's
 * own. */
#ifndef CORE_PLAN_DRAWN_H
#define CORE_PLAN_DRAWN_H

#include "core/plan/round_sum.h"
#include "core/plan/setup.h"
#include "core/plan/task_kind.h"

/* Fills stage->drawn, whose first slot is the number of the stage's other metrics, and adds its
 * own to stage->n_metrics. ERR_MEMORY. */
int drawn_plan(const struct setup *s, struct stage *stage);
void drawn_release(struct drawn_metrics *d);

/* Adds to metrics what a computed few-shot task of that kind drew. */
void drawn_add(const struct stage *stage, const struct task_kind *kind, const struct task *t,
               struct task_metrics *metrics);

/* The number of stage->drawn.names[i]: a mean over the tasks of a round, or, of what belongs to a
 * section, over its tasks; not a number if it had none. */
double drawn_read(const struct stage *stage, const struct round_sum *total, int i);

#endif
