/* comm_scripts.h - what every transport has to do (proto/comm/comm.h), as scripts that all ranks
 * play together. */
#ifndef TESTS_LIB_COMM_SCRIPTS_H
#define TESTS_LIB_COMM_SCRIPTS_H

#include <stdalign.h>
#include <string.h>

#include "core/base/clock.h"
#include "core/base/err.h"
#include "core/base/thread.h"
#include "proto/comm/comm.h"

enum { RANKS = 3, LARGE = (1 << 20) + 7 };

struct scene {
    struct comm *c;
    void (*meet)(void);   /* returns when all ranks have called it; not by the transport itself */
    void (*still)(void);  /* the same, and what is under way must not need this rank meanwhile */
    double limit;         /* seconds that a message may take */
    long (*sleeps)(void); /* how often this rank has gone to sleep */
};

/* ---- messages that tell where they belong ---- */

static size_t size_of(uint64_t i) /* all kinds of sizes, now and then a large one */
{
    static const size_t sizes[] = {0, 1, 3, 63, 64, 65, 127, 128, 1000, 4095, 4096, 4097};

    return i % 101 == 50 ? 100003 : sizes[i % (sizeof sizes / sizeof *sizes)];
}

static struct header header_of(int from, uint64_t i)
{
    uint32_t x = (uint32_t)(i * 2654435761u) ^ (uint32_t)from;

    return (struct header){.kind = MESSAGE_TASKS,
                           .epoch = x,
                           .stage = x + 1,
                           .round = i,
                           .purpose = (uint16_t)(x + 2),
                           .data = x + 3,
                           .attempt = x + 4,
                           .slot = x + 5,
                           .anchor = x + 6,
                           .worked = (uint64_t)x << 32 | i};
}

static uint8_t byte_of(int from, uint64_t i, size_t k)
{
    return (uint8_t)((k + (k >> 8) + (k >> 16)) * 31 + i * 13 + (size_t)from);
}

/* Message i of this rank, in three parts. Their memory changes as soon as the send returns. */
static int tell(const struct scene *s, int to, uint64_t i, size_t size)
{
    static _Thread_local uint8_t bytes[LARGE];
    struct header h = header_of(s->c->rank, i);
    struct part parts[] = {{bytes, size / 3}, {NULL, 0}, {bytes + size / 3, size - size / 3}};
    int code;

    for (size_t k = 0; k < size; k++)
        bytes[k] = byte_of(s->c->rank, i, k);
    code = comm_send(s->c, to, &h, parts, size ? 3 : 0);
    memset(bytes, 255, size);
    return code;
}

static bool is_body(const struct message *m, uint64_t i, size_t size)
{
    const uint8_t *bytes = m->body;
    uint8_t wrong = 0;

    for (size_t k = 0; k < size; k++)
        wrong |= bytes[k] ^ byte_of(m->from, i, k);
    return wrong == 0;
}

static int check(const struct message *m, uint64_t i, size_t size)
{
    struct header h = header_of(m->from, i);

    h.magic = HEADER_MAGIC;
    h.size = size;
    h.checksum = m->h.checksum;
    if (m->h.round != i)
        return err(ERR_FAILED, "message %d of rank %d comes instead of %d", (int)m->h.round,
                   m->from, (int)i);
    if (memcmp(&h, &m->h, sizeof h) != 0)
        return err(ERR_FAILED, "the header of message %d is another", (int)i);
    if ((uintptr_t)m->body % alignof(max_align_t) != 0)
        return err(ERR_FAILED, "the body of message %d is not aligned", (int)i);
    if (!is_body(m, i, size))
        return err(ERR_FAILED, "the body of message %d, %zu bytes, is another", (int)i, size);
    return 0;
}

static int hear(const struct scene *s, struct message *m)
{
    double end = clock_seconds() + s->limit;
    int code;

    while ((code = comm_poll(s->c, m)) == 0) {
        if (clock_seconds() > end)
            return err(ERR_FAILED, "a message does not come");
        comm_idle(s->c);
    }
    return code < 0 ? code : 0;
}

/* Hears messages first .. first + n - 1 of every other rank, each rank's in order. size 0: size_of
 * them. */
static int hear_all(const struct scene *s, uint64_t first, uint64_t n, size_t size)
{
    uint64_t next[RANKS];
    struct message m;

    for (int r = 0; r < RANKS; r++)
        next[r] = first;
    for (uint64_t k = 0; k < n * (RANKS - 1); k++) {
        TRY(hear(s, &m));
        if (m.from < 0 || m.from >= RANKS || m.from == s->c->rank)
            return err(ERR_FAILED, "a message of rank %d comes", m.from);
        TRY(check(&m, next[m.from], size ? size : size_of(next[m.from])));
        next[m.from]++;
    }
    return 0;
}

static int tell_all(const struct scene *s, uint64_t i, size_t size)
{
    for (int r = 0; r < RANKS; r++)
        if (r != s->c->rank)
            TRY(tell(s, r, i, size));
    return 0;
}

/* Nothing comes that was not expected. */
static int hear_nothing(const struct scene *s)
{
    struct message m = {.from = 77}, before = m;

    s->meet();
    for (int i = 0; i < 40; i++) {
        if (comm_poll(s->c, &m) != 0)
            return err(ERR_FAILED, "message %d of rank %d comes, and nobody sent it",
                       (int)m.h.round, m.from);
        if (memcmp(&m, &before, sizeof m) != 0)
            return err(ERR_FAILED, "a poll without a message changes *m");
        comm_idle(s->c);
    }
    s->meet();
    return 0;
}

/* ---- the scripts ---- */

static int play_nothing(const struct scene *s)
{
    return hear_nothing(s);
}

static int play_sizes(const struct scene *s)
{
    static const size_t sizes[] = {1, 7, 64, 65, 4095, 4096, 65537, LARGE};

    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        TRY(tell_all(s, i, sizes[i]));
        TRY(hear_all(s, i, 1, sizes[i]));
        s->meet(); /* nobody is a size ahead */
    }
    return hear_nothing(s);
}

/* Many are under way at once, from everybody to everybody, small ones behind large ones. */
static int play_order(const struct scene *s)
{
    for (uint64_t i = 0; i < 600; i++)
        TRY(tell_all(s, i, size_of(i)));
    TRY(hear_all(s, 0, 600, 0));
    return hear_nothing(s);
}

/* No rank polls before all have sent: a send that waits for its receiver would wait for ever. */
static int play_apart(const struct scene *s)
{
    for (uint64_t i = 0; i < 6; i++)
        TRY(tell_all(s, i, LARGE));
    s->meet();
    TRY(hear_all(s, 0, 6, LARGE));
    return hear_nothing(s);
}

/* A body stays until the next poll, whatever arrives and whatever is sent. */
static int play_held(const struct scene *s)
{
    struct message m;

    TRY(tell(s, (s->c->rank + 1) % RANKS, 0, 1000));
    TRY(hear(s, &m));
    s->meet();
    for (uint64_t i = 1; i <= 20; i++)
        TRY(tell_all(s, i, 1000));
    s->meet();
    for (int i = 0; i < 20; i++)
        comm_idle(s->c);
    TRY(check(&m, 0, 1000));
    TRY(hear_all(s, 1, 20, 1000));
    return hear_nothing(s);
}

static void *poke(void *comm)
{
    comm_poke(comm);
    return NULL;
}

/* Poked from another thread before each. */
static long sleeps_poked(const struct scene *s, int n)
{
    long sum = 0;

    for (int i = 0; i < n; i++) {
        struct thread other;

        if (thread_start(&other, poke, s->c) < 0)
            return n;
        thread_join(&other);
        sum -= s->sleeps();
        comm_idle(s->c);
        sum += s->sleeps();
    }
    return sum;
}

/* A simulated rank's yields, one after the other, are one wait: test_network.c looks at them. */
static int play_awake(const struct scene *s)
{
    bool simulated = strcmp(s->c->ops->name, "sim") == 0;
    long n = s->sleeps();

    s->c->awake = true;
    for (int i = 0; i < 40 && !simulated; i++)
        comm_idle(s->c);
    s->c->awake = false;
    n = s->sleeps() - n;
    return n > 10 ? err(ERR_FAILED, "an idle sleeps although awake: %ld of 40 do", n) : 0;
}

static int play_idle(const struct scene *s)
{
    long n;

    s->meet();
    TRY(play_awake(s));
    for (int i = 0; i < 60; i++) /* the back-off grows */
        comm_idle(s->c);
    n = s->sleeps();
    for (int i = 0; i < 40; i++)
        comm_idle(s->c);
    n = s->sleeps() - n;
    if (n < 20)
        return err(ERR_FAILED, "an idle does not sleep: %ld of 40 do", n);
    n = sleeps_poked(s, 40);
    if (n > 10)
        return err(ERR_FAILED, "a poke does not end an idle: %ld of 40 sleep", n);
    s->meet();
    return 0;
}

/* What is not ours is refused, and does not stand in the way of what is. */
static int play_foreign(const struct scene *s)
{
    struct header h = {.magic = 0x12345678, .round = 9};
    struct message m;
    int code;

    s->meet();
    if (s->c->rank == 1) {
        TRY(s->c->ops->send(s->c, 0, &h, NULL, 0));
        TRY(tell(s, 0, 1, 64));
    }
    if (s->c->rank == 0) {
        code = hear(s, &m);
        if (code == 0)
            return err(ERR_FAILED, "a foreign message is not refused");
        if (code != ERR_DATA)
            return code;
        TRY(hear(s, &m));
        TRY(check(&m, 1, 64));
    }
    return hear_nothing(s);
}

/* A rank sends a message, the next passes it on twice, with another head. In between a bit of its
 * memory changes. */
static int pass_on(const struct scene *s)
{
    struct part parts[] = {{"headings", 8}, {NULL, 64}};
    struct message m;

    if (s->c->rank == 1)
        return tell(s, 2, 1, 64);
    if (s->c->rank != 2)
        return 0;
    TRY(hear(s, &m));
    TRY(check(&m, 1, 64));
    parts[1].bytes = m.body;
    TRY(comm_send_headed(s->c, 0, &m.h, parts, 2, comm_rest(&m)));
    ((uint8_t *)(uintptr_t)m.body)[40] ^= 4;
    TRY(comm_send_headed(s->c, 0, &m.h, parts, 2, comm_rest(&m)));
    return tell(s, 0, 2, 64);
}

/* A message comes as its first sender made it, or it is refused. */
static int play_damaged(const struct scene *s)
{
    struct message m;
    int code;

    s->meet();
    TRY(pass_on(s));
    if (s->c->rank == 0) {
        TRY(hear(s, &m));
        if (m.from != 2 || m.h.size != 72 || m.h.head != 8 || memcmp(m.body, "headings", 8) != 0)
            return err(ERR_FAILED, "a message that was passed on is another");
        m.body = (const uint8_t *)m.body + 8, m.from = 1;
        if (!is_body(&m, 1, 64))
            return err(ERR_FAILED, "what was passed on is another");
        code = hear(s, &m);
        if (code != ERR_DAMAGED || m.from != 2)
            return err(ERR_FAILED, "a damaged message is not refused: %d", code);
        TRY(hear(s, &m));
        TRY(check(&m, 2, 64));
    }
    return hear_nothing(s);
}

/* What cannot be held is refused before its bytes are read. */
static int play_too_large(const struct scene *s)
{
    struct header h = header_of(s->c->rank, 0);
    struct part part = {(const void *)64, (size_t)1 << 62};
    int code;

    h.magic = HEADER_MAGIC, h.size = part.n;
    code = s->c->ops->send(s->c, (s->c->rank + 1) % RANKS, &h, &part, 1);
    if (code != ERR_MEMORY)
        return err(ERR_FAILED, "a message of 2^62 bytes is not refused: %d", code);
    TRY(tell_all(s, 1, 65));
    TRY(hear_all(s, 1, 1, 65));
    return hear_nothing(s);
}

/* What was sent before a close arrives. */
static int play_close(const struct scene *s)
{
    uint64_t n = 150;
    struct message m;

    if (s->c->rank == 0) {
        for (uint64_t i = 0; i <= n; i++)
            TRY(tell_all(s, i, i < n ? size_of(i) : LARGE));
        comm_close(s->c);
        if (s->c->ops || s->c->state)
            return err(ERR_FAILED, "a closed end is not zero");
        comm_close(s->c); /* again does nothing */
    }
    for (uint64_t i = 0; i <= n && s->c->ops; i++) {
        TRY(hear(s, &m));
        TRY(check(&m, i, i < n ? size_of(i) : LARGE));
    }
    s->still();
    return 0;
}

/* The others go on beside a rank that is gone: `leave` has the last rank go. */
static int play_without(const struct scene *s, void (*leave)(struct comm *c))
{
    int gone = RANKS - 1, other = 1 - s->c->rank;
    struct message m;

    if (s->c->rank == gone) {
        leave(s->c);
        s->meet();
        return 0;
    }
    s->meet();
    for (uint64_t i = 0; i < 30; i++) {
        TRY(tell(s, gone, i, i % 10 ? size_of(i) : LARGE));
        TRY(tell(s, other, i, i % 10 ? size_of(i) : LARGE));
    }
    for (uint64_t i = 0; i < 30; i++) {
        TRY(hear(s, &m));
        if (m.from != other)
            return err(ERR_FAILED, "rank %d speaks, and is gone", m.from);
        TRY(check(&m, i, i % 10 ? size_of(i) : LARGE));
    }
    comm_give_up(s->c, gone);
    return 0;
}

static int play_closed(const struct scene *s)
{
    return play_without(s, comm_close);
}

static const struct script {
    const char *name;
    int (*play)(const struct scene *s);
} scripts[] = {
    {"nothing comes", play_nothing},
    {"sizes", play_sizes},
    {"order", play_order},
    {"all send before any polls", play_apart},
    {"a body is held", play_held},
    {"idle and poke", play_idle},
    {"a foreign message", play_foreign},
    {"a damaged message", play_damaged},
    {"too large", play_too_large},
    {"close with messages under way", play_close},
    {"a rank is closed", play_closed},
};

enum { SCRIPTS = sizeof scripts / sizeof *scripts };

#endif
