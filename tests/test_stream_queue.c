/* test_stream_queue.c - events pass in order, each once, from one thread to another. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <pthread.h>

#include "proto/stream_queue.h"

enum { MANY = 5 * STREAM_QUEUE + 7 };

static struct stream_event *event(uint64_t seq)
{
    size_t n = seq % 40;
    struct stream_event *e = calloc(1, sizeof *e + n);

    assert_non_null(e);
    e->seq = seq;
    e->n = n;
    memset(e->bytes, (int)(seq % 251), n);
    return e;
}

static void assert_event(const struct stream_event *e, uint64_t seq)
{
    assert_non_null(e);
    assert_int_equal(e->seq, seq);
    assert_int_equal(e->n, seq % 40);
    for (size_t i = 0; i < e->n; i++)
        assert_int_equal(e->bytes[i], seq % 251);
}

static int queue_new(void **state)
{
    *state = calloc(1, sizeof(struct stream_queue));
    return *state ? 0 : -1;
}

static int queue_free(void **state)
{
    stream_queue_release(*state);
    free(*state);
    return 0;
}

static void take(struct stream_queue *q, uint64_t seq)
{
    struct stream_event *e = stream_queue_take(q);

    assert_event(e, seq);
    free(e);
}

static void test_full_and_empty(void **state)
{
    struct stream_queue *q = *state;

    for (uint64_t turn = 0; turn < 3; turn++) {
        assert_null(stream_queue_take(q));
        for (uint64_t i = 0; i < STREAM_QUEUE; i++) {
            assert_false(stream_queue_is_full(q));
            stream_queue_put(q, event(i + turn));
        }
        assert_true(stream_queue_is_full(q));
        for (uint64_t i = 0; i < STREAM_QUEUE; i++)
            take(q, i + turn);
    }
}

/* What was put may be changed or freed by the putting thread alone: the other has copies. */
static void test_copies(void **state)
{
    struct stream_queue *q = *state;
    struct stream_event *e = event(39), *copy;

    stream_queue_put(q, e);
    copy = stream_queue_take(q);
    assert_ptr_not_equal(copy, e);
    memset(e->bytes, 255, e->n);
    assert_event(copy, 39);
    free(copy);
}

static void *put_many(void *context)
{
    struct stream_queue *q = context;

    for (uint64_t i = 0; i < MANY; i++) {
        while (stream_queue_is_full(q))
            sched_yield();
        stream_queue_put(q, event(i));
    }
    return NULL;
}

static void test_two_threads(void **state)
{
    struct stream_queue *q = *state;
    pthread_t thread;

    assert_int_equal(pthread_create(&thread, NULL, put_many, q), 0);
    for (uint64_t i = 0; i < MANY;) {
        struct stream_event *e = stream_queue_take(q);

        if (!e) {
            sched_yield();
            continue;
        }
        assert_event(e, i++);
        free(e);
    }
    pthread_join(thread, NULL);
    assert_null(stream_queue_take(q));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_full_and_empty, queue_new, queue_free),
        cmocka_unit_test_setup_teardown(test_copies, queue_new, queue_free),
        cmocka_unit_test_setup_teardown(test_two_threads, queue_new, queue_free),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
