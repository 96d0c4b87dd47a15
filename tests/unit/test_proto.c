/* test_proto.c - messages, the tree, the in-process transport, and where a resumed run's metrics
 * are cut. */
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

#include "coordinator/run/rundir.h"
#include "core/base/err.h"
#include "proto/wire.h"

static uint32_t ids[] = {7, 1, 4000000000u, 0, 2, 3, 9, 8};

static struct task sample_task(void)
{
    return (struct task){1, 2, 3, 4, 1ull << 60, 2, 1, 3, ids, ids + 2, ids + 4, ids + 2};
}

static int same_task(void *context, const struct task *t)
{
    struct task s = sample_task();

    assert_int_equal(t->stage, 1);
    assert_int_equal(t->data, 2);
    assert_int_equal(t->round, 3);
    assert_int_equal(t->slot, 4);
    assert_true(t->seed == 1ull << 60);
    assert_memory_equal(t->classes, s.classes, 2 * sizeof *ids);
    assert_memory_equal(t->turns, s.turns, 2 * sizeof *ids);
    assert_memory_equal(t->support, s.support, 2 * sizeof *ids);
    assert_memory_equal(t->queries, s.queries, 6 * sizeof *ids);
    ++*(int *)context;
    return 0;
}

static void test_task(void **state)
{
    struct task t = sample_task();
    struct buffer out = {0};
    int n = 0;

    (void)state;
    assert_int_equal(wire_pack_task(&t, "maml", &out), 0);
    assert_int_equal(wire_unpack_task(out.bytes, out.n, same_task, &n), 0);
    assert_int_equal(n, 1);
    buffer_release(&out);
}

static void test_given(void **state)
{
    struct given g = {{{0, 1}, {7, 5}, {UINT32_MAX - 1, 1}}, 3, true}, same = {.n = 0};
    struct buffer out = {0};

    (void)state;
    assert_int_equal(wire_pack_given(&g, &out), 0);
    assert_int_equal(wire_unpack_given(out.bytes, out.n, &same), 0);
    assert_int_equal(same.n, 3);
    assert_true(same.last);
    assert_memory_equal(same.ranges, g.ranges, 3 * sizeof *g.ranges);
    g.n = 0, g.last = false;
    assert_int_equal(wire_pack_given(&g, &out), 0);
    assert_int_equal(wire_unpack_given(out.bytes, out.n, &same), 0);
    assert_int_equal(same.n, 0);
    assert_false(same.last);
    buffer_release(&out);
}

static void expect_given_refused(const char *bytes, size_t n, const char *why)
{
    struct given g;

    assert_int_equal(wire_unpack_given(bytes, n, &g), ERR_DATA);
    assert_non_null(strstr(err_text(), why));
}

/* Receivers have room for WIRE_RANGES_MAX; a range has tasks, and ends. */
static void test_given_refused(void **state)
{
    char full[3 + 4 * WIRE_RANGES_MAX] = {0x0a, 0};
    size_t n = 2 * WIRE_RANGES_MAX;

    (void)state;
    for (size_t i = 0; i < sizeof full - 3; i++)
        full[3 + i] = 1;
    full[1] = (char)((n & 0x7f) | 0x80), full[2] = (char)(n >> 7);
    assert_int_equal(wire_unpack_given(full, 3 + n, &(struct given){.n = 0}), 0);
    n += 2;
    full[1] = (char)((n & 0x7f) | 0x80);
    expect_given_refused(full, 3 + n, "130 numbers for ranges of tasks, the limit is 64 pairs");
    expect_given_refused("\x0a\x01\x01", 3, "1 numbers for ranges");
    expect_given_refused("\x0a\x02\x05\x00", 4, "0 tasks from slot 5");
    expect_given_refused("\x0a\x06\x01\xff\xff\xff\xff\x0f", 8, "tasks from slot 1");
}

static int ignore_task(void *context, const struct task *t)
{
    assert_true(t->way == 2 || t->way == 0);
    ++*(int *)context;
    return 0;
}

/* A cut or flipped task is refused or still consistent with its own counts; it is never read
 * beyond. */
static void test_task_damaged(void **state)
{
    struct task t = sample_task();
    struct buffer out = {0};
    int n = 0, refused = 0;

    (void)state;
    assert_int_equal(wire_pack_task(&t, "maml", &out), 0);
    for (size_t cut = 0; cut < out.n; cut++) {
        uint8_t *copy = memcpy(malloc(cut + 1), out.bytes, cut);

        refused += wire_unpack_task(copy, cut, ignore_task, &n) == ERR_DATA;
        free(copy);
    }
    assert_true(refused > (int)out.n / 2);
    out.bytes[out.n - 1 - 4 - 2 - 1] ^= 0x80;
    wire_unpack_task(out.bytes, out.n, ignore_task, &n);
    buffer_release(&out);
}

static void test_task_counts(void **state)
{
    struct task t = sample_task();
    struct buffer out = {0};
    int n = 0;

    (void)state;
    assert_int_equal(wire_pack_task(&t, NULL, &out), 0);
    for (size_t i = 0; i + 1 < out.n; i++)
        if (out.bytes[i] == 6 << 3 && out.bytes[i + 1] == 2) /* field 6, way */
            out.bytes[i + 1] = 3;
    assert_int_equal(wire_unpack_task(out.bytes, out.n, ignore_task, &n), ERR_DATA);
    assert_int_equal(n, 0);
    buffer_release(&out);
}

static void test_done(void **state)
{
    uint32_t slots[] = {3, 70000, 12};
    uint64_t checksums[] = {0, UINT64_MAX, 1};
    struct done d = {123456, 0xfedcba9876543210u, {3, slots, checksums}}, back = {0};
    struct buffer out = {0};

    (void)state;
    assert_int_equal(wire_pack_done(&d, &out), 0);
    assert_int_equal(wire_unpack_done(out.bytes, out.n, &back), 0);
    assert_int_equal(back.tasks, d.tasks);
    assert_true(back.checksum == d.checksum);
    assert_int_equal(back.seen.n, 3);
    assert_memory_equal(back.seen.slots, slots, sizeof slots);
    assert_memory_equal(back.seen.checksums, checksums, sizeof checksums);
    done_release(&back);
    assert_int_equal(wire_unpack_done(out.bytes, out.n - 1, &back), ERR_DATA);
    assert_int_equal(out.bytes[out.n - 8 * 3 - 2], 4 << 3 | 2); /* field 4, marks */
    out.bytes[out.n - 8 * 3 - 2] = 15 << 3 | 2;                 /* unknown: there are none */
    assert_int_equal(wire_unpack_done(out.bytes, out.n, &back), ERR_DATA);
    assert_non_null(strstr(err_text(), "3 tasks and 0 checksums"));
    buffer_release(&out);
}

static void test_bye(void **state)
{
    (void)state;
    struct buffer out = {0};

    for (int lost = 0; lost < 2; lost++) {
        struct bye said = {.code = -11, .lost = lost, .damaged = 4, .reason = "rank 3 is lost"},
                   heard;

        assert_int_equal(wire_pack_bye(&said, &out), 0);
        assert_int_equal(wire_unpack_bye(out.bytes, out.n, &heard), 0);
        assert_int_equal(heard.code, -11);
        assert_int_equal(heard.lost, lost);
        assert_int_equal(heard.damaged, 4);
        assert_string_equal(heard.reason, said.reason);
    }
    buffer_release(&out);
}

static void write_lines(const char *path)
{
    FILE *f = fopen(path, "w");

    assert_non_null(f);
    fputs("{\"kind\":\"stage\",\"stage_index\":0}\n"
          "{\"kind\":\"round\",\"stage_index\":0,\"round\":1}\n"
          "{\"kind\":\"round\",\"stage_index\":0,\"round\":2}\n"
          "{\"kind\":\"checkpoint\",\"at_round\":2}\n"
          "{\"kind\":\"watch\",\"stage_index\":0,\"round\":2}\n"
          "{\"kind\":\"evaluation\",\"stage_index\":0,\"round\":2}\n"
          "{\"kind\":\"round\",\"stage_index\":0,\"round\":3}\n"
          "{\"kind\":\"round\",\"stage_index\":1,\"round\":1}\n"
          "{\"kind\":\"rou",
          f);
    fclose(f);
}

/* Each number in its own place; what is negative or no number is refused. */
static void test_alive(void **state)
{
    const struct alive a = {1, 2.5, 3.25, 4e12, 5.75};
    struct alive b = {0}, bad[] = {{1, -2.5, 3, 4, 5},  {1, 2, -3, 4, 5},  {1, 2, 3, -4, 5},
                                   {1, 2, 3, 4, -5},    {1, NAN, 3, 4, 5}, {1, 2, INFINITY, 4, 5},
                                   {1, 2, 3, 4, -1e-9}, {1, 2, 3, NAN, 5}, {1, 2, 3, 4, INFINITY}};
    struct buffer out = {0};

    (void)state;
    assert_int_equal(wire_pack_alive(&a, &out), 0);
    assert_int_equal(wire_unpack_alive(out.bytes, out.n, &b), 0);
    assert_true(b.tasks == 1 && b.seconds == 2.5 && b.computing == 3.25);
    assert_true(b.operations == 4e12 && b.memory_mib == 5.75);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_int_equal(wire_pack_alive(&bad[i], &out), 0);
        assert_int_equal(wire_unpack_alive(out.bytes, out.n, &b), ERR_DATA);
    }
    assert_int_equal(wire_unpack_alive(NULL, 0, &b), 0); /* all zero: it has done nothing yet */
    assert_int_equal(wire_unpack_alive("\xff\xff", 2, &b), ERR_DATA);
    buffer_release(&out);
}

/* The numbers of the schema, which programs with other protobuf libraries rely on. */
static void test_alive_by_its_numbers(void **state)
{
    const uint8_t bytes[] = {0x08, 0x07, 0x11, 0, 0, 0, 0, 0,    0,
                             0,    0x40,                                /* tasks 7, seconds 2 */
                             0x19, 0,    0,    0, 0, 0, 0, 0x10, 0x40}; /* computing 4 */
    struct alive a;

    (void)state;
    assert_int_equal(wire_unpack_alive(bytes, sizeof bytes, &a), 0);
    assert_true(a.tasks == 7 && a.seconds == 2 && a.computing == 4 && a.operations == 0);
}

static int count_lines(const char *path)
{
    FILE *f = fopen(path, "r");
    int n = 0, c;

    while ((c = fgetc(f)) != EOF)
        n += c == '\n';
    fclose(f);
    return n;
}

static void test_rewind(void **state)
{
    char directory[] = "/tmp/metaloop-rewind-XXXXXX", path[64];

    (void)state;
    assert_non_null(mkdtemp(directory));
    snprintf(path, sizeof path, "%s/metrics.jsonl", directory);
    assert_int_equal(rundir_rewind(directory, 0, 2), 0); /* nothing there is fine */
    write_lines(path);
    assert_int_equal(rundir_rewind(directory, 1, 5), 0); /* only the torn line goes */
    assert_int_equal(count_lines(path), 8);
    assert_int_equal(rundir_rewind(directory, 0, 2),
                     0); /* its look and its evaluation are done again */
    assert_int_equal(count_lines(path), 4);
    assert_int_equal(rundir_rewind(directory, 0, 0), 0);
    assert_int_equal(count_lines(path), 1);
    unlink(path);
    rmdir(directory);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_task),          cmocka_unit_test(test_given),
        cmocka_unit_test(test_given_refused), cmocka_unit_test(test_task_damaged),
        cmocka_unit_test(test_task_counts),   cmocka_unit_test(test_done),
        cmocka_unit_test(test_bye),           cmocka_unit_test(test_rewind),
        cmocka_unit_test(test_alive),         cmocka_unit_test(test_alive_by_its_numbers),
    };

    return cmocka_run_group_tests_name("proto", tests, NULL, NULL);
}
