/* task.h - one task: a complete description, without a pixel in it. */
#ifndef CORE_TASK_H
#define CORE_TASK_H

#include <stdint.h>
#include <string.h>

#include "core/arena.h"

struct task {
    uint32_t stage, data; /* indices into the configuration's stages and data sections        */
    uint32_t round, slot; /* its place in the run; evaluation: round 0, slot = episode         */
    uint64_t seed;        /* of the run                                                       */
    uint32_t way, shot, query;
    uint32_t *classes; /* (way)         class ids; regression: one function                */
    uint32_t *turns;   /* (way)         quarter turns counter-clockwise                    */
    uint32_t *support; /* (way x shot)  sample ids, class by class                         */
    uint32_t *queries; /* (way x query)                                                    */
};

/* What the buffers of a struct task must hold. */
struct task_size {
    uint32_t way, shot, query;
};

static inline void task_init(struct task *t, struct task_size s, struct arena *a)
{
    *t = (struct task){.way = s.way, .shot = s.shot, .query = s.query};
    t->classes = arena_take(a, s.way * sizeof(uint32_t));
    t->turns = arena_take(a, s.way * sizeof(uint32_t));
    t->support = arena_take(a, (size_t)s.way * s.shot * sizeof(uint32_t));
    t->queries = arena_take(a, (size_t)s.way * s.query * sizeof(uint32_t));
}

/* Copies a task into buffers made for at least its sizes; returns 0, or -1 when it is larger than `most`. */
static inline int task_copy(struct task *to, const struct task *from, struct task_size most)
{
    uint32_t *ids[] = {to->classes, to->turns, to->support, to->queries};

    if (from->way > most.way || from->shot > most.shot || from->query > most.query)
        return -1;
    *to = *from;
    to->classes = memcpy(ids[0], from->classes, from->way * sizeof(uint32_t));
    to->turns = memcpy(ids[1], from->turns, from->way * sizeof(uint32_t));
    to->support = memcpy(ids[2], from->support, (size_t)from->way * from->shot * sizeof(uint32_t));
    to->queries = memcpy(ids[3], from->queries, (size_t)from->way * from->query * sizeof(uint32_t));
    return 0;
}

#endif
