/* task_kind.c - finds the kind of a task. */
#include "core/plan/task_kind.h"

#include "core/base/err.h"
#include "core/plan/setup.h"

/* Evaluation and watching have one kind for all slots; slots of training are dealt to its kinds in
 * order. */
const struct task_kind *task_kind_at(const struct stage *s, enum purpose purpose, uint32_t slot)
{
    for (int i = 0; task_kinds[i]; i++) {
        const struct task_kind *k = task_kinds[i];
        uint32_t n = k->purpose == purpose ? k->count(s, UINT32_MAX) : 0;

        if (slot < n)
            return k;
        slot -= n;
    }
    return NULL;
}

const struct task_kind *task_kind_of_round(const struct stage *s, enum purpose purpose)
{
    return task_kind_at(s, purpose, 0);
}

uint32_t task_kinds_count(const struct stage *s, enum purpose purpose, uint32_t amount)
{
    uint32_t n = 0;

    for (int i = 0; task_kinds[i]; i++)
        if (task_kinds[i]->purpose == purpose)
            n += task_kinds[i]->count(s, amount);
    return n;
}

uint32_t task_kind_first(const struct stage *s, const struct task_kind *kind)
{
    uint32_t first = 0;

    for (int i = 0; task_kinds[i] != kind; i++)
        if (task_kinds[i]->purpose == kind->purpose)
            first += task_kinds[i]->count(s, 0);
    return first;
}

const char *purpose_name(enum purpose purpose)
{
    static const char *const names[] = {
        [PURPOSE_TRAIN] = "train", [PURPOSE_EVALUATE] = "evaluate", [PURPOSE_WATCH] = "watch"};

    return names[purpose];
}

size_t task_state_size(const struct stage *s)
{
    int n_state = optim_find(s->optim.name)->n_state;
    bool travels = task_kind_of_round(s, PURPOSE_TRAIN)->gives == GIVES_STATE;

    return travels ? s->model.n * (size_t)(1 + n_state) : 0;
}

int task_check(const struct setup *setup, const struct stage *s, const struct task_kind *kind,
               const struct task *t)
{
    if (!kind)
        return err(ERR_DATA, "task %u of round %u is not of stage '%s', whose rounds have %u",
                   t->slot, t->round, s->config->name, s->n_tasks);
    if (t->stage != (uint32_t)s->index)
        return err(ERR_DATA,
                   "task %u of round %u names stage %u and data %u, which this configuration does "
                   "not have",
                   t->slot, t->round, t->stage, t->data);
    if (kind->count(s, UINT32_MAX) == 0)
        return err(ERR_DATA, "task %u of round %u: stage '%s' has no tasks of kind '%s'", t->slot,
                   t->round, s->config->name, kind->name);
    if ((t->round == 0) != (kind->gives == GIVES_METRICS))
        return err(ERR_DATA, "task %u of round %u cannot be of kind '%s'", t->slot, t->round,
                   kind->name);
    return kind->check(setup, s, t);
}

int task_lists(const struct task *t, struct task_list lists[TASK_LISTS])
{
    const struct task_list all[TASK_LISTS] = {
        {"classes", t->classes, t->way},           {"turns", t->turns, t->way},
        {"support", t->support, t->way * t->shot}, {"queries", t->queries, t->way * t->query},
        {"source", t->source, t->n_source},        {"targets", t->targets, t->n_targets}};
    int n = 0;

    for (int i = 0; i < TASK_LISTS; i++)
        if (all[i].n > 0)
            lists[n++] = all[i];
    return n;
}
