/* test_stream_gate.c - who is let in, asked by hand: libzmq itself never sends most of these
 * questions. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <zmq.h>

#include "proto/stream/gate.h"

static uint8_t keys[2][KEY_BYTES];
static struct key_list allowed = {2, keys};

struct place {
    void *context, *gate, *asker;
};

static int place_open(void **state)
{
    static struct place p;

    for (int i = 0; i < KEY_BYTES; i++) {
        keys[0][i] = (uint8_t)(i + 1);
        keys[1][i] = (uint8_t)(200 - i);
    }
    p.context = zmq_ctx_new();
    p.gate = gate_open(p.context);
    p.asker = zmq_socket(p.context, ZMQ_REQ);
    *state = &p;
    return p.gate && zmq_connect(p.asker, "inproc://zeromq.zap.01") == 0 ? 0 : -1;
}

static int place_close(void **state)
{
    struct place *p = *state;

    zmq_close(p->asker);
    zmq_close(p->gate);
    return zmq_ctx_term(p->context);
}

struct frame {
    const void *bytes;
    size_t n;
};

static struct frame text(const char *t)
{
    return (struct frame){t, strlen(t)};
}

/* The status of the answer, whose frames have to be those of RFC 27. */
static int ask(const struct place *p, const struct frame *frames, int n)
{
    char answer[6][64];
    int size[6], more = 1, got = 0;
    size_t room = sizeof more;

    for (int i = 0; i < n; i++)
        assert_int_equal(
            zmq_send(p->asker, frames[i].bytes, frames[i].n, i + 1 < n ? ZMQ_SNDMORE : 0),
            frames[i].n);
    gate_answer(p->gate, &allowed);
    for (; more && got < 6; got++) {
        size[got] = zmq_recv(p->asker, answer[got], sizeof answer[got], ZMQ_DONTWAIT);
        assert_true(size[got] >= 0);
        zmq_getsockopt(p->asker, ZMQ_RCVMORE, &more, &room);
    }
    assert_true(got == 6 && !more);
    assert_true(size[0] == 3 && memcmp(answer[0], "1.0", 3) == 0);
    assert_true(
        n < 2 || frames[1].n > 64 ||
        (size[1] == (int)frames[1].n && memcmp(answer[1], frames[1].bytes, frames[1].n) == 0));
    assert_true(size[2] == 3 && size[3] == 0 && size[4] == 0 && size[5] == 0);
    answer[2][3] = '\0';
    return atoi(answer[2]);
}

static int ask_with(const struct place *p, const char *version, const char *mechanism,
                    const void *key, size_t n)
{
    const struct frame frames[] = {text(version),    text("id-7"), text("metaloop"),
                                   text("10.0.0.1"), text(""),     text(mechanism),
                                   {key, n}};

    return ask(p, frames, 7);
}

static void test_a_key_of_the_list(void **state)
{
    struct place *p = *state;

    assert_int_equal(ask_with(p, "1.0", "CURVE", keys[0], KEY_BYTES), 200);
    assert_int_equal(ask_with(p, "1.0", "CURVE", keys[1], KEY_BYTES), 200);
}

static void test_keys_that_are_none_of_them(void **state)
{
    struct place *p = *state;
    uint8_t longer[KEY_BYTES + 1] = {0}, other[KEY_BYTES];

    memcpy(longer, keys[0], KEY_BYTES);
    for (size_t n = 0; n < KEY_BYTES; n++) /* no key, and each beginning of one */
        assert_int_equal(ask_with(p, "1.0", "CURVE", keys[0], n), 400);
    assert_int_equal(ask_with(p, "1.0", "CURVE", longer, KEY_BYTES + 1), 400);
    for (int i = 0; i < KEY_BYTES; i++) {
        memcpy(other, keys[1], KEY_BYTES);
        other[i] ^= 1;
        assert_int_equal(ask_with(p, "1.0", "CURVE", other, KEY_BYTES), 400);
    }
}

/* Seven frames with a right key in the last one are no proof unless the mechanism is CURVE. */
static void test_other_mechanisms(void **state)
{
    static const char *const others[] = {"PLAIN", "NULL", "GSSAPI", "", "CURV", "CURVE ", "curve"};
    struct place *p = *state;

    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        assert_int_equal(ask_with(p, "1.0", others[i], keys[0], KEY_BYTES), 400);
    assert_int_equal(ask_with(p, "1.1", "CURVE", keys[0], KEY_BYTES), 400);
    assert_int_equal(ask_with(p, "", "CURVE", keys[0], KEY_BYTES), 400);
}

static void test_other_numbers_of_frames(void **state)
{
    struct place *p = *state;
    static char large[1000];
    struct frame frames[10] = {text("1.0"), text("id-7"),  text("metaloop"),    text("10.0.0.1"),
                               text(""),    text("CURVE"), {keys[0], KEY_BYTES}};

    for (int n = 1; n <= 10; n++) {
        for (int i = 7; i < 10; i++)
            frames[i] = (struct frame){keys[0], KEY_BYTES};
        assert_int_equal(ask(p, frames, n), n == 7 ? 200 : 400);
    }
    for (int i = 0; i < 7; i++) {
        struct frame other[7];

        memcpy(other, frames, sizeof other);
        other[i] = (struct frame){large, sizeof large};
        assert_int_equal(ask(p, other, 7), i == 0 || i > 4 ? 400 : 200);
    }
}

static void test_nobody_is_allowed(void **state)
{
    struct place *p = *state;

    allowed.n = 0;
    assert_int_equal(ask_with(p, "1.0", "CURVE", keys[0], KEY_BYTES), 400);
    allowed.n = 2;
}

int main(void)
{
#define ONE(test) cmocka_unit_test_setup_teardown(test, place_open, place_close)
    const struct CMUnitTest tests[] = {
        ONE(test_a_key_of_the_list), ONE(test_keys_that_are_none_of_them),
        ONE(test_other_mechanisms),  ONE(test_other_numbers_of_frames),
        ONE(test_nobody_is_allowed),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
