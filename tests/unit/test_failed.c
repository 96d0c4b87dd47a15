/* test_failed.c - tasks that were set aside: the short list of them, its message, when a round
 * waits for it, the files in the run directory and their limit, and when a round is too bad to step
 * on. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "coordinator/run/failed_files.h"
#include "core/base/err.h"
#include "core/data/blob.h"
#include "core/file/checkpoint.h"
#include "core/file/checkpoint_files.h"
#include "worker/method/table.h"

static void test_slots(void **state)
{
    struct failed_set s;

    (void)state;
    failed_set_clear(&s);
    for (uint32_t i = 0; i < 200;
         i++) /* 7, 0, 193, 186, ... every slot below 200 once, out of order */
        failed_set_keep(&s, (7 + i * 193) % 200);
    for (uint32_t i = 0; i < 200; i++)
        failed_set_keep(&s, i);
    assert_int_equal(s.n, FAILED_SET_MAX);
    for (int i = 0; i < FAILED_SET_MAX; i++)
        assert_int_equal(s.slot[i], i);
    assert_int_equal(s.count, 0);
}

/* What is kept of several lists does not depend on how the tasks were shared out. */
static void test_slots_merge(void **state)
{
    struct failed_set one, part[3], all;

    (void)state;
    failed_set_clear(&one);
    failed_set_clear(&all);
    for (int i = 0; i < 3; i++)
        failed_set_clear(&part[i]);
    for (uint32_t i = 0; i < 300; i++) {
        uint32_t slot = i * 7919 % 1009;

        failed_set_keep(&one, slot), one.count++;
        failed_set_keep(&part[i % 3], slot), part[i % 3].count++;
    }
    for (int i = 2; i >= 0; i--)
        failed_set_merge(&all, &part[i]);
    assert_int_equal(all.count, 300);
    assert_int_equal(all.n, one.n);
    assert_memory_equal(all.slot, one.slot, (size_t)one.n * sizeof *one.slot);
}

static struct failed_set list_of(int n, uint32_t step, uint64_t count)
{
    struct failed_set s = {.count = count, .n = n};

    for (int i = 0; i < n; i++)
        s.slot[i] = 3 + (uint32_t)i * step;
    return s;
}

static void test_message(void **state)
{
    struct buffer out = {0};
    struct failed_set got;

    (void)state;
    for (int n = 0; n <= FAILED_SET_MAX; n++) {
        struct failed_set s = list_of(n, 65537, (uint64_t)n + 5);

        assert_int_equal(wire_pack_failed(&s, &out), 0);
        assert_int_equal(wire_unpack_failed(out.bytes, out.n, &got), 0);
        assert_int_equal(got.n, n);
        assert_int_equal(got.count, n + 5);
        assert_memory_equal(got.slot, s.slot, (size_t)n * sizeof *s.slot);
    }
    buffer_release(&out);
}

static void refuse_message(struct failed_set s)
{
    struct buffer out = {0};
    struct failed_set got;

    assert_int_equal(wire_pack_failed(&s, &out), 0);
    assert_int_equal(wire_unpack_failed(out.bytes, out.n, &got), ERR_DATA);
    buffer_release(&out);
}

static void test_message_refused(void **state)
{
    /* field 1, packed: 65 slots of one byte; field 2: 99 */
    uint8_t many[2 + FAILED_SET_MAX + 1 + 2] = {0x0a, FAILED_SET_MAX + 1};
    struct failed_set got;

    (void)state;
    refuse_message(list_of(4, 1, 3));            /* more slots than counted */
    refuse_message(list_of(4, 0, 4));            /* doubles */
    refuse_message(list_of(4, (uint32_t)-1, 4)); /* descending */
    for (int i = 0; i <= FAILED_SET_MAX; i++)
        many[2 + i] = (uint8_t)i;
    many[sizeof many - 2] = 0x10, many[sizeof many - 1] = 99;
    assert_int_equal(wire_unpack_failed(many, sizeof many, &got), ERR_DATA);
    many[1]--; /* the last slot becomes a field of its own, which is no field */
    assert_int_equal(wire_unpack_failed(many, sizeof many, &got), ERR_DATA);
    assert_int_equal(wire_unpack_failed(many, 5, &got), ERR_DATA);
}

static int take(struct failed_report *f, struct failed_set s, uint32_t n_tasks)
{
    struct buffer out = {0};
    struct message m = {.from = 4};
    int code;

    assert_int_equal(wire_pack_failed(&s, &out), 0);
    m.h.size = out.n, m.body = out.bytes;
    code = failed_report_take(f, &m, n_tasks);
    buffer_release(&out);
    return code;
}

static void test_take(void **state)
{
    struct failed_report f;

    (void)state;
    failed_report_begin(&f);
    assert_int_equal(take(&f, list_of(3, 2, 3), 8), 0); /* 3 5 7 */
    assert_int_equal(take(&f, list_of(2, 1, 2), 8), 0); /* 3 4 */
    assert_int_equal(f.slots.count, 5);
    assert_int_equal(f.slots.n, 4);
    assert_int_equal(take(&f, list_of(3, 2, 3), 7), ERR_DATA); /* slot 7 of 7 */
    assert_non_null(strstr(err_text(), "rank 4"));
    assert_int_equal(take(&f, list_of(1, 1, 9), 8), ERR_DATA);
    assert_int_equal(f.slots.count, 5);
    failed_report_begin(&f);
    assert_int_equal(f.slots.count + (uint64_t)f.slots.n, 0);
}

/* A round waits for slots that the sum counts and no rank has named, but not for ever. */
static void test_awaited(void **state)
{
    int64_t words[2 * METRIC_CURVE];
    struct round_sum t = round_sum_begin(words, 0, METRIC_CURVE);
    struct failed_report f;

    (void)state;
    failed_report_begin(&f);
    assert_false(failed_report_awaited(&f, &t, 1000));
    round_sum_fail(&t);
    round_sum_fail(&t);
    assert_true(failed_report_awaited(&f, &t, 1000));
    assert_int_equal(take(&f, list_of(1, 1, 1), 9), 0);
    assert_true(failed_report_awaited(&f, &t, 1000));
    usleep(1000);
    assert_false(failed_report_awaited(&f, &t, 1e-9));
    assert_int_equal(take(&f, list_of(1, 1, 1), 9), 0); /* by two ranks: one task all the same */
    assert_true(failed_report_awaited(&f, &t, 1000));
    assert_int_equal(take(&f, list_of(2, 1, 2), 9), 0);
    assert_false(failed_report_awaited(&f, &t, 1000));
}

/* ---- the run directory ---- */

static const char text[] =
    "run { name = \"t\" seed = 9 }\n"
    "data glyphs { format = \"glyphs\" size = 14 }\n"
    "model { type = \"conv4\" filters = 2 }\n"
    "stage meta { data = \"glyphs\" way = 3 shot = 1 query = 2 tasks = 100 rounds = 9 }\n"
    "evaluate { query = 4 }\n";

struct place { /* a run with nobody in it */
    char directory[64];
    struct config config;
    struct setup setup;
    struct arena arena;
    struct task task;
    struct crew crew;
    struct progress progress;
    struct sink sink;
    struct sinks sinks;
    struct failed_files aside;
    real *theta;
    int n_events;
    char slots[1024], file[FAILED_FILES_PATH], error[600];
};

static const char *field_text(const struct field *f, const char *key)
{
    for (; f->key; f++)
        if (strcmp(f->key, key) == 0)
            return f->text;
    fail_msg("the event has no '%s'", key);
    return NULL;
}

static int note_event(struct sink *s, const char *kind, const struct field *fields)
{
    struct place *p = s->state;

    assert_string_equal(kind, "failed");
    p->n_events++;
    snprintf(p->slots, sizeof p->slots, "%s", field_text(fields, "slots"));
    snprintf(p->file, sizeof p->file, "%s", field_text(fields, "file"));
    snprintf(p->error, sizeof p->error, "%s", field_text(fields, "error"));
    return 0;
}

static const struct sink_ops noting = {.name = "noting", .emit = note_event};

static struct place *place_open(void)
{
    struct place *p = calloc(1, sizeof *p);
    struct task_size size = {3, 1, 4};
    const struct layout *l;

    assert_non_null(p);
    snprintf(p->directory, sizeof p->directory, "/tmp/aside-XXXXXX");
    assert_non_null(mkdtemp(p->directory));
    assert_int_equal(config_parse(&p->config, text, "text", NULL, 0, stage_owner), 0);
    assert_int_equal(setup_open(&p->setup, &p->config, ".", method_traits_of), 0);
    assert_int_equal(arena_init(&p->arena, 4096), 0);
    task_init(&p->task, size, &p->arena);
    l = &p->setup.stages[0].layout;
    p->theta = malloc(l->n * sizeof *p->theta);
    layout_init(l, 1, 0, p->theta);
    p->crew = (struct crew){.setup = &p->setup};
    task_init(&p->crew.task, size, &p->arena);
    p->sink = (struct sink){.ops = &noting, .state = p};
    p->sinks = (struct sinks){1, {&p->sink}};
    p->progress.quiet = true;
    p->aside = (struct failed_files){p->directory, "the text", "1", NULL, &p->sinks, &p->progress};
    failed_files_open(&p->aside);
    return p;
}

static void place_close(struct place *p)
{
    char command[128];

    failed_files_release(&p->aside);
    setup_close(&p->setup);
    config_release(&p->config);
    arena_release(&p->arena);
    snprintf(command, sizeof command, "rm -r %s", p->directory);
    assert_int_equal(system(command), 0);
    free(p->theta);
    free(p);
}

static struct round round_of(const struct place *p, enum purpose purpose, uint64_t round)
{
    return (struct round){&p->setup.stages[0], purpose, 0, round, 100, p->theta};
}

static void record(struct place *p, const struct round *r, struct failed_set s)
{
    const struct layout *l = &p->setup.stages[0].layout;
    real *scratch = malloc(l->n * sizeof *scratch);

    p->crew.failed.slots = s;
    failed_files_record(&p->aside, &p->crew, r, s.count, layout_hash(l, p->theta, scratch));
    free(scratch);
}

static int same_as_drawn(void *context, const struct task *t)
{
    struct place *p = context;
    bool evaluate = t->round == 0;
    struct sampler s = {&p->setup, &p->setup.stages[0], 0, evaluate, t->round};

    sampler_draw(&s, t->slot, &p->task);
    assert_int_equal(t->query, evaluate ? 4 : 2);
    assert_int_equal(t->seed, 9);
    assert_memory_equal(t->classes, p->task.classes, 3 * sizeof *t->classes);
    assert_memory_equal(t->support, p->task.support, 3 * sizeof *t->support);
    assert_memory_equal(t->queries, p->task.queries, 3 * t->query * sizeof *t->queries);
    return (int)(1000 * t->round + t->slot);
}

/* Checks that a task file holds what the sampler draws; returns 1000 round + slot. */
static int task_in(struct place *p, const char *path)
{
    struct blob b;
    int code;

    assert_int_equal(blob_map(&b, path), 0);
    code = wire_unpack_task(b.bytes, b.n, same_as_drawn, p);
    blob_release(&b);
    return code;
}

static bool is_there(const struct place *p, const char *name)
{
    char path[256];

    snprintf(path, sizeof path, "%s/%s", p->directory, name);
    return access(path, F_OK) == 0;
}

static void test_files(void **state)
{
    struct place *p = place_open();
    struct round r = round_of(p, PURPOSE_TRAIN, 6), e = round_of(p, PURPOSE_EVALUATE, 6);
    struct checkpoint_info info;
    real *theta = malloc(p->setup.stages[0].layout.n * sizeof *theta);

    (void)state;
    record(p, &r, list_of(0, 1, 0));
    assert_int_equal(p->n_events, 0);
    record(p, &r, list_of(2, 4, 2));
    assert_string_equal(p->slots, "3 7");
    assert_true(is_there(p, "task-00-000000006-000003.bin"));
    assert_int_equal(task_in(p, p->file), 6003);
    assert_string_equal(strrchr(p->file, '/'), "/task-00-000000006-000003.bin");
    assert_true(is_there(p, "aside-00-000000005.safetensors")); /* theta after 5 rounds */
    assert_int_equal(
        checkpoint_read(p->aside.parameters, &p->setup.stages[0].layout, theta, NULL, NULL, &info),
        0);
    assert_memory_equal(theta, p->theta, p->setup.stages[0].layout.n * sizeof *theta);
    assert_int_equal(info.round, 5);
    record(p, &e, list_of(1, 4, 1));
    assert_true(is_there(p, "aside-00-000000006.safetensors"));
    assert_true(is_there(p, "episode-00-00-000003.bin"));
    assert_int_equal(task_in(p, p->file), 3);
    assert_string_equal(p->error, "");
    assert_int_equal(p->aside.n_files, 3);
    assert_false(checkpoint_newest(p->directory, NULL, p->file, sizeof p->file, NULL, NULL));
    free(theta);
    place_close(p);
}

static void test_cap(void **state)
{
    struct place *p = place_open();
    struct round r = round_of(p, PURPOSE_TRAIN, 6), later = round_of(p, PURPOSE_TRAIN, 7);

    (void)state;
    record(p, &r, list_of(15, 1, 15));
    record(p, &r, list_of(15, 1, 15)); /* again: the same files */
    assert_int_equal(p->aside.n_files, 15);
    assert_false(p->aside.full);
    record(p, &later, list_of(15, 1, 15));
    assert_int_equal(p->aside.n_files, FAILED_FILES_MAX);
    assert_true(p->aside.full);
    assert_true(is_there(p, "task-00-000000007-000007.bin"));
    assert_false(is_there(p, "task-00-000000007-000008.bin"));
    later.round = 8;
    record(p, &later, list_of(FAILED_SET_MAX, 1, 90));
    assert_false(is_there(p, "aside-00-000000007.safetensors"));
    assert_string_equal(p->file, "");
    assert_int_equal(p->n_events, 4);
    p->aside.n_files = 0;
    failed_files_open(&p->aside); /* the resumed run */
    assert_int_equal(p->aside.n_files, FAILED_FILES_MAX);
    place_close(p);
}

/* Told, and no more than that. */
static void test_unwritable(void **state)
{
    struct place *p = place_open();
    struct round r = round_of(p, PURPOSE_TRAIN, 6);

    (void)state;
    p->aside.directory = "/proc/no such directory";
    record(p, &r, list_of(2, 1, 2));
    assert_int_equal(p->n_events, 1);
    assert_non_null(strstr(p->error, "no such directory"));
    assert_string_equal(p->file, "");
    assert_int_equal(p->aside.n_files, 0);
    place_close(p);
}

static void test_judge(void **state)
{
    struct place *p = place_open();
    struct round r = round_of(p, PURPOSE_TRAIN, 6);
    double *most = &p->config.cluster.max_failed;

    (void)state;
    assert_true(*most == 0.5);
    for (int share = 0; share < 100; share++) { /* of 100 tasks, exactly */
        *most = share / 100.0;
        assert_int_equal(failed_files_judge(&p->aside, &p->crew, &r, (uint64_t)share), 0);
        assert_int_equal(failed_files_judge(&p->aside, &p->crew, &r, (uint64_t)share + 1),
                         ERR_NONFINITE);
    }
    *most = 1;
    assert_int_equal(failed_files_judge(&p->aside, &p->crew, &r, 99), 0);
    record(p, &r, list_of(2, 1, 100));
    assert_int_equal(failed_files_judge(&p->aside, &p->crew, &r, 100), ERR_NONFINITE);
    assert_non_null(strstr(err_text(), "100 of 100 tasks of round 6 of stage 'meta'"));
    assert_non_null(strstr(err_text(), "task-00-000000006-000003.bin"));
    place_close(p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_slots),   cmocka_unit_test(test_slots_merge),
        cmocka_unit_test(test_message), cmocka_unit_test(test_message_refused),
        cmocka_unit_test(test_take),    cmocka_unit_test(test_awaited),
        cmocka_unit_test(test_files),   cmocka_unit_test(test_cap),
        cmocka_unit_test(test_judge),   cmocka_unit_test(test_unwritable),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
