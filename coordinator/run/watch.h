/* watch.h - the encoders of a stage that adapts are measured without labels, and the guard is told.
 *
 * A watch is a round of its own (PURPOSE_WATCH) for each model of the stage: the same batches of
 * both domains at every watch. The functions do nothing for a stage that is not guarded. Errors of
 * crew_round. */
#ifndef COORDINATOR_RUN_WATCH_H
#define COORDINATOR_RUN_WATCH_H

#include "coordinator/crew/crew.h"
#include "coordinator/run/report.h"
#include "coordinator/run/stage_run.h"

/* At the stage's beginning: compares the domains' inputs, then measures the source encoder. A stage
 * that goes on from a checkpoint (its guard is active already) scores the best encoder that the
 * checkpoint kept instead. */
int watch_open(struct crew *c, struct stage_run *s, struct report *r);

/* Measures every model as it is now, tells what was found, and has the guard keep the best. */
int watch_models(struct crew *c, struct stage_run *s, struct report *r);

/* The last watch. A model that the guard does not accept ends with its best encoder: s->theta and
 * s->hash change. */
int watch_finish(struct crew *c, struct stage_run *s, struct report *r);

#endif
