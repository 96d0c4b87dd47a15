/* engine.c - read, adapt, add. */
#include "worker/engine.h"

#include <stdlib.h>

#include "core/base/err.h"
#include "core/math/vec.h"

struct task_size engine_task_size(const struct stage *stage)
{
    return task_size_most(stage->train, stage->evaluate);
}

size_t engine_state_size(const struct stage *stage)
{
    int n_state = optim_find(stage->optim.name)->n_state;

    return stage->steps ? stage->model.n * (size_t)(1 + n_state) : 0;
}

/* Samples of the episode's buffers: batches are read step by step. */
static struct task_size buffer_size(const struct stage *stage)
{
    struct task_size size = engine_task_size(stage);

    size.source = stage->batch > stage->evaluate.source ? stage->batch : stage->evaluate.source;
    size.targets = stage->target_batch;
    return size;
}

struct method_spec engine_spec(const struct setup *s, const struct stage *stage, bool evaluates)
{
    struct task_size size = evaluates ? stage->evaluate : stage->train;

    return (struct method_spec){
        .evaluate = evaluates,
        .steps = evaluates ? stage->evaluate_steps : (int)stage->shape->inner_steps,
        .n_support = (int)(size.way * size.shot),
        .n_query = (int)(size.way * size.query),
        .n_source = (int)stage->batch,
        .n_target = (int)stage->target_batch,
        .n_measure = (int)stage->evaluate.source,
        .memory = (size_t)s->config->cluster.memory << 20,
    };
}

static void engine_layout(struct engine *e, const struct stage *stage, bool evaluates,
                          struct arena *arena)
{
    struct method_spec spec = engine_spec(e->setup, stage, evaluates);
    size_t n = stage->model.n;

    e->words = arena_take(arena, round_sum_words(stage->steps ? 0 : n) * sizeof(int64_t));
    e->gradient = arena_reals(arena, n);
    episode_init(&e->episode, &e->setup->data[stage->data], buffer_size(stage), arena);
    method_init(&e->method, e->setup, stage, &spec, arena);
}

size_t engine_size(const struct setup *s)
{
    struct engine e = {.setup = s};
    size_t most = 0;

    for (int i = 0; i < 2 * s->n_stages; i++) {
        struct arena measure = arena_measuring();

        engine_layout(&e, &s->stages[i / 2], i % 2, &measure);
        most = measure.peak > most ? measure.peak : most;
    }
    return most;
}

int engine_open(struct engine *e, const struct setup *s)
{
    *e = (struct engine){.setup = s};
    return arena_init(&e->arena, engine_size(s));
}

void engine_close(struct engine *e)
{
    arena_release(&e->arena);
    *e = (struct engine){0};
}

void engine_begin(struct engine *e, const struct stage *stage, enum purpose purpose,
                  const real *anchor)
{
    bool evaluates = purpose == PURPOSE_EVALUATE;

    if (e->stage != stage || e->evaluates != evaluates) {
        arena_clear(&e->arena);
        engine_layout(e, stage, evaluates, &e->arena);
        e->stage = stage;
        e->evaluates = evaluates;
    }
    e->method.anchor = anchor;
    e->total =
        round_sum_begin(e->words, purpose != PURPOSE_TRAIN || stage->steps ? 0 : stage->model.n);
}

static bool is_among(uint32_t data, const int *list, int n)
{
    for (int i = 0; i < n; i++)
        if (list[i] >= 0 && data == (uint32_t)list[i])
            return true;
    return false;
}

/* A section that the stage draws from, whose samples and classes therefore fit. */
static bool has_data(const struct stage *s, uint32_t data, enum purpose purpose)
{
    if (purpose == PURPOSE_EVALUATE)
        return is_among(data, s->evaluate_data, s->n_evaluate);
    return is_among(data, &s->data, 1);
}

static int check_episode(const struct engine *e, const struct task *t, enum purpose purpose)
{
    const struct stage *s = e->stage;
    bool evaluate = purpose == PURPOSE_EVALUATE;
    struct task_size size = evaluate ? s->evaluate : s->train;
    uint32_t query = evaluate ? stage_query(e->setup, s, (int)t->data) : size.query;

    if (t->way == size.way && t->shot == size.shot && t->query == query)
        return 0;
    return err(
        ERR_DATA, "task %u of round %u has way %u, shot %u, query %u; stage '%s' has %u, %u, %u",
        t->slot, t->round, t->way, t->shot, t->query, s->config->name, size.way, size.shot, query);
}

/* The samples that a batch task may have: of the source at most, of the target exactly. */
static struct task_size batch_size(const struct stage *s, enum purpose purpose)
{
    if (purpose == PURPOSE_WATCH)
        return (struct task_size){.source = s->batch, .targets = s->target_batch};
    return purpose == PURPOSE_EVALUATE ? (struct task_size){.source = s->evaluate.source}
                                       : s->train;
}

static int check_batch(const struct engine *e, const struct task *t, enum purpose purpose)
{
    struct task_size size = batch_size(e->stage, purpose);
    uint32_t least = purpose == PURPOSE_EVALUATE ? 1 : size.source;

    if (size.targets && !is_among(t->target, e->stage->target, e->stage->n_targets))
        return err(ERR_DATA, "task %u of round %u names data %u, which is not here", t->slot,
                   t->round, t->target);
    if (t->n_source >= least && t->n_source <= size.source && t->n_targets == size.targets &&
        t->way == 0)
        return 0;
    return err(ERR_DATA, "task %u of round %u has %u and %u samples; stage '%s' has %u and %u",
               t->slot, t->round, t->n_source, t->n_targets, e->stage->config->name, size.source,
               size.targets);
}

static bool is_episode(const struct engine *e, const struct task *t, enum purpose purpose)
{
    if (purpose == PURPOSE_EVALUATE)
        return e->stage->few_shot;
    return purpose == PURPOSE_TRAIN && t->slot < e->stage->n_episodes;
}

static int check_task(const struct engine *e, const struct task *t, enum purpose purpose)
{
    const struct stage *s = e->stage;

    if (!has_data(s, t->data, purpose) || t->stage != (uint32_t)s->index ||
        (purpose == PURPOSE_WATCH && !e->method.ops->watch))
        return err(ERR_DATA, "task %u of round %u names stage %u and data %u, which are not here",
                   t->slot, t->round, t->stage, t->data);
    return is_episode(e, t, purpose) ? check_episode(e, t, purpose) : check_batch(e, t, purpose);
}

static int read_task(struct engine *e, const struct task *t, enum purpose purpose)
{
    const struct data *data = e->setup->data;

    if (is_episode(e, t, purpose))
        return episode_read(&e->episode, &data[t->data], t);
    return episode_read_batch(&e->episode, data, t, 0, t->n_source, t->n_targets);
}

static int measure(struct engine *e, const struct task *t, const real *theta, enum purpose purpose)
{
    struct method *m = &e->method;

    if (purpose == PURPOSE_WATCH)
        return m->ops->watch(m, &e->episode, theta, &e->metrics);
    if (e->stage->few_shot)
        return method_evaluate(m, &e->episode, theta, &e->metrics, NULL);
    return method_measure(m, &e->episode, (int)t->data, theta, &e->metrics, NULL);
}

/* The contribution of the episode at hand. */
static int engine_compute(struct engine *e, const struct task *t, const real *theta,
                          enum purpose purpose)
{
    struct method *m = &e->method;
    e->metrics = (struct task_metrics){0};
    if (purpose != PURPOSE_TRAIN)
        return measure(e, t, theta, purpose);
    vec_zero(m->n, e->gradient);
    return m->ops->outer(m, &e->episode, theta, e->gradient, &e->metrics);
}

/* What a task that was computed adds, or that it adds nothing. */
static int engine_add(struct engine *e, int code)
{
    if (code == ERR_NONFINITE)
        round_sum_fail(&e->total);
    else if (code >= 0)
        code = round_sum_add(&e->total, e->gradient, &e->metrics);
    e->failed = code == ERR_NONFINITE;
    return e->failed ? 0 : code;
}

int engine_run(struct engine *e, const struct task *t, const real *theta, enum purpose purpose)
{
    e->failed = false;
    TRY(check_task(e, t, purpose));
    TRY(read_task(e, t, purpose));
    return engine_add(e, engine_compute(e, t, theta, purpose));
}

/* Step k of a task on its own model; its metrics is added to sum. */
static int one_step(struct engine *e, const struct task *t, uint32_t k, real *state,
                    struct task_metrics *sum)
{
    const struct stage *s = e->stage;
    uint64_t nth = (uint64_t)(t->round - 1) * s->steps + k + 1;

    if (e->abandoned && *e->abandoned)
        return err(ERR_STOPPED, "task %u of round %u is abandoned", t->slot, t->round);
    TRY(episode_read_batch(&e->episode, e->setup->data, t, k, s->batch, s->target_batch));
    TRY(engine_compute(e, t, state, PURPOSE_TRAIN));
    optim_apply(&s->optim, &s->model, nth, e->gradient, state, state + s->model.n);
    for (int i = 0; i < METRIC_N; i++)
        sum->v[i] += e->metrics.v[i] / s->steps;
    return 0;
}

int engine_run_steps(struct engine *e, const struct task *t, real *state)
{
    struct task_metrics sum = {0};
    int code = 0;

    e->failed = false;
    TRY(check_task(e, t, PURPOSE_TRAIN));
    for (uint32_t k = 0; k < e->stage->steps && code >= 0; k++)
        code = one_step(e, t, k, state, &sum);
    if (code == ERR_STOPPED)
        return code;
    if (code >= 0 && !vec_finite(engine_state_size(e->stage), state))
        code = err(ERR_NONFINITE, "the parameters of model %u are not finite", t->slot);
    e->metrics = sum;
    return engine_add(e, code);
}
