/* test_stage.c - what a stage makes of its keys, key by key; what the plan of it says; the memory
 * that is planned. */
#include "tests/lib/data_files.h"

#include <math.h>

#include "core/plan/sampler.h"
#include "launch/plan.h"
#include "worker/engine.h"

#define DATA                                                                                       \
    "data a { format = \"glyphs\" size = 12 first = 3 }\n"                                         \
    "data b { format = \"glyphs\" size = 12 first = 3 style = \"outline\" }\n"                     \
    "data c { format = \"glyphs\" size = 12 first = 3 style = \"chalk\" domain = \"b\" }\n"        \
    "model { type = \"mlp\" widths = {\"4\"} }\n"
#define FIRST "stage first { method = \"pretrain\" data = \"a\" batch = 4 }\n"

static struct solo *open_solo(const char *text)
{
    struct solo *s = calloc(1, sizeof *s);
    struct options o = {.data_root = root};

    assert_non_null(s);
    if (solo_open_text(s, &o, text, "text") < 0)
        fail_msg("%s", err_text());
    return s;
}

static void close_solo(struct solo *s)
{
    solo_close(s);
    free(s);
}

/* What the plan prints. */
static const char *plan_of(const struct solo *s)
{
    static char text[16384];
    FILE *f = tmpfile();
    int was = dup(STDOUT_FILENO);
    size_t n;

    assert_non_null(f);
    fflush(stdout);
    dup2(fileno(f), STDOUT_FILENO);
    assert_int_equal(plan_print(s), 0);
    fflush(stdout);
    dup2(was, STDOUT_FILENO);
    close(was);
    rewind(f);
    n = fread(text, 1, sizeof text - 1, f);
    text[n] = '\0';
    fclose(f);
    return text;
}

static void has(const char *text, const char *part)
{
    if (!strstr(text, part))
        fail_msg("'%s' is not in\n%s", part, text);
}

/* ---- the optimizer ---- */

static void every_key_of_the_optimizer_arrives(void **state)
{
    struct solo *s = open_solo(
        DATA "stage s { method = \"pretrain\" data = \"a\" optimizer = \"sgd\" rate = 0.25 "
             "momentum = 0.75 beta1 = 0.625 beta2 = 0.875 epsilon = 0.125 weight_decay = 0.0625 "
             "clip = 3 schedule = \"step\" rate_end = 0.03125 step_every = 7 step_factor = 0.375 "
             "rounds = 19 warm_up = 5 body_rate = 0.5 }\n");
    const struct optim_spec *o = &s->stage->optim;

    (void)state;
    assert_string_equal(o->name, "sgd");
    assert_string_equal(o->schedule, "step");
    assert_true(o->rate == 0.25 && o->momentum == 0.75 && o->beta1 == 0.625 && o->beta2 == 0.875);
    assert_true(o->epsilon == 0.125 && o->weight_decay == 0.0625 && o->clip == 3);
    assert_true(o->rate_end == 0.03125 && o->step_every == 7 && o->step_factor == 0.375);
    assert_int_equal(o->rounds, 19);
    assert_int_equal(o->warm_up, 5);
    assert_true(o->factor[ROLE_BODY] == 0.5 && o->factor[ROLE_HEAD] == 1);
    assert_true(o->factor[ROLE_OLD] == 1 && o->factor[ROLE_DISCRIMINATOR] == 1);
    close_solo(s);
}

/* Adam's beta1 is 0.9, of adda 0.5; its discriminator has a rate of its own, or that of the
 * rest. */
static void beta1_and_the_discriminator(void **state)
{
    struct solo *s =
        open_solo(DATA FIRST "stage s { method = \"adda\" data = \"a\" target = {\"b\"} rate = "
                             "0.5 discriminator_rate = 0.125 discriminator = {\"4\"} }\n");

    (void)state;
    assert_true(s->setup.stages[0].optim.beta1 == 0.9);
    assert_true(s->stage->optim.beta1 == 0.5);
    assert_true(s->stage->optim.factor[ROLE_DISCRIMINATOR] == 0.25);
    close_solo(s);
}

/* 1/4 of the way, half of it, all: the formulas of docs/configuration.md. */
static void weights_over_the_rounds(void **state)
{
    static const struct {
        const char *schedule;
        double at[3]; /* rounds 1, 3, 5 of 5 */
    } rows[] = {{"constant", {3, 3, 3}},
                {"linear", {3, 5, 7}},
                {"rise",
                 {0, 3 * (2 / (1 + 0.018315638888734179) - 1), /* exp(-4), exp(-8) */
                  3 * (2 / (1 + 3.3546262790251185e-4) - 1)}}};

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct solo *s;
        char text[1024];

        snprintf(text, sizeof text,
                 DATA "stage s { method = \"dan\" data = \"a\" target = {\"b\"} rounds = 5 weight "
                      "= 3 weight_end = 7 weight_schedule = \"%s\" }\n",
                 rows[i].schedule);
        s = open_solo(text);
        for (int k = 0; k < 3; k++)
            assert_true(fabs(stage_weight(s->stage, 1 + 2 * (uint64_t)k) - rows[i].at[k]) < 1e-12);
        close_solo(s);
    }
}

/* ---- what it draws and measures ---- */

static void sizes_of_batches(void **state)
{
    struct solo *s = open_solo(DATA "stage s { method = \"dan\" data = \"a\" target = {\"b\"} "
                                    "batch = 6 target_batch = 10 tasks = 3 }\n");

    (void)state;
    assert_int_equal(s->stage->batch, 6);
    assert_int_equal(s->stage->target_batch, 10);
    assert_int_equal(s->stage->n_tasks, 3);
    assert_int_equal(kind_episode.count(s->stage, 0), 0);
    assert_int_equal(kind_batch.count(s->stage, 0), 3);
    close_solo(s);
    s = open_solo(DATA "stage s { method = \"dan\" data = \"a\" target = {\"b\"} batch = 6 }\n");
    assert_int_equal(s->stage->target_batch, 6);
    close_solo(s);
}

static void sizes_of_episodes(void **state)
{
    struct solo *s =
        open_solo(DATA "stage s { method = \"maml\" data = \"a\" way = 3 shot = 2 query = 5 tasks "
                       "= 7 inner_steps = 4 }\nevaluate { steps = 2 query = 3 episodes = 9 }\n");

    (void)state;
    assert_int_equal(kind_episode.count(s->stage, 0), 7);
    assert_int_equal(s->stage->train.way, 3);
    assert_int_equal(s->stage->train.shot, 2);
    assert_int_equal(s->stage->train.query, 5);
    assert_int_equal(s->stage->evaluate.query, 3);
    assert_int_equal(s->stage->evaluate_steps, 2);
    assert_int_equal(stage_query(&s->setup, s->stage, 0), 3);
    assert_int_equal(s->stage->measured->amount(&s->setup, s->stage, 0, 9), 9);
    close_solo(s);
    s = open_solo(DATA "stage s { method = \"maml\" data = \"a\" way = 3 query = 5 inner_steps = 4 "
                       "}\n");
    assert_int_equal(stage_query(&s->setup, s->stage, 0), 5);
    assert_int_equal(s->stage->evaluate_steps, 4);
    close_solo(s);
}

/* A class must fill support and queries: 4 images do for 1 and 3, not for 2 and 3. */
static void classes_fill_support_and_queries(void **state)
{
    struct options o = {.data_root = root};
    uint8_t x[8 * 4] = {0}, y[8] = {0, 0, 0, 0, 1, 1, 1, 1};

    (void)state;
    put_npy("x.npy", "|u1", "8, 2, 2", x, sizeof x);
    put_npy("y.npy", "|u1", "8,", y, sizeof y);
    for (int shot = 1; shot <= 2; shot++) {
        struct solo s;
        char text[512];

        snprintf(text, sizeof text,
                 "data d { format = \"npy\" path = \"x.npy\" labels = \"y.npy\" }\n"
                 "model { type = \"mlp\" widths = {\"4\"} }\n"
                 "stage s { data = \"d\" way = 2 shot = %d query = 3 }\n",
                 shot);
        if (shot == 1) {
            assert_int_equal(solo_open_text(&s, &o, text, "text"), 0);
            solo_close(&s);
            continue;
        }
        assert_int_equal(solo_open_text(&s, &o, text, "text"), ERR_CONFIG);
        assert_non_null(strstr(err_text(), "has 4 samples, shot + query needs 5"));
    }
}

/* What a stage is measured on: its own list, else the run's, else its targets, else its data. */
static void measured_on(const char *stage, const char *evaluate, int n, int first)
{
    char text[1024];
    struct solo *s;

    snprintf(text, sizeof text, DATA FIRST "stage s { data = \"a\" %s }\nevaluate { %s }\n", stage,
             evaluate);
    s = open_solo(text);
    assert_int_equal(s->stage->n_evaluate, n);
    assert_int_equal(s->stage->evaluate_data[0], first);
    close_solo(s);
}

static void what_is_measured(void **state)
{
    (void)state;
    measured_on("method = \"dan\" target = {\"b\"} evaluate = {\"c\", \"a\"}", "data = {\"a\"}", 2,
                2);
    measured_on("method = \"dan\" target = {\"b\"}", "data = {\"c\"}", 1, 2);
    measured_on("method = \"dan\" target = {\"b\"}", "", 1, 1);
    measured_on("method = \"pretrain\"", "", 1, 0);
}

/* Each target has a model, and a section is measured with that of its domain. */
static void models_of_domains(void **state)
{
    struct solo *s = open_solo(
        DATA FIRST "stage s { method = \"adda\" data = \"a\" target = {\"a\", \"b\"} batch = 4 "
                   "steps = 3 rounds = 5 discriminator = {\"4\"} evaluate = {\"b\", \"c\"} }\n");

    (void)state;
    assert_int_equal(s->stage->n_models, 2);
    assert_int_equal(stage_model(&s->setup, s->stage, 0), 0);
    assert_int_equal(stage_model(&s->setup, s->stage, 1), 1);
    assert_int_equal(stage_model(&s->setup, s->stage, 2), 1); /* c is measured as b */
    assert_int_equal(s->stage->layout.n, 2 * s->stage->model.n);
    assert_int_equal(s->stage->optim.rounds, 15);
    close_solo(s);
}

static void old_data_of_lwf(void **state)
{
    struct solo *s =
        open_solo(DATA FIRST "stage s { method = \"lwf\" data = \"b\" old = {\"a\"} evaluate = "
                             "{\"a\", \"b\"} }\n");

    (void)state;
    assert_true(stage_measures_old(s->stage, 0));
    assert_false(stage_measures_old(s->stage, 1));
    close_solo(s);
}

/* Named, or the one before. */
static void where_it_starts(void **state)
{
    struct solo *s =
        open_solo(DATA FIRST "stage second { method = \"pretrain\" data = \"b\" }\n"
                             "stage third { method = \"kd\" data = \"a\" start = \"first\" "
                             "anchor = \"first\" }\n"
                             "stage fourth { method = \"kd\" data = \"a\" }\n");

    (void)state;
    assert_int_equal(s->setup.stages[0].start, -1);
    assert_int_equal(s->setup.stages[1].start, 0);
    assert_int_equal(s->setup.stages[1].anchor, -1);
    assert_int_equal(s->setup.stages[2].start, 0);
    assert_int_equal(s->setup.stages[2].anchor, 0);
    assert_int_equal(s->setup.stages[3].start, 2);
    assert_int_equal(s->setup.stages[3].anchor, 2);
    close_solo(s);
}

/* ---- what the plan says ---- */

/* fc1 144 x 4 + 4, head 4 x 3 + 3: 595 each, of two models 1,190; discriminator 4 x 4 + 4, 4 x 2 +
 * 2: 30. */
static void the_plan_is_told(void **state)
{
    struct solo *s = open_solo(
        DATA FIRST "stage s { method = \"adda\" data = \"a\" target = {\"b\", \"c\"} batch = 4 "
                   "target_batch = 6 steps = 3 rounds = 5 discriminator = {\"4\"} evaluate = "
                   "{\"b\"} rate = 0.5 }\n");
    const char *text = plan_of(s);

    (void)state;
    has(text, "data 'a': glyphs, 3 classes");
    has(text, " of 12 x 12 x 1");
    has(text, "stage 'first': pretrain on 'a', 32 batches of 4 x 1000 rounds\n");
    has(text, "  595 parameters, loss cross_entropy, ");
    has(text, "  hands over to: 's' (start and anchor)\n");
    has(text, "stage 's': adda on 'a' to 'b', 'c', 2 domain models, 3 steps each of 4 + 6 samples");
    has(text, "  1250 parameters, loss cross_entropy, ");
    has(text, "at most 2 workers have a task at the same time\n");
    close_solo(s);
}

static void what_learns_is_told(void **state)
{
    struct solo *s = open_solo(DATA FIRST "stage s { method = \"finetune\" data = \"b\" body_rate "
                                          "= 0 warm_up = 3 rate = 0.5 tasks = 9 }\n");
    const char *text = plan_of(s);

    (void)state;
    has(text, "  adam at 0.5, constant; learns: head; frozen: body; warm-up of 3 rounds: only the "
              "head\n");
    has(text, "  starts from stage 'first'; initialised: head.weight, head.bias\n");
    has(text, "at most 9 workers have a task at the same time\n");
    close_solo(s);
    s = open_solo(DATA FIRST
                  "stage s { method = \"finetune\" data = \"b\" body_rate = 0.25 rate = 0.5 }\n");
    has(plan_of(s), "; learns: body (at 0.125), head\n");
    close_solo(s);
}

/* Parameters of one size and another shape are initialised, and said to be: [4, 6] and [6, 4]. */
static void another_shape_is_told(void **state)
{
    uint8_t x[24] = {0}, y[4] = {0, 1, 0, 1};
    struct solo *s;

    (void)state;
    put_npy("x.npy", "|u1", "4, 2, 3", x, 24);
    put_npy("z.npy", "|u1", "4, 2, 2", x, 16);
    put_npy("y.npy", "|u1", "4,", y, sizeof y);
    s = open_solo("data x { format = \"npy\" path = \"x.npy\" labels = \"y.npy\" }\n"
                  "data z { format = \"npy\" path = \"z.npy\" labels = \"y.npy\" }\n"
                  "model one { type = \"mlp\" widths = {\"4\"} }\n"
                  "model two { type = \"mlp\" widths = {\"6\"} }\n"
                  "stage a { method = \"pretrain\" data = \"x\" model = \"one\" batch = 4 }\n"
                  "stage b { method = \"pretrain\" data = \"z\" model = \"two\" batch = 4 }\n");
    has(plan_of(s), "  starts from stage 'a'; initialised: fc1.weight, fc1.bias, head.weight\n");
    close_solo(s);
}

/* What is planned is taken, to the byte, by training and evaluation; and that is what the plan
 * prints. */
/* Lists are as long as what is in them, and none of them lies in these. */
_Static_assert(sizeof(struct layout) <= 64, "segments are a list of their own");
_Static_assert(sizeof(struct net) <= 128, "layers are a list of their own");
_Static_assert(sizeof(struct stage) <= 1152,
               "networks beside the main one are a list of their own");
_Static_assert(sizeof(struct tape) <= 128, "activations are a list of their own");

static void memory_is_what_is_taken(void **state)
{
    struct solo *s = open_solo(
        "data d { format = \"glyphs\" size = 28 }\nmodel { type = \"conv4\" filters = 16 }\n"
        "stage s { method = \"maml\" data = \"d\" way = 5 shot = 1 query = 15 inner_steps = 3 }\n");
    struct sampler sampler = {&s->setup, s->stage, 0, PURPOSE_TRAIN, 1};
    struct arena arena;
    struct engine e;
    struct task t;
    size_t planned = engine_size(&s->setup), most = 0;
    real *theta;
    char line[80];

    (void)state;
    assert_int_equal(arena_init(&arena, 1 << 24), 0);
    task_init(&t, engine_task_size(s->stage), &arena);
    theta = arena_reals(&arena, s->stage->layout.n);
    layout_init(&s->stage->layout, 1, 0, theta);
    assert_int_equal(engine_open(&e, &s->setup), 0);
    for (int purpose = PURPOSE_TRAIN; purpose <= PURPOSE_EVALUATE; purpose++) {
        sampler.purpose = (enum purpose)purpose;
        sampler.round = purpose == PURPOSE_TRAIN;
        sampler_draw(&sampler, 0, &t);
        engine_begin(&e, s->stage, (enum purpose)purpose, NULL);
        assert_int_equal(engine_run(&e, &t, theta, NULL), 0);
        most = e.arena.peak > most ? e.arena.peak : most;
    }
    assert_int_equal(most, planned);
    snprintf(line, sizeof line, "  %-18s %12.2f", "work space",
             (double)(most + sizeof e) / 1024 / 1024);
    has(plan_of(s), line);
    assert_true(planned > 3 * 80 * 28 * 28 * sizeof(real)); /* more than the inputs of the steps */
    engine_close(&e);
    arena_release(&arena);
    close_solo(s);
}

#define TEST(f) cmocka_unit_test(f)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(every_key_of_the_optimizer_arrives),
        TEST(beta1_and_the_discriminator),
        TEST(weights_over_the_rounds),
        TEST(sizes_of_batches),
        TEST(sizes_of_episodes),
        TEST(classes_fill_support_and_queries),
        TEST(what_is_measured),
        TEST(models_of_domains),
        TEST(old_data_of_lwf),
        TEST(where_it_starts),
        TEST(the_plan_is_told),
        TEST(what_learns_is_told),
        TEST(another_shape_is_told),
        TEST(memory_is_what_is_taken),
    };

    return cmocka_run_group_tests_name("stage", tests, root_make, root_remove);
}
