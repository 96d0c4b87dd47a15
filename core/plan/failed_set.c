/* failed_set.c - a short ascending list. */
#include "core/plan/failed_set.h"

#include <string.h>

void failed_set_clear(struct failed_set *s)
{
    s->count = 0;
    s->n = 0;
}

void failed_set_keep(struct failed_set *s, uint32_t slot)
{
    int at = 0;

    while (at < s->n && s->slot[at] < slot)
        at++;
    if (at == FAILED_SET_MAX || (at < s->n && s->slot[at] == slot))
        return;
    if (s->n == FAILED_SET_MAX)
        s->n--; /* the highest gives way */
    memmove(&s->slot[at + 1], &s->slot[at], (size_t)(s->n - at) * sizeof *s->slot);
    s->slot[at] = slot;
    s->n++;
}

void failed_set_merge(struct failed_set *s, const struct failed_set *other)
{
    for (int i = 0; i < other->n; i++)
        failed_set_keep(s, other->slot[i]);
    s->count += other->count;
}
