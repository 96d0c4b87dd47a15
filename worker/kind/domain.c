/* domain.c - computes the steps of a task on a domain model. */
#include "core/base/err.h"
#include "core/math/vec.h"
#include "worker/engine.h"
#include "worker/task_work.h"

static int read_step(struct engine *e, const struct task *t, uint32_t k)
{
    const struct stage *s = e->stage;

    return episode_read_batch(&e->episode, e->setup->data, t, k, s->batch, s->target_batch);
}

static int read(struct engine *e, const struct task *t)
{
    return read_step(e, t, 0);
}

/* Step k, whose batches are read. The task's metrics are the mean over its steps. */
static int step(struct engine *e, const struct task *t, uint32_t k, real *state)
{
    const struct stage *s = e->stage;
    struct method *m = &e->method;
    uint64_t nth = (uint64_t)(t->round - 1) * s->steps + k + 1;

    task_metrics_clear(&e->step);
    vec_zero(m->n, e->gradient);
    TRY(m->ops->outer(m, &e->episode, state, e->gradient, &e->step));
    optim_apply(&s->optim, &s->model, nth, e->gradient, state, state + s->model.n);
    for (int i = 0; i < e->step.n; i++)
        e->metrics.v[i] += e->step.v[i] / s->steps;
    return 0;
}

static int run(struct engine *e, const struct task *t, const real *theta, real *state)
{
    (void)theta;
    if (!state)
        return err(ERR_DATA, "task %u of round %u came without its state", t->slot, t->round);
    for (uint32_t k = 0; k < e->stage->steps; k++) {
        if (e->abandoned && *e->abandoned)
            return err(ERR_STOPPED, "task %u of round %u is abandoned", t->slot, t->round);
        if (k > 0)
            TRY(read_step(e, t, k));
        TRY(step(e, t, k, state));
    }
    if (!vec_finite(task_state_size(e->stage), state))
        return err(ERR_NONFINITE, "the parameters of model %u are not finite", t->slot);
    return 0;
}

const struct task_work work_domain = {
    .kind = &kind_domain,
    .read = read,
    .run = run,
    .trace = work_trace_batch,
};
