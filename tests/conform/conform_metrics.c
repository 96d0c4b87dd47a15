/* conform_metrics.c - the metrics of every method's tasks are as many as its stage counts: nothing
 * is written behind them, and a round's sum holds each of them. Their names can be told. */
#include "tests/lib/method_scene.h"

#include <math.h>

#include "observer/model/event.h"
#include "proto/stream/event.h"

enum { GUARDS = 64 };
static const double guard = 1234.5;

/* Of a stage, by what is written: the common slots, sums of every inner step and of the watch, the
 * method's own. */
static int slots_needed(const struct stage *s, const struct method_ops *ops)
{
    int steps = s->inner_steps > s->evaluate_steps ? s->inner_steps : s->evaluate_steps;
    int last = metric_curve(steps, CURVE_ACCURACY_SQUARE);
    int watched = METRIC_CURVE + watch_sums(s->net.n_out) - 1, n = 1;

    n += ops->watch && watched > last ? watched : last;
    for (const char *const *own = ops->traits.metrics; own && *own; own++)
        n++;
    return n;
}

/* v (n + GUARDS) with guards behind the n of a stage. */
static struct task_metrics guarded(const struct stage *s, double *v)
{
    for (int i = 0; i < GUARDS; i++)
        v[s->n_metrics + i] = guard;
    return (struct task_metrics){s->n_metrics, v, v + s->own_metrics};
}

static bool guards_stand(const struct stage *s, const double *v)
{
    for (int i = 0; i < GUARDS; i++)
        if (v[s->n_metrics + i] != guard)
            return false;
    return true;
}

/* Whether a sum of as many words as the stage's metrics need gives back each of them. */
static bool sum_holds(const struct stage *s, const struct task_metrics *m)
{
    size_t n = round_sum_words(0, s->n_metrics);
    int64_t *words = calloc(n + GUARDS, sizeof *words);
    struct round_sum sum;
    bool holds;

    assert_non_null(words);
    sum = round_sum_begin(words, 0, s->n_metrics);
    holds = round_sum_add(&sum, NULL, m) == 0;

    for (int i = METRIC_SUPPORT_LOSS; holds && i < s->n_metrics; i++)
        holds = fabs(round_sum_read(&sum, i) - m->v[i]) <= 1e-6 * (1 + fabs(m->v[i]));
    for (int i = 0; holds && i < GUARDS; i++)
        holds = words[n + (size_t)i] == 0;
    free(words);
    return holds;
}

/* A task of this purpose; what is wrong with its metrics; NULL: nothing. */
static const char *fault_of_task(struct scene *s, enum purpose purpose, uint32_t slot, double *v)
{
    const struct stage *stage = s->stage;
    struct engine *e = &s->engine;
    int data = purpose == PURPOSE_TRAIN ? stage->data : stage->evaluate_data[0];
    struct sampler sampler = {&s->setup, stage, data, purpose, purpose == PURPOSE_TRAIN ? 3 : 0, 1};

    sampler_draw(&sampler, slot, &s->task);
    engine_begin(e, stage, purpose, stage->anchor >= 0 ? s->anchor : NULL);
    e->method.ops = &s->ops;
    e->metrics = guarded(stage, v);
    if (engine_run(e, &s->task, s->theta, NULL) < 0 || e->failed)
        fail_msg("method '%s': %s", s->ops.name, err_text());
    e->stage = NULL; /* the next one is laid out with the right ops and metrics */
    if (!guards_stand(stage, v))
        return "writes behind its metrics";
    return sum_holds(stage, &e->metrics) ? NULL : "has metrics that its sum does not hold";
}

static const char *fault_of_names(const struct method_ops *ops)
{
    for (const char *const *own = ops->traits.metrics; own && *own; own++) {
        if (!event_is_word(*own))
            return "has a metric whose name is no word";
        if (stream_event_has("round", *own))
            return "has a metric with the name of another number of a round";
    }
    return NULL;
}

static const char *fault_of(const struct method_ops *ops)
{
    struct scene *s = scene_open(ops);
    double *v = calloc((size_t)s->stage->n_metrics + GUARDS, sizeof *v);
    const char *found = fault_of_names(ops);

    assert_non_null(v);
    if (!found && s->stage->n_metrics != slots_needed(s->stage, ops))
        found = "has a stage that counts other metrics";
    for (uint32_t slot = 0; slot < s->stage->n_tasks && !found; slot++)
        found = fault_of_task(s, PURPOSE_TRAIN, slot, v);
    found = found ? found : fault_of_task(s, PURPOSE_EVALUATE, 0, v);
    if (!found && ops->watch)
        found = fault_of_task(s, PURPOSE_WATCH, 0, v);
    free(v);
    scene_close(s);
    return found;
}

static void every_method(void **state)
{
    (void)state;
    no_method_is_at_fault(fault_of);
}

/* ---- wrong ones ---- */

static int one_more(struct method *m, const struct episode *ep, const real *theta, real *grad,
                    struct task_metrics *metrics)
{
    metrics->own[0] += 1; /* maml has none */
    return method_find("maml")->outer(m, ep, theta, grad, metrics);
}

static void wrong_ones(void **state)
{
    static const char *const two[] = {"one", "two", NULL}, *const loss[] = {"loss", NULL},
                             *const blank[] = {"a b", NULL};
    struct method_ops ops = *method_find("maml");

    (void)state;
    assert_null(fault_of(&ops));
    ops.outer = one_more;
    assert_string_equal(fault_of(&ops), "writes behind its metrics");
    ops.traits.metrics = two; /* the stage knows the table's maml */
    assert_string_equal(fault_of(&ops), "has a stage that counts other metrics");
    ops.traits.metrics = loss;
    assert_string_equal(fault_of(&ops), "has a metric with the name of another number of a round");
    ops.traits.metrics = blank;
    assert_string_equal(fault_of(&ops), "has a metric whose name is no word");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_method),
        cmocka_unit_test(wrong_ones),
    };

    return cmocka_run_group_tests_name("metrics", tests, root_make, root_remove);
}
