/* test_distributions.c - tasks whose way, shot, section and classes are drawn: how often each
 * comes, that it is a pure function of its place, and what is refused. */
#include "tests/lib/draw_scene.h"

#define RANGED(more)                                                                               \
    SET("a", "")                                                                                   \
    MODEL "stage s { method = \"maml\" data = \"a\" way = 2 way_max = 9 shot = 1 "                 \
          "shot_max = 4 query = 5 tasks = 4000 " more " }\n"

/* Way 2 to 9, but there are 3 classes; of 7 samples 3 are queries, so that 4 are left: each way
 * 2,000 times of 4,000, with a standard deviation of 31.6, each shot 1,000 times, 27.4. 180 and 150
 * are 5.5 of them. */
static void sizes_come_equally_often(void **state)
{
    struct scene *s = scene_open(RANGED(""));
    uint32_t ways[10] = {0}, shots[8] = {0}, both = 0;

    (void)state;
    assert_int_equal(s->stage->train.way, 9);
    assert_int_equal(s->stage->net.n_out, 9);
    for (uint32_t slot = 0; slot < 4000; slot++) {
        sampler_draw(&s->sampler, slot, &s->task);
        assert_int_equal(s->task.query, 3);
        assert_int_equal(kind_episode.check(&s->setup, s->stage, &s->task), 0);
        ways[s->task.way]++;
        shots[s->task.shot]++;
        both += s->task.way == 3 && s->task.shot == 4;
    }
    for (int way = 2; way <= 3; way++)
        assert_in_range(ways[way], 1820, 2180);
    for (int shot = 1; shot <= 4; shot++)
        assert_in_range(shots[shot], 850, 1150);
    assert_in_range(both, 385, 615); /* 500, 20.9: they are apart from each other */
    scene_close(s);
}

/* Of 3,000 tasks 1,000 are of a section that weighs 1 of 3, with a standard deviation of 25.8; 142
 * are 5.5 of them. */
static void sections_by_weight(void **state)
{
    struct scene *s = scene_open(
        SET("a", "") SET("b", "") MODEL
        "stage s { method = \"maml\" data = {\"a\", \"b\"} data_weights = {2, 1} way = 3 "
        "shot = 1 query = 2 tasks = 3000 }\n");
    uint32_t of_b = 0, high = 0;

    (void)state;
    for (uint32_t slot = 0; slot < 3000; slot++) {
        sampler_draw(&s->sampler, slot, &s->task);
        assert_in_range(s->task.data, 0, 1);
        assert_int_equal(kind_episode.check(&s->setup, s->stage, &s->task), 0);
        of_b += s->task.data;
        for (uint32_t i = 0; i < 3; i++) /* b has 13 images of 3 classes, a has 21 */
            high += s->task.data == 0 && s->task.support[i] > 4;
    }
    assert_in_range(of_b, 858, 1142);
    assert_true(high > 0);
    s->task.data = 2;
    assert_int_equal(kind_episode.check(&s->setup, s->stage, &s->task), ERR_DATA);
    assert_int_equal(s->stage->n_evaluate, 2);
    scene_close(s);
}

/* `b` has 13 images of classes 0, 1, 2 in turn: 5, 4 and 4. Of 2,600 tasks of 2 classes, the first
 * is class 0 in 1,000, with a standard deviation of 24.8; 137 are 5.5 of them. Natural draws are of
 * training alone. */
static void classes_by_size(void **state)
{
    struct scene *s =
        scene_open(SET("b", "") MODEL "stage s { method = \"maml\" data = \"b\" way = 2 shot = 1 "
                                      "query = 2 tasks = 2600 draw = \"natural\" }\n");
    uint32_t first[3] = {0}, evaluated[3] = {0};

    (void)state;
    for (uint32_t slot = 0; slot < 2600; slot++) {
        s->sampler.purpose = PURPOSE_TRAIN;
        sampler_draw(&s->sampler, slot, &s->task);
        assert_int_not_equal(s->task.classes[0], s->task.classes[1]);
        first[s->task.classes[0]]++;
        s->sampler.purpose = PURPOSE_EVALUATE;
        sampler_draw(&s->sampler, slot, &s->task);
        evaluated[s->task.classes[0]]++;
    }
    assert_in_range(first[0], 863, 1137);
    for (int k = 1; k < 3; k++)
        assert_in_range(first[k], 668, 932); /* 800, 23.5 */
    for (int k = 0; k < 3; k++)
        assert_in_range(evaluated[k], 735, 998); /* 866.7, 24 */
    scene_close(s);
}

/* 13 images of 3 classes in batches of 4: after 3 n draws each class came n times; each of its
 * images once before any comes again; classes and images in other orders each time. Quarter turns
 * as classes: 12 of them. */
static void balanced_batches(void **state)
{
    (void)state;
    for (uint32_t turned = 0; turned < 2; turned++) {
        struct scene *s =
            scene_open(turned ? SET("b", "rotations = \"classes\"") MODEL
                           "stage s { method = \"pretrain\" data = \"b\" batch = 4 tasks = 3 "
                           "rounds = 99 draw = \"balanced\" }\n"
                              : SET("b", "") MODEL
                           "stage s { method = \"pretrain\" data = \"b\" batch = 4 tasks = 3 "
                           "rounds = 99 draw = \"balanced\" }\n");
        uint32_t classes = turned ? 12 : 3, counts[12] = {0}, seen[MOST] = {0}, moved = 0;
        struct drawn source, target;

        draw_rounds(s, 60, 0, 3, &source, &target);
        for (uint32_t i = 0; i < source.n; i++) {
            uint32_t k, id = source.ids[i];

            assert_int_equal(data_label_flat(&s->setup.data[s->stage->data], id, &k), 0);
            assert_int_equal(counts[k]++, i / classes);
            assert_int_equal(seen[id]++, i / classes / data_class_size(&s->setup.data[0], k));
            moved += k != i % classes;
        }
        assert_int_equal(source.n, 720);
        assert_true(moved > source.n / 3);
        scene_close(s);
    }
}

/* One image is of one class: the other two have none to draw. */
static void balanced_needs_all_classes(void **state)
{
    static const char text[] = SET("b", "subset = 1") MODEL
        "stage s { method = \"pretrain\" data = \"b\" batch = 1 tasks = 1 draw = \"balanced\" }\n";
    struct config config;
    struct setup setup;

    (void)state;
    put_images("b", 13);
    assert_int_equal(config_parse(&config, text, "text", NULL, 0, stage_owner), 0);
    assert_int_equal(setup_open(&setup, &config, root, method_traits_of), ERR_CONFIG);
    assert_non_null(strstr(err_text(), "of data 'b' has no samples for a balanced draw"));
    config_release(&config);
}

/* Support and queries of a capped task share no sample, and are others in each slot; the same slot
 * is the same task, and another round another. */
static void sizes_are_pure(void **state)
{
    struct scene *s = scene_open(RANGED(""));
    uint32_t sizes[2][40], n = 0;

    (void)state;
    for (int pass = 0; pass < 2; pass++, n = 0)
        for (uint32_t slot = 20; slot-- > 0;) {
            uint32_t at = pass ? 19 - slot : slot;

            sampler_draw(&s->sampler, at, &s->task);
            sizes[pass][at] = s->task.way << 8 | s->task.shot;
            sizes[pass][20 + at] = s->task.support[0];
            for (uint32_t i = 0; i < s->task.shot; i++)
                for (uint32_t q = 0; q < 3; q++)
                    assert_int_not_equal(s->task.support[i], s->task.queries[q]);
        }
    assert_memory_equal(sizes[0], sizes[1], sizeof sizes[0]);
    s->sampler.round = 2;
    for (uint32_t slot = 0; slot < 20; slot++) {
        sampler_draw(&s->sampler, slot, &s->task);
        n += sizes[0][slot] != (s->task.way << 8 | s->task.shot);
    }
    assert_true(n > 8);
    scene_close(s);
}

/* What is not of the stage's ranges is refused, as a file could have it. */
static void sizes_beyond_are_refused(void **state)
{
    struct scene *s = scene_open(RANGED(""));
    uint32_t *const sizes[] = {&s->task.way, &s->task.shot, &s->task.query};
    static const uint32_t wrong[][2] = {{1, 10}, {0, 5}, {0, 6}};

    (void)state;
    for (int i = 0; i < 6; i++) {
        sampler_draw(&s->sampler, 0, &s->task);
        *sizes[i / 2] = wrong[i / 2][i % 2];
        assert_int_equal(kind_episode.check(&s->setup, s->stage, &s->task), ERR_DATA);
        assert_non_null(strstr(err_text(), "stage 's' has 2 to 9, 1 to 4, 1 to 5"));
    }
    scene_close(s);
}

#define TEST(f) cmocka_unit_test(f)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(sizes_come_equally_often),   TEST(sizes_are_pure),  TEST(sizes_beyond_are_refused),
        TEST(sections_by_weight),         TEST(classes_by_size), TEST(balanced_batches),
        TEST(balanced_needs_all_classes),
    };

    return cmocka_run_group_tests_name("distributions", tests, root_make, root_remove);
}
