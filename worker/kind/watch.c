/* watch.c - lets the method measure an adaptation without labels. */
#include "worker/engine.h"
#include "worker/task_work.h"

static int run(struct engine *e, const struct task *t, const real *theta, real *state)
{
    (void)t, (void)state;
    return e->method.ops->watch(&e->method, &e->episode, theta, &e->metrics);
}

const struct task_work work_watch = {
    .kind = &kind_watch,
    .read = work_read_batch,
    .run = run,
    .trace = work_trace_batch,
};
