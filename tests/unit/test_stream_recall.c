/* test_stream_recall.c - what metrics.jsonl told before becomes history: all of a small file, an
 * even sample of a large one. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "core/base/err.h"
#include "proto/metaloop.pb-c.h"
#include "proto/stream/recall.h"

static const struct stream_source source = {"run-1", 77};

struct past { /* of one file */
    char path[64];
    FILE *file;
    struct recall recall;
    struct history history;
    struct snapshot all;
    int steps;
};

static void past_begin(struct past *p)
{
    *p = (struct past){.path = "/tmp/test_recall_XXXXXX"};
    p->file = fdopen(mkstemp(p->path), "w");
    assert_non_null(p->file);
    assert_int_equal(history_init(&p->history), 0);
}

static int64_t past_size(struct past *p)
{
    assert_int_equal(fflush(p->file), 0);
    return (int64_t)ftello(p->file);
}

static void past_recall(struct past *p, int64_t limit)
{
    int more;

    fflush(p->file);
    assert_int_equal(recall_open(&p->recall, p->path, limit), 0);
    while ((more = recall_step(&p->recall, &p->history, &source)) == 1)
        p->steps++;
    assert_int_equal(more, 0);
    assert_int_equal(history_snapshot(&p->history, &p->all), 0);
}

static void past_end(struct past *p)
{
    recall_close(&p->recall);
    snapshot_release(&p->all);
    history_release(&p->history);
    fclose(p->file);
    unlink(p->path);
}

static Metaloop__Events *unpack(const struct past *p, size_t i)
{
    const struct stream_event *e = p->all.each[i]->event;
    Metaloop__Events *m = metaloop__events__unpack(NULL, e->n, e->bytes);

    assert_non_null(m);
    assert_int_equal(m->n_events, 1);
    return m;
}

/* The rounds of the snapshot, in its order; returns how many. */
static size_t rounds_of(const struct past *p, uint64_t *rounds, size_t room)
{
    size_t n = 0;

    for (size_t i = 0; i < p->all.n; i++) {
        Metaloop__Events *m;

        if (strcmp(p->all.each[i]->event->kind, "round") != 0)
            continue;
        m = unpack(p, i);
        assert_true(n < room);
        rounds[n++] = m->events[0]->round->round;
        metaloop__events__free_unpacked(m, NULL);
    }
    return n;
}

static size_t count_of(const struct past *p, const char *kind)
{
    size_t n = 0;

    for (size_t i = 0; i < p->all.n; i++)
        n += strcmp(p->all.each[i]->event->kind, kind) == 0;
    return n;
}

/* ---- lines ---- */

/* Every field, however many stand before it; null is not a number; lists keep their places. */
static void test_every_field(void **state)
{
    (void)state;
    struct past p;
    Metaloop__Events *m;
    const Metaloop__Event__Round *round;

    past_begin(&p);
    fputs("{\"kind\":\"round\"", p.file);
    for (int i = 0; i < 60; i++)
        fprintf(p.file, ",\"of_another_version_%d\":\"%d\"", i, i);
    fputs(",\"stage\":\"me\\u00e9\\\"\",\"stage_index\":3,\"round\":9000000000,\"loss\":0.25,"
          "\"accuracy\":null,\"rate\":1,\"support_losses\":[1,null,2.5]}\n",
          p.file);
    past_recall(&p, past_size(&p));
    assert_int_equal(p.all.n, 1);
    m = unpack(&p, 0);
    round = m->events[0]->round;
    assert_true(m->events[0]->seq == 1 && m->events[0]->time == 0);
    assert_true(m->events[0]->incarnation == 77 && strcmp(m->events[0]->run_id, "run-1") == 0);
    assert_string_equal(round->stage, "me\xc3\xa9\"");
    assert_true(round->stage_index == 3 && round->round == 9000000000 && round->loss == 0.25);
    assert_true(round->accuracy != round->accuracy && round->rate == 1);
    assert_int_equal(round->n_support_losses, 3);
    assert_true(round->support_losses[0] == 1 && round->support_losses[2] == 2.5);
    assert_true(round->support_losses[1] != round->support_losses[1]);
    assert_int_equal(p.recall.refused, 60);
    metaloop__events__free_unpacked(m, NULL);
    past_end(&p);
}

/* A kind of the file alone is left out without a word; what nobody knows is told, with how
 * often. */
static void test_what_is_no_event(void **state)
{
    (void)state;
    static const struct {
        const char *line, *says; /* NULL: nothing */
    } tries[] = {
        {"{\"kind\":\"run\",\"run_id\":\"0123456789abcdef\",\"name\":\"x\",\"new\":1}", NULL},
        {"{\"kind\":\"rounds\",\"loss\":1}", "unknown event 'rounds'"},
        {"{\"kind\":\"seq\",\"loss\":1}", "unknown event 'seq'"},
        {"{\"kind\":\"run_id\"}", "unknown event 'run_id'"},
        {"{\"kind\":7}", "not an object of JSON with a kind"},
        {"{\"kind\":\"round\",\"loss\":0.5", "not an object of JSON with a kind"},
        {"[1,2]", "not an object of JSON with a kind"},
        {"", "not an object of JSON with a kind"},
        {"{\"kind\":\"round\",\"stage\":5}", "'stage' is of another type"},
        {"{\"kind\":\"round\",\"loss\":\"low\"}", "'loss' is of another type"},
        {"{\"kind\":\"round\",\"losss\":\"low\"}", "'round' has no 'losss'"},
        {"{\"kind\":\"round\",\"losss\":[1]}", "'round' has no 'losss'"},
        {"{\"kind\":\"watch\",\"scores\":1}", "'watch' has no 'scores'"},
    };

    for (size_t i = 0; i < sizeof tries / sizeof *tries; i++) {
        struct past p;
        char text[1024] = "";

        past_begin(&p);
        fprintf(p.file, "%s\n{\"kind\":\"log\",\"text\":\"after it\"}\n", tries[i].line);
        past_recall(&p, past_size(&p));
        assert_int_equal(count_of(&p, "log"), 1);
        assert_true(recall_trouble(&p.recall, text, sizeof text) == (tries[i].says != NULL));
        if (tries[i].says && (!strstr(text, tries[i].says) || !strstr(text, p.path)))
            fail_msg("%s: %s", tries[i].line, text);
        assert_int_equal(count_of(&p, "run"), 0);
        past_end(&p);
    }
}

/* A method's own numbers have keys that no schema knows; null is not a number. */
static void test_metrics_of_a_method(void **state)
{
    (void)state;
    struct past p;
    Metaloop__Events *m;

    past_begin(&p);
    fprintf(p.file, "{\"kind\":\"round\",\"round\":3,\"moved\":0.25,\"loss\":1.5,\"steps\":7,"
                    "\"bad\":null,\"support_losses\":[4,5]}\n");
    past_recall(&p, past_size(&p));
    assert_int_equal(p.recall.refused, 0);
    assert_int_equal(p.all.n, 1);
    m = unpack(&p, 0);
    const Metaloop__Event__Round *r = m->events[0]->round;

    assert_true(r->round == 3 && r->loss == 1.5 && r->n_support_losses == 2);
    assert_int_equal(r->n_metrics, 3);
    assert_string_equal(r->metrics[0]->name, "moved");
    assert_true(r->metrics[0]->value == 0.25);
    assert_string_equal(r->metrics[1]->name, "steps");
    assert_true(r->metrics[1]->value == 7);
    assert_string_equal(r->metrics[2]->name, "bad");
    assert_true(isnan(r->metrics[2]->value));
    metaloop__events__free_unpacked(m, NULL);
    past_end(&p);
}

/* What a live run has added since, and a line that is cut off, are not the past. */
static void test_no_further_than_its_limit(void **state)
{
    (void)state;
    uint64_t rounds[16];
    int64_t limit = 0;
    struct past p;

    past_begin(&p);
    for (int i = 1; i <= 10; i++) {
        if (i == 6)
            limit = past_size(&p) + 5;
        fprintf(p.file, "{\"kind\":\"round\",\"stage_index\":0,\"round\":%d}\n", i);
    }
    past_recall(&p, limit);
    assert_int_equal(rounds_of(&p, rounds, 16), 5);
    assert_int_equal(p.recall.refused, 0);
    past_end(&p);
    past_begin(&p);
    past_recall(&p, 1 << 20); /* it has been cut or taken away meanwhile */
    assert_int_equal(p.all.n, 0);
    past_end(&p);
    assert_int_equal(recall_open(&p.recall, "/no/metrics.jsonl", 10), ERR_NOINPUT);
    recall_close(&p.recall);
}

static void test_a_line_without_end(void **state)
{
    (void)state;
    char text[1024];
    struct past p;

    past_begin(&p);
    fputs("{\"kind\":\"log\",\"text\":\"before\"}\n{\"kind\":\"log\",\"text\":\"", p.file);
    for (int i = 0; i < 3 * RECALL_LINE; i++)
        putc('x', p.file);
    fputs("\"}\n{\"kind\":\"log\",\"text\":\"after\"}\n", p.file);
    past_recall(&p, past_size(&p));
    assert_int_equal(count_of(&p, "log"), 2);
    assert_true(recall_trouble(&p.recall, text, sizeof text));
    past_end(&p);
}

/* ---- large files ---- */

enum { ROUNDS = 200000, EVERY = 100 };

static void write_run(FILE *f)
{
    for (int i = 1; i <= ROUNDS; i++) {
        fprintf(
            f,
            "{\"kind\":\"round\",\"stage\":\"meta\",\"stage_index\":0,\"round\":%d,\"loss\":"
            "0.123456789,\"accuracy\":null,\"digest\":\"0123456789abcdef\",\"seconds\":0.001}\n",
            i);
        if (i % EVERY == 0)
            fprintf(f,
                    "{\"kind\":\"evaluation\",\"stage\":\"meta\",\"stage_index\":0,\"round\":%d,"
                    "\"data\":\"d\",\"step\":0,\"loss\":0.5}\n",
                    i);
    }
}

static struct stream_event *live_round(uint64_t round)
{
    const struct field fields[] = {
        TEXT("stage", "meta"), INTEGER("stage_index", 0), INTEGER("round", round), {0}};
    struct stream_event *e = stream_pack(&source, (UINT64_C(1) << 32) + round, 5, "round", fields);

    assert_non_null(e);
    return e;
}

/* The whole curve at even distances, its beginning and its end; a fraction is read; what follows is
 * thinned to match. */
static void test_a_large_file_is_sampled(void **state)
{
    (void)state;
    static uint64_t rounds[2 * HISTORY_POINTS];
    uint64_t widest = 0;
    struct past p;
    size_t n;

    past_begin(&p);
    write_run(p.file);
    assert_true(past_size(&p) > RECALL_WHOLE);
    past_recall(&p, past_size(&p));
    n = rounds_of(&p, rounds, 2 * HISTORY_POINTS);
    assert_true(n > HISTORY_POINTS / 2 && n <= HISTORY_POINTS + 1);
    assert_true(rounds[0] == 1 && rounds[n - 1] == ROUNDS);
    for (size_t i = 1; i < n; i++) {
        assert_true(rounds[i] > rounds[i - 1]);
        widest = rounds[i] - rounds[i - 1] > widest ? rounds[i] - rounds[i - 1] : widest;
    }
    assert_true(widest < 4 * ROUNDS / n);
    assert_true(count_of(&p, "evaluation") > ROUNDS / EVERY / 4);
    assert_int_equal(p.recall.refused, 0);
    snapshot_release(&p.all);
    for (uint64_t i = 1; i <= ROUNDS / 10; i++)
        history_put(&p.history, live_round(ROUNDS + i));
    assert_int_equal(history_snapshot(&p.history, &p.all), 0);
    n = rounds_of(&p, rounds, 2 * HISTORY_POINTS);
    for (size_t i = 0, old = 0; i < n; i++) {
        old += rounds[i] <= ROUNDS;
        if (i + 1 == n)
            assert_true(old > 5 * n / 6); /* not crowded out by the tenth that came after */
    }
    past_end(&p);
}

/* A terabyte, most of it a hole: what is read is bounded, and the end is known line by line. */
static void test_any_size(void **state)
{
    (void)state;
    struct past p;
    uint64_t rounds[64];

    past_begin(&p);
    fputs("{\"kind\":\"round\",\"stage_index\":0,\"round\":1}\n", p.file);
    fflush(p.file);
    if (ftruncate(fileno(p.file), (off_t)1 << 40) != 0) {
        past_end(&p);
        skip(); /* this file system has no holes */
    }
    fseeko(p.file, 0, SEEK_END);
    fputs("\n", p.file);
    for (int i = 2; i <= 20; i++)
        fprintf(p.file, "{\"kind\":\"lost\",\"events\":%d}\n", i);
    fputs("{\"kind\":\"round\",\"stage_index\":0,\"round\":21}\n", p.file);
    past_recall(&p, past_size(&p));
    assert_true(p.recall.read <= (int64_t)RECALL_BLOCKS * RECALL_BLOCK + RECALL_TAIL);
    assert_true(p.steps < RECALL_BLOCKS + 100);
    assert_int_equal(rounds_of(&p, rounds, 64), 2);
    assert_true(rounds[0] == 1 && rounds[1] == 21);
    assert_int_equal(count_of(&p, "lost"), 19);
    past_end(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_field),
        cmocka_unit_test(test_what_is_no_event),
        cmocka_unit_test(test_metrics_of_a_method),
        cmocka_unit_test(test_no_further_than_its_limit),
        cmocka_unit_test(test_a_line_without_end),
        cmocka_unit_test(test_a_large_file_is_sampled),
        cmocka_unit_test(test_any_size),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
