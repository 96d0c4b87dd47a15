/* test_stream_history.c - events as bytes, and what is kept of them for late joiners. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/base/err.h"
#include "proto/metaloop.pb-c.h"
#include "proto/stream/history.h"

static const struct stream_source source = {"run-1", 0x1234567890abcdef};

static struct stream_event *event(uint64_t seq, const char *kind, int stage, uint64_t round)
{
    struct field fields[] = {INTEGER("stage_index", stage), INTEGER("round", round), {0}};
    struct stream_event *e = stream_pack(&source, seq, 5, kind, fields);

    assert_non_null(e);
    return e;
}

static Metaloop__Event *unpack(const struct stream_event *e)
{
    Metaloop__Events *alone = metaloop__events__unpack(NULL, e->n, e->bytes);
    Metaloop__Event *m;

    assert_non_null(alone);
    assert_int_equal(alone->n_events, 1);
    m = alone->events[0];
    free(alone->events);
    alone->events = NULL;
    alone->n_events = 0;
    metaloop__events__free_unpacked(alone, NULL);
    return m;
}

/* ---- events ---- */

static void test_fields_by_their_keys(void **state)
{
    (void)state;
    const struct field one[] = {
        INTEGER("rank", 7), TEXT("host", "a\xff\xc0\xed\xa0\x80z\xc3\xa9"), {0}};
    const struct field two[] = {NUMBER("computing", 1.5), INTEGER("waiting", 2), {0}};
    const struct field *const list[] = {one, two, NULL};
    const struct field fields[] = {LIST("workers", list), {0}};
    struct stream_event *e = stream_pack(&source, 9, 3.5, "workers", fields);
    Metaloop__Event *m;

    assert_non_null(e);
    m = unpack(e);
    assert_int_equal(m->version, STREAM_VERSION);
    assert_string_equal(m->run_id, "run-1");
    assert_true(m->incarnation == source.incarnation && m->seq == 9 && m->time == 3.5);
    assert_int_equal(m->what_case, METALOOP__EVENT__WHAT_WORKERS);
    assert_int_equal(m->workers->n_workers, 2);
    assert_int_equal(m->workers->workers[0]->rank, 7);
    assert_string_equal(m->workers->workers[0]->host,
                        "a?????z\xc3\xa9"); /* whatever came: it is UTF-8 */
    assert_true(m->workers->workers[1]->computing == 1.5 && m->workers->workers[1]->waiting == 2);
    assert_false(e->recalled);
    metaloop__event__free_unpacked(m, NULL);
    free(e);
}

static void test_what_event_does_not_have(void **state)
{
    (void)state;
    const struct field unknown[] = {INTEGER("no_such", 1), {0}},
                       wrong[] = {TEXT("round", "x"), {0}};
    const struct field none[] = {{0}};
    const struct field inner[] = {TEXT("rank", "x"), {0}};
    const struct field *const list[] = {none, inner, NULL};
    const struct field nested[] = {LIST("workers", list), {0}};

    assert_null(stream_pack(&source, 1, 1, "round", unknown));
    assert_non_null(strstr(err_text(), "no_such"));
    assert_null(stream_pack(&source, 1, 1, "round", wrong));
    assert_null(stream_pack(&source, 1, 1, "no_kind", none));
    assert_null(stream_pack(&source, 1, 1, "seq", none)); /* a field, but no message */
    assert_null(stream_pack(&source, 1, 1, "workers", nested));
}

/* ---- the history ---- */

static struct history h;

static int start(void **state)
{
    (void)state;
    return history_init(&h);
}

static int end(void **state)
{
    (void)state;
    history_release(&h);
    return 0;
}

static uint64_t round_of(const struct shared_event *e)
{
    Metaloop__Event *m = unpack(e->event);
    uint64_t round = m->round->round;

    metaloop__event__free_unpacked(m, NULL);
    return round;
}

/* Every length of a curve up to some beyond two thinnings: what is there is every 2^k-th, and the
 * last one. */
static void test_curves_are_thinned_evenly(void **state)
{
    (void)state;
    for (uint64_t n = 1; n <= 9000; n++) {
        struct snapshot s;
        uint64_t every = 1, want = 0;

        history_put(&h, event(n, "round", 0, n - 1));
        if (n > 20 && n % 97 && n % HISTORY_POINTS > 3)
            continue;
        while ((n + every - 1) / every > HISTORY_POINTS)
            every *= 2;
        assert_int_equal(history_snapshot(&h, &s), 0);
        assert_int_equal(s.complete, n);
        for (size_t i = 0; i < s.n; i++, want += every) {
            uint64_t round = round_of(s.each[i]);

            if (i + 1 == s.n)
                assert_int_equal(round, n - 1);
            else
                assert_int_equal(round, want);
        }
        assert_in_range(s.n, (n + every - 1) / every, (n + every - 1) / every + 1);
        snapshot_release(&s);
    }
}

static void test_curves_do_not_mix(void **state)
{
    (void)state;
    struct snapshot s;

    for (uint64_t i = 1; i <= 3000; i++) {
        const struct field fields[] = {INTEGER("stage_index", 1),
                                       TEXT("data", i % 2 ? "a" : "b"),
                                       INTEGER("step", i / 2 % 3),
                                       {0}};

        history_put(&h, stream_pack(&source, i, 1, "evaluation", fields));
    }
    assert_int_equal(history_snapshot(&h, &s), 0);
    assert_int_equal(s.n, 3000); /* six curves of 500 */
    for (size_t i = 0; i < s.n; i++)
        assert_int_equal(s.each[i]->event->seq, i + 1);
    snapshot_release(&s);
}

static void put(uint64_t seq, const char *kind, const char *key, int value)
{
    const struct field none[] = {{0}}, fields[] = {INTEGER(key, value), {0}};

    history_put(&h, stream_pack(&source, seq, 1, kind, *key ? fields : none));
}

/* Keeps the last thousand lines, and the last state of each stage. */
static void test_lines_and_states(void **state)
{
    (void)state;
    uint64_t seq = 0;
    struct snapshot s;

    for (int i = 0; i < 3; i++) {
        put(++seq, "run", "", 0);
        put(++seq, "workers", "", 0);
        put(++seq, "stage", "stage_index", 0);
        put(++seq, "stage", "stage_index", 1);
    }
    while (seq < 1512)
        put(++seq, "log", "", 0);
    put(++seq, "heartbeat", "", 0);
    assert_int_equal(history_snapshot(&h, &s), 0);
    assert_int_equal(s.complete, 1513);
    assert_int_equal(s.n, 4 + HISTORY_RECENT);
    for (size_t i = 0; i < s.n; i++)
        assert_int_equal(s.each[i]->event->seq, i < 4 ? 9 + i : 509 + i);
    snapshot_release(&s);
}

/* A snapshot outlives what the history forgets. */
static void test_a_snapshot_stays(void **state)
{
    (void)state;
    struct snapshot s;

    for (uint64_t n = 1; n <= 100; n++)
        history_put(&h, event(n, "round", 0, n));
    assert_int_equal(history_snapshot(&h, &s), 0);
    for (uint64_t n = 101; n <= 20000; n++)
        history_put(&h, event(n, "round", 0, n));
    assert_int_equal(s.n, 100);
    for (size_t i = 0; i < s.n; i++)
        assert_int_equal(round_of(s.each[i]), i + 1);
    snapshot_release(&s);
}

/* More curves than are kept, and more bytes: both are bounded. */
static void test_bounds(void **state)
{
    (void)state;
    char text[60001];
    struct snapshot s;

    memset(text, 'x', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    for (uint64_t n = 1; n <= 4000; n++) {
        const struct field fields[] = {INTEGER("stage_index", 0), TEXT("stage", text), {0}};

        history_put(&h, stream_pack(&source, n, 1, "round", fields));
        assert_true(h.bytes <= HISTORY_BYTES);
    }
    assert_int_equal(history_snapshot(&h, &s), 0);
    assert_in_range(s.n, 500, 1200);
    snapshot_release(&s);
    for (uint64_t n = 4001; n <= 4000 + 2 * HISTORY_SERIES; n++)
        history_put(&h, event(n, "adaptation", (int)n, n));
    assert_int_equal(h.n, HISTORY_SERIES);
    assert_int_equal(h.complete, 4000 + 2 * HISTORY_SERIES);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_fields_by_their_keys),
        cmocka_unit_test(test_what_event_does_not_have),
        cmocka_unit_test_setup_teardown(test_curves_are_thinned_evenly, start, end),
        cmocka_unit_test_setup_teardown(test_curves_do_not_mix, start, end),
        cmocka_unit_test_setup_teardown(test_lines_and_states, start, end),
        cmocka_unit_test_setup_teardown(test_a_snapshot_stays, start, end),
        cmocka_unit_test_setup_teardown(test_bounds, start, end),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
