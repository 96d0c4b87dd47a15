/* whole_set.c - measures a batch of a whole set. */
#include "worker/engine.h"
#include "worker/method_work.h"
#include "worker/task_work.h"
#include "worker/trace.h"

static int run(struct engine *e, const struct task *t, const real *theta, real *state)
{
    (void)state;
    return method_measure(&e->method, &e->episode, (int)t->data, theta, &e->metrics, NULL);
}

static int trace(struct engine *e, const struct task *t, const real *theta, struct trace *out)
{
    trace_measure(e, t, theta, out);
    return 0;
}

const struct task_work work_whole_set = {
    .kind = &kind_whole_set,
    .read = work_read_batch,
    .run = run,
    .trace = trace,
};
