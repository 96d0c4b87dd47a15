/* fuzz_wire.c - a message: the first byte picks its kind, the rest is what arrived. What unpacks
 * packs, and unpacks to the same again.
 *
 * A new message is a function try_X and an entry at the end of `messages`; seeds and findings in
 * the corpus have the plain index in front. */
#include "proto/comm/words.h"
#include "proto/wire.h"
#include "tests/fuzz/fuzz.h"

/* That what was packed from the input and what was packed from that are equal; frees both. */
static void same_release(struct buffer *a, struct buffer *b)
{
    EXPECT(a->n == b->n && (a->n == 0 || memcmp(a->bytes, b->bytes, a->n) == 0));
    buffer_release(a);
    buffer_release(b);
}

struct taken { /* tasks, each packed alone */
    int n;
    struct buffer all;
};

static int take_each(void *context, const struct task *t)
{
    struct taken *to = context;
    struct buffer one = {0};

    EXPECT(wire_pack_task(t, NULL, &one) == 0);
    EXPECT(buffer_reserve(&to->all, to->all.n + one.n + 1) == 0);
    if (one.n > 0)
        memcpy(to->all.bytes + to->all.n, one.bytes, one.n);
    to->all.n += one.n;
    to->n++;
    buffer_release(&one);
    return 0;
}

static void try_given(const uint8_t *bytes, size_t n)
{
    struct buffer first = {0}, second = {0};
    struct given g;
    int code = wire_unpack_given(bytes, n, &g);

    if (code < 0) {
        EXPECT_REFUSAL(code, ERR_DATA);
        return;
    }
    EXPECT(g.n <= WIRE_RANGES_MAX);
    for (int i = 0; i < g.n; i++)
        EXPECT(g.ranges[i].first + g.ranges[i].n > g.ranges[i].first);
    EXPECT(wire_pack_given(&g, &first) == 0);
    EXPECT(wire_unpack_given(first.bytes, first.n, &g) == 0);
    EXPECT(wire_pack_given(&g, &second) == 0);
    same_release(&first, &second);
}

static int pack_again(void *context, const struct task *t)
{
    return wire_pack_task(t, NULL, context);
}

static void try_task(const uint8_t *bytes, size_t n)
{
    struct taken first = {0}, second = {0};
    struct buffer one = {0};
    int code = wire_unpack_task(bytes, n, take_each, &first);

    if (code < 0) {
        EXPECT_REFUSAL(code, ERR_DATA);
        return;
    }
    EXPECT(wire_unpack_task(bytes, n, pack_again, &one) == 0);
    EXPECT(wire_unpack_task(one.bytes, one.n, take_each, &second) == 0);
    EXPECT(first.n == 1 && second.n == 1);
    buffer_release(&one);
    same_release(&first.all, &second.all);
}

static void try_hello(const uint8_t *bytes, size_t n)
{
    struct buffer first = {0}, second = {0};
    struct hello h;
    struct sections s;
    int code = wire_unpack_hello(bytes, n, &h, &s);

    if (code < 0) {
        EXPECT_REFUSAL(code, ERR_DATA);
        return;
    }
    EXPECT(wire_pack_hello(&h, &s, &first) == 0);
    EXPECT(wire_unpack_hello(first.bytes, first.n, &h, &s) == 0);
    EXPECT(wire_pack_hello(&h, &s, &second) == 0);
    same_release(&first, &second);
}

static void try_welcome(const uint8_t *bytes, size_t n)
{
    struct buffer first = {0}, second = {0};
    struct welcome w;
    int code = wire_unpack_welcome(bytes, n, &w);

    if (code < 0) {
        EXPECT_REFUSAL(code, ERR_DATA);
        return;
    }
    EXPECT(wire_pack_welcome(&w, &first) == 0);
    welcome_release(&w);
    EXPECT(wire_unpack_welcome(first.bytes, first.n, &w) == 0);
    EXPECT(wire_pack_welcome(&w, &second) == 0);
    welcome_release(&w);
    same_release(&first, &second);
}

static void try_bye(const uint8_t *bytes, size_t n)
{
    struct buffer first = {0}, second = {0};
    struct bye b;
    int code = wire_unpack_bye(bytes, n, &b);

    if (code < 0) {
        EXPECT_REFUSAL(code, ERR_DATA);
        return;
    }
    EXPECT(wire_pack_bye(&b, &first) == 0);
    EXPECT(wire_unpack_bye(first.bytes, first.n, &b) == 0);
    EXPECT(wire_pack_bye(&b, &second) == 0);
    same_release(&first, &second);
}

static void try_done(const uint8_t *bytes, size_t n)
{
    struct buffer first = {0}, second = {0};
    struct done d;
    int code = wire_unpack_done(bytes, n, &d);

    if (code < 0) {
        EXPECT_REFUSAL(code, ERR_DATA);
        return;
    }
    EXPECT(wire_pack_done(&d, &first) == 0);
    done_release(&d);
    EXPECT(wire_unpack_done(first.bytes, first.n, &d) == 0);
    EXPECT(wire_pack_done(&d, &second) == 0);
    done_release(&d);
    same_release(&first, &second);
}

static void try_failed(const uint8_t *bytes, size_t n)
{
    struct buffer first = {0}, second = {0};
    struct failed_set s;
    int code = wire_unpack_failed(bytes, n, &s);

    if (code < 0) {
        EXPECT_REFUSAL(code, ERR_DATA);
        return;
    }
    EXPECT(s.n <= FAILED_SET_MAX && s.count >= (uint64_t)s.n);
    EXPECT(wire_pack_failed(&s, &first) == 0);
    EXPECT(wire_unpack_failed(first.bytes, first.n, &s) == 0);
    EXPECT(wire_pack_failed(&s, &second) == 0);
    same_release(&first, &second);
}

static void try_alive(const uint8_t *bytes, size_t n)
{
    struct buffer first = {0}, second = {0};
    struct alive a;
    int code = wire_unpack_alive(bytes, n, &a);

    if (code < 0) {
        EXPECT_REFUSAL(code, ERR_DATA);
        return;
    }
    EXPECT(wire_pack_alive(&a, &first) == 0);
    EXPECT(wire_unpack_alive(first.bytes, first.n, &a) == 0);
    EXPECT(wire_pack_alive(&a, &second) == 0);
    same_release(&first, &second);
}

/* A sum of up to 255 words, whose number comes first. */
static void try_sum(const uint8_t *bytes, size_t n)
{
    enum { most = 256 };
    int64_t sum[most] = {0}, words[most], again[most] = {0};
    size_t n_words = n > 0 ? bytes[0] : 0;
    uint8_t *packed = malloc(n + 1);
    int code;

    EXPECT(packed != NULL);
    memcpy(packed, bytes + (n > 0), n - (n > 0));
    code = words_merge(packed, n - (n > 0), sum, n_words);
    memcpy(words, sum, sizeof sum);
    if (code < 0)
        EXPECT_REFUSAL(code, ERR_DATA);
    free(packed);
    packed = malloc(words_room(n_words));
    EXPECT(packed != NULL);
    n = words_pack(words, NULL, n_words, packed);
    EXPECT(n <= words_room(n_words));
    EXPECT(words_merge(packed, n, again, n_words) == 0);
    EXPECT(memcmp(again, sum, sizeof sum) == 0);
    free(packed);
}

static void (*const messages[])(const uint8_t *bytes, size_t n) = {
    try_given, try_task, try_hello, try_welcome, try_bye, try_done, try_failed, try_alive, try_sum,
};

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
    if (n > 0)
        messages[bytes[0] % (sizeof messages / sizeof *messages)](bytes + 1, n - 1);
    return 0;
}
