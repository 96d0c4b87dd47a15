/* task.h - one task: a complete description, without a pixel in it. */
#ifndef CORE_PLAN_TASK_H
#define CORE_PLAN_TASK_H

#include <stdint.h>
#include <string.h>

#include "core/base/arena.h"

/* of a round; numbers of the wire: core/plan/task_kind.h says what follows from them */
enum purpose {
    PURPOSE_TRAIN,
    PURPOSE_EVALUATE,
    /* adaptation without the target's labels is looked after: core/plan/metric.h */
    PURPOSE_WATCH,
};

/* A few-shot task has classes with support and query samples. A batch task has way 0 and samples of
 * two data sections by their place in file order, which tells nothing of their classes. */
struct task {
    uint32_t stage, data; /* indices into the configuration's stages and data sections        */
    uint32_t round, slot; /* its place in the run; evaluation: round 0, slot = episode         */
    uint64_t seed;        /* of the run                                                       */
    uint32_t way, shot, query;
    uint32_t *classes; /* (way)         class ids; regression: one function                */
    uint32_t *turns;   /* (way)         quarter turns counter-clockwise                    */
    uint32_t *support; /* (way x shot)  sample ids, class by class                         */
    uint32_t *queries; /* (way x query)                                                    */
    uint32_t target;   /* index of the data section of the targets */
    uint32_t n_source,
        n_targets; /* samples of `data` and of `target`                                */
    uint32_t *source,
        *targets; /* (n_source), (n_targets) flat indices: core/data/data.h                */
};

/* Tasks that follow one another in a round. */
struct slots {
    uint32_t first, n;
};

/* What the buffers of a struct task must hold. */
struct task_size {
    uint32_t way, shot, query;
    uint32_t source, targets;
};

/* The room that tasks of both sizes need. */
static inline struct task_size task_size_most(struct task_size a, struct task_size b)
{
    return (struct task_size){
        a.way > b.way ? a.way : b.way,
        a.shot > b.shot ? a.shot : b.shot,
        a.query > b.query ? a.query : b.query,
        a.source > b.source ? a.source : b.source,
        a.targets > b.targets ? a.targets : b.targets,
    };
}

/* Takes arrays for tasks of up to this size from the arena; what they hold is undefined. */
static inline void task_init(struct task *t, struct task_size s, struct arena *a)
{
    *t = (struct task){.way = s.way, .shot = s.shot, .query = s.query};
    t->classes = arena_take(a, s.way * sizeof(uint32_t));
    t->turns = arena_take(a, s.way * sizeof(uint32_t));
    t->support = arena_take(a, (size_t)s.way * s.shot * sizeof(uint32_t));
    t->queries = arena_take(a, (size_t)s.way * s.query * sizeof(uint32_t));
    t->source = arena_take(a, s.source * sizeof(uint32_t));
    t->targets = arena_take(a, s.targets * sizeof(uint32_t));
}

/* Copies n ids, which may be none; returns `to`. */
static inline void *task_copy_ids(uint32_t *to, const uint32_t *from, size_t n)
{
    return n ? memcpy(to, from, n * sizeof *to) : to;
}

/* Copies a task into buffers made for at least its sizes; returns 0, or -1 when it is larger than
 * `most`. */
static inline int task_copy(struct task *to, const struct task *from, struct task_size most)
{
    struct task room = *to;

    if (from->way > most.way || from->shot > most.shot || from->query > most.query ||
        from->n_source > most.source || from->n_targets > most.targets)
        return -1;
    *to = *from;
    to->classes = task_copy_ids(room.classes, from->classes, from->way);
    to->turns = task_copy_ids(room.turns, from->turns, from->way);
    to->support = task_copy_ids(room.support, from->support, (size_t)from->way * from->shot);
    to->queries = task_copy_ids(room.queries, from->queries, (size_t)from->way * from->query);
    to->source = task_copy_ids(room.source, from->source, from->n_source);
    to->targets = task_copy_ids(room.targets, from->targets, from->n_targets);
    return 0;
}

#endif
