/* batch.c - computes a batch: the method's outer gradient; functions that several kinds share. */
#include "core/math/vec.h"
#include "worker/engine.h"
#include "worker/task_work.h"
#include "worker/trace.h"

int work_read_batch(struct engine *e, const struct task *t)
{
    return episode_read_batch(&e->episode, e->setup->data, t, 0, t->n_source, t->n_targets);
}

void work_note_empty(struct engine *e, const struct batch *measured)
{
    const struct net *net = e->method.net;

    e->metrics.v[METRIC_EMPTY] += batch_is_empty(measured, loss_targets(&net->loss, net->n_out));
}

int work_outer(struct engine *e, const real *theta)
{
    struct method *m = &e->method;

    vec_zero(m->n, e->gradient);
    return m->ops->outer(m, &e->episode, theta, e->gradient, &e->metrics);
}

static int run(struct engine *e, const struct task *t, const real *theta, real *state)
{
    (void)t, (void)state;
    work_note_empty(e, &e->episode.source);
    return work_outer(e, theta);
}

int work_trace_batch(struct engine *e, const struct task *t, const real *theta, struct trace *out)
{
    trace_batch(e, t, theta, out);
    return 0;
}

const struct task_work work_batch = {
    .kind = &kind_batch,
    .read = work_read_batch,
    .run = run,
    .trace = work_trace_batch,
};
