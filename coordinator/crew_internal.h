/* crew_internal.h - between crew.c and round.c. */
#ifndef COORDINATOR_CREW_INTERNAL_H
#define COORDINATOR_CREW_INTERNAL_H

#include "coordinator/crew.h"

int crew_say(struct crew *c, int to, enum message_kind kind, const struct header *like,
             const struct buffer *body);

/* Gives signs of life and checks everybody's lease: ERR_LOST. */
int crew_watch(struct crew *c, const struct round *r);

#endif
