/* timing.c - a worker's work without a worker. */
#include "launch/timing.h"

#include "core/base/clock.h"
#include "core/base/err.h"
#include "core/plan/sampler.h"
#include "launch/solo.h"

static void lay_out(struct timing *t, struct arena *a)
{
    const struct stage *s = t->stage;

    task_init(&t->task, s->train, a);
    if (s->anchor >= 0)
        t->anchor = arena_reals(a, t->engine.setup->stages[s->anchor].layout.n);
    t->theta = arena_reals(a, task_state_size(s) ? task_state_size(s) : s->model.n);
    t->state = task_state_size(s) ? t->theta : NULL;
}

int timing_open(struct timing *t, const struct setup *s, const struct stage *stage)
{
    struct arena sizes = arena_measuring();

    *t = (struct timing){.stage = stage};
    TRY(engine_open(&t->engine, s));
    lay_out(t, &sizes);
    TRY(arena_init(&t->arena, sizes.peak));
    lay_out(t, &t->arena);
    TRY(solo_draw(s, stage, 1, t->theta));
    return t->anchor ? solo_draw(s, &s->stages[stage->anchor], 1, t->anchor) : 0;
}

int timing_tasks(struct timing *t, double seconds, double *each)
{
    const struct stage *stage = t->stage;
    struct sampler s = {t->engine.setup, stage, stage->data, PURPOSE_TRAIN};
    double start = clock_seconds();
    uint32_t n = 0;

    engine_begin(&t->engine, stage, PURPOSE_TRAIN, t->anchor);
    do {
        s.round = 1 + n / stage->n_tasks;
        sampler_draw(&s, n++ % stage->n_tasks, &t->task);
        TRY(engine_run(&t->engine, &t->task, t->theta, t->state));
    } while (clock_seconds() - start < seconds);
    *each = (clock_seconds() - start) / n;
    return 0;
}

void timing_close(struct timing *t)
{
    engine_close(&t->engine);
    arena_release(&t->arena);
}
