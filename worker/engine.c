/* engine.c - read, adapt, add. */
#include "worker/engine.h"

#include <stdlib.h>

#include "core/err.h"
#include "core/vec.h"

struct task_size engine_task_size(const struct stage *stage)
{
    struct task_size size = stage->train;

    if (stage->evaluate.query > size.query)
        size.query = stage->evaluate.query;
    return size;
}

static void engine_layout(struct engine *e, const struct stage *stage, struct arena *arena)
{
    const struct stage_config *c = stage->config;
    struct method_spec spec = {
        .inner_steps = (int)c->inner_steps,
        .inner_rate = c->inner_rate,
        .evaluate_steps = stage->evaluate_steps,
        .n_support = (int)(stage->train.way * stage->train.shot),
        .n_query = (int)(stage->train.way * stage->train.query),
        .n_evaluate = (int)(stage->evaluate.way * stage->evaluate.query),
        .memory = (size_t)e->setup->config->cluster.memory << 20,
    };
    size_t n = stage->net.layout.n;

    e->words = arena_take(arena, total_words(n) * sizeof(int64_t));
    e->gradient = arena_reals(arena, n);
    episode_init(&e->episode, &e->setup->data[stage->data], engine_task_size(stage), arena);
    method_init(&e->method, method_find(c->method), &stage->net, &spec, arena);
}

size_t engine_size(const struct setup *s)
{
    struct engine e = {.setup = s};
    size_t most = 0;

    for (int i = 0; i < s->n_stages; i++) {
        struct arena measure = arena_measuring();

        engine_layout(&e, &s->stages[i], &measure);
        most = measure.peak > most ? measure.peak : most;
    }
    return most;
}

int engine_open(struct engine *e, const struct setup *s)
{
    *e = (struct engine){.setup = s};
    for (int i = 0; i < s->n_stages; i++)
        if (!method_find(s->stages[i].config->method))
            return err(ERR_CONFIG, "no method is called '%s'", s->stages[i].config->method);
    return arena_init(&e->arena, engine_size(s));
}

void engine_close(struct engine *e)
{
    arena_release(&e->arena);
    *e = (struct engine){0};
}

void engine_begin(struct engine *e, const struct stage *stage, bool evaluate)
{
    if (e->stage != stage) {
        arena_reset(&e->arena, 0);
        engine_layout(e, stage, &e->arena);
        e->stage = stage;
    }
    e->total = total_begin(e->words, evaluate ? 0 : stage->net.layout.n);
}

static int check_task(const struct engine *e, const struct task *t, bool evaluate)
{
    const struct stage *s = e->stage;
    const struct data *d = t->data < (uint32_t)e->setup->n_data ? &e->setup->data[t->data] : NULL;
    uint32_t query = evaluate && d ? setup_query(e->setup, s, (int)t->data) : s->train.query;

    if (!d || !d->ops || t->stage != (uint32_t)s->index)
        return err(ERR_DATA, "task %u of round %u names stage %u and data %u, which are not here",
                   t->slot, t->round, t->stage, t->data);
    if (t->way != s->train.way || t->shot != s->train.shot || t->query != query)
        return err(ERR_DATA,
                   "task %u of round %u has way %u, shot %u, query %u; stage '%s' has %u, %u, %u",
                   t->slot, t->round, t->way, t->shot, t->query, s->config->name, s->train.way,
                   s->train.shot, query);
    return 0;
}

/* The contribution of the episode at hand. */
static int engine_compute(struct engine *e, const struct task *t, const real *theta, bool evaluate)
{
    struct noise noise = {t->seed, t->round, t->slot, 0};

    e->tally = (struct tally){0};
    if (evaluate)
        return method_evaluate(&e->method, &e->episode, theta, &e->tally, NULL);
    unroll_noise(&e->method.train, noise);
    vec_zero(e->method.n, e->gradient);
    return e->method.ops->grad(&e->method, &e->episode, theta, e->gradient, &e->tally);
}

int engine_run(struct engine *e, const struct task *t, const real *theta, bool evaluate)
{
    int code;

    e->failed = false;
    TRY(check_task(e, t, evaluate));
    TRY(episode_read(&e->episode, &e->setup->data[t->data], t));
    code = engine_compute(e, t, theta, evaluate);
    if (code == ERR_NONFINITE)
        total_fail(&e->total);
    else if (code >= 0)
        code = total_add(&e->total, e->gradient, &e->tally);
    e->failed = code == ERR_NONFINITE;
    return e->failed ? 0 : code;
}
