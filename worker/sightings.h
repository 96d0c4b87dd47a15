/* sightings.h - what tasks that are done twice gave on this rank, in the round at hand. */
#ifndef WORKER_SIGHTINGS_H
#define WORKER_SIGHTINGS_H

#include <stddef.h>

#include "proto/wire.h"

struct sighting_list {
    struct sightings known; /* owned: its lists */
    uint32_t room;
};

/* Bytes of a list of so many. */
size_t sightings_size(uint32_t room);

/* Makes an empty list. ERR_MEMORY. */
int sightings_open(struct sighting_list *l, uint32_t room);
void sightings_close(struct sighting_list *l);

/* Adds one. If the list is full, it replaces that of the same slot, or else the last: a rank gets a
 * task or an audit a second time, after others were lost, and sees the same again. */
void sightings_note(struct sighting_list *l, uint32_t slot, uint64_t checksum);

#endif
