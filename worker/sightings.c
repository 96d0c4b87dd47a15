/* sightings.c - slots and checksums, side by side. */
#include "worker/sightings.h"

#include <stdlib.h>

#include "core/base/err.h"

size_t sightings_size(uint32_t room)
{
    return room * (sizeof(uint32_t) + sizeof(uint64_t));
}

int sightings_open(struct sighting_list *l, uint32_t room)
{
    *l = (struct sighting_list){.room = room};
    if (room == 0)
        return 0;
    l->known.slots = calloc(room, sizeof *l->known.slots);
    l->known.checksums = calloc(room, sizeof *l->known.checksums);
    if (!l->known.slots || !l->known.checksums)
        return err(ERR_MEMORY, "no memory for %u tasks that are done twice", room);
    return 0;
}

void sightings_close(struct sighting_list *l)
{
    free(l->known.slots);
    free(l->known.checksums);
    *l = (struct sighting_list){0};
}

void sightings_note(struct sighting_list *l, uint32_t slot, uint64_t checksum)
{
    struct sightings *s = &l->known;
    uint32_t i = s->n;

    if (s->n < l->room)
        s->n++;
    else
        for (i = 0; i < s->n - 1 && s->slots[i] != slot;)
            i++;
    s->slots[i] = slot;
    s->checksums[i] = checksum;
}
