/* test_observe_model.c - what the observer makes of events, each against a value worked out by
 * hand. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/base/err.h"
#include "observer/model/model.h"
#include "observer/source/decode.h"
#include "observer/source/line.h"
#include "observer/source/name.h"
#include "observer/view/chart.h"
#include "proto/stream/event.h"

static struct run run;

static int setup(void **unused)
{
    (void)unused;
    return model_init(&run, "somewhere");
}

static int teardown(void **unused)
{
    (void)unused;
    model_release(&run);
    return 0;
}

/* A line, told at `time`. */
static void tell(double time, const char *line)
{
    struct event e;
    json_t *holder;

    assert_int_equal(line_read(line, strlen(line), &e, &holder), 0);
    e.time = time;
    assert_int_equal(model_event(&run, &e), 0);
    json_decref(holder);
}

static void near(double value, double expected)
{
    if (!(fabs(value - expected) <= 1e-12 * fabs(expected)))
        fail_msg("%.15g, not %.15g", value, expected);
}

static int take_decoded(void *context, const struct event *e)
{
    (void)context;
    return model_event(&run, e);
}

/* An event "round" of the stream with two metrics. */
static int decode_metrics(const char *first, const char *second)
{
    static const struct stream_source source = {"run-1", 7};
    const char *const names[] = {first, second};
    const double values[] = {0.5, 2};
    struct field fields[] = {INTEGER("stage_index", 0),
                             INTEGER("round", 4),
                             NUMBER("loss", 1.5),
                             METRICS("metrics", names, values, 2),
                             {0}};
    struct stream_event *packed = stream_pack(&source, 1, 10, "round", fields);
    struct span rest = {packed->bytes, packed->n}, one;
    int code;

    assert_int_equal(decode_next(&rest, &one), 1);
    code = decode_event(one.bytes, one.n, take_decoded, NULL);
    free(packed);
    return code;
}

/* The titles of a stage's charts, each with a blank behind it. */
static void titles(int stage, char *text, size_t room)
{
    int n;
    struct chart *charts = charts_of(&run, stage, &n);
    size_t at = 0;

    assert_non_null(charts);
    for (int i = 0; i < n; i++)
        at += (size_t)snprintf(text + at, room - at, "%s ", charts[i].title);
    free(charts);
}

/* A method's own metrics are curves as any other, with a chart each, from the stream and from the
 * file. */
static void test_metrics_of_a_method(void **unused)
{
    char text[256];

    (void)unused;
    assert_int_equal(decode_metrics("moved", "cg_residual"), 0);
    near(series_last(model_series(&run, 0, "round", "", -1, "moved")), 0.5);
    near(series_last(model_series(&run, 0, "round", "", -1, "cg_residual")), 2);
    near(series_last(model_series(&run, 0, "round", "", -1, "loss")), 1.5);
    titles(0, text, sizeof text);
    assert_string_equal(text, "loss moved cg_residual ");
    tell(11, "{\"kind\":\"round\",\"stage_index\":0,\"round\":5,\"loss\":1,\"gflops\":3,\"moved\":"
             "0.25}");
    near(series_last(model_series(&run, 0, "round", "", -1, "moved")), 0.25);
    titles(0, text, sizeof text);
    assert_string_equal(text, "loss moved cg_residual ");
}

/* A name that is another field's, that is there twice, or that is no word. */
static void test_metrics_with_a_bad_name(void **unused)
{
    (void)unused;
    assert_int_equal(decode_metrics("moved", "round"), ERR_DATA);
    assert_int_equal(decode_metrics("moved", "loss"), ERR_DATA);
    assert_int_equal(decode_metrics("moved", "moved"), ERR_DATA);
    assert_int_equal(decode_metrics("moved", ""), ERR_DATA);
    assert_int_equal(decode_metrics("moved", "<b>"), ERR_DATA);
    assert_int_equal(run.n_series, 0);
}

/* How often a note with this text is there. */
static int notes_of(const char *text)
{
    int n = 0;

    for (uint64_t i = 0; i < run.n_notes && i < NOTES_MAX; i++)
        n += strcmp(run.notes[i].text, text) == 0;
    return n;
}

/* Last evaluations of so many data sections, `from` the first of them. */
static void evaluate(int from, int n)
{
    char line[160];

    for (int i = from; i < from + n; i++) {
        snprintf(
            line, sizeof line,
            "{\"kind\":\"evaluation\",\"stage_index\":0,\"round\":1,\"data\":\"d%d\",\"step\":0}",
            i);
        tell(1, line);
    }
}

/* Evaluations of 500 inner steps on 3 data sections are there, all of them; what is beyond a bound
 * is counted, and said once. */
static void test_more_than_there_is_room_for(void **unused)
{
    char text[96];

    (void)unused;
    evaluate(0, 1503);
    assert_int_equal(run.n_evaluations, 1503);
    assert_int_equal(run.n_notes, 0);
    evaluate(1503, EVALUATIONS_MAX - 1503);
    assert_int_equal(run.n_notes, 0);
    evaluate(EVALUATIONS_MAX, 2);
    assert_int_equal(run.n_evaluations, EVALUATIONS_MAX);
    assert_int_equal(run.refused, 2);
    snprintf(text, sizeof text, "more than %d last evaluations: the others are not shown",
             EVALUATIONS_MAX);
    assert_int_equal(notes_of(text), 1);
    tell(1, "{\"kind\":\"stage\",\"stage_index\":1024,\"rounds\":5}");
    assert_int_equal(notes_of("more than 1024 stages: the others are not shown"), 1);
    assert_int_equal(run.n_notes, 2);
    model_restart(&run);
    tell(1, "{\"kind\":\"stage\",\"stage_index\":1024,\"rounds\":5}");
    assert_int_equal(run.n_notes, 1); /* another run: it is said again */
}

/* A chart can tell 8 curves apart; how many more there are, its name says. */
static void test_more_curves_than_a_chart_shows(void **unused)
{
    int n;
    struct chart *charts;
    char line[160], name[CHART_NAME];

    (void)unused;
    for (int i = 0; i < 11; i++) {
        snprintf(
            line, sizeof line,
            "{\"kind\":\"evaluation\",\"stage_index\":0,\"round\":1,\"data\":\"d%d\",\"step\":0,"
            "\"accuracy\":0.5}",
            i);
        tell(1, line);
    }
    charts = charts_of(&run, 0, &n);
    assert_int_equal(n, 1);
    assert_int_equal(charts[0].n, CHART_CURVES);
    chart_name(name, sizeof name, &charts[0]);
    assert_string_equal(name, "evaluation accuracy (3 more)");
    free(charts);
}

/* So many curves that a bound is reached, in lists of EVENT_NUMBERS. */
static void test_more_curves_than_there_is_room_for(void **unused)
{
    static char line[3 * EVENT_NUMBERS + 200];

    (void)unused;
    for (int stage = 0; stage < 5; stage++) {
        size_t n = (size_t)snprintf(
            line, sizeof line,
            "{\"kind\":\"round\",\"stage_index\":%d,\"round\":1,\"support_losses\":[1", stage);

        for (int k = 1; k < EVENT_NUMBERS; k++)
            n += (size_t)snprintf(line + n, sizeof line - n, ",%d", k % 10);
        snprintf(line + n, sizeof line - n, "]}");
        assert_int_equal(run.n_notes, 0);
        tell(1, line);
    }
    assert_int_equal(run.n_series, SERIES_MAX);
    assert_int_equal(run.refused, EVENT_NUMBERS);
    assert_int_equal(notes_of("more than 16384 curves: the others are not shown"), 1);
    assert_int_equal(run.n_notes, 1);
}

/* 500 inner steps are 501 curves. */
static void test_many_inner_steps(void **unused)
{
    char line[8192] = "{\"kind\":\"round\",\"stage_index\":0,\"round\":1,\"support_losses\":[0";
    size_t n = strlen(line);

    (void)unused;
    for (int k = 1; k <= 500; k++)
        n += (size_t)snprintf(line + n, sizeof line - n, ",%d.5", k);
    snprintf(line + n, sizeof line - n, "]}");
    tell(1, line);
    assert_int_equal(run.refused, 0);
    near(series_last(model_series(&run, 0, "round", "", 500, "support_losses")), 500.5);
}

/* The first says 100 tasks in all, the second 130 four seconds later: 7.5 a second, whatever went
 * before. It computed 3 s more and waited 1 s more: busy three quarters of the time. */
static void test_speed_of_a_worker(void **unused)
{
    (void)unused;
    tell(1000, "{\"kind\":\"worker\",\"rank\":3,\"tasks\":100,\"computing\":10,\"waiting\":30,"
               "\"state\":\"working\"}");
    assert_true(isnan(run.workers[0].tasks_per_second) && isnan(run.workers[0].busy));
    tell(1004, "{\"kind\":\"worker\",\"rank\":3,\"tasks\":130,\"computing\":13,\"waiting\":31,"
               "\"state\":\"working\"}");
    near(run.workers[0].tasks_per_second, 7.5);
    near(run.workers[0].busy, 0.75);
    near(run.workers[0].tasks, 130);
    tell(1006, "{\"kind\":\"worker\",\"rank\":3,\"tasks\":130,\"computing\":13,\"waiting\":33,"
               "\"state\":\"idle\"}");
    near(run.workers[0].tasks_per_second, 0);
    near(run.workers[0].busy, 0);
    tell(1006, "{\"kind\":\"worker\",\"rank\":3,\"tasks\":150,\"computing\":14,\"waiting\":33,"
               "\"state\":\"idle\"}");
    near(run.workers[0].tasks_per_second, 0); /* no time has passed: as before */
}

/* Whatever the words: a line is left out if an event tells the same, unless it is a warning. */
static void test_lines_that_events_tell(void **unused)
{
    (void)unused;
    tell(1, "{\"kind\":\"log\",\"level\":\"info\",\"text\":\"m  data 'a'  loss 1 +- 2\"}");
    assert_int_equal(run.n_notes, 1);
    tell(2, "{\"kind\":\"log\",\"level\":\"info\",\"text\":\"any\",\"about\":\"evaluation\"}");
    assert_int_equal(run.n_notes, 1);
    tell(3, "{\"kind\":\"log\",\"level\":\"warning\",\"text\":\"any\",\"about\":\"evaluation\"}");
    assert_int_equal(run.n_notes, 2);
}

static void test_events_missing_add_up(void **unused)
{
    (void)unused;
    tell(1, "{\"kind\":\"lost\",\"events\":7}");
    assert_int_equal(run.lost, 7);
    tell(2, "{\"kind\":\"lost\",\"events\":1}");
    assert_int_equal(run.lost, 8);
    assert_string_equal(run.notes[1].text, "1 events are missing here");
}

/* 12 tasks in 0.5 s, one failed. */
static void test_round(void **unused)
{
    (void)unused;
    tell(1, "{\"kind\":\"round\",\"stage\":\"a\",\"stage_index\":0,\"round\":5,\"tasks\":12,"
            "\"seconds\":0.5,\"failed\":1,"
            "\"seconds_left\":30,\"loss\":2}");
    near(series_last(model_series(&run, 0, "round", "", -1, "tasks_per_second")), 24);
    assert_int_equal(run.failed, 1);
    near(run_left(&run, 11), 20);
}

static void test_identity(void **unused)
{
    char first[NAME];

    (void)unused;
    tell(1, "{\"kind\":\"run\",\"run_id\":\"0123456789abcdef\",\"name\":\"a\\\"b\",\"seed\":3}");
    assert_string_equal(run.id, "0123456789abcdef");
    assert_string_equal(run.name, "a\"b");
    model_identity(&run, "");
    assert_string_equal(run.id, "0123456789abcdef"); /* nothing told: as before */
    model_identity(&run, "../x");
    assert_int_equal(strspn(run.id, "0123456789abcdef"), 16);
    assert_int_equal(strlen(run.id), 16);
    strcpy(first, run.id);
    model_identity(&run, "../y");
    assert_string_not_equal(run.id, first);
    model_identity(&run, "a"); /* FNV-1a of "a" is af63dc4c8601ec8c, but a word stands for itself */
    assert_string_equal(run.id, "a");
    model_identity(&run, "a b");
    assert_string_not_equal(run.id, "a b");
}

static void test_names(void **unused)
{
    static const struct {
        const char *text, *name;
    } each[] = {
        {"run { name = \"a\\\"b\" }", "a\"b"},
        {"run { name = 'a\"b' }", "a\"b"},
        {"run{name=\"x\"}", "x"},
        {"run { name = plain }", "plain"},
        {"run { name = \"\\x41\\102\\n\\q\" }", "AB\nq"},
        {"model { name = \"no\" }\nrun { seed = 1 name = \"yes\" }", "yes"},
        {"data run { name = \"yes?\" } run { name = \"last\" }", "last"},
        {"run { x { name = \"no\" } name = \"yes\" }", "yes"},
        {"run { name = \"first\" name = \"last\" }", "last"},
        {"# run { name = \"no\" }\n// run { name = \"no\" }\n/* run { name = \"no\" } */ run { "
         "name = \"yes\" }",
         "yes"},
        {"run { name = \"a # b // c /* d\" }", "a # b // c /* d"},
        {"run { names = \"no\" }", NULL},
        {"run { path = name = \"no\" ", "no"},
        {"", NULL},
    };
    char name[64];

    (void)unused;
    for (size_t i = 0; i < sizeof each / sizeof *each; i++) {
        strcpy(name, "none");
        bool found = name_read(each[i].text, name, sizeof name);

        if (found != (each[i].name != NULL) ||
            strcmp(name, each[i].name ? each[i].name : "none") != 0)
            fail_msg("%s: '%s'", each[i].text, name);
    }
}

static int take(void *context, const struct event *e)
{
    strcpy(context, event_text(e, "text"));
    strcat(strcat(context, "|"), event_text(e, "configuration"));
    return 0;
}

static void test_texts_are_cleaned(void **unused)
{
    struct event e = {.kind = "log"};
    char got[200];

    (void)unused;
    event_add(&e, (struct field)TEXT("text", "a\x01\x1b\x7f\xc2\x80\xc2\x9f\xe2\x80\xaa\xe2\x80\xae"
                                             "\xe2\x81\xa6\xe2\x81\xa9\xff\n\xc3\xa9z"));
    event_add(&e, (struct field)TEXT("configuration", "a\nb\x1b\r\n\xc2\x9bz\n"));
    assert_int_equal(event_clean(&e, take, got), 0);
    assert_string_equal(got, "a???????????\xc3\xa9z|a\nb??\n?z\n");
    assert_true(e.fields[0].text[1] == '\x01'); /* the sender's stays as it is */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_speed_of_a_worker, setup, teardown),
        cmocka_unit_test_setup_teardown(test_lines_that_events_tell, setup, teardown),
        cmocka_unit_test_setup_teardown(test_events_missing_add_up, setup, teardown),
        cmocka_unit_test_setup_teardown(test_metrics_of_a_method, setup, teardown),
        cmocka_unit_test_setup_teardown(test_metrics_with_a_bad_name, setup, teardown),
        cmocka_unit_test_setup_teardown(test_more_than_there_is_room_for, setup, teardown),
        cmocka_unit_test_setup_teardown(test_more_curves_than_there_is_room_for, setup, teardown),
        cmocka_unit_test_setup_teardown(test_more_curves_than_a_chart_shows, setup, teardown),
        cmocka_unit_test_setup_teardown(test_round, setup, teardown),
        cmocka_unit_test_setup_teardown(test_identity, setup, teardown),
        cmocka_unit_test_setup_teardown(test_many_inner_steps, setup, teardown),
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_texts_are_cleaned),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
