/* sampler.h - which samples a task has: a pure function of (seed, stage, purpose, round, slot). */
#ifndef CORE_PLAN_SAMPLER_H
#define CORE_PLAN_SAMPLER_H

#include "core/plan/setup.h"
#include "core/plan/task_kind.h"

struct sampler {
    const struct setup *setup; /* borrowed */
    const struct stage *stage; /* borrowed */
    int data;                  /* index of the data section */
    enum purpose purpose;
    uint32_t round;  /* 0 but for training, so that every evaluation sees the same */
    uint32_t amount; /* evaluation: what its kind's `amount` gave; watching: the batches */
};

/* What draws the tasks of a round, 0 .. n - 1 of them; amount: as above. */
struct sampler sampler_of_round(const struct setup *setup, const struct stage *stage,
                                enum purpose purpose, int data, uint64_t round, uint32_t amount);

/* Fills t with the task in this slot, of the kind that task_kind_at gives for it; t has room for
 * that kind's size. What each kind draws is said in core/plan/kind/. */
void sampler_draw(const struct sampler *s, uint32_t slot, struct task *t);

#endif
