/* engine_place.h - one task of a configuration's first stage, and an engine to compute it. */
#ifndef TESTS_LIB_ENGINE_PLACE_H
#define TESTS_LIB_ENGINE_PLACE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#include "core/base/err.h"
#include "core/plan/sampler.h"
#include "worker/engine.h"
#include "worker/method/table.h"

struct place {
    struct config config;
    struct setup setup;
    struct engine engine;
    struct arena arena;
    struct task task; /* slot 0 of training round 1 */
    real *theta;      /* (n) initial parameters */
    real *kept;       /* (n) for the test */
    size_t n;
};

static inline struct place *place_of(const char *text)
{
    struct place *p = calloc(1, sizeof *p);
    struct sampler s;

    assert_non_null(p);
    if (config_parse(&p->config, text, "text", NULL, 0, stage_owner) ||
        setup_open(&p->setup, &p->config, ".", method_traits_of) ||
        engine_open(&p->engine, &p->setup) || arena_init(&p->arena, 64 << 20))
        fail_msg("%s", err_text());
    p->n = p->setup.stages[0].layout.n;
    task_init(&p->task, engine_task_size(&p->setup.stages[0]), &p->arena);
    p->theta = arena_reals(&p->arena, p->n);
    p->kept = arena_reals(&p->arena, p->n);
    layout_init(&p->setup.stages[0].layout, 5, 0, p->theta);
    s = (struct sampler){&p->setup, &p->setup.stages[0], 0, PURPOSE_TRAIN, 1};
    sampler_draw(&s, 0, &p->task);
    return p;
}

static inline void place_close(struct place *p)
{
    engine_close(&p->engine);
    setup_close(&p->setup);
    config_release(&p->config);
    arena_release(&p->arena);
    free(p);
}

#endif
