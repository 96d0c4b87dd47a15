/* table.c - the work of every kind of task. */
#include "worker/task_work.h"

const struct task_work *const task_works[] = {
    &work_episode,   &work_batch, &work_domain, &work_evaluation_episode,
    &work_whole_set, &work_watch, NULL,
};

const struct task_work *task_work_of(const struct task_kind *kind)
{
    int i = 0;

    while (task_works[i] && task_works[i]->kind != kind)
        i++;
    return task_works[i];
}
