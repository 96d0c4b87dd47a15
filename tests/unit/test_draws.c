/* test_draws.c - which samples a task draws, how they are turned, and what becomes of them:
 * counted, not compared with another run of the same program. */
#include "tests/lib/draw_scene.h"

/* ---- epochs ---- */

/* Each of the n ids once in every epoch, in another order each time, none of them the order of the
 * file. */
static void expect_epochs(const struct drawn *d, uint32_t n)
{
    assert_true(d->n >= 3 * n);
    for (uint32_t epoch = 0; (epoch + 1) * n <= d->n; epoch++) {
        const uint32_t *ids = d->ids + epoch * n;
        uint32_t seen[MOST] = {0}, moved = 0;

        for (uint32_t i = 0; i < n; i++) {
            assert_true(ids[i] < n);
            assert_int_equal(seen[ids[i]]++, 0);
            moved += ids[i] != i;
        }
        assert_true(moved > n / 2);
        if (epoch > 0)
            assert_memory_not_equal(ids, ids - n, n * sizeof *ids);
    }
}

static void first_epoch_differs(const struct drawn *a, const struct drawn *b, uint32_t n)
{
    assert_memory_not_equal(a->ids, b->ids, n * sizeof *a->ids);
}

/* 21 samples in batches of 4 and 13 in batches of 5, three of each a round. */
static void every_sample_once_an_epoch(void **state)
{
    struct scene *s = scene_open(
        SET("a", "") SET("b", "") MODEL
        "stage s { method = \"dan\" data = \"a\" target = {\"b\"} batch = 4 target_batch = 5 "
        "tasks = 3 rounds = 99 }\n");
    struct drawn source, target;

    (void)state;
    draw_rounds(s, 8, 0, 3, &source, &target);
    assert_int_equal(source.n, 8 * 3 * 4);
    assert_int_equal(target.n, 8 * 3 * 5);
    expect_epochs(&source, 21);
    expect_epochs(&target, 13);
    scene_close(s);
}

/* Sets of one size: source and target, two stages and two seeds have orders of their own. */
static void orders_are_apart(void **state)
{
    static const char *const texts[] = {
        SET("a", "") SET("c", "") MODEL
        "stage s { method = \"dan\" data = \"a\" target = {\"c\"} batch = 4 tasks = 3 }\n",
        SET("a", "") SET("c", "") MODEL FIRST
        "stage s { method = \"dan\" data = \"a\" target = {\"c\"} batch = 4 tasks = 3 }\n",
        "run { seed = 2 }\n" SET("a", "") SET("c", "") MODEL
        "stage s { method = \"dan\" data = \"a\" target = {\"c\"} batch = 4 tasks = 3 }\n",
        "run { seed = 4294967297 }\n" SET("a", "") SET("c", "") MODEL
        "stage s { method = \"dan\" data = \"a\" target = {\"c\"} batch = 4 tasks = 3 }\n",
    };
    struct drawn source[4], target[4];

    (void)state;
    for (int i = 0; i < 4; i++) {
        struct scene *s = scene_open(texts[i]);

        draw_rounds(s, 6, 0, 3, &source[i], &target[i]);
        expect_epochs(&source[i], 21);
        expect_epochs(&target[i], 21);
        first_epoch_differs(&source[i], &target[i], 21);
        for (int j = 0; j < i; j++) {
            first_epoch_differs(&source[i], &source[j], 21);
            first_epoch_differs(&target[i], &target[j], 21);
        }
        scene_close(s);
    }
}

/* Few-shot tasks come first in a round of joint; the batches behind them go through the set like
 * any others. */
static void batches_behind_episodes(void **state)
{
    struct scene *s = scene_open(
        SET("a", "") SET("b", "") MODEL FIRST
        "stage s { method = \"joint\" data = \"a\" target = {\"b\"} way = 3 shot = 1 query = 2 "
        "tasks = 2 batches = 3 batch = 4 discriminator = {\"4\"} rounds = 99 }\n");
    struct drawn source, target;

    (void)state;
    sampler_draw(&s->sampler, 1, &s->task);
    assert_int_equal(s->task.n_source, 0);
    assert_int_equal(s->task.way, 3);
    draw_rounds(s, 6, 2, 5, &source, &target);
    expect_epochs(&source, 21);
    expect_epochs(&target, 13);
    scene_close(s);
}

/* A domain that takes steps of its own goes through its set from task to task. */
static void steps_of_a_domain(void **state)
{
    struct scene *s = scene_open(
        SET("a", "") SET("b", "") SET("c", "") MODEL FIRST
        "stage s { method = \"adda\" data = \"a\" target = {\"b\", \"c\"} batch = 4 steps = 3 "
        "discriminator = {\"4\"} rounds = 99 }\n");
    struct drawn source, target;

    (void)state;
    for (uint32_t slot = 0; slot < 2; slot++) {
        draw_rounds(s, 12, slot, slot + 1, &source, &target);
        assert_int_equal(source.n, 12 * 3 * 4);
        assert_int_equal(s->task.target, slot + 1);
        expect_epochs(&source, 21);
        expect_epochs(&target, slot ? 21 : 13);
    }
    scene_close(s);
}

static void expect_whole_set(struct scene *s)
{
    uint32_t seen[21] = {0}, all = 0;
    uint32_t samples = kind_whole_set.amount(&s->setup, s->stage, 0, 600);
    uint32_t n = kind_whole_set.count(s->stage, samples);

    s->sampler.purpose = PURPOSE_EVALUATE;
    s->sampler.round = 0;
    s->sampler.amount = samples;
    for (uint32_t slot = 0; slot < n; slot++) {
        sampler_draw(&s->sampler, slot, &s->task);
        assert_true(s->task.n_source > 0);
        for (uint32_t i = 0; i < s->task.n_source; i++, all++)
            assert_int_equal(seen[s->task.source[i]]++, 0);
    }
    assert_int_equal(all, 21);
}

/* The batches of a whole set's evaluation hold each of the 21 samples once, whatever their size;
 * also those that are mixed, because a batch's own statistics decide. */
static void whole_set_once(void **state)
{
    static const char *const models[] = {
        MODEL,
        "model { type = \"layers\" layers = {\"flatten\", \"batchnorm\", \"dense features=3\"}"
        " statistics = \"batch\" }\n"};

    (void)state;
    for (int i = 0; i < 16; i++) {
        struct scene *s;
        char text[512];

        snprintf(text, sizeof text,
                 SET("a", "") "%s stage s { method = \"pretrain\" data = \"a\" }\n"
                              "evaluate { batch = %d }\n",
                 models[i % 2], 1 + i / 2 * 3);
        s = scene_open(text);
        assert_int_equal(stage_is_transductive(s->stage), i % 2);
        expect_whole_set(s);
        scene_close(s);
    }
}

/* Looks at an adaptation: other samples in each slot, the same at every look. */
static void looks_differ_by_slot(void **state)
{
    struct scene *s = scene_open(
        SET("a", "") SET("b", "") MODEL FIRST
        "stage s { method = \"adda\" data = \"a\" target = {\"b\"} batch = 4 target_batch = 5 "
        "discriminator = {\"4\"} rounds = 99 }\n");
    uint32_t seen[2][MOST] = {{0}}, once[64];

    (void)state;
    s->sampler.purpose = PURPOSE_WATCH;
    s->sampler.data = 1;
    for (uint32_t slot = 0; slot < 2; slot++) {
        sampler_draw(&s->sampler, slot, &s->task);
        assert_int_equal(s->task.n_source, 4);
        assert_int_equal(s->task.n_targets, 5);
        assert_int_equal(s->task.target, 1);
        for (uint32_t i = 0; i < 4; i++)
            assert_int_equal(seen[0][s->task.source[i]]++, 0);
        for (uint32_t i = 0; i < 5; i++)
            assert_int_equal(seen[1][s->task.targets[i]]++, 0);
        memcpy(once, s->task.targets, 5 * sizeof *once);
        sampler_draw(&s->sampler, slot, &s->task);
        assert_memory_equal(once, s->task.targets, 5 * sizeof *once);
    }
    scene_close(s);
}

/* ---- few-shot tasks ---- */

#define EPISODES(rotations)                                                                        \
    SET("a", "rotations = \"" rotations "\"")                                                      \
    MODEL "stage s { method = \"maml\" data = \"a\" way = 3 shot = 2 query = 3 tasks = 200 }\n"

/* Classes are distinct, and so are the samples of a class; support and queries share none. */
static void episodes_have_distinct_samples(void **state)
{
    struct scene *s = scene_open(EPISODES("none"));

    (void)state;
    for (uint32_t slot = 0; slot < 50; slot++) {
        uint32_t classes[3] = {0};

        sampler_draw(&s->sampler, slot, &s->task);
        for (uint32_t k = 0; k < 3; k++) {
            uint32_t seen[7] = {0};

            assert_int_equal(classes[s->task.classes[k]]++, 0);
            assert_int_equal(s->task.turns[k], 0);
            for (uint32_t i = 0; i < 2; i++)
                assert_int_equal(seen[s->task.support[2 * k + i]]++, 0);
            for (uint32_t i = 0; i < 3; i++)
                assert_int_equal(seen[s->task.queries[3 * k + i]]++, 0);
        }
    }
    scene_close(s);
}

/* An evaluation's episodes have queries of their own number, and are others than those of
 * training. */
static void episodes_of_an_evaluation(void **state)
{
    struct scene *s = scene_open(EPISODES("none") "evaluate { query = 4 }\n");
    uint32_t trained[6], differ = 0;

    (void)state;
    for (uint32_t slot = 0; slot < 50; slot++) {
        s->sampler.purpose = PURPOSE_TRAIN;
        sampler_draw(&s->sampler, slot, &s->task);
        assert_int_equal(s->task.query, 3);
        memcpy(trained, s->task.support, sizeof trained);
        s->sampler.purpose = PURPOSE_EVALUATE;
        sampler_draw(&s->sampler, slot, &s->task);
        assert_true(s->task.way == 3 && s->task.shot == 2 && s->task.query == 4);
        differ += memcmp(trained, s->task.support, sizeof trained) != 0;
        for (uint32_t k = 0; k < 3; k++) {
            uint32_t seen[7] = {0};

            for (uint32_t i = 0; i < 2; i++)
                assert_int_equal(seen[s->task.support[2 * k + i]]++, 0);
            for (uint32_t i = 0; i < 4; i++)
                assert_int_equal(seen[s->task.queries[4 * k + i]]++, 0);
        }
    }
    assert_true(differ >= 48);
    scene_close(s);
}

/* Every number of quarter turns comes about equally often, by class and not by task; in evaluation
 * too, where others are drawn. Of 600 draws 150 are expected of each, with a standard deviation of
 * 10.6: 90 is 5.6 of them away. */
static void turns_are_drawn(void **state)
{
    struct scene *s = scene_open(EPISODES("draw"));
    uint32_t first[2][600];

    (void)state;
    for (int evaluate = 0; evaluate < 2; evaluate++) {
        uint32_t counts[4] = {0}, mixed = 0, n = 0;

        s->sampler.purpose = evaluate ? PURPOSE_EVALUATE : PURPOSE_TRAIN;
        for (uint32_t slot = 0; slot < 200; slot++) {
            sampler_draw(&s->sampler, slot, &s->task);
            mixed += s->task.turns[0] != s->task.turns[1];
            for (uint32_t k = 0; k < 3; k++) {
                first[evaluate][n++] = s->task.turns[k];
                counts[s->task.turns[k]]++;
            }
        }
        for (int i = 0; i < 4; i++)
            assert_in_range(counts[i], 90, 210);
        assert_in_range(mixed, 110, 190); /* three in four of 200, 6.1 a standard deviation */
    }
    assert_memory_not_equal(first[0], first[1], sizeof first[0]);
    scene_close(s);
}

/* numpy.rot90(x, turns): one quarter is new[i][j] = old[j][n - 1 - i]. */
static void expect_turned(const real *x, const real *plain, uint32_t turns)
{
    for (int i = 0; i < SIDE; i++)
        for (int j = 0; j < SIDE; j++) {
            int a = i, b = j;

            for (uint32_t t = 0; t < turns; t++) {
                int row = b;

                b = SIDE - 1 - a;
                a = row;
            }
            assert_true(x[i * SIDE + j] == plain[a * SIDE + b]);
        }
}

/* Support and queries of a class are turned alike, and labelled by their place in the task. */
static void turns_reach_support_and_queries(void **state)
{
    struct scene *s = scene_open(EPISODES("draw"));
    const struct data *d = &s->setup.data[0];
    struct episode e;
    real plain[PIXELS];

    (void)state;
    sampler_draw(&s->sampler, 0, &s->task);
    for (uint32_t k = 0; k < 3; k++)
        s->task.turns[k] = k + 1;
    episode_init(&e, d, s->stage->train, false, &s->arena);
    assert_int_equal(episode_read(&e, d, &s->task), 0);
    assert_int_equal(e.support.n, 6);
    assert_int_equal(e.query.n, 9);
    for (uint32_t part = 0; part < 2; part++) {
        const struct batch *b = part ? &e.query : &e.support;
        const uint32_t *ids = part ? s->task.queries : s->task.support, each = 2 + part;

        for (uint32_t i = 0; i < 3 * each; i++) {
            uint32_t k = i / each;

            assert_int_equal(b->label[i], k);
            assert_int_equal(data_read(d, s->task.classes[k], ids[i], 0, plain, NULL), 0);
            expect_turned(b->x + i * PIXELS, plain, k + 1);
        }
    }
    scene_close(s);
}

/* If quarter turns are classes, batches hold the rotated images under the classes of the
 * rotations. */
static void turned_classes_in_batches(void **state)
{
    struct scene *s = scene_open(SET("a", "rotations = \"classes\"") SET(
        "c", "") MODEL "stage s { method = \"pretrain\" data = \"a\" batch = 84 tasks = 1 }\n");
    const struct data *d = &s->setup.data[0];
    struct episode e;
    real plain[PIXELS];

    (void)state;
    assert_int_equal(d->n_classes, 12);
    assert_int_equal(d->n_samples, 84);
    for (uint32_t i = 0; i < 84; i++)
        s->task.source[i] = i;
    s->task.data = 0, s->task.n_source = 84, s->task.n_targets = 0;
    episode_init(&e, d, s->stage->train, false, &s->arena);
    assert_int_equal(episode_read_batch(&e, s->setup.data, &s->task, 0, 84, 0), 0);
    for (uint32_t i = 0; i < 84; i++) { /* image i / 4 of class i / 4 % 3, turned i % 4 times */
        uint32_t image = i / 4;

        assert_int_equal(e.source.label[i], 4 * (image % 3) + i % 4);
        assert_int_equal(data_read(d, 4 * (image % 3), image / 3, 0, plain, NULL), 0);
        expect_turned(e.source.x + i * PIXELS, plain, i % 4);
    }
    scene_close(s);
}

#define TEST(f) cmocka_unit_test(f)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(every_sample_once_an_epoch),
        TEST(orders_are_apart),
        TEST(batches_behind_episodes),
        TEST(steps_of_a_domain),
        TEST(whole_set_once),
        TEST(looks_differ_by_slot),
        TEST(episodes_have_distinct_samples),
        TEST(episodes_of_an_evaluation),
        TEST(turns_are_drawn),
        TEST(turns_reach_support_and_queries),
        TEST(turned_classes_in_batches),
    };

    return cmocka_run_group_tests_name("draws", tests, root_make, root_remove);
}
