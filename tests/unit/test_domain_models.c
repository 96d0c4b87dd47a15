/* test_domain_models.c - tasks on batches and domain models that do not fit are refused, by workers
 * and by the coordinator; a target's batch has no labels. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "coordinator/crew/crew_internal.h"
#include "core/base/err.h"
#include "worker/engine.h"
#include "worker/method/table.h"
#include "worker/serve.h"

static const char text[] =
    "cluster { threads = 1 lease = 10 start_limit = 20 }\n"
    "data ink { format = \"glyphs\" size = 12 first = 2 }\n"
    "data chalk { format = \"glyphs\" size = 12 first = 2 style = \"chalk\" }\n"
    "data thick { format = \"glyphs\" size = 12 first = 2 style = \"thick\" }\n"
    "data large { format = \"glyphs\" size = 64 first = 9 }\n"
    "model { type = \"mlp\" widths = {\"4\"} }\n"
    "evaluate { batch = 4 }\n"
    "stage source { method = \"pretrain\" data = \"ink\" batch = 4 }\n"
    "stage big { method = \"pretrain\" data = \"large\" batch = 4 }\n"
    "stage domains { method = \"adda\" data = \"ink\" start = \"source\" anchor = \"source\"\n"
    "  target = {\"chalk\", \"thick\"} batch = 4 target_batch = 3 steps = 5 discriminator = "
    "{\"4\"} }\n";

enum { INK, CHALK, THICK, LARGE };

struct place {
    struct config config;
    struct setup setup;
    const struct stage *stage;
    struct engine engine;
    struct arena arena;
    struct task task;
    real *state, *anchor; /* owned */
};

static struct place *place_open(void)
{
    struct place *p = calloc(1, sizeof *p);
    size_t n;

    assert_non_null(p);
    assert_int_equal(config_parse(&p->config, text, "text", NULL, 0, stage_owner), 0);
    if (setup_open(&p->setup, &p->config, "", method_traits_of) < 0)
        fail_msg("%s", err_text());
    p->stage = &p->setup.stages[2];
    n = task_state_size(p->stage);
    p->state = calloc(n, sizeof(real));
    p->anchor = calloc(p->stage->net.layout.n, sizeof(real));
    assert_true(p->state && p->anchor);
    layout_init(&p->stage->model, 1, 2, p->state);
    layout_init(&p->stage->net.layout, 1, 0, p->anchor);
    assert_int_equal(engine_open(&p->engine, &p->setup), 0);
    assert_int_equal(arena_init(&p->arena, 1 << 20), 0);
    task_init(&p->task, engine_task_size(p->stage), &p->arena);
    return p;
}

static void place_close(struct place *p)
{
    engine_close(&p->engine);
    arena_release(&p->arena);
    setup_close(&p->setup);
    config_release(&p->config);
    free(p->state);
    free(p->anchor);
    free(p);
}

static void draw(struct place *p, enum purpose purpose, int data)
{
    struct sampler s = {&p->setup, p->stage, data, purpose, purpose == PURPOSE_TRAIN, 8};

    sampler_draw(&s, 1, &p->task);
    engine_begin(&p->engine, p->stage, purpose, p->anchor);
}

static int run(struct place *p, enum purpose purpose)
{
    return engine_run(&p->engine, &p->task, p->state, purpose == PURPOSE_TRAIN ? p->state : NULL);
}

/* With one field changed the task is refused by name, and computed again when it is back. */
#define REFUSED(p, purpose, field, value)                                                          \
    do {                                                                                           \
        uint32_t before = (p)->task.field;                                                         \
        (p)->task.field = (value);                                                                 \
        assert_int_equal(run(p, purpose), ERR_DATA);                                               \
        assert_non_null(strstr(err_text(), "task 1 of round"));                                    \
        (p)->task.field = before;                                                                  \
        assert_int_equal(run(p, purpose), 0);                                                      \
    } while (0)

static void test_training_tasks(void **state)
{
    struct place *p = place_open();

    (void)state;
    draw(p, PURPOSE_TRAIN, INK);
    assert_int_equal(run(p, PURPOSE_TRAIN), 0);
    for (uint32_t n = 0; n <= 20; n += 4) {
        if (n < 20)
            REFUSED(p, PURPOSE_TRAIN, n_source, n);
        if (n != 16)
            REFUSED(p, PURPOSE_TRAIN, n_targets, n);
    }
    REFUSED(p, PURPOSE_TRAIN, way, 2);
    REFUSED(p, PURPOSE_TRAIN, stage, 0);
    REFUSED(p, PURPOSE_TRAIN, data, CHALK);
    REFUSED(p, PURPOSE_TRAIN, data, LARGE); /* its samples would not fit */
    REFUSED(p, PURPOSE_TRAIN, data, 99);
    REFUSED(p, PURPOSE_TRAIN, target, INK);
    REFUSED(p, PURPOSE_TRAIN, target, LARGE);
    REFUSED(p, PURPOSE_TRAIN, target, UINT32_MAX);
    place_close(p);
}

static void test_looks_and_evaluations(void **state)
{
    struct place *p = place_open();

    (void)state;
    draw(p, PURPOSE_WATCH, THICK);
    assert_int_equal(run(p, PURPOSE_WATCH), 0);
    REFUSED(p, PURPOSE_WATCH, n_source, 3);
    REFUSED(p, PURPOSE_WATCH, n_targets, 2);
    REFUSED(p, PURPOSE_WATCH, data, LARGE);
    REFUSED(p, PURPOSE_WATCH, target, LARGE);
    draw(p, PURPOSE_EVALUATE, THICK);
    assert_int_equal(run(p, PURPOSE_EVALUATE), 0);
    REFUSED(p, PURPOSE_EVALUATE, n_source, 0);
    REFUSED(p, PURPOSE_EVALUATE, n_source, 5);
    REFUSED(p, PURPOSE_EVALUATE, n_targets, 1);
    REFUSED(p, PURPOSE_EVALUATE, data, LARGE);
    place_close(p);
}

/* A stage whose method does not adapt is not watched. */
static void test_nothing_to_watch(void **state)
{
    struct place *p = place_open();

    (void)state;
    draw(p, PURPOSE_WATCH, THICK);
    p->stage = &p->setup.stages[0];
    engine_begin(&p->engine, p->stage, PURPOSE_WATCH, NULL);
    p->task.stage = 0;
    assert_int_equal(engine_run(&p->engine, &p->task, p->state, NULL), ERR_DATA);
    place_close(p);
}

static void test_target_has_no_labels(void **state)
{
    struct place *p = place_open();

    (void)state;
    draw(p, PURPOSE_TRAIN, INK);
    assert_int_equal(run(p, PURPOSE_TRAIN), 0);
    assert_int_equal(p->engine.episode.target.n, 3);
    assert_null(p->engine.episode.target.label);
    assert_non_null(p->engine.episode.source.label);
    place_close(p);
}

/* ---- the coordinator's end ---- */

static void test_models_taken(void **state)
{
    struct place *p = place_open();
    size_t n = task_state_size(p->stage) * sizeof(real);
    uint32_t owner[2] = {1, 2};
    bool arrived[2] = {false};
    real *next = calloc(2, n);
    struct domain_models b = {p->state, p->state, next, arrived};
    struct round r = {.stage = p->stage, .n_tasks = 2, .domains = &b};
    struct crew c = {.owner = owner};
    struct transaction t = {.crew = &c, .r = &r};
    struct message m = {.from = 2, .h = {.slot = 1, .size = n}, .body = p->state};

    (void)state;
    for (uint64_t size = 0; size < 3 * n; size += n / 2 + (size == n / 2)) {
        m.h.size = size == n ? n + 1 : size;
        assert_int_equal(domains_take(&t, &m), ERR_DATA);
        assert_non_null(strstr(err_text(), "rank 2 sent a model of"));
    }
    m.h.size = n;
    m.h.slot = 2;
    assert_int_equal(domains_take(&t, &m), ERR_DATA);
    m.h.slot = UINT32_MAX;
    assert_int_equal(domains_take(&t, &m), ERR_DATA);
    m.h.slot = 0; /* it is rank 1's */
    assert_int_equal(domains_take(&t, &m), 0);
    assert_false(arrived[0]);
    m.h.slot = 1;
    assert_int_equal(domains_take(&t, &m), 0);
    assert_int_equal(domains_take(&t, &m), 0);
    assert_true(arrived[1] && t.n_arrived == 1);
    r.domains = NULL;
    assert_int_equal(domains_take(&t, &m), ERR_DATA);
    free(next);
    place_close(p);
}

/* ---- a worker's end ---- */

static void *worker(void *comm)
{
    bool lost;

    worker_serve(comm, "test", NULL, &lost);
    return NULL;
}

static struct deal deal = {.n_tasks = 2}; /* of the round that is begun */
static struct slots first;                /* the worker's own */

struct served { /* a worker that is ready, and rank 0's end */
    struct place *place;
    struct comm ends[2];
    struct crew crew;
    pthread_t thread;
};

static void served_open(struct served *s)
{
    *s = (struct served){.place = place_open()};
    assert_int_equal(comm_open("local", s->ends, 2), 0);
    pthread_create(&s->thread, NULL, worker, &s->ends[1]);
    assert_int_equal(crew_invite(&s->crew, &s->ends[0], text, ""), 0);
    assert_int_equal(crew_gather(&s->crew, &s->place->setup), 0);
}

static void served_close(struct served *s)
{
    crew_dismiss(&s->crew, 0, "done");
    pthread_join(s->thread, NULL);
    comm_close(&s->ends[0]);
    comm_close(&s->ends[1]);
    crew_release(&s->crew);
    place_close(s->place);
}

/* Waits for a message of that kind; with_body: for one with a body, or one without. */
static struct message await(struct served *s, enum message_kind kind, bool with_body)
{
    struct message m = {0};

    while (m.h.kind != kind || (m.h.size > 0) != with_body)
        if (comm_poll(&s->ends[0], &m) == 0)
            m.h.kind = 0, comm_idle(&s->ends[0]);
    return m;
}

/* What a worker answers to messages of the round that `open` begins, as the reason of its bye. */
static void expect_bye(const struct header *open, const struct header *then, const char *reason)
{
    static real zeros[1 << 16];
    struct served s;
    struct tree_node tree = {.rank = 1, .tasks = first};
    struct part parts[] = {{&tree, sizeof tree}, {&deal, sizeof deal}, {zeros, open->size}};
    struct part body = {zeros, then->size};
    struct header h = *open;
    struct message m;
    struct bye b;

    served_open(&s);
    h.kind = MESSAGE_PARAMS, h.epoch = 1;
    assert_int_equal(comm_send(&s.ends[0], 1, &h, parts, 3), 0);
    h = *then;
    h.epoch = 1;
    if (h.kind)
        assert_int_equal(comm_send(&s.ends[0], 1, &h, &body, 1), 0);
    m = await(&s, MESSAGE_BYE, true);
    assert_int_equal(wire_unpack_bye(m.body, m.h.size, &b), 0);
    assert_int_equal(b.code, ERR_DATA);
    if (!strstr(b.reason, reason))
        fail_msg("'%s' is not in '%s'", reason, b.reason);
    served_close(&s);
}

/* It says that it lives, and in which round: at once, not with its reports, which have a body and
 * leave no time for others. */
static void test_tasks_of_a_round_that_never_came(void **state)
{
    struct given none = {.last = true};
    struct header h = {.kind = MESSAGE_TASKS, .epoch = 7};
    struct buffer out = {0};
    struct served s;

    (void)state;
    served_open(&s);
    assert_int_equal(wire_pack_given(&none, &out), 0);
    assert_int_equal(comm_send(&s.ends[0], 1, &h, &(struct part){out.bytes, out.n}, 1), 0);
    assert_int_equal(await(&s, MESSAGE_ALIVE, false).h.epoch, 0);
    buffer_release(&out);
    served_close(&s);
}

static void test_worker_refuses(void **state)
{
    struct place *p = place_open();
    size_t n = task_state_size(p->stage) * sizeof(real);
    uint32_t anchor = (uint32_t)p->stage->net.layout.n;
    struct header good = {.stage = 2, .anchor = anchor, .size = anchor * sizeof(real)}, none = {0};
    struct header bad = good, model = {.kind = MESSAGE_STATE, .stage = 2, .size = n};

    (void)state;
    assert_true(n < sizeof(real) << 16);
    bad.purpose = 3;
    expect_bye(&bad, &none, "parameters for purpose 3");
    bad.purpose = UINT16_MAX;
    expect_bye(&bad, &none, "parameters for purpose");
    bad = good, bad.stage = 3;
    expect_bye(&bad, &none, "parameters of stage 3");
    bad = good, bad.anchor--;
    expect_bye(&bad, &none, "an anchor of");
    bad = good, bad.size -= sizeof(real);
    expect_bye(&bad, &none, "parameters of");
    bad = good, bad.anchor = 0, bad.size = 0;
    expect_bye(&bad, &none, "without its anchor's");
    model.size = n - sizeof(real);
    expect_bye(&good, &model, "a state of");
    model.size = 0;
    expect_bye(&good, &model, "a state of 0 bytes");
    bad = good, bad.data = 99;
    expect_bye(&bad, &none, "a round on data section 99");
    place_close(p);
}

static void test_worker_refuses_tasks(void **state)
{
    struct place *p = place_open();
    uint32_t anchor = (uint32_t)p->stage->net.layout.n;
    struct header good = {.stage = 2, .anchor = anchor, .size = anchor * sizeof(real)}, none = {0};

    (void)state;
    deal.n_tasks = 3;
    expect_bye(&good, &none, "a round of 3 tasks of stage 2, which has 2 at most");
    deal.n_tasks = 0;
    expect_bye(&good, &none, "a round of 0 tasks");
    deal.n_tasks = 2;
    first = (struct slots){1, 2};
    expect_bye(&good, &none, "2 tasks from slot 1 of a round of 2");
    first = (struct slots){UINT32_MAX, 2};
    expect_bye(&good, &none, "2 tasks from slot 4294967295");
    first.n = 0;
    place_close(p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_training_tasks),
        cmocka_unit_test(test_looks_and_evaluations),
        cmocka_unit_test(test_nothing_to_watch),
        cmocka_unit_test(test_target_has_no_labels),
        cmocka_unit_test(test_models_taken),
        cmocka_unit_test(test_worker_refuses),
        cmocka_unit_test(test_tasks_of_a_round_that_never_came),
        cmocka_unit_test(test_worker_refuses_tasks),
    };

    return cmocka_run_group_tests_name("domain models", tests, NULL, NULL);
}
