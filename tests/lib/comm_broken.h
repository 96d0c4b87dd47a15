/* comm_broken.h - transports that are wrong on purpose, each in one way: `local` with other
 * slots. */
#ifndef TESTS_LIB_COMM_BROKEN_H
#define TESTS_LIB_COMM_BROKEN_H

#include <stdatomic.h>
#include <stdlib.h>
#include <unistd.h>

#include "core/base/table.h"
#include "tests/lib/comm_scripts.h"

static const struct comm_ops *right; /* the transport that the wrong ones are made from */

#define SEND(name)                                                                                 \
    static int name(struct comm *c, int to, const struct header *h, const struct part *parts, int n)
#define POLL(name) static int name(struct comm *c, struct message *m)
#define CALL(name) static void name(struct comm *c)

static bool is_chosen(const struct header *h) /* one message of many */
{
    return h->round % 47 == 13;
}

SEND(send_loses)
{
    return is_chosen(h) ? 0 : right->send(c, to, h, parts, n);
}

SEND(send_twice)
{
    if (is_chosen(h))
        TRY(right->send(c, to, h, parts, n));
    return right->send(c, to, h, parts, n);
}

SEND(send_header) /* a field of the header is lost */
{
    struct header other = *h;

    other.anchor = 0;
    return right->send(c, to, &other, parts, n);
}

SEND(send_wraps) /* sizes are ints */
{
    struct header other = *h;

    other.size = (uint32_t)h->size;
    return right->send(c, to, &other, parts, other.size == h->size ? n : 0);
}

SEND(send_short) /* only so much of a body fits */
{
    struct part first[4];
    size_t room = 1 << 16, left = h->size;

    for (int i = 0; i < n; i++) {
        first[i] = (struct part){parts[i].bytes, parts[i].n < room ? parts[i].n : room};
        room -= first[i].n;
        left -= first[i].n;
    }
    first[n] = (struct part){calloc(left + 1, 1), left};
    int code = right->send(c, to, h, first, n + 1);
    free((void *)first[n].bytes);
    return code;
}

static atomic_ulong sent[RANKS], taken[RANKS];

SEND(send_waits) /* until the receiver has the message */
{
    unsigned long mine = atomic_fetch_add(&sent[to], 1);

    TRY(right->send(c, to, h, parts, n));
    while (atomic_load(&taken[to]) <= mine)
        sched_yield();
    return 0;
}

POLL(poll_counts)
{
    int code = right->poll(c, m);

    atomic_fetch_add(&taken[c->rank], code == 1);
    return code;
}

static struct kept { /* a message that is sent later */
    bool full;
    int to, n;
    struct header h;
    struct part parts[4];
} kept[RANKS];

static int kept_flush(struct comm *c)
{
    struct kept *k = &kept[c->rank];
    bool full = k->full;

    k->full = false;
    return full ? right->send(c, k->to, &k->h, k->parts, k->n) : 0;
}

static void kept_set(struct comm *c, int to, const struct header *h, const struct part *parts,
                     int n)
{
    struct kept *k = &kept[c->rank];

    *k = (struct kept){true, to, n, *h, {{0}}};
    for (int i = 0; i < n; i++)
        k->parts[i] = parts[i];
}

/* As kept_set, with memory of its own, which is never freed. */
static void kept_copy(struct comm *c, int to, const struct header *h, const struct part *parts,
                      int n)
{
    kept_set(c, to, h, parts, n);
    for (int i = 0; i < n; i++) {
        kept[c->rank].parts[i].bytes = malloc(parts[i].n + 1);
        if (parts[i].n)
            memcpy((void *)kept[c->rank].parts[i].bytes, parts[i].bytes, parts[i].n);
    }
}

SEND(send_borrows) /* the bytes are read later */
{
    TRY(kept_flush(c));
    kept_set(c, to, h, parts, n);
    return 0;
}

SEND(send_swaps)
{
    if (is_chosen(h)) {
        TRY(kept_flush(c));
        kept_copy(c, to, h, parts, n);
        return 0;
    }
    TRY(right->send(c, to, h, parts, n));
    return kept[c->rank].to == to ? kept_flush(c) : 0;
}

SEND(send_delays) /* the largest, until the next call */
{
    TRY(kept_flush(c));
    if (h->size != LARGE)
        return right->send(c, to, h, parts, n);
    kept_copy(c, to, h, parts, n);
    return 0;
}

POLL(poll_flushes)
{
    TRY(kept_flush(c));
    return right->poll(c, m);
}

static atomic_bool closed[RANKS];

SEND(send_refuses) /* a closed rank is an error */
{
    if (atomic_load(&closed[to]))
        return err(ERR_FAILED, "the receiver is closed");
    return right->send(c, to, h, parts, n);
}

CALL(close_marks)
{
    atomic_store(&closed[c->rank], true);
    right->close(c);
}

POLL(poll_waits)
{
    int code;

    while ((code = right->poll(c, m)) == 0)
        right->idle(c);
    return code;
}

POLL(poll_touches)
{
    int code = right->poll(c, m);

    if (code == 0)
        m->from = -1;
    return code;
}

POLL(poll_mistakes)
{
    int code = right->poll(c, m);

    if (code == 1)
        m->from = c->rank;
    return code;
}

POLL(poll_sticks) /* to a message that is refused */
{
    static _Thread_local struct message stuck;

    if (stuck.h.magic) {
        *m = stuck;
        return 1;
    }
    int code = right->poll(c, m);
    if (code == 1 && m->h.magic != HEADER_MAGIC)
        stuck = *m;
    return code;
}

static uint8_t *copies[RANKS]; /* of the last body; never freed while the process lives */

static int poll_into(struct comm *c, struct message *m, size_t offset)
{
    int code = right->poll(c, m);

    if (code != 1)
        return code;
    copies[c->rank] = realloc(copies[c->rank], m->h.size + offset + 1);
    if (m->h.size)
        memcpy(copies[c->rank] + offset, m->body, m->h.size);
    m->body = copies[c->rank] + offset;
    return 1;
}

POLL(poll_odd)
{
    return poll_into(c, m, 1);
}

POLL(poll_copies)
{
    return poll_into(c, m, 0);
}

SEND(send_overwrites) /* the memory of the body that is held */
{
    if (copies[c->rank])
        copies[c->rank][0]++;
    return right->send(c, to, h, parts, n);
}

CALL(idle_spins)
{
    (void)c;
}

CALL(idle_falls_asleep)
{
    bool awake = c->awake;

    c->awake = false;
    for (int i = 0; i < 10; i++) /* beyond the first yields */
        right->idle(c);
    c->awake = awake;
}

CALL(idle_for_ever)
{
    (void)c;
    for (;;)
        pause();
}

CALL(poke_nothing)
{
    (void)c;
}

CALL(close_for_ever)
{
    idle_for_ever(c);
}

static const struct flaw { /* slots that replace those of `local`; NULL: none */
    const char *name, *expected;
    /* Seconds for a message, for a script: few if waiting in vain is what shows the flaw, and then
     * a machine that is slower shows it too. */
    double hear, end;
    struct comm_ops ops;
} flaws[] = {
    {"right", NULL, 30, 30, {.poll = poll_copies}},
    {"loses a message", "comes instead of", 30, 30, {.send = send_loses}},
    {"reorders", "comes instead of", 30, 30, {.send = send_swaps}},
    {"delivers twice", "comes instead of", 30, 30, {.send = send_twice}},
    {"drops part of the header", "damaged", 30, 30, {.send = send_header}},
    {"drops part of a body", "damaged", 30, 30, {.send = send_short}},
    {"counts bytes in 32 bits", "is not refused", 30, 30, {.send = send_wraps}},
    {"waits in send", "does not end", 30, 1, {.send = send_waits, .poll = poll_counts}},
    {"reads the parts later", "damaged", 30, 30, {.send = send_borrows, .poll = poll_flushes}},
    {"forgets at close", "does not come", 1, 30, {.send = send_delays, .poll = poll_flushes}},
    {"refuses a closed rank", "is closed", 30, 30, {.send = send_refuses, .close = close_marks}},
    {"waits in poll", "does not end", 30, 1, {.poll = poll_waits}},
    {"changes *m", "changes *m", 30, 30, {.poll = poll_touches}},
    {"names the receiver as the sender", "a message of rank", 30, 30, {.poll = poll_mistakes}},
    {"sticks to what is foreign", "of an unknown kind", 30, 30, {.poll = poll_sticks}},
    {"does not align", "not aligned", 30, 30, {.poll = poll_odd}},
    {"reuses a body", "the body of", 30, 30, {.send = send_overwrites, .poll = poll_copies}},
    {"does not wait in idle", "does not sleep", 30, 30, {.idle = idle_spins}},
    {"sleeps although awake", "although awake", 30, 30, {.idle = idle_falls_asleep}},
    {"never returns from idle", "does not end", 30, 1, {.idle = idle_for_ever}},
    {"ignores a poke", "a poke does not end", 30, 30, {.poke = poke_nothing}},
    {"never returns from close", "does not end", 30, 1, {.close = close_for_ever}},
};

enum { FLAWS = sizeof flaws / sizeof *flaws };

static struct comm_ops flawed_ops(const struct flaw *f)
{
    struct comm_ops ops = *right;

    ops.send = f->ops.send ? f->ops.send : ops.send;
    ops.poll = f->ops.poll ? f->ops.poll : ops.poll;
    ops.idle = f->ops.idle ? f->ops.idle : ops.idle;
    ops.poke = f->ops.poke ? f->ops.poke : ops.poke;
    ops.close = f->ops.close ? f->ops.close : ops.close;
    return ops;
}

#endif
