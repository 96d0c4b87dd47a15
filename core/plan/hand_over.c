/* hand_over.c - by name and shape. */
#include "core/plan/hand_over.h"

#include <string.h>

const char *hand_over_name(const struct stage *stage, const struct segment *segment)
{
    if (segment->role == ROLE_OLD)
        return strchr(segment->name, '.') + 1;
    return segment->role == ROLE_HEAD && stage->traits->new_head ? NULL : segment->name;
}

const struct segment *hand_over(const struct setup *s, const struct stage *stage,
                                const struct segment *segment)
{
    const char *name = hand_over_name(stage, segment);
    const struct segment *before = name ? layout_find(&s->stages[stage->start].layout, name) : NULL;

    return before && memcmp(before->dims, segment->dims, sizeof segment->dims) == 0 ? before : NULL;
}
