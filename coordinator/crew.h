/* crew.h - the ranks that work, and a round with them.
 *
 * A round is a transaction: parameters down the tree, tasks to whoever asks, sums up the tree. Every message carries
 * the round's epoch, every wait has a limit, and nothing of a round that failed leaves a trace. */
#ifndef COORDINATOR_CREW_H
#define COORDINATOR_CREW_H

#include "coordinator/sampler.h"
#include "core/total.h"
#include "proto/comm.h"
#include "proto/wire.h"

struct mate { /* one worker rank */
    struct hello hello;
    bool ready;
    double heard; /* clock of its last message */
    bool asked;   /* for tasks of this round: it has the parameters */
    bool last;    /* knows that this round has no more tasks */
};

struct crew {
    struct comm *comm;         /* borrowed */
    const struct setup *setup; /* borrowed */
    int n_members;             /* living ranks, coordinator included */
    uint32_t *members;         /* owned (comm->size) */
    struct mate *mates;        /* owned (comm->size); [0] unused */
    uint32_t epoch;
    double looked, spoke; /* clocks: last look at the leases, last sign of life given */
    struct task *tasks;   /* (WIRE_TASKS_MAX) in arena */
    struct arena arena;
    struct buffer out;
    int64_t *words;      /* owned: the round's total */
    double task_seconds; /* of a thread per task in the last round, waiting included */
    uint64_t n_stale;    /* messages of older epochs dropped */
};

/* Sends every worker the configuration and waits for its hello. setup is opened by the caller between
 * crew_invite and crew_gather, so that all ranks do it at once. Errors name rank and host: ERR_LOST for
 * one that does not answer within cluster.start_limit, its own error where it cannot start, ERR_CONFIG where
 * layouts or BLAS kernels differ. */
int crew_invite(struct crew *c, struct comm *comm, const char *configuration, const char *root);
int crew_gather(struct crew *c, const struct setup *setup);

/* Between rounds, where the coordinator waits for something else (a disk): tells the workers now and then that it is
 * there. To be called several times per cluster.lease. Whom it does not reach, the next round finds lost. */
void crew_reassure(struct crew *c);

/* Tells every worker that the run is over. */
void crew_dismiss(struct crew *c, int code, const char *reason);
void crew_release(struct crew *c);

struct round {
    const struct stage *stage;
    enum purpose purpose;
    int data; /* index of the data section */
    uint64_t round;
    uint32_t n_tasks;
    const real *theta; /* (P) */
};

/* Runs one round; *total is its sum over all tasks, valid until the next. Tasks that were not finite are in its
 * TALLY_FAILED. ERR_LOST names the silent rank; a worker's own error is returned with its rank and host. */
int crew_round(struct crew *c, const struct round *r, struct total *total);

#endif
