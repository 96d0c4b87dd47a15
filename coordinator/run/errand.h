/* errand.h - what may take long while workers wait: done by a thread, so that the main thread can
 * go on telling them that the coordinator lives. */
#ifndef COORDINATOR_RUN_ERRAND_H
#define COORDINATOR_RUN_ERRAND_H

#include "coordinator/crew/crew.h"

/* Runs work(context) to its end; its code, with its sentence. work must not call the crew:
 * meanwhile this thread does. */
int errand_run(struct crew *c, int (*work)(void *context), void *context);

#endif
