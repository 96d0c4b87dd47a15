/* table.c - all kinds of tasks, by purpose; those of training in the order of their slots. */
#include "core/plan/task_kind.h"

const struct task_kind *const task_kinds[] = {
    &kind_episode,   &kind_batch, &kind_domain, &kind_evaluation_episode,
    &kind_whole_set, &kind_watch, NULL,
};
