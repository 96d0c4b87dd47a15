/* test_stream_ring.c - events pass in order, each once, from one process to another, whatever the
 * other one writes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>
#include <sched.h>

#include "core/base/err.h"
#include "proto/stream/ring.h"

enum { MANY = 200000 };

static struct stream_event *event(uint64_t seq)
{
    size_t n = seq % 997;
    struct stream_event *e = calloc(1, sizeof *e + n);

    assert_non_null(e);
    e->seq = seq;
    e->n = n;
    memset(e->bytes, (int)(seq % 251), n);
    return e;
}

static bool put(struct stream_ring *r, uint64_t seq)
{
    struct stream_event *e = event(seq);
    bool fits = stream_ring_put(r, e);

    free(e);
    return fits;
}

static bool is_event(struct stream_event *e, uint64_t seq)
{
    bool same = e && e->seq == seq && e->n == seq % 997;

    for (size_t i = 0; same && i < e->n; i++)
        same = e->bytes[i] == seq % 251;
    free(e);
    return same;
}

static int ring_pair(void **state)
{
    static struct stream_ring pair[2];

    *state = pair;
    return stream_ring_make(&pair[0]) + stream_ring_join(&pair[1], pair[0].file);
}

static int ring_release(void **state)
{
    struct stream_ring *pair = *state;

    stream_ring_release(&pair[0]);
    stream_ring_release(&pair[1]);
    return 0;
}

static void test_full_and_empty(void **state)
{
    struct stream_ring *pair = *state;
    uint64_t first = 1, last = 0;

    for (int turn = 0; turn < 3; turn++) {
        while (put(&pair[0], last + 1))
            last++;
        assert_true(last - first > STREAM_RING / 2048);
        assert_false(put(&pair[0], last + 1));
        for (; first <= last; first++)
            assert_true(is_event(stream_ring_take(&pair[1]), first));
        assert_null(stream_ring_take(&pair[1]));
    }
}

static void test_an_event_larger_than_the_ring(void **state)
{
    struct stream_ring *pair = *state;
    struct stream_event *e = calloc(1, sizeof *e + STREAM_RING);

    assert_non_null(e);
    e->n = STREAM_RING;
    assert_false(stream_ring_put(&pair[0], e));
    e->n = STREAM_RING - sizeof *e - sizeof(uint64_t);
    assert_true(stream_ring_put(&pair[0], e));
    free(e);
    e = stream_ring_take(&pair[1]);
    assert_non_null(e);
    free(e);
    assert_true(put(&pair[0], 5) && is_event(stream_ring_take(&pair[1]), 5));
}

/* A taking side that peers have taken over writes what it likes: the putting side stays inside its
 * memory. */
static void test_nothing_that_the_other_writes_is_believed(void **state)
{
    struct stream_ring *pair = *state;
    const uint64_t lies[] = {1, 1000, STREAM_RING, UINT64_C(1) << 40, UINT64_MAX, 0};

    for (size_t i = 0; i < sizeof lies / sizeof *lies; i++) {
        pair[0].shared->taken = lies[i];
        pair[0].shared->put = ~lies[i];
        for (int k = 0; k < 100000; k++)
            put(&pair[0], (uint64_t)k);
    }
    pair[0].shared->taken = pair[0].at + 1; /* more than was ever put */
    assert_false(put(&pair[0], 1));
    assert_int_not_equal(ftruncate(pair[0].file, 4096), 0);
}

static void test_what_is_no_ring(void **state)
{
    struct stream_ring *pair = *state, other;
    int file = memfd_create("other", MFD_CLOEXEC);

    assert_int_equal(stream_ring_join(&other, -1), ERR_USAGE);
    assert_int_equal(stream_ring_join(&other, file), ERR_USAGE);
    assert_int_equal(ftruncate(file, sizeof(struct stream_shared)), 0);
    assert_int_equal(stream_ring_join(&other, file), ERR_USAGE);
    close(file);
    assert_int_equal(stream_ring_join(&other, pair[0].file), 0);
    stream_ring_release(&other);
}

static int take_many(struct stream_ring *r)
{
    for (uint64_t i = 0; i < MANY;) {
        struct stream_event *e = stream_ring_take(r);

        if (!e)
            sched_yield();
        else if (!is_event(e, i++))
            return 1;
    }
    return stream_ring_take(r) != NULL;
}

static void test_two_processes(void **state)
{
    struct stream_ring *pair = *state;
    pid_t child = fork();
    int status;

    if (child == 0)
        _exit(take_many(&pair[1]));
    for (uint64_t i = 0; i < MANY; i++)
        while (!put(&pair[0], i))
            sched_yield();
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_full_and_empty, ring_pair, ring_release),
        cmocka_unit_test_setup_teardown(test_an_event_larger_than_the_ring, ring_pair,
                                        ring_release),
        cmocka_unit_test_setup_teardown(test_nothing_that_the_other_writes_is_believed, ring_pair,
                                        ring_release),
        cmocka_unit_test_setup_teardown(test_what_is_no_ring, ring_pair, ring_release),
        cmocka_unit_test_setup_teardown(test_two_processes, ring_pair, ring_release),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
