/* prove.c - the outer gradient against differences of the outer loss, along random directions. */
#include "launch/prove.h"

#include <math.h>
#include <stdio.h>

#include "coordinator/sampler.h"
#include "core/err.h"
#include "core/rng.h"
#include "worker/engine.h"

enum { DIRECTIONS = 3 };

struct proof {
    const struct solo *solo;
    struct engine engine;
    struct arena arena;
    struct task task;
    real *theta, *moved, *direction, *grad;
    size_t n;
};

static void lay_out(struct proof *p, struct arena *a)
{
    task_init(&p->task, p->solo->stage->train, a);
    p->theta = arena_reals(a, p->n);
    p->moved = arena_reals(a, p->n);
    p->direction = arena_reals(a, p->n);
    p->grad = arena_reals(a, p->n);
}

/* The query loss after adaptation from theta, and its gradient where grad is not NULL. */
static int outer(struct proof *p, const real *theta, double *loss, real *grad)
{
    engine_begin(&p->engine, p->solo->stage, false);
    TRY(engine_run(&p->engine, &p->task, theta, false));
    if (total_sum(&p->engine.total, TALLY_DONE) != 1)
        return err(ERR_NONFINITE, "the task's loss or gradient is not finite");
    *loss = total_sum(&p->engine.total, TALLY_LOSS);
    if (grad)
        total_mean_gradient(&p->engine.total, grad);
    return 0;
}

/* A direction of length 1 without the statistics, which are no function's variables. */
static void draw_direction(struct proof *p, uint32_t which)
{
    const struct layout *l = &p->solo->stage->layout;
    struct rng r;
    double sum = 0;

    rng_init(&r, 1, RNG_INIT, 1, which);
    for (int i = 0; i < l->n_segments; i++)
        for (size_t k = l->segments[i].offset; k < l->segments[i].offset + l->segments[i].n; k++) {
            p->direction[k] = l->segments[i].role == ROLE_STAT ? 0 : (real)rng_normal(&r);
            sum += (double)p->direction[k] * p->direction[k];
        }
    for (size_t k = 0; k < p->n; k++)
        p->direction[k] = (real)(p->direction[k] / sqrt(sum));
}

static int loss_at(struct proof *p, double h, double *loss)
{
    for (size_t k = 0; k < p->n; k++)
        p->moved[k] = (real)(p->theta[k] + h * p->direction[k]);
    return outer(p, p->moved, loss, NULL);
}

static int prove_direction(struct proof *p, uint32_t which, double scale, double *worst)
{
    double h = cbrt(REAL_EPS), up = 0, down = 0, slope = 0, difference, error;

    draw_direction(p, which);
    TRY(loss_at(p, h, &up));
    TRY(loss_at(p, -h, &down));
    for (size_t k = 0; k < p->n; k++)
        slope += (double)p->grad[k] * p->direction[k];
    difference = (up - down) / (2 * h);
    error = fabs(slope - difference) / scale;
    printf("direction %u: <gradient, v> = %+.6e, difference of losses = %+.6e, error %.1e\n", which,
           slope, difference, error);
    *worst = error > *worst ? error : *worst;
    return 0;
}

static int prove(struct proof *p)
{
    struct sampler sampler = {&p->solo->setup, p->solo->stage, p->solo->stage->data, false, 1};
    double loss, scale, worst = 0, limit = 20 * pow(REAL_EPS, 2.0 / 3);

    sampler_draw(&sampler, 0, &p->task);
    layout_init(&p->solo->stage->layout, (uint64_t)p->solo->config.run.seed, p->theta);
    TRY(outer(p, p->theta, &loss, p->grad));
    scale = optim_clip(p->grad, p->n, 0);
    for (uint32_t i = 0; i < DIRECTIONS; i++)
        TRY(prove_direction(p, i, scale, &worst));
    printf("method '%s', %s: largest error %.1e of the gradient's norm %.3e, limit %.1e: %s\n",
           p->solo->stage->config->method, REAL_NAME, worst, scale, limit,
           worst < limit ? "proved" : "NOT proved");
    if (worst < limit)
        return 0;
    return err(ERR_FAILED, "the gradient of method '%s' is not that of its loss",
               p->solo->stage->config->method);
}

int prove_gradients(const struct solo *s)
{
    struct proof p = {.solo = s, .n = s->stage->layout.n};
    struct arena measure = arena_measuring();
    int code;

    if (!method_find(s->stage->config->method)->second)
        printf("method '%s' is first order by definition: it is expected to fail this\n",
               s->stage->config->method);
    lay_out(&p, &measure);
    TRY(arena_init(&p.arena, measure.peak));
    lay_out(&p, &p.arena);
    code = engine_open(&p.engine, &s->setup);
    if (code >= 0)
        code = prove(&p);
    engine_close(&p.engine);
    arena_release(&p.arena);
    return code;
}
