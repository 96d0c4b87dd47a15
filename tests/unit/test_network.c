/* test_network.c - virtual time, and how long messages take in it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "core/base/clock.h"
#include "core/base/err.h"
#include "core/base/machine.h"
#include "core/base/thread.h"
#include "core/sim/fiber.h"
#include "proto/comm/comm.h"
#include "proto/comm/network.h"

/* ---- the network ---- */

enum { BYTES = 125000 }; /* 10 us on 100 Gb/s, 12.5 us inside a host */

static const int host[] = {0, 0, 1, 1, 2, 3}; /* of six ranks */
static virtual_time came[2];

static void note(struct travel *t)
{
    came[t->bytes - BYTES] = fiber_now();
}

/* When two messages arrive that leave at time 0; the second one is a byte longer. */
static void send_two(const struct network *n, int from, int to, int from2, int to2)
{
    struct wires w;
    struct travel first = {&w, from, to, BYTES, note}, second = {&w, from2, to2, BYTES + 1, note};

    fibers_open();
    assert_int_equal(wires_open(&w, n, host, 6), 0);
    travel_begin(&first);
    travel_begin(&second);
    assert_int_equal(fibers_run(), 0);
    wires_close(&w);
    fibers_close();
}

static void arrive_at(virtual_time first, virtual_time second)
{
    assert_int_equal(came[0], first);
    assert_int_equal(came[1], second);
}

static void one_after_the_other(void **state)
{
    const struct network *n = network_find("100G");

    (void)state;
    send_two(n, 0, 2, 4, 5); /* other links: as if alone */
    arrive_at(1500 + 500 + 10000, 1500 + 500 + 10000);
    assert_int_equal(travel_time(n, false, BYTES), 12000);
    send_two(n, 0, 2, 1, 4); /* from one host */
    arrive_at(12000, 10500 + 12000);
    send_two(n, 0, 2, 4, 3); /* to one host */
    arrive_at(12000, 10500 + 12000);
    send_two(n, 0, 2, 3, 1); /* both directions of a link */
    arrive_at(12000, 12000);
}

static void inside_a_host(void **state)
{
    const struct network *n = network_find("10G");

    (void)state;
    send_two(n, 0, 1, 2, 3);
    arrive_at(500 + 12500, 500 + 12500);
    send_two(n, 0, 1, 0, 1);
    arrive_at(500 + 12500, 500 + 25000);
    assert_int_equal(travel_time(n, true, BYTES), 13000);
    assert_int_equal(travel_time(n, false, BYTES), 1500 + 500 + 100000);
}

/* Four hosts share what two links carry: a message takes 5 us of the switch. */
static void oversubscribed(void **state)
{
    struct network n = *network_find("100G");

    (void)state;
    n.oversubscription = 2;
    send_two(&n, 0, 2, 4, 5);
    arrive_at(12000, 5000 + 12000);
    send_two(&n, 0, 1, 2, 4); /* one of them stays inside its host */
    arrive_at(13000, 12000);
    assert_null(network_find("1G"));
}

/* ---- fibers ---- */

static int order[8], n_order;

static void tell(int what)
{
    order[n_order++] = what;
}

static void works(void *context)
{
    int me = *(int *)context;

    tell(me);
    fiber_spend(me == 1 ? 30 : 20);
    tell(me);
    fiber_spend(me == 1 ? 5 : 20);
    tell(me);
}

/* Work goes on side by side, in the order of its ends; events of one time in that of their
 * beginning. */
static void side_by_side(void **state)
{
    static const int expected[] = {1, 2, 2, 1, 1, 2};
    int one = 1, two = 2;

    (void)state;
    n_order = 0;
    fibers_open();
    assert_int_equal(fiber_start(works, &one, "a"), 0);
    assert_int_equal(fiber_start(works, &two, "b"), 0);
    assert_int_equal(fibers_run(), 0);
    assert_int_equal(fiber_now(), 40);
    fibers_close();
    assert_int_equal(n_order, 6);
    assert_memory_equal(order, expected, sizeof expected);
}

static struct queue {
    pthread_mutex_t mutex;
    struct condition filled;
    int n, taken;
} queue = {.mutex = PTHREAD_MUTEX_INITIALIZER};

static void *take(void *context)
{
    struct queue *q = context;

    pthread_mutex_lock(&q->mutex);
    while (q->n == 0)
        condition_wait(&q->filled, &q->mutex);
    q->n--, q->taken++;
    pthread_mutex_unlock(&q->mutex);
    err(ERR_DATA, "of the thread");
    return NULL;
}

static void feeds(void *context)
{
    struct queue *q = context;
    struct thread threads[2];
    char name[16];

    err(ERR_DATA, "of the fiber");
    for (int i = 0; i < 2; i++)
        assert_int_equal(thread_start(&threads[i], take, q), 0);
    thread_yield(); /* both wait */
    pthread_mutex_lock(&q->mutex);
    q->n = 2;
    condition_wake(&q->filled);
    condition_wake(&q->filled);
    pthread_mutex_unlock(&q->mutex);
    for (int i = 0; i < 2; i++)
        thread_join(&threads[i]);
    assert_int_equal(q->taken, 2);
    assert_string_equal(err_text(), "of the fiber");
    machine_host(name, sizeof name);
    assert_string_equal(name, "host17");
    fiber_spend(2500000000);
    assert_true(clock_seconds() > 2.5 && clock_seconds() < 2.6);
}

static void threads_of_a_fiber(void **state)
{
    (void)state;
    condition_init(&queue.filled);
    fibers_open();
    assert_int_equal(fiber_start(feeds, &queue, "host17"), 0);
    assert_int_equal(fibers_run(), 0);
    fibers_close();
    condition_release(&queue.filled);
}

static struct fiber *sleeper;
static virtual_time woken[3];

static void sleeps(void *context)
{
    (void)context;
    sleeper = fiber_running();
    fiber_wait_until(100);
    woken[0] = fiber_now();
    fiber_wait_until(fiber_now() + 1000);
    woken[1] = fiber_now();
    fiber_wait();
    woken[2] = fiber_now();
}

static void wakes(void *context)
{
    (void)context;
    fiber_spend(40);
    fiber_wake(sleeper, 60); /* the wait until 100 ends early, and only that one */
    fiber_wake(sleeper, 70);
    fiber_spend(3000);
    fiber_wake(sleeper, fiber_now());
}

static void wake_ups(void **state)
{
    static const virtual_time expected[] = {60, 1060, 3040};

    (void)state;
    fibers_open();
    assert_int_equal(fiber_start(sleeps, NULL, "a"), 0);
    assert_int_equal(fiber_start(wakes, NULL, "a"), 0);
    assert_int_equal(fibers_run(), 0);
    fibers_close();
    assert_memory_equal(woken, expected, sizeof expected);
}

static void waits(void *context)
{
    (void)context;
    fiber_wait();
}

static void nobody_wakes_it(void **state)
{
    (void)state;
    fibers_open();
    for (int i = 0; i < 3; i++)
        assert_int_equal(fiber_start(waits, NULL, "a"), 0);
    assert_int_equal(fibers_run(), ERR_FAILED);
    assert_string_equal(err_text(), "3 fibers wait for ever");
    fibers_close();
}

/* ---- ranks that wait for a message ---- */

static virtual_time heard;

static void speaks(void *end)
{
    struct comm *c = end;

    fiber_spend(3333333);
    assert_int_equal(comm_send(c, 1, &(struct header){.kind = MESSAGE_ALIVE}, NULL, 0), 0);
    comm_close(c);
}

static void hears(void *end)
{
    struct comm *c = end;
    struct message m;

    while (comm_poll(c, &m) == 0)
        comm_idle(c);
    heard = fiber_now();
    comm_close(c);
}

/* When the message is heard that leaves after three milliseconds. */
static virtual_time hear(bool awake)
{
    struct comm ends[2];

    fibers_open();
    assert_int_equal(comm_open("sim", ends, 2), 0);
    ends[1].awake = awake;
    assert_int_equal(fiber_start(speaks, &ends[0], "a"), 0);
    assert_int_equal(fiber_start(hears, &ends[1], "b"), 0);
    assert_int_equal(fibers_run(), 0);
    fibers_close();
    return heard;
}

/* Who is awake sees it at once: a poll, a yield and what the message costs later; a sleep would be
 * 0.1 ms long by then. */
static void awake_or_asleep(void **state)
{
    (void)state;
    assert_in_range(hear(true), 3333333, 3333333 + 6000);
    assert_in_range(hear(false), 3333333 + 10000, 3333333 + 300000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_after_the_other), cmocka_unit_test(inside_a_host),
        cmocka_unit_test(oversubscribed),      cmocka_unit_test(side_by_side),
        cmocka_unit_test(threads_of_a_fiber),  cmocka_unit_test(wake_ups),
        cmocka_unit_test(nobody_wakes_it),     cmocka_unit_test(awake_or_asleep),
    };

    return cmocka_run_group_tests_name("network", tests, NULL, NULL);
}
