/* faulty.h - workers whose messages go through what fails, for tests of rounds. */
#ifndef TESTS_LIB_FAULTY_H
#define TESTS_LIB_FAULTY_H

#include <assert.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "core/base/err.h"
#include "core/plan/round_sum.h"
#include "proto/comm/pieces.h"
#include "proto/comm/tree.h"
#include "proto/comm/words.h"
#include "proto/wire.h"
#include "worker/serve.h"

enum { NEVER = 1 << 30 };

static int blocks; /* 1: the stage whose tasks step a block each */

enum fault {
    NONE,
    DIE,
    STALL,
    WRONG,
    ERR, /* once: at its next parameters or model */
    BABBLE,
    LEAVE,
    DAMAGE, /* a bit of one message, sent or received, is another when it comes */
    RELAY   /* a bit of its parameters is another once it has begun to pass them on */
};

struct faulty { /* a comm that fails once `left` messages have passed */
    struct comm comm, inner;
    enum fault fault;
    atomic_int left;
    bool dead;
    atomic_bool holds;   /* WRONG: does not begin the tasks it is given */
    atomic_bool missed;  /* STALL: it has been given up, and goes on */
    struct header round; /* of the last parameters */
    uint32_t damaged;    /* RELAY: epoch of those that are */
    size_t n_words;      /* BABBLE: of the round's sum, at most 2048 */
    pthread_t thread;
    int code; /* of worker_serve */
    bool lost;
    atomic_int n_wants; /* that it has sent */
};

static void nap(double seconds)
{
    struct timespec t = {(time_t)seconds, (long)((seconds - (double)(time_t)seconds) * 1e9)};

    nanosleep(&t, NULL);
}

/* Counts a message; the fault strikes at the last one. */
static void pass(struct faulty *f)
{
    if (f->left-- != 0)
        return;
    f->dead = f->fault == DIE;
    while (f->fault == STALL && !f->missed)
        nap(1e-3);
}

static void babble_piece(struct faulty *f, int to, size_t n)
{
    int64_t words[2048] = {1};
    _Alignas(8) char packed[1024 + sizeof words];
    struct part body = {packed, 0};

    assert(n <= sizeof words / sizeof *words && words_room(n) <= sizeof packed);
    body.n = words_pack(words, NULL, n, packed);
    comm_send(&f->inner, to, &f->round, &body, 1);
}

/* A worker that takes tasks, never finishes them, and sends its sum again and again while those of
 * others are gathered: to rank 0 and to what was its parent. */
static void babble(struct faulty *f)
{
    struct pieces sum = pieces_of(f->n_words, sizeof(int64_t));

    assert(f->n_words);
    f->round.kind = MESSAGE_SUM;
    for (int to = 0; to <= 1 && f->round.epoch; to++)
        for (f->round.piece = 0; f->round.piece < sum.n; f->round.piece++)
            babble_piece(f, to, pieces_at(&sum, f->round.piece).n);
}

static bool brings_tasks(const struct message *m)
{
    const struct tree_node *tree = m->body;
    struct given g;

    if (m->h.kind == MESSAGE_PARAMS)
        return tree->tasks.n > 0;
    return m->h.kind == MESSAGE_TASKS && wire_unpack_given(m->body, m->h.size, &g) == 0 && g.n > 0;
}

/* Says that it lives, in its last round. */
static void live(struct faulty *f)
{
    struct header alive = f->round;

    alive.kind = MESSAGE_ALIVE;
    comm_send(&f->inner, 0, &alive, NULL, 0);
    nap(0.01);
}

/* Has tasks and does nothing but live, for as long as the test wants. */
static void hold(struct faulty *f)
{
    while (f->holds)
        live(f);
}

static struct { /* what ranks from `rank` on say that they worked; 0: they say what is true */
    int rank;
    uint64_t worked;
} claim;

static struct { /* a rank whose parameters come when the round has begun again; 0: none */
    int rank;
    atomic_uint epoch; /* of rank 0 */
} cut_off;

/* The first parameters do not come while others may be lost. */
static void wait_for_the_next(struct faulty *f, const struct message *m)
{
    while (cut_off.epoch <= m->h.epoch && m->h.epoch == 1)
        live(f);
}

static int hosts; /* ranks pretend to be on so many, one after the other; 0: all on this one */

/* Sends a hello that names a pretended host; the first of them is this one. */
static int send_hello(struct faulty *f, const struct header *h, const struct part *whole)
{
    struct sections sections;
    struct hello hello;
    struct buffer out = {0};
    int code;

    assert(wire_unpack_hello(whole->bytes, whole->n, &hello, &sections) == 0);
    snprintf(hello.host, sizeof hello.host, "host-%d", f->comm.rank % hosts);
    assert(wire_pack_hello(&hello, &sections, &out) == 0);
    code = comm_send(&f->inner, 0, h, &(struct part){out.bytes, out.n}, 1);
    buffer_release(&out);
    return code;
}

static bool slow_gather;      /* every rank takes its time then */
static atomic_bool gathering; /* some rank was asked to */

/* Whether the message that has just passed is the one that the fault strikes. */
static bool damages(struct faulty *f, const struct header *h)
{
    if (f->fault != DAMAGE || f->left >= 0 || f->left <= -NEVER || h->kind == MESSAGE_BYE)
        return false;
    f->left = -NEVER; /* once */
    return true;
}

/* A bit of the body, or of the header if there is none. The seal stays as it was. */
static void damage(struct header *h, void *body)
{
    if (h->size > 0)
        ((unsigned char *)body)[h->size / 2] ^= 0x10;
    else
        h->slot ^= 0x10;
}

static int send_damaged(struct faulty *f, int to, const struct header *h, const struct part *parts,
                        int n)
{
    struct header said = *h;
    unsigned char *body = malloc(h->size + 1), *end = body;
    int code;

    assert(body);
    for (int i = 0; i < n; end += parts[i++].n)
        if (parts[i].n > 0)
            memcpy(end, parts[i].bytes, parts[i].n);
    damage(&said, body);
    code = f->inner.ops->send(&f->inner, to, &said, &(struct part){body, h->size}, 1);
    free(body);
    return code;
}

/* In the memory that it passes on, once a round. */
static void damage_own(struct faulty *f, const struct header *h, const struct part *body)
{
    if (f->fault == RELAY && h->kind == MESSAGE_PARAMS && f->damaged != h->epoch)
        ((unsigned char *)(uintptr_t)body->bytes)[body->n - 1] ^= 0x3f;
    if (h->kind == MESSAGE_PARAMS)
        f->damaged = h->epoch;
}

static int faulty_send(struct comm *c, int to, const struct header *h, const struct part *parts,
                       int n)
{
    struct faulty *f = c->state;
    struct header said = *h;

    if (claim.rank && c->rank >= claim.rank && h->kind == MESSAGE_SUM)
        said.worked = claim.worked;
    if (h->kind != MESSAGE_ALIVE)
        pass(f);
    f->n_wants += h->kind == MESSAGE_WANT;
    if (f->dead || (f->fault == BABBLE && (h->kind == MESSAGE_DONE || h->kind == MESSAGE_SUM)))
        return 0;
    if (h->kind == MESSAGE_HELLO && hosts > 0 && c->rank % hosts > 0)
        return send_hello(f, h, parts);
    if (h->kind != MESSAGE_ALIVE && damages(f, h))
        return send_damaged(f, to, h, parts, n);
    damage_own(f, h, parts + n - 1);
    if (said.worked != h->worked)
        return comm_send(&f->inner, to, &said, parts, n);
    return f->inner.ops->send(&f->inner, to, &said, parts, n);
}

/* Parameters or a state of which a bit is another, as if they had been sent so. */
static void falsify(struct message *m)
{
    unsigned char *body = (void *)(uintptr_t)m->body;
    struct part rest = {body + m->h.head, m->h.size - m->h.head};
    uint32_t was = comm_checksum(&rest, 1);

    body[m->h.size - 1] ^= 0x3f;
    m->h.checksum ^= was ^ comm_checksum(&rest, 1);
}

static bool errs(const struct faulty *f)
{
    return f->fault == WRONG || (f->fault == ERR && f->left < 0 && f->left > -NEVER);
}

static int faulty_poll(struct comm *c, struct message *m)
{
    struct faulty *f = c->state;
    int found = f->dead ? 0 : comm_poll(&f->inner, m);

    if (found > 0 && m->h.kind != MESSAGE_ALIVE)
        pass(f);
    if (found > 0 && errs(f) && m->h.kind == (blocks ? MESSAGE_STATE : MESSAGE_PARAMS)) {
        falsify(m);
        f->left = f->fault == ERR ? -NEVER : (int)f->left;
    }
    if (found > 0 && m->h.kind != MESSAGE_ALIVE && f->fault == DAMAGE && damages(f, &m->h))
        damage(&m->h, (void *)(uintptr_t)m->body);
    if (found > 0 && m->h.kind == MESSAGE_PARAMS && c->rank == cut_off.rank)
        wait_for_the_next(f, m);
    if (found > 0 && m->h.kind == MESSAGE_PARAMS)
        f->round = m->h;
    if (found > 0 && f->fault == WRONG && f->left < 0 && brings_tasks(m))
        hold(f);
    if (found > 0 && m->h.kind == MESSAGE_GATHER && slow_gather) {
        gathering = true;
        nap(0.05);
    }
    if (f->fault == BABBLE && gathering)
        babble(f);
    if (f->fault == LEAVE && f->left < 0 && f->left > -NEVER) {
        f->left = -NEVER; /* once */
        return err(ERR_DATA, "a torn file");
    }
    return f->dead ? err(ERR_FAILED, "dead") : found;
}

static void faulty_idle(struct comm *c)
{
    struct faulty *f = c->state;

    f->inner.awake = c->awake;
    comm_idle(&f->inner);
}

static void faulty_poke(struct comm *c)
{
    comm_poke(&((struct faulty *)c->state)->inner);
}

static const struct comm_ops faulty_ops = {
    .name = "faulty",
    .send = faulty_send,
    .poll = faulty_poll,
    .idle = faulty_idle,
    .poke = faulty_poke,
};

static void *worker(void *argument)
{
    struct faulty *f = argument;

    f->code = worker_serve(&f->comm, "test", NULL, &f->lost);
    return NULL;
}

#endif
