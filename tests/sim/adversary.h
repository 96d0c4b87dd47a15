/* adversary.h - what happens to ranks and links of a simulated cluster, drawn from a seed: ranks
 * and hosts die, stop, are slow and compute wrongly, links are cut and heal, messages are late,
 * clocks drift and jump ahead (core/base/clock.h never goes back). Messages between two ranks keep
 * their order, as every transport promises. */
#ifndef TESTS_SIM_ADVERSARY_H
#define TESTS_SIM_ADVERSARY_H

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/err.h"
#include "core/sim/fiber.h"
#include "proto/comm/comm.h"

enum { RANKS_MAX = 12, FAULTS_MAX = 5 };

#define SECOND ((virtual_time)1000000000)

enum mischief { KILL, STOP, SLOW, ERR, CLOCK, CUT, LATE, MISCHIEF_KINDS };

static const char *const mischief_names[] = {"kill", "stop", "slow", "err", "clock", "cut", "late"};

struct fault_plan {
    enum mischief kind;
    int rank, other;   /* other: of CUT and LATE, the end that a message goes to */
    bool whole_host;   /* of KILL and STOP */
    int at;            /* strikes at that message of its rank; -1: at that time */
    virtual_time time; /* begins */
    virtual_time span; /* lasts: STOP, CUT; at most that late: LATE; of the jump: CLOCK */
    double factor;     /* SLOW: tasks take so many times longer; ERR: share of them that is wrong;
                          CLOCK: how much faster or slower it goes */
    struct attempt *attempt;
};

/* A generator of its own: what is drawn must never change with the library's. */
struct dice {
    uint64_t state;
};

static uint64_t dice_next(struct dice *d)
{
    uint64_t z = d->state += UINT64_C(0x9e3779b97f4a7c15);

    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

/* 0 .. n - 1. */
static int dice_roll(struct dice *d, int n)
{
    return (int)(dice_next(d) % (uint64_t)n);
}

static double dice_share(struct dice *d)
{
    return (double)(dice_next(d) >> 11) * 0x1p-53;
}

struct actor { /* a rank in the hands of the adversary */
    struct comm comm, inner;
    struct attempt *attempt;
    int host;
    int passed;                      /* messages */
    bool dead, closed;               /* nothing comes from it any more */
    virtual_time stopped;            /* stands still until then */
    virtual_time resting[RANKS_MAX]; /* nothing it sends to that rank arrives before */
    double factor;
    double errs;  /* share of its tasks that it computes wrongly */
    double ahead; /* seconds of its host's clock ... */
    double drift; /* ... and more each second */
};

struct attempt { /* one start of the run */
    int n;
    struct actor ranks[RANKS_MAX];
    struct fault_plan faults[FAULTS_MAX];
    int n_faults;
    struct dice dice; /* of delays */
    bool expired;     /* it has lasted too long: all end */
    uint64_t messages;
};

struct delayed { /* a message that the adversary holds */
    struct actor *from;
    int to;
    struct header h;
    char body[];
};

static void strike(struct attempt *s, const struct fault_plan *f)
{
    for (int i = 0; i < s->n; i++) {
        struct actor *c = &s->ranks[i];

        if (i != f->rank &&
            !((f->whole_host || f->kind == CLOCK) && c->host == s->ranks[f->rank].host))
            continue;
        c->dead |= f->kind == KILL;
        if (f->kind == STOP)
            c->stopped = fiber_now() + f->span;
        if (f->kind == SLOW)
            c->factor = f->factor;
        if (f->kind == ERR)
            c->errs = f->factor;
        if (f->kind == CLOCK) {
            c->ahead +=
                1e-9 * (double)f->span - (f->factor - c->drift) * 1e-9 * (double)fiber_now();
            c->drift = f->factor;
        }
    }
}

static void strike_at_time(void *context)
{
    const struct fault_plan *f = context;

    strike(f->attempt, f);
}

static bool is_dead(const struct actor *c)
{
    return c->dead || c->attempt->expired;
}

/* A rank that stands still does so wherever it next touches a message. */
static void pass(struct actor *c, bool counts)
{
    struct attempt *s = c->attempt;

    c->passed += counts;
    s->messages += counts;
    for (int i = 0; counts && i < s->n_faults; i++)
        if (s->faults[i].rank == c->comm.rank && s->faults[i].at == c->passed)
            strike(s, &s->faults[i]);
    while (c->stopped > fiber_now() && !is_dead(c))
        fiber_wait_until(c->stopped < fiber_now() + SECOND ? c->stopped : fiber_now() + SECOND);
}

/* How long the adversary holds a message. */
static virtual_time held(struct actor *c, int to)
{
    struct attempt *s = c->attempt;
    virtual_time now = fiber_now(), until = c->resting[to];

    for (int i = 0; i < s->n_faults; i++) {
        const struct fault_plan *f = &s->faults[i];
        bool link = (f->rank == c->comm.rank && f->other == to) ||
                    (f->rank == to && f->other == c->comm.rank);

        if (!link || now < f->time)
            continue;
        if (f->kind == CUT && now < f->time + f->span && until < f->time + f->span)
            until = f->time + f->span;
        if (f->kind == LATE) {
            virtual_time late = now + (virtual_time)(dice_share(&s->dice) * (double)f->span);

            until = late > until ? late : until;
        }
    }
    return until > now ? c->resting[to] = until : 0;
}

static void deliver(void *context)
{
    struct delayed *d = context;
    struct part body = {d->body, d->h.size};

    if (!d->from->closed && !is_dead(d->from))
        comm_send(&d->from->inner, d->to, &d->h, &body, 1);
    free(d);
}

static int hold_back(struct actor *c, int to, const struct header *h, const struct part *parts,
                     int n, virtual_time until)
{
    struct delayed *d = malloc(sizeof *d + h->size);
    size_t at = 0;

    if (!d)
        return err(ERR_MEMORY, "no memory for a message");
    d->from = c;
    d->to = to;
    d->h = *h;
    for (int i = 0; i < n; i++, at += parts[i - 1].n)
        if (parts[i].n > 0)
            memcpy(d->body + at, parts[i].bytes, parts[i].n);
    event_at(until, deliver, d);
    return 0;
}

static int adversary_send(struct comm *comm, int to, const struct header *h,
                          const struct part *parts, int n)
{
    struct actor *c = comm->state;
    virtual_time until;

    pass(c, h->kind != MESSAGE_ALIVE);
    if (is_dead(c))
        return 0;
    until = held(c, to);
    return until ? hold_back(c, to, h, parts, n, until) : comm_send(&c->inner, to, h, parts, n);
}

static int adversary_poll(struct comm *comm, struct message *m)
{
    struct actor *c = comm->state;
    int found;

    pass(c, false);
    found = is_dead(c) ? 0 : comm_poll(&c->inner, m);
    if (found > 0 && m->h.kind != MESSAGE_ALIVE)
        pass(c, true);
    return is_dead(c) ? err(ERR_FAILED, "dead") : found;
}

static void adversary_idle(struct comm *comm)
{
    struct actor *c = comm->state;

    c->inner.awake = comm->awake;
    comm_idle(&c->inner);
}

static void adversary_poke(struct comm *comm)
{
    comm_poke(&((struct actor *)comm->state)->inner);
}

static void adversary_close(struct comm *comm)
{
    struct actor *c = comm->state;

    c->closed = true;
    comm_close(&c->inner);
}

static const struct comm_ops adversary_ops = {
    .name = "adversary",
    .one_process = true,
    .send = adversary_send,
    .poll = adversary_poll,
    .idle = adversary_idle,
    .poke = adversary_poke,
    .close = adversary_close,
};

#endif
