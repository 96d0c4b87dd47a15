/* sampler.h - which classes and samples a task has: a pure function of (seed, purpose, round, slot). */
#ifndef COORDINATOR_SAMPLER_H
#define COORDINATOR_SAMPLER_H

#include "core/setup.h"

struct sampler {
    const struct setup *setup; /* borrowed */
    const struct stage *stage; /* borrowed */
    int data;                  /* index of the data section */
    bool evaluate;
    uint32_t round; /* evaluation: 0, so that every evaluation sees the same episodes */
};

struct task_size sampler_size(const struct sampler *s);

/* Fills t (room for sampler_size) with the task in this slot: way distinct classes, for each shot + query
 * distinct samples, and where rotations are drawn a number of quarter turns. The queries of a regression set with
 * fixed evaluation points are those. */
void sampler_draw(const struct sampler *s, uint32_t slot, struct task *t);

#endif
