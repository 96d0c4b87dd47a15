/* gradient_check.c - compares the outer gradient with finite differences of its loss, along random
 * directions. An adversary has two losses: the encoder's and the discriminator's. */
#include "launch/gradient_check.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "core/base/err.h"
#include "core/math/rng.h"
#include "core/plan/sampler.h"
#include "worker/engine.h"
#include "worker/method/table.h"

enum { DIRECTIONS = 3 };

struct gradient_check {
    const struct solo *solo;
    struct engine engine;
    struct arena arena;
    struct task task;
    real *theta, *moved, *direction, *grad, *anchor;
    size_t n;
    bool discriminator; /* the discriminator's loss and segments; otherwise those of the rest */
};

static void lay_out(struct gradient_check *p, struct arena *a)
{
    const struct stage *s = p->solo->stage;

    task_init(&p->task, s->train, a);
    if (s->anchor >= 0)
        p->anchor = arena_reals(a, p->solo->setup.stages[s->anchor].layout.n);
    p->theta = arena_reals(a, p->n);
    p->moved = arena_reals(a, p->n);
    p->direction = arena_reals(a, p->n);
    p->grad = arena_reals(a, p->n);
}

/* The loss at theta (for a few-shot task, that of the query set after adaptation). Its gradient
 * too, if grad is not NULL. */
static int outer(struct gradient_check *p, const real *theta, double *loss, real *grad)
{
    engine_begin(&p->engine, p->solo->stage, PURPOSE_TRAIN, p->anchor);
    TRY(engine_run(&p->engine, &p->task, theta, NULL));
    if (round_sum_read(&p->engine.total, METRIC_DONE) != 1)
        return err(ERR_NONFINITE, "the task's loss or gradient is not finite");
    *loss = round_sum_read(&p->engine.total,
                           p->discriminator ? stage_metric(p->solo->stage, "discriminator_loss")
                                            : METRIC_LOSS);
    if (grad)
        round_sum_mean_gradient(&p->engine.total, grad);
    return 0;
}

static bool is_variable(const struct gradient_check *p, enum role role)
{
    return role_learns(role) && (role == ROLE_DISCRIMINATOR) == p->discriminator;
}

/* A direction of length 1. It leaves out statistics, which no loss depends on, and the segments of
 * the other loss. */
static void draw_direction(struct gradient_check *p, uint32_t which)
{
    const struct layout *l = &p->solo->stage->model;
    struct rng r;
    double sum = 0;

    rng_init(&r, 1, RNG_INIT, 1, which);
    for (int i = 0; i < l->n_segments; i++)
        for (size_t k = l->segments[i].offset; k < l->segments[i].offset + l->segments[i].n; k++) {
            p->direction[k] = is_variable(p, l->segments[i].role) ? (real)rng_normal(&r) : 0;
            sum += (double)p->direction[k] * p->direction[k];
        }
    for (size_t k = 0; k < p->n; k++)
        p->direction[k] = (real)(p->direction[k] / sqrt(sum));
}

static int loss_at(struct gradient_check *p, double h, double *loss)
{
    for (size_t k = 0; k < p->n; k++)
        p->moved[k] = (real)(p->theta[k] + h * p->direction[k]);
    return outer(p, p->moved, loss, NULL);
}

static int check_direction(struct gradient_check *p, uint32_t which, double scale, double *worst)
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

/* The norm of this loss's gradient. */
static double norm_of(const struct gradient_check *p)
{
    const struct layout *l = &p->solo->stage->model;
    double sum = 0;

    for (int i = 0; i < l->n_segments; i++)
        for (size_t k = l->segments[i].offset; k < l->segments[i].offset + l->segments[i].n; k++)
            if (is_variable(p, l->segments[i].role))
                sum += (double)p->grad[k] * p->grad[k];
    return sqrt(sum);
}

static int check_loss(struct gradient_check *p, const char *what)
{
    double loss, scale, worst = 0, limit = 20 * pow(REAL_EPS, 2.0 / 3);

    TRY(outer(p, p->theta, &loss, p->grad));
    scale = norm_of(p);
    for (uint32_t i = 0; i < DIRECTIONS; i++)
        TRY(check_direction(p, i, scale, &worst));
    printf("method '%s', %s%s: largest error %.1e of the gradient's norm %.3e, limit %.1e: %s\n",
           p->solo->stage->config->method, what, REAL_NAME, worst, scale, limit,
           worst < limit ? "proved" : "NOT proved");
    if (worst < limit)
        return 0;
    return err(ERR_FAILED, "the gradient of method '%s' is not that of its loss",
               p->solo->stage->config->method);
}

static int check_task(struct gradient_check *p, const struct task_kind *kind)
{
    const struct stage *s = p->solo->stage;
    uint32_t round =
        1 + (uint32_t)(s->config->rounds / 2); /* a round in which a rising weight has risen */
    struct sampler sampler = {&p->solo->setup, s, s->data, PURPOSE_TRAIN, round};

    sampler_draw(&sampler, task_kind_first(s, kind), &p->task);
    p->discriminator = false;
    TRY(check_loss(p, ""));
    p->discriminator = true;
    return !kind->few_shot && stage_aux(s, "discriminator") ? check_loss(p, "discriminator, ") : 0;
}

/* Running statistics as training would leave them, not their initial 0 and 1: with a mean of 0 and
 * a frozen body, a blank part of an image sits on relu's kink. */
static void move_statistics(const struct layout *l, real *theta)
{
    for (int i = 0; i < l->n_segments; i++)
        for (size_t k = 0; k < l->segments[i].n && l->segments[i].role == ROLE_STAT; k++)
            theta[l->segments[i].offset + k] += (real)(0.05 * (double)(1 + k % 3));
}

static int start(struct gradient_check *p)
{
    const struct setup *setup = &p->solo->setup;
    const struct stage *s = p->solo->stage;
    uint64_t seed = (uint64_t)p->solo->config.run.seed;

    TRY(solo_draw(setup, s, seed, p->theta));
    move_statistics(&s->model, p->theta);
    return p->anchor ? solo_draw(setup, &setup->stages[s->anchor], seed, p->anchor) : 0;
}

/* A task of every kind that the stage trains on. */
static int check_stage(struct gradient_check *p)
{
    const struct stage *s = p->solo->stage;

    TRY(start(p));
    for (int i = 0; task_kinds[i]; i++)
        if (task_kinds[i]->purpose == PURPOSE_TRAIN && task_kinds[i]->count(s, 0) > 0)
            TRY(check_task(p, task_kinds[i]));
    return 0;
}

static int check_provable(const struct stage *s)
{
    const struct method_ops *ops = method_find(s->config->method);

    if (task_state_size(s) > 0)
        return err(
            ERR_USAGE,
            "stage '%s' adapts to several targets: choose one with --set stage.%s.target=NAME",
            s->config->name, s->config->name);
    if (ops->unproved && ops->unproved(s))
        printf("method '%s' %s: it is expected to fail this check\n", s->config->method,
               ops->unproved(s));
    return 0;
}

int gradient_check(const struct solo *s)
{
    struct gradient_check p = {.solo = s, .n = s->stage->model.n};
    struct arena measure = arena_measuring();
    int code;

    TRY(check_provable(s->stage));
    lay_out(&p, &measure);
    TRY(arena_init(&p.arena, measure.peak));
    lay_out(&p, &p.arena);
    code = engine_open(&p.engine, &s->setup);
    if (code >= 0)
        code = check_stage(&p);
    engine_close(&p.engine);
    arena_release(&p.arena);
    return code;
}
