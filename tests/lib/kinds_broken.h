/* kinds_broken.h - wrong kinds of task, made from the right one on batches: their slots. */
#ifndef TESTS_LIB_KINDS_BROKEN_H
#define TESTS_LIB_KINDS_BROKEN_H

#include "core/base/err.h"
#include "core/plan/sampler.h"
#include "worker/engine.h"
#include "worker/task_work.h"

enum { WRONG_IDS = 512 }; /* more than a task of the suite has */

static uint32_t cursor;

static inline void draws_by_a_cursor(const struct sampler *s, uint32_t nth, struct task *t)
{
    kind_batch.draw(s, nth, t);
    t->source[0] = cursor++ % s->setup->data[t->data].n_samples;
}

static inline struct task_size size_too_small(const struct sampler *s)
{
    struct task_size size = kind_batch.size(s);

    size.source--;
    return size;
}

static inline int accepts_any_id(const struct setup *setup, const struct stage *s,
                                 const struct task *t)
{
    struct task copy = *t;
    uint32_t zeros[WRONG_IDS] = {0};

    copy.source = copy.targets = zeros;
    return kind_batch.check(setup, s, &copy);
}

static inline void tells_little(const struct setup *setup, const struct task *t, FILE *to)
{
    (void)setup;
    fprintf(to, " %u of something", t->n_source);
}

static inline int reads_half(struct engine *e, const struct task *t)
{
    TRY(work_batch.read(e, t));
    e->episode.source.n /= 2;
    return 0;
}

static inline int leaves_something(struct engine *e, const struct task *t, const real *theta,
                                   real *state)
{
    static real left;

    TRY(work_batch.run(e, t, theta, state));
    e->gradient[0] += left;
    left += 1;
    return 0;
}

#endif
