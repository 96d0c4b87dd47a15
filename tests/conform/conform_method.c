/* conform_method.c - every method keeps the contract of worker/contract/method.h: its contribution
 * is the gradient of the loss that it tells, or it says why not; it is added, once a task,
 * statistics included; nothing else is touched. Wrong methods are rejected. */
#include "tests/lib/method_scene.h"

#include <math.h>

#include "core/math/rng.h"
#include "core/math/vec.h"

enum { DIRECTIONS = 3 };

static void take_task(struct scene *s, uint32_t slot)
{
    struct sampler sampler = {&s->setup, s->stage, s->stage->data, PURPOSE_TRAIN, 3, 0};

    sampler_draw(&sampler, slot, &s->task);
}

/* The task's contribution at theta, added to grad as the method does it. */
static void contribute(struct scene *s, const real *theta, real *grad)
{
    struct engine *e = &s->engine;

    engine_begin(e, s->stage, PURPOSE_TRAIN, s->stage->anchor >= 0 ? s->anchor : NULL);
    if (engine_run(e, &s->task, theta, NULL) < 0 || e->failed) /* reads the samples */
        fail_msg("method '%s': %s", s->ops.name, err_text());
    e->method.ops = &s->ops;
    task_metrics_clear(&e->metrics);
    if (s->ops.outer(&e->method, &e->episode, theta, grad, &e->metrics) < 0)
        fail_msg("method '%s': %s", s->ops.name, err_text());
    e->stage = NULL; /* the next one is laid out with the right ops */
}

/* ---- the gradient ---- */

static int loss_slot(const struct scene *s, bool discriminator)
{
    return discriminator ? stage_metric(s->stage, "discriminator_loss") : METRIC_LOSS;
}

static double loss_at(struct scene *s, const real *theta, bool discriminator)
{
    vec_zero(s->n, s->other);
    contribute(s, theta, s->other);
    return s->engine.metrics.v[loss_slot(s, discriminator)];
}

static void draw_direction(struct scene *s, uint32_t which, bool discriminator)
{
    struct rng r;
    double sum = 0;

    rng_init(&r, 1, RNG_INIT, 2, which);
    for (int i = 0; i < s->stage->model.n_segments; i++) {
        const struct segment *at = &s->stage->model.segments[i];
        bool wanted = at->role != ROLE_STAT && (at->role == ROLE_DISCRIMINATOR) == discriminator;

        for (size_t k = at->offset; k < at->offset + at->n; k++) {
            s->direction[k] = wanted ? (real)rng_normal(&r) : 0;
            sum += (double)s->direction[k] * s->direction[k];
        }
    }
    for (size_t k = 0; k < s->n; k++)
        s->direction[k] = (real)(s->direction[k] / sqrt(sum));
}

static double norm(const struct scene *s, const real *g, bool discriminator)
{
    double sum = 0;

    for (int i = 0; i < s->stage->model.n_segments; i++) {
        const struct segment *at = &s->stage->model.segments[i];

        if (at->role != ROLE_STAT && (at->role == ROLE_DISCRIMINATOR) == discriminator)
            for (size_t k = at->offset; k < at->offset + at->n; k++)
                sum += (double)g[k] * g[k];
    }
    return sqrt(sum);
}

/* Largest error of <gradient, v> against the difference of losses along v, as a share of the
 * gradient's norm. */
static double worst_error(struct scene *s, bool discriminator)
{
    double h = cbrt(REAL_EPS), worst = 0, scale;

    vec_zero(s->n, s->grad);
    contribute(s, s->theta, s->grad);
    scale = norm(s, s->grad, discriminator);
    for (uint32_t i = 0; i < DIRECTIONS; i++) {
        double slope = 0, up, down;

        draw_direction(s, i, discriminator);
        for (size_t k = 0; k < s->n; k++)
            slope += (double)s->grad[k] * s->direction[k];
        for (size_t k = 0; k < s->n; k++)
            s->moved[k] = (real)(s->theta[k] + h * s->direction[k]);
        up = loss_at(s, s->moved, discriminator);
        for (size_t k = 0; k < s->n; k++)
            s->moved[k] = (real)(s->theta[k] - h * s->direction[k]);
        down = loss_at(s, s->moved, discriminator);
        worst = fmax(worst, fabs(slope - (up - down) / (2 * h)) / scale);
    }
    return worst;
}

/* How far the query's gradient at theta_K, in s->other, is from the contribution, in s->grad. */
static double first_order_misses(struct scene *s)
{
    double sum = 0, all = 0;

    for (size_t i = 0; i < s->stage->net.layout.n; i++) {
        double d = (double)s->other[i] - s->grad[i];

        sum += d * d, all += (double)s->grad[i] * s->grad[i];
    }
    return sqrt(sum / all);
}

/* s->other: the query's gradient at theta_K, by passes of our own. */
static void query_gradient(struct scene *s)
{
    struct method *m = &s->engine.method;
    const struct episode *ep = &s->engine.episode;
    const real *theta = m->inner ? unroll_theta(m->inner, m->inner->spec.steps) : s->theta;
    struct arena arena = arena_measuring();
    struct tape t;

    tape_init(&t, m->net, ep->query.n, TAPE_GRADIENT, tape_scratch(m->net, ep->query.n, &arena),
              &arena);
    assert_int_equal(arena_init(&arena, arena.peak), 0);
    tape_init(&t, m->net, ep->query.n, TAPE_GRADIENT, tape_scratch(m->net, ep->query.n, &arena),
              &arena);
    vec_zero(s->n, s->other);
    net_forward(m->net, theta, &ep->query, &t);
    net_backward(m->net, theta, &ep->query, &t, s->other);
    arena_release(&arena);
}

static const char *gradient_is_right(struct scene *s)
{
    const char *why = s->ops.unproved ? s->ops.unproved(s->stage) : NULL;
    double limit = 20 * pow(REAL_EPS, 2.0 / 3), error = worst_error(s, false);
    bool adversary = stage_metric(s->stage, "discriminator_loss") >= 0;

    if (why && error < 0.01)
        return "says that it is no gradient, and is one";
    if (!why && !(error < limit))
        return "is not the gradient of its loss";
    if (adversary && !(worst_error(s, true) < limit))
        return "is not the gradient of its discriminator's loss";
    if (why || !s->engine.method.inner || s->task.way == 0)
        return NULL;
    vec_zero(s->n, s->grad);
    contribute(s, s->theta, s->grad);
    query_gradient(s);
    return first_order_misses(s) > 0.01 ? NULL : "is first order";
}

/* ---- nothing else ---- */

/* Statistics get stat - observed of the query once; if a round has tasks of two kinds, times the
 * inverse share of those that observe. */
static const char *statistics_move(struct scene *s)
{
    const struct layout *l = &s->stage->net.layout;
    double share = (double)s->stage->n_tasks / kind_episode.count(s->stage, 0);

    vec_zero(s->n, s->grad);
    contribute(s, s->theta, s->grad);
    query_gradient(s);
    for (int i = 0; i < l->n_segments; i++)
        for (size_t k = l->segments[i].offset; k < l->segments[i].offset + l->segments[i].n; k++)
            if (l->segments[i].role == ROLE_STAT &&
                (s->other[k] == 0 ||
                 fabs(s->grad[k] - share * s->other[k]) > 4 * REAL_EPS * fabs(share * s->other[k])))
                return "does not contribute its statistics once";
    return NULL;
}

static const char *nothing_else(struct scene *s)
{
    real *kept = reals(s->n), *again = reals(s->n);
    const char *found = NULL;
    uint32_t slot = s->task.slot;

    vec_copy(s->n, s->theta, kept);
    vec_zero(s->n, s->grad);
    contribute(s, s->theta, s->grad);
    if (memcmp(kept, s->theta, s->n * sizeof *kept) != 0)
        found = "writes into theta";
    take_task(s, 1 - slot);
    vec_zero(s->n, again);
    contribute(s, s->theta, again);
    take_task(s, slot);
    vec_zero(s->n, again);
    contribute(s, s->theta, again);
    if (!found && memcmp(s->grad, again, s->n * sizeof *again) != 0)
        found = "depends on the task before";
    for (size_t i = 0; i < s->n; i++)
        again[i] = 1;
    contribute(s, s->theta, again);
    for (size_t i = 0; i < s->n && !found; i++)
        if (fabs((double)again[i] - 1 - s->grad[i]) >
            16 * REAL_EPS * (1 + fabs((double)s->grad[i])) +
                2e-3 * (sizeof(real) == 4) * fabs((double)s->grad[i]))
            found = "is not added";
    free(kept);
    free(again);
    return found;
}

/* What is wrong with the method; NULL: nothing. */
static const char *fault_of(const struct method_ops *ops)
{
    struct scene *s = scene_open(ops);
    uint32_t slots = s->stage->n_tasks;
    const char *found = NULL;

    for (uint32_t slot = 0; slot < slots && !found; slot += slots > 2 ? 2 : slots) {
        bool few_shot;

        take_task(s, slot);
        few_shot = s->task.way > 0;
        found = slots == 2 ? nothing_else(s) : NULL;
        found = found ? found : gradient_is_right(s);
        found = !found && few_shot ? statistics_move(s) : found;
    }
    scene_close(s);
    return found;
}

static void every_method(void **state)
{
    (void)state;
    no_method_is_at_fault(fault_of);
    for (const struct method_ops *const *ops = method_table; *ops; ops++) {
        if ((*ops)->traits.adapts != ((*ops)->watch != NULL))
            fail_msg("method '%s' adapts and watches, or neither", (*ops)->name);
        if ((*ops)->traits.inner_loop != ((*ops)->inner != NULL))
            fail_msg("method '%s' has an inner loop and says so, or neither", (*ops)->name);
    }
}

/* ---- wrong ones, made from maml ---- */

static const struct method_ops *maml(void)
{
    return method_find("maml");
}

static int first_order(struct method *m, const struct episode *ep, const real *theta, real *grad,
                       struct task_metrics *metrics)
{
    return method_find("fomaml")->outer(m, ep, theta, grad, metrics);
}

static int uphill(struct method *m, const struct episode *ep, const real *theta, real *grad,
                  struct task_metrics *metrics)
{
    int code = maml()->outer(m, ep, theta, grad, metrics);

    for (size_t i = 0; i < m->net->layout.n; i++)
        grad[i] = -grad[i];
    return code;
}

static int overwrites(struct method *m, const struct episode *ep, const real *theta, real *grad,
                      struct task_metrics *metrics)
{
    vec_zero(m->n, grad);
    return maml()->outer(m, ep, theta, grad, metrics);
}

static void on_statistics(const struct method *m, double by, real *grad)
{
    const struct layout *l = &m->net->layout;

    for (int i = 0; i < l->n_segments; i++)
        if (l->segments[i].role == ROLE_STAT)
            vec_scale(l->segments[i].n, by, grad + l->segments[i].offset);
}

/* maml's contribution, its statistics times `by`. */
static int with_statistics(struct method *m, const struct episode *ep, const real *theta,
                           real *grad, struct task_metrics *metrics, double by)
{
    real *own = reals(m->n);
    int code = maml()->outer(m, ep, theta, own, metrics);

    on_statistics(m, by, own);
    vec_add(m->n, own, grad);
    free(own);
    return code;
}

static int forgets_statistics(struct method *m, const struct episode *ep, const real *theta,
                              real *grad, struct task_metrics *metrics)
{
    return with_statistics(m, ep, theta, grad, metrics, 0);
}

static int statistics_twice(struct method *m, const struct episode *ep, const real *theta,
                            real *grad, struct task_metrics *metrics)
{
    return with_statistics(m, ep, theta, grad, metrics, 2);
}

static int writes_theta(struct method *m, const struct episode *ep, const real *theta, real *grad,
                        struct task_metrics *metrics)
{
    int code = maml()->outer(m, ep, theta, grad, metrics);

    ((real *)theta)[0] += 1;
    return code;
}

static int remembers(struct method *m, const struct episode *ep, const real *theta, real *grad,
                     struct task_metrics *metrics)
{
    static int calls;
    int code = maml()->outer(m, ep, theta, grad, metrics);

    grad[0] += (real)(1e-3 * calls++);
    return code;
}

static void wrong_ones(void **state)
{
    static const struct {
        int (*outer)(struct method *m, const struct episode *ep, const real *theta, real *grad,
                     struct task_metrics *metrics);
        const char *fault;
    } wrong[] = {{first_order, "is not the gradient of its loss"},
                 {uphill, "is not added"},
                 {overwrites, "is not added"},
                 {forgets_statistics, "does not contribute its statistics once"},
                 {statistics_twice, "does not contribute its statistics once"},
                 {writes_theta, "writes into theta"},
                 {remembers, "depends on the task before"}};

    (void)state;
    assert_null(fault_of(maml()));
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        struct method_ops ops = *maml();
        const char *found;

        ops.outer = wrong[i].outer;
        found = fault_of(&ops);
        if (!found || strcmp(found, wrong[i].fault) != 0)
            fail_msg("wrong method %zu: '%s', not '%s'", i, found ? found : "nothing",
                     wrong[i].fault);
    }
}

/* One that is no gradient must say so, and one that is must not. */
static const char *no_excuse(const struct stage *s)
{
    (void)s;
    return "has an excuse";
}

static void excuses(void **state)
{
    struct method_ops silent = *method_find("fomaml"), lying = *maml();

    (void)state;
    silent.unproved = NULL;
    lying.unproved = no_excuse;
    assert_string_equal(fault_of(&silent), "is not the gradient of its loss");
    assert_string_equal(fault_of(&lying), "says that it is no gradient, and is one");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_method),
        cmocka_unit_test(wrong_ones),
        cmocka_unit_test(excuses),
    };

    return cmocka_run_group_tests_name("method", tests, root_make, root_remove);
}
