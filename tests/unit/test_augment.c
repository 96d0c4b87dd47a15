/* test_augment.c - images changed in training: each change beside its formula, whose place in a run
 * decides, and that evaluation and watching see images as they are. */
#include "tests/lib/class_images.h"

#include <math.h>

#include "core/data/augment.h"
#include "core/plan/sampler.h"
#include "worker/engine.h"
#include "worker/method/table.h"

/* ---- one image ---- */

enum { ROWS = 5, COLUMNS = 4, CHANNELS = 3, VALUES = ROWS * COLUMNS * CHANNELS };

static const struct shape shape = {ROWS, COLUMNS, CHANNELS};

static void fill(real *x)
{
    for (int i = 0; i < VALUES; i++)
        x[i] = (real)(i * 37 % 101) / 128;
}

static struct rng batch_of(uint32_t slot)
{
    struct rng r;

    rng_init(&r, 3, RNG_AUGMENT, 1, slot);
    return r;
}

/* u of 0..1, the k-th number of image i: docs/data.md. */
static double uniform(const struct rng *batch, uint32_t i, int k)
{
    uint32_t words[8];

    rng_words(batch, 2 * i, 2, words);
    return words[k] * 0x1p-32;
}

static int reflect(int i, int n)
{
    return abs(i) < n ? abs(i) : 2 * (n - 1) - i;
}

/* The formulas of docs/data.md, pixel by pixel. */
static void plain(const struct augment *a, const struct rng *batch, uint32_t i, const real *from,
                  double *x)
{
    int down = (int)floor(uniform(batch, i, 0) * (2 * a->crop + 1)) - a->crop;
    int right = (int)floor(uniform(batch, i, 1) * (2 * a->crop + 1)) - a->crop;
    bool flip = a->flip && uniform(batch, i, 2) >= 0.5;
    double b = 1 + a->brightness * (2 * uniform(batch, i, 3) - 1), mean = 0;
    double c = 1 + a->contrast * (2 * uniform(batch, i, 4) - 1);

    for (int p = 0; p < VALUES; p++) {
        int row = p / CHANNELS / COLUMNS, column = p / CHANNELS % COLUMNS;

        column = flip ? COLUMNS - 1 - column : column;
        x[p] = from[(reflect(row + down, ROWS) * COLUMNS + reflect(column + right, COLUMNS)) *
                        CHANNELS +
                    p % CHANNELS];
        x[p] = fmin(1, fmax(0, b * x[p]));
        mean += x[p] / VALUES;
    }
    for (int p = 0; p < VALUES; p++)
        x[p] = fmin(1, fmax(0, mean + c * (x[p] - mean)));
}

/* Each change alone, and all of them, for many images of several batches. */
static void formulas(void **state)
{
    static const struct augment each[] = {
        {.crop = 3},
        {.flip = true},
        {.brightness = 0.8},
        {.contrast = 1},
        {.crop = 2, .flip = true, .brightness = 1, .contrast = 0.5}};
    real from[VALUES], x[VALUES + 1], room[VALUES];
    double wanted[VALUES];

    (void)state;
    fill(from);
    for (uint32_t n = 0; n < 5 * 40; n++) {
        const struct augment *a = &each[n % 5];
        struct rng batch = batch_of(n / 20);

        memcpy(x, from, sizeof from);
        x[VALUES] = 7;
        augment_image(a, shape, &batch, n, x, room);
        plain(a, &batch, n, from, wanted);
        for (int p = 0; p < VALUES; p++)
            assert_true(fabs(x[p] - wanted[p]) <= 4 * REAL_EPS);
        assert_true(x[VALUES] == 7);
    }
}

/* Of 2,000 images each move of -2 .. 2 comes 400 times, with a standard deviation of 18, and half
 * are flipped, 22. 100 and 120 are 5.5 of them. */
static void moves_come_equally_often(void **state)
{
    struct augment a = {.crop = 2, .flip = true};
    uint32_t moves[5] = {0}, flips = 0;
    struct rng batch = batch_of(0);

    (void)state;
    for (uint32_t i = 0; i < 2000; i++) {
        real x[25], room[25];

        for (int k = 0; k < 25; k++)
            x[k] = (real)k;
        augment_image(&a, (struct shape){5, 5, 1}, &batch, i, x, room);
        moves[(int)x[12] / 5]++;
        flips += x[12] < x[11];
    }
    for (int k = 0; k < 5; k++)
        assert_in_range(moves[k], 300, 500);
    assert_in_range(flips, 880, 1120);
}

static void what_is_not_finite_stays(void **state)
{
    struct augment a = {.brightness = 0.5, .contrast = 0.5};
    real x[VALUES], room[VALUES];
    struct rng batch = batch_of(0);

    (void)state;
    fill(x);
    x[7] = (real)NAN;
    augment_image(&a, shape, &batch, 0, x, room);
    assert_true(isnan(x[7]));
}

/* ---- who sees it ---- */

#define TEXT                                                                                       \
    "data a { format = \"npy\" path = \"a.npy\" labels = \"a-y.npy\" }\n"                          \
    "data b { format = \"npy\" path = \"b.npy\" labels = \"b-y.npy\" }\n"                          \
    "model { type = \"mlp\" widths = {\"4\"} }\n"                                                  \
    "stage few { method = \"maml\" data = \"a\" way = 3 shot = 2 query = 3 " AUGMENT " }\n"        \
    "stage first { method = \"pretrain\" data = \"a\" batch = 4 " AUGMENT " }\n"                   \
    "stage one { method = \"adda\" data = \"a\" target = {\"b\"} batch = 4 anchor = \"first\" "    \
    "start = \"first\" discriminator = {\"4\"} " AUGMENT " }\n"                                    \
    "stage each { method = \"adda\" data = \"a\" target = {\"a\", \"b\"} batch = 4 steps = 2 "     \
    "anchor = \"first\" start = \"first\" discriminator = {\"4\"} " AUGMENT " }\n"
#define AUGMENT "augment_crop = 2 augment_flip = true augment_contrast = 0.5"

struct scene {
    struct config config;
    struct setup setup;
    struct engine engine;
};

static void scene_open(struct scene *s, const char *text)
{
    put_images("a", 21);
    put_images("b", 13);
    if (config_parse(&s->config, text, "text", NULL, 0, stage_owner) ||
        setup_open(&s->setup, &s->config, root, method_traits_of) ||
        engine_open(&s->engine, &s->setup))
        fail_msg("%s", err_text());
}

static void scene_close(struct scene *s)
{
    engine_close(&s->engine);
    setup_close(&s->setup);
    config_release(&s->config);
}

/* Whether x is image `index`: as it is, or as the stage changes image i of a part in a step. */
static bool is_image(const struct stage *stage, const struct data *d, uint32_t index,
                     const struct task *t, int step, int part, uint32_t i, const real *x)
{
    real wanted[PIXELS], room[PIXELS];
    struct rng batch;

    assert_int_equal(data_read_flat(d, index, wanted), 0);
    rng_init(&batch, t->seed, RNG_AUGMENT + 256 * (uint32_t)(4 * step + part), t->round, t->slot);
    if (part >= 0)
        augment_image(&stage->augment, d->shape, &batch, i, wanted, room);
    return memcmp(x, wanted, sizeof wanted) == 0;
}

/* The engine's samples after it has run the task of slot 1; image k of class c is image 3 k + c.
 * `changed`: the changes of `step` are in each of them. */
static void expect_samples(struct scene *s, int stage_index, enum purpose purpose, bool changed,
                           int step)
{
    const struct stage *stage = &s->setup.stages[stage_index];
    struct engine *e = &s->engine;
    struct arena arena;
    struct task t;
    real theta[4096] = {0}, state[3 * 4096] = {0};
    struct sampler sampler =
        sampler_of_round(&s->setup, stage, purpose, purpose == PURPOSE_WATCH ? 1 : 0, 5, 4);
    const struct data *a = &s->setup.data[0], *b = &s->setup.data[1];

    assert_int_equal(arena_init(&arena, 1 << 20), 0);
    task_init(&t, task_size_most(stage->train, stage->evaluate), &arena);
    sampler_draw(&sampler, 1, &t);
    engine_begin(e, stage, purpose, theta);
    assert_int_equal(engine_run(e, &t, theta, stage->steps ? state : NULL), 0);
    for (uint32_t i = 0; i < t.way * t.shot; i++)
        assert_true(is_image(stage, a, 3 * t.support[i] + t.classes[i / t.shot], &t, 0,
                             changed ? 0 : -1, i, e->episode.x[0] + i * PIXELS));
    for (uint32_t i = 0; i < t.way * t.query; i++)
        assert_true(is_image(stage, a, 3 * t.queries[i] + t.classes[i / t.query], &t, 0,
                             changed ? 1 : -1, i, e->episode.x[1] + i * PIXELS));
    for (uint32_t i = 0; t.n_source && i < 4; i++)
        assert_true(is_image(stage, a, t.source[4 * step + (int)i], &t, step, changed ? 2 : -1, i,
                             e->episode.x[2] + i * PIXELS));
    for (uint32_t i = 0; t.n_targets && i < 4; i++)
        assert_true(is_image(stage, b, t.targets[4 * step + (int)i], &t, step, changed ? 3 : -1, i,
                             e->episode.x[3] + i * PIXELS));
    arena_release(&arena);
}

/* Support, queries, batches of both domains and of each step; evaluation and watching beside
 * them, on work space that training has just used. */
static void training_alone(void **state)
{
    struct scene s;

    (void)state;
    scene_open(&s, TEXT);
    expect_samples(&s, 0, PURPOSE_TRAIN, true, 0);
    expect_samples(&s, 0, PURPOSE_EVALUATE, false, 0);
    expect_samples(&s, 1, PURPOSE_TRAIN, true, 0);
    expect_samples(&s, 2, PURPOSE_TRAIN, true, 0);
    expect_samples(&s, 2, PURPOSE_WATCH, false, 0);
    expect_samples(&s, 3, PURPOSE_TRAIN, true, 1);
    scene_close(&s);
}

static void refused(void **state)
{
    static const char *const texts[][2] = {
        {"data a { format = \"sinusoid\" } stage s { method = \"maml\" data = \"a\" "
         "augment_flip = true }",
         "stage 's': only images can be augmented, data 'a' has 1 x 1"},
        {"data a { format = \"glyphs\" size = 14 } stage s { method = \"maml\" data = \"a\" "
         "augment_crop = 14 }",
         "stage 's': augment_crop is 14, data 'a' has 14 x 14 pixels"},
    };

    (void)state;
    for (int i = 0; i < 2; i++) {
        struct config config;
        struct setup setup;

        assert_int_equal(config_parse(&config, texts[i][0], "text", NULL, 0, stage_owner), 0);
        assert_int_equal(setup_open(&setup, &config, root, method_traits_of), ERR_CONFIG);
        assert_string_equal(err_text(), texts[i][1]);
        config_release(&config);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(formulas),
        cmocka_unit_test(moves_come_equally_often),
        cmocka_unit_test(what_is_not_finite_stays),
        cmocka_unit_test(training_alone),
        cmocka_unit_test(refused),
    };

    return cmocka_run_group_tests_name("augment", tests, root_make, root_remove);
}
