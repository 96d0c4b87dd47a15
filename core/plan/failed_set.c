/* failed_set.c - a short ascending list. */
#include "core/plan/failed_set.h"

#include <string.h>

void slots_clear(struct slots *s)
{
    s->count = 0;
    s->n = 0;
}

void slots_keep(struct slots *s, uint32_t slot)
{
    int at = 0;

    while (at < s->n && s->slot[at] < slot)
        at++;
    if (at == SLOTS_MAX || (at < s->n && s->slot[at] == slot))
        return;
    if (s->n == SLOTS_MAX)
        s->n--; /* the highest gives way */
    memmove(&s->slot[at + 1], &s->slot[at], (size_t)(s->n - at) * sizeof *s->slot);
    s->slot[at] = slot;
    s->n++;
}

void slots_merge(struct slots *s, const struct slots *other)
{
    for (int i = 0; i < other->n; i++)
        slots_keep(s, other->slot[i]);
    s->count += other->count;
}
