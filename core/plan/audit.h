/* audit.h - which tasks of a training round are done twice: a pure function of seed, stage, round
 * and slot.
 *
 * Each task is audited with probability cluster.audit. The audited slots are evenly spaced, from a
 * random place on, so every rank has its share of them. The second time, a task travels as an
 * *audit*: audit i has slot n_tasks + i, adds nothing to the round's sum, and gives the checksum of
 * what it would have added. */
#ifndef CORE_PLAN_AUDIT_H
#define CORE_PLAN_AUDIT_H

#include <stdbool.h>

#include "core/plan/setup.h"

struct audit {         /* of a round; all zero: nothing is audited */
    uint64_t share;    /* of its tasks, times 2^32 */
    uint32_t start;    /* where the first slot stands between two audited ones, times 2^32 */
    uint32_t n_tasks;  /* of the round */
    uint32_t n_audits; /* of these are done twice */
};

/* The audit of training round `round` of a stage, with n_tasks tasks. */
struct audit audit_of_round(const struct config *c, int stage, uint64_t round, uint32_t n_tasks);

/* Whether the task in a slot, 0 .. n_tasks - 1, is done twice. */
bool audit_has(const struct audit *a, uint32_t slot);

/* The audit of an audited slot, and the slot of audit i, 0 .. n_audits - 1. */
uint32_t audit_of_slot(const struct audit *a, uint32_t slot);
uint32_t audit_slot(const struct audit *a, uint32_t i);

/* The largest number of audits in a round of the configuration. */
uint32_t audits_most(const struct setup *s);

#endif
