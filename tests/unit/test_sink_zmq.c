/* test_sink_zmq.c - the sink itself: it never waits, and it reports the events that it could not
 * take. */
#include <dirent.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>
#include <zmq.h>

#include "core/base/err.h"
#include "proto/metaloop.pb-c.h"
#include "proto/stream/process.h"
#include "proto/stream/publish.h"
#include "proto/stream/sink_zmq.h"

enum { EVENTS = 100000 };

static char endpoint[64], empty[] = "";

/* At a free port; the process id makes collisions rare. */
static void open_sink(struct sink *s)
{
    for (int port = 32001 + 2 * (getpid() % 900); port < 60000; port += 2) {
        static struct metrics_config c = {endpoint, empty, empty, empty, false};
        const struct sink_zmq_options options = {
            .config = &c, .run_id = "run", .metrics = "/no/metrics.jsonl"};
        bool busy;

        snprintf(endpoint, sizeof endpoint, "tcp://127.0.0.1:%d", port);
        assert_int_equal(sink_open_zmq(s, &options, &busy) < 0, 0);
        if (!busy)
            return;
        sink_close(s);
    }
    fail_msg("no port is free");
}

static Metaloop__Events *frame; /* the last that came */
static size_t taken;            /* of its events */

static void drop_frame(void)
{
    metaloop__events__free_unpacked(frame, NULL);
    frame = NULL;
    taken = 0;
}

static void *subscribe(void *context)
{
    void *s = zmq_socket(context, ZMQ_SUB);
    int none = 0, limit = 20000;

    drop_frame();
    zmq_setsockopt(s, ZMQ_RCVHWM, &none, sizeof none);
    zmq_setsockopt(s, ZMQ_LINGER, &none, sizeof none);
    zmq_setsockopt(s, ZMQ_RCVTIMEO, &limit, sizeof limit);
    zmq_setsockopt(s, ZMQ_SUBSCRIBE, "", 0);
    assert_int_equal(zmq_connect(s, endpoint), 0);
    return s;
}

/* A message, whose topic is the kind that its events hold; false: none within 20 s. */
static bool receive_frame(void *s)
{
    char topic[32];
    static uint8_t bytes[1 << 16];
    int n = zmq_recv(s, topic, sizeof topic, 0),
        m = n < 0 ? -1 : zmq_recv(s, bytes, sizeof bytes, 0);

    drop_frame();
    frame = m < 0 ? NULL : metaloop__events__unpack(NULL, (size_t)m, bytes);
    for (size_t i = 0; frame && i < frame->n_events; i++) {
        const Metaloop__Event *e = frame->events[i];
        const ProtobufCFieldDescriptor *d =
            protobuf_c_message_descriptor_get_field(e->base.descriptor, e->what_case);

        assert_true(strlen(d->name) == (size_t)n && memcmp(d->name, topic, (size_t)n) == 0);
    }
    return frame != NULL;
}

/* The next event; it stands until the next call. NULL: none within 20 s. */
static const Metaloop__Event *receive(void *s)
{
    while (!frame || taken == frame->n_events)
        if (!receive_frame(s))
            return NULL;
    return frame->events[taken++];
}

static void emit_round(struct sink *s, int i)
{
    const struct field fields[] = {
        TEXT("stage", "meta"), INTEGER("round", i), NUMBER("loss", i), {0}};

    sink_emit(s, "round", fields);
}

static void await_heartbeat(void *s)
{
    bool found = false;

    while (!found) {
        const Metaloop__Event *e = receive(s);

        assert_non_null(e);
        found = e->what_case == METALOOP__EVENT__WHAT_HEARTBEAT;
    }
}

static pid_t parent_of(pid_t pid)
{
    char path[64];
    int parent = 0;
    FILE *f;

    snprintf(path, sizeof path, "/proc/%ld/stat", (long)pid);
    f = fopen(path, "r");
    if (f && fscanf(f, "%*d (%*[^)]) %*c %d", &parent) != 1)
        parent = 0;
    if (f)
        fclose(f);
    return parent;
}

/* The process that publishes: this one's only child. */
static pid_t publisher(void)
{
    DIR *d = opendir("/proc");
    pid_t found = 0;

    assert_non_null(d);
    for (struct dirent *e; (e = readdir(d));)
        if (atoi(e->d_name) > 0 && parent_of(atoi(e->d_name)) == getpid())
            found = atoi(e->d_name);
    closedir(d);
    assert_true(found > 0);
    return found;
}

/* No events are taken while the process that publishes them is stopped. */
static void test_what_is_dropped_is_told(void **state)
{
    (void)state;
    void *context = zmq_ctx_new(), *s;
    struct sink sink;
    uint64_t dropped = 0, told = 0;
    pid_t pid;

    open_sink(&sink);
    s = subscribe(context);
    await_heartbeat(s);
    pid = publisher();
    assert_int_equal(kill(pid, SIGSTOP), 0);
    for (int i = 0; i < EVENTS; i++)
        emit_round(&sink, i);
    assert_int_equal(kill(pid, SIGCONT), 0);
    assert_true(sink.lost > 0 && sink.lost < EVENTS);
    while (sink.gap > 0) {
        usleep(200000);
        emit_round(&sink, EVENTS);
    }
    while (dropped < sink.lost || told < sink.lost) {
        const Metaloop__Event *e = receive(s);

        assert_non_null(e);
        if (e->what_case == METALOOP__EVENT__WHAT_HEARTBEAT)
            dropped = e->heartbeat->dropped;
        if (e->what_case == METALOOP__EVENT__WHAT_LOST)
            told += e->lost->events;
        if (told < sink.lost && dropped == sink.lost)
            break; /* this subscriber itself was too slow for the notice */
    }
    assert_int_equal(dropped, sink.lost);
    sink_close(&sink);
    zmq_close(s);
    zmq_ctx_term(context);
}

/* Events of one kind share messages, which are bounded; one of another kind begins a new one; none
 * changes its place. */
static void test_messages(void **state)
{
    (void)state;
    void *context = zmq_ctx_new(), *s;
    const struct field line[] = {TEXT("text", "between"), {0}};
    struct sink sink;
    uint64_t seq = 0;
    int messages = 0;

    open_sink(&sink);
    s = subscribe(context);
    await_heartbeat(s);
    for (int i = 1; i <= 1000; i++) {
        emit_round(&sink, i);
        if (i == 500)
            sink_emit(&sink, "log", line);
    }
    while (seq < 1001) {
        assert_true(receive_frame(s));
        if (frame->events[0]->what_case == METALOOP__EVENT__WHAT_HEARTBEAT)
            continue;
        messages++;
        assert_true(metaloop__events__get_packed_size(frame) <= 4096);
        for (size_t i = 0; i < frame->n_events; i++) {
            assert_int_equal(frame->events[i]->seq, ++seq);
            assert_int_equal(frame->events[i]->what_case,
                             seq == 501 ? METALOOP__EVENT__WHAT_LOG : METALOOP__EVENT__WHAT_ROUND);
        }
    }
    assert_true(messages > 3 && messages < 100);
    sink_close(&sink);
    zmq_close(s);
    zmq_ctx_term(context);
}

/* What was emitted before the end arrives. */
static void test_the_last_words(void **state)
{
    (void)state;
    void *context = zmq_ctx_new(), *s;
    const struct field fields[] = {TEXT("reason", "done"), {0}};
    struct sink sink;
    uint64_t seq = 0;
    bool ended = false;

    open_sink(&sink);
    s = subscribe(context);
    await_heartbeat(s);
    for (int i = 0; i < 100; i++)
        emit_round(&sink, i);
    sink_emit(&sink, "end", fields);
    sink_close(&sink);
    while (!ended) {
        const Metaloop__Event *e = receive(s);

        assert_non_null(e);
        if (e->what_case != METALOOP__EVENT__WHAT_HEARTBEAT)
            assert_int_equal(e->seq, ++seq);
        ended = e->what_case == METALOOP__EVENT__WHAT_END;
    }
    assert_int_equal(seq, 101);
    zmq_close(s);
    zmq_ctx_term(context);
}

static void test_what_event_does_not_have_is_no_crash(void **state)
{
    (void)state;
    const struct field fields[] = {TEXT("no_such", "x"), {0}};
    struct sink sink;

    open_sink(&sink);
    sink_emit(&sink, "round", fields);
    assert_int_equal(sink.lost, 1);
    assert_non_null(strstr(sink.error, "no_such"));
    assert_int_equal(sink_flush(&sink), 0);
    sink_close(&sink);
}

/* The sink starts this program again, with a verb, to publish. */
int main(int argc, char **argv)
{
    if (argc > 1 && strcmp(argv[1], PROCESS_VERB) == 0)
        return stream_publish(argc, argv);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_is_dropped_is_told),
        cmocka_unit_test(test_messages),
        cmocka_unit_test(test_the_last_words),
        cmocka_unit_test(test_what_event_does_not_have_is_no_crash),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
