/* failed_report.h - which tasks of the round at hand were set aside, as the workers tell it.
 *
 * The number comes up the tree in the sum; the slots come straight from each worker, and may come
 * later. */
#ifndef COORDINATOR_CREW_FAILED_REPORT_H
#define COORDINATOR_CREW_FAILED_REPORT_H

#include <stdbool.h>

#include "core/plan/failed_set.h"
#include "core/plan/round_sum.h"
#include "proto/comm/comm.h"

struct failed_report {
    struct failed_set slots;
    double since; /* clock: the sum is complete and slots are missing; 0: not so */
};

/* Nothing was told yet: before a round, and before it is done again. */
void failed_report_begin(struct failed_report *f);

/* Takes a MESSAGE_FAILED of a round of n_tasks. ERR_DATA names the rank. */
int failed_report_take(struct failed_report *f, const struct message *m, uint32_t n_tasks);

/* Asked once the sum is complete: whether it has more failed tasks than the workers have told of,
 * and the first time that it had was not `patience` seconds ago. The sum is what counts: a round
 * goes on without the slots. */
bool failed_report_awaited(struct failed_report *f, const struct round_sum *t, double patience);

#endif
