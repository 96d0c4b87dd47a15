/* test_losses.c - the loss of a stage: what it fits, the outputs it wants, and tasks some of whose
 * targets are missing or weigh nothing, through the worker. */
#include <math.h>
#include <string.h>

#include "core/plan/task_kind.h"
#include "tests/lib/engine_place.h"
#include "worker/task_work.h"

enum { SHOT = 6, QUERY = 5 };

static real weight[2][SHOT]; /* of support and queries */

static struct place *place_open(const char *stage)
{
    struct place *p;
    char text[512];

    snprintf(text, sizeof text,
             "data d { format = \"sinusoid\" }\nmodel { type = \"mlp\" widths = {\"8\"} }\n"
             "stage s { data = \"d\" way = 1 shot = %d query = %d inner_rate = 0.01 %s }\n",
             SHOT, QUERY, stage);
    p = place_of(text);
    engine_begin(&p->engine, &p->setup.stages[0], PURPOSE_TRAIN, NULL);
    return p;
}

static const struct task_work *work_of(const struct place *p)
{
    return task_work_of(task_kind_at(p->engine.stage, PURPOSE_TRAIN, 0));
}

/* Reads the task as it is. */
static void read(struct place *p)
{
    assert_int_equal(work_of(p)->read(&p->engine, &p->task), 0);
    for (int i = 0; i < SHOT; i++)
        weight[0][i] = weight[1][i] = 1;
    p->engine.episode.support.weight = weight[0];
    p->engine.episode.query.weight = weight[1];
}

/* Its contribution is in engine.gradient. */
static void run(struct place *p)
{
    task_metrics_clear(&p->engine.metrics);
    if (work_of(p)->run(&p->engine, &p->task, p->theta, NULL) < 0)
        fail_msg("the task fails: %s", err_text());
}

static double largest(const struct place *p)
{
    double most = 0;

    for (size_t i = 0; i < p->n; i++)
        most = fmax(most, fabs((double)p->engine.gradient[i]));
    return most;
}

static double metric(const struct place *p, int slot)
{
    return p->engine.metrics.v[slot];
}

/* A query of holes contributes nothing, is counted, and is no failure. */
static void nothing_to_measure(void **state)
{
    struct place *p = place_open("method = \"maml\" inner_steps = 2");

    (void)state;
    read(p);
    run(p);
    assert_true(largest(p) > 1e-3 && metric(p, METRIC_LOSS) > 0 && metric(p, METRIC_EMPTY) == 0);
    for (int i = 0; i < QUERY; i++)
        p->engine.episode.goal[1][i] = NAN;
    run(p);
    assert_true(largest(p) == 0);
    assert_true(metric(p, METRIC_LOSS) == 0 && metric(p, METRIC_EMPTY) == 1);
    place_close(p);
}

/* A hole and a weight of 0 are the same to the bit, and neither is the whole task. */
static void check_hole_is_weight_0(const char *stage)
{
    struct place *p = place_open(stage);
    double whole, loss;

    read(p);
    run(p);
    whole = metric(p, METRIC_LOSS);
    memcpy(p->kept, p->engine.gradient, p->n * sizeof(real));
    weight[0][1] = weight[0][4] = weight[1][2] = 0;
    run(p);
    loss = metric(p, METRIC_LOSS);
    assert_true(loss != whole);
    assert_memory_not_equal(p->kept, p->engine.gradient, p->n * sizeof(real));
    memcpy(p->kept, p->engine.gradient, p->n * sizeof(real));
    read(p);
    p->engine.episode.goal[0][1] = p->engine.episode.goal[0][4] = NAN;
    p->engine.episode.goal[1][2] = NAN;
    run(p);
    assert_true(metric(p, METRIC_LOSS) == loss);
    assert_memory_equal(p->kept, p->engine.gradient, p->n * sizeof(real));
    place_close(p);
}

static void hole_is_weight_0(void **state)
{
    (void)state;
    check_hole_is_weight_0("method = \"maml\" inner_steps = 2");
    check_hole_is_weight_0("method = \"reptile\" inner_steps = 3 inner_batch = 4");
}

/* ---- what is planned ---- */

#define SINE "data d { format = \"sinusoid\" }\nmodel { type = \"mlp\" widths = {\"8\"} }\n"
#define GLYPHS                                                                                     \
    "data g { format = \"glyphs\" size = 12 first = 3 }\nmodel { type = \"mlp\" widths = {\"8\"} " \
    "}\n"

/* The outputs of the last stage; or it is refused with a sentence. */
static int outputs_of(const char *text, const char *sentence)
{
    struct config c;
    struct setup s;
    int n = -1;

    if (config_parse(&c, text, "text", NULL, 0, stage_owner))
        fail_msg("%s", err_text());
    if (setup_open(&s, &c, ".", method_traits_of) == 0) {
        n = s.stages[s.n_stages - 1].net.n_out;
        setup_close(&s);
    }
    if (!sentence != (n >= 0) || (sentence && !strstr(err_text(), sentence)))
        fail_msg("%s: %s", text, n >= 0 ? "is taken" : err_text());
    config_release(&c);
    return n;
}

static void outputs_follow_the_loss(void **state)
{
    (void)state;
    assert_int_equal(outputs_of(SINE "stage s { data = d way = 1 loss = huber }", NULL), 1);
    assert_int_equal(outputs_of(SINE "stage s { data = d way = 1 loss = quantile }", NULL), 3);
    assert_int_equal(
        outputs_of(SINE "stage s { data = d way = 1 loss = quantile quantiles = {0.2, 0.4} }",
                   NULL),
        2);
}

static void what_does_not_fit(void **state)
{
    (void)state;
    outputs_of(GLYPHS "stage s { data = g way = 3 loss = mae }",
               "stage 's': loss 'mae' does not fit data 'g', which has classes");
    outputs_of(SINE "stage s { data = d way = 1 loss = cross_entropy }",
               "stage 's': loss 'cross_entropy' does not fit data 'd', which has targets");
    outputs_of(SINE "stage s { data = d way = 1 method = protonet }",
               "stage 's': method 'protonet' needs classes, data 'd' has targets");
    outputs_of(SINE "stage s { data = d way = 1 loss = quantile quantiles = {0.9, 0.1} }",
               "stage 's': 'quantiles' has 0.1 after 0.9, must ascend");
    outputs_of(SINE
               "stage s { data = d way = 1 loss = poisson normalize_targets = {\"0\", \"2\"} }",
               "stage 's': loss 'poisson' takes targets as they are");
}

/* Targets that cannot be of the loss end the run, and say why; a hole is none of them. */
static void targets_that_cannot_be(void **state)
{
    struct place *p = place_open("method = \"maml\" inner_steps = 1 loss = poisson");

    (void)state;
    assert_int_equal(engine_run(&p->engine, &p->task, p->theta, NULL), ERR_DATA);
    assert_non_null(strstr(err_text(), "data 'd': target -"));
    assert_non_null(strstr(err_text(), "is below 0, and loss 'poisson' takes counts"));
    read(p);
    for (int i = 0; i < SHOT; i++)
        p->engine.episode.goal[0][i] = i ? 2 : NAN;
    for (int i = 0; i < QUERY; i++)
        p->engine.episode.goal[1][i] = 0;
    assert_int_equal(episode_check(&p->engine.episode, p->engine.method.net), 0);
    run(p);
    assert_true(largest(p) > 0);
    place_close(p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_to_measure),      cmocka_unit_test(hole_is_weight_0),
        cmocka_unit_test(outputs_follow_the_loss), cmocka_unit_test(what_does_not_fit),
        cmocka_unit_test(targets_that_cannot_be),
    };

    return cmocka_run_group_tests_name("test_losses", tests, NULL, NULL);
}
