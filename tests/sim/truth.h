/* truth.h - what simulated ranks compute wrongly, and what must follow from it: a wrong result does
 * not pass its audit, whoever is named is wrong, and ranks that compute rightly do not differ. */
#ifndef TESTS_SIM_TRUTH_H
#define TESTS_SIM_TRUTH_H

#include <stdio.h>
#include <xxhash.h>

#include "coordinator/crew/crew.h"
#include "tests/sim/adversary.h"
#include "worker/engine.h"

enum { SLOTS_MAX = 64, REALS_MAX = 1 << 16 };

static struct truth {
    bool erred[RANKS_MAX];               /* some time in this start */
    bool wrong[RANKS_MAX][2][SLOTS_MAX]; /* what it last gave for a task; for an audit of it */
    bool tainted;                        /* a wrong result is in the parameters */
    uint64_t n_wrong, n_found;           /* of all runs: results; ranks */
    char lie[160];                       /* what cannot be; "": nothing */
} truth;

static void truth_begin(void)
{
    memset(truth.erred, 0, sizeof truth.erred);
    memset(truth.wrong, 0, sizeof truth.wrong);
}

static bool anybody_erred(void)
{
    for (int i = 0; i < RANKS_MAX; i++)
        if (truth.erred[i])
            return true;
    return false;
}

/* Bits of a number are others, and different ones for each rank: no two ranks err alike. */
static void flip(struct dice *d, int rank, real *x, size_t n)
{
    real *one = &x[dice_next(d) % n];
    unsigned char bytes[sizeof *one];

    memcpy(bytes, one, sizeof bytes);
    bytes[sizeof bytes - 2] ^= 0x40;
    bytes[sizeof bytes - 3] ^= (unsigned char)(rank << 2);
    memcpy(one, bytes, sizeof bytes);
}

/* The checksum of what a task gives; the state is left as it was. */
static uint64_t try_task(struct engine *e, const struct task *t, const real *theta,
                         const real *state, size_t n_state)
{
    static real copy[REALS_MAX];
    bool apart = e->apart;

    if (state)
        memcpy(copy, state, n_state * sizeof *copy);
    e->apart = true;
    engine_run(e, t, theta, state ? copy : NULL);
    e->apart = apart;
    if (state)
        e->checksum += XXH64(copy, n_state * sizeof *copy, 0);
    return e->checksum;
}

/* Computes a task, with a flipped bit if the rank errs now. */
static int run_truly(struct engine *e, const struct task *t, const real *theta, real *state,
                     int rank, bool errs, struct dice *d)
{
    static real flipped[REALS_MAX];
    size_t n = e->stage->model.n, n_state = state ? task_state_size(e->stage) : 0;
    bool *wrong = &truth.wrong[rank][e->apart][t->slot];
    uint64_t right;

    *wrong = false;
    if (!errs)
        return engine_run(e, t, theta, state);
    right = try_task(e, t, theta, state, n_state);
    memcpy(flipped, state ? state : theta, n * sizeof *flipped);
    flip(d, rank, flipped, n);
    if (state)
        memcpy(state, flipped, n * sizeof *flipped);
    *wrong = try_task(e, t, flipped, state, n_state) != right;
    truth.erred[rank] |= *wrong;
    truth.n_wrong += *wrong;
    return engine_run(e, t, flipped, state);
}

static void truth_notice(void *context, const struct notice *n)
{
    (void)context;
    truth.n_found += strcmp(n->kind, "wrong") == 0;
    if (strcmp(n->kind, "wrong") == 0 && !truth.erred[n->rank])
        snprintf(truth.lie, sizeof truth.lie, "rank %d is named, and computes rightly", n->rank);
    if (strcmp(n->kind, "differs") == 0 && !anybody_erred())
        snprintf(truth.lie, sizeof truth.lie, "ranks differ that compute rightly");
}

/* After a round: its audits have seen what they could; what they could not is in its sum. */
static void truth_judge(const struct crew *c, uint32_t n_tasks)
{
    const struct audit *a = &c->audit.plan;

    for (uint32_t slot = 0; slot < n_tasks; slot++)
        truth.tainted |= truth.wrong[c->owner[slot]][0][slot];
    for (uint32_t i = 0; i < a->n_audits; i++) {
        uint32_t slot = audit_slot(a, i);

        if (truth.wrong[c->owner[slot]][0][slot] || truth.wrong[c->owner[n_tasks + i]][1][slot])
            snprintf(truth.lie, sizeof truth.lie, "a wrong result of task %u has passed its audit",
                     slot);
    }
}

/* Whether a run may end so: a rank has erred, and it is named, or it cannot be known which. */
static bool may_end(const char *error)
{
    int rank = 0;

    if (strstr(error, "no majority") || strstr(error, "a transient fault"))
        return anybody_erred();
    return strstr(error, "computes wrongly") && sscanf(error, "rank %d on", &rank) == 1 &&
           rank > 0 && rank < RANKS_MAX && truth.erred[rank];
}

#endif
