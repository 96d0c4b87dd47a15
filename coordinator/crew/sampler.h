/* sampler.h - which samples a task has: a pure function of (seed, stage, purpose, round, slot). */
#ifndef COORDINATOR_CREW_SAMPLER_H
#define COORDINATOR_CREW_SAMPLER_H

#include "core/plan/setup.h"

struct sampler {
    const struct setup *setup; /* borrowed */
    const struct stage *stage; /* borrowed */
    int data;                  /* index of the data section */
    enum purpose purpose;
    uint32_t round;   /* but for training 0, so that every evaluation sees the same */
    uint32_t samples; /* evaluation on a whole set: as many, stage_evaluate_samples */
};

struct task_size sampler_size(const struct sampler *s); /* of its largest task */

/* Fills t (room for sampler_size) with the task in this slot.
 *   few-shot task  way distinct classes, for each shot + query distinct samples, and where rotations are drawn a number
 *                  of quarter turns. The queries of a regression set with fixed evaluation points are those.
 *   batches        training goes through each set in an order of its own per epoch, every sample once; of a set
 *                  without end it draws. Evaluation takes every sample once, in batches as equal as can be and of
 *                  evaluate.batch at most: in file order, or where the network has batch statistics in an order drawn
 *                  from the seed. A look at an adaptation
 *                  takes batches of the stage's data and of the section `data`, the same at every look. */
void sampler_draw(const struct sampler *s, uint32_t slot, struct task *t);

#endif
