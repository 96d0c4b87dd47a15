/* kinds.h - what the kinds on batches share. */
#ifndef CORE_PLAN_KIND_KINDS_H
#define CORE_PLAN_KIND_KINDS_H

#include "core/plan/sampler.h"

/* ids (n): samples of set d, numbers at .. at + n - 1 of sequence `which` (below 128): an order of
 * its own in every epoch, each sample once; of a set without end samples drawn for the task. */
void kind_choose(const struct sampler *s, const struct data *d, uint32_t which, uint64_t at,
                 uint32_t n, const struct task *t, uint32_t *ids);

/* Fills source and targets of a training task with the nth batches of the stage: its n_source
 * samples of the stage's section, its n_targets samples of section `target`. */
void kind_choose_pair(const struct sampler *s, uint64_t nth, uint32_t target, struct task_size size,
                      struct task *t);

/* Sets the samples of a step. Sections of batches need samples, and more than one class to train
 * on. */
int kind_plan_batches(const struct setup *setup, struct stage *s);
int kind_fits_batches(const struct setup *setup, struct stage *s, int data);

/* Whether `data` is one of the n sections of a list. */
bool kind_among(uint32_t data, const int *list, int n);

/* ERR_DATA: the task names a section that it cannot be of. */
int kind_err_section(const struct task *t);

/* Whether t holds exactly size.source and size.targets samples and no classes, of its sections;
 * size.targets:
 * 0, or its target must be one of the stage's. ERR_DATA. */
int kind_check_batch(const struct setup *setup, const struct stage *s, const struct task *t,
                     struct task_size size);

/* Of tasks that hold the batches of one step: their size, and whether t is one, of the stage's
 * section. ERR_DATA. */
struct task_size kind_step_size(const struct sampler *s);
int kind_check_step(const struct setup *setup, const struct stage *s, const struct task *t);

/* describe_task: samples of both sections by their place in file order; a long batch's first. */
void kind_describe_samples(const struct setup *setup, const struct task *t, FILE *to);

/* " of 64 + 32 samples (the target's without labels)" */
void kind_describe_step(const struct stage *s, char *text, size_t n);

#endif
