/* engine.c - computes a task: read, adapt, add. */
#include "worker/engine.h"

#include <stdlib.h>

#include "core/base/err.h"
#include "core/plan/drawn.h"
#include "core/plan/scale.h"
#include "core/plan/task_kind.h"
#include "worker/method_work.h"
#include "worker/task_work.h"

struct task_size engine_task_size(const struct stage *stage)
{
    return task_size_most(stage->train, stage->evaluate);
}

/* Length of the vector that a training round sums. */
static size_t summed_size(const struct stage *stage)
{
    return task_kind_of_round(stage, PURPOSE_TRAIN)->gives == GIVES_GRADIENT ? stage->model.n : 0;
}

/* Sizes of the episode's buffers: batches are read step by step. */
static struct task_size buffer_size(const struct stage *stage)
{
    struct task_size size = engine_task_size(stage);

    size.source = stage->batch > stage->evaluate.source ? stage->batch : stage->evaluate.source;
    size.targets = stage->target_batch;
    return size;
}

static void engine_layout(struct engine *e, const struct stage *stage, bool evaluates,
                          struct arena *arena)
{
    struct method_spec spec = method_spec_of(e->setup, stage, evaluates);
    size_t n = stage->model.n;

    e->words =
        arena_take(arena, round_sum_words(summed_size(stage), stage->n_metrics) * sizeof(int64_t));
    e->metrics = stage_metrics(stage, arena);
    e->step = stage_metrics(stage, arena);
    e->gradient = arena_reals(arena, n);
    episode_init(&e->episode, &e->setup->data[stage->data], buffer_size(stage),
                 augment_any(&stage->augment), arena);
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
    const struct task_kind *kind = task_kind_of_round(stage, purpose);
    bool evaluates = kind && kind->evaluates;

    if (e->stage != stage || e->evaluates != evaluates) {
        arena_clear(&e->arena);
        engine_layout(e, stage, evaluates, &e->arena);
        e->stage = stage;
        e->evaluates = evaluates;
    }
    e->purpose = purpose;
    e->episode.augment =
        purpose == PURPOSE_TRAIN && augment_any(&stage->augment) ? &stage->augment : NULL;
    e->method.anchor = anchor;
    e->total = round_sum_over(e->words, kind && kind->gives == GIVES_GRADIENT ? stage->model.n : 0,
                              stage->n_metrics);
    e->empty = true;
}

void engine_clear(struct engine *e)
{
    if (e->empty && !e->apart) {
        round_sum_clear(&e->total);
        e->empty = false;
    }
    e->failed = false;
    task_metrics_clear(&e->metrics);
}

static int engine_note(struct engine *e, int code)
{
    return round_sum_checksum_task(&e->total, e->gradient, code < 0 ? NULL : &e->metrics,
                                   &e->checksum);
}

int engine_add(struct engine *e, int code)
{
    if (e->apart && (code >= 0 || code == ERR_NONFINITE))
        code = engine_note(e, code);
    else if (code == ERR_NONFINITE)
        round_sum_fail(&e->total);
    else if (code >= 0)
        code = round_sum_add(&e->total, e->gradient, &e->metrics);
    e->failed = code == ERR_NONFINITE;
    return e->failed ? 0 : code;
}

/* Targets are normalised as theta (P of a model) says. */
static int engine_read(struct engine *e, const struct task *t, const real *theta)
{
    int code;

    e->episode.support = e->episode.query = e->episode.source = (struct batch){0};
    TRY(task_work_of(task_kind_at(e->stage, e->purpose, t->slot))->read(e, t));
    code = episode_check(&e->episode, e->method.net);
    if (code < 0)
        return err_within(code, "data '%s'", e->setup->data[t->data].name);
    episode_scale(&e->episode, scale_targets(e->stage, theta));
    return 0;
}

int engine_run(struct engine *e, const struct task *t, const real *theta, real *state)
{
    const struct task_kind *kind = task_kind_at(e->stage, e->purpose, t->slot);
    int code;

    engine_clear(e);
    TRY(task_check(e->setup, e->stage, kind, t));
    TRY(engine_read(e, t, state ? state : theta));
    code = task_work_of(kind)->run(e, t, theta, state);
    if (code >= 0 && kind->few_shot)
        drawn_add(e->stage, kind, t, &e->metrics);
    return engine_add(e, code);
}

const struct compute compute_tasks = {engine_open, engine_close, engine_begin, engine_run};

int engine_trace(struct engine *e, const struct task *t, const real *theta, struct trace *out)
{
    return task_work_of(task_kind_at(e->stage, e->purpose, t->slot))->trace(e, t, theta, out);
}
