/* episode.c - computes few-shot tasks: the method's outer gradient, or its evaluation. */
#include "worker/engine.h"
#include "worker/method_work.h"
#include "worker/task_work.h"
#include "worker/trace.h"

static int read(struct engine *e, const struct task *t)
{
    return episode_read(&e->episode, &e->setup->data[t->data], t);
}

static int train(struct engine *e, const struct task *t, const real *theta, real *state)
{
    (void)t, (void)state;
    work_note_empty(e, &e->episode.query);
    return work_outer(e, theta);
}

static int train_trace(struct engine *e, const struct task *t, const real *theta, struct trace *out)
{
    return trace_task(e, t, theta, false, out);
}

static int evaluate(struct engine *e, const struct task *t, const real *theta, real *state)
{
    (void)t, (void)state;
    work_note_empty(e, &e->episode.query);
    return method_evaluate(&e->method, &e->episode, theta, &e->metrics, NULL);
}

static int evaluate_trace(struct engine *e, const struct task *t, const real *theta,
                          struct trace *out)
{
    return trace_task(e, t, theta, true, out);
}

const struct task_work work_episode = {
    .kind = &kind_episode,
    .read = read,
    .run = train,
    .trace = train_trace,
};

const struct task_work work_evaluation_episode = {
    .kind = &kind_evaluation_episode,
    .read = read,
    .run = evaluate,
    .trace = evaluate_trace,
};
