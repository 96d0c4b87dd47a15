/* crew.h - the ranks that work, and a round with them.
 *
 * A round is a transaction: parameters down the tree, tasks to whoever asks, sums up the tree. Every message carries
 * the round's epoch, every wait has a limit, and whoever is lost or holds the round up is left out of it: the tasks
 * it was given go to others, to the same bits. docs/protocol.md. */
#ifndef COORDINATOR_CREW_CREW_H
#define COORDINATOR_CREW_CREW_H

#include "coordinator/crew/failed_report.h"
#include "core/plan/round_sum.h"
#include "core/plan/sampler.h"
#include "proto/comm/comm.h"
#include "proto/wire.h"

struct crew_worker { /* one worker rank */
    struct hello hello;
    bool ready;
    double heard;      /* clock of its last message */
    bool gone;         /* silent for a lease; comes back with its next message */
    bool left;         /* has said that it cannot go on */
    bool behind;       /* was sent parameters, and not heard since */
    uint32_t n_slow;   /* rounds it was left out of for being late */
    bool proved;       /* took part in the last round: may stand high in the tree */
    struct alive work; /* as last reported, all zero: not yet */
    double busy; /* share of its threads' time spent computing between its last two reports, */
    double
        gflops; /* and useful billions of operations a second; of meaning where work.seconds > 0 */
    int anchored; /* 1 + index of the stage whose anchor's parameters it has */

    bool owing; /* left out of a round: out of all until it reports its tasks of that one */
    uint32_t owed_epoch;      /* that round, */
    uint32_t owed_tasks;      /* the tasks, */
    uint64_t others_checksum; /* and the checksum of the same tasks done by others, */
    bool others_known;        /* where it is known */

    /* of the round at hand */
    bool member;       /* was sent its parameters */
    bool asked;        /* for tasks: it has them */
    bool last;         /* knows that there are no more tasks */
    bool out;          /* left out: nothing it does counts */
    bool finished;     /* has reported all it was given */
    bool helped;       /* was given tasks of one left out, when it had finished its own: */
    uint64_t base;     /* its checksum before those */
    uint32_t given;    /* tasks */
    uint32_t chunk;    /* tasks given last, */
    double since;      /* and when */
    uint64_t checksum; /* of its finished tasks */
};

struct notice {       /* something an operator wants to know */
    const char *kind; /* "lost", "back", "slow", "left", "differs" */
    int rank;
    const char *host;
    uint64_t round;
    const char *text; /* the whole sentence */
};

struct crew {
    struct comm *comm;           /* borrowed */
    const struct setup *setup;   /* borrowed */
    int n_members;               /* ranks of the round at hand, coordinator first */
    uint32_t *members;           /* owned (comm->size) */
    uint32_t *gatherers;         /* owned (comm->size): those whose sums are gathered again */
    struct sections sections;    /* what the data hold, here: every rank's are compared with them */
    struct crew_worker *workers; /* owned (comm->size); [0] unused */
    uint32_t epoch;
    double checked, spoke; /* clocks: leases last checked, last sign of life given */
    struct task *tasks;    /* (WIRE_TASKS_MAX) in arena */
    struct arena arena;
    struct buffer out;
    int64_t *words;   /* owned: the round's total */
    uint32_t *owner;  /* owned: the rank that each task of the round was given to; 0: nobody */
    uint32_t n_owner; /* its room */
    struct failed_report failed; /* the last round's tasks that were set aside */
    int stage;                   /* of the figures below */
    double task_seconds[3];      /* by purpose: of a thread per task, waiting too; 0: not known */
    uint64_t n_stale;            /* messages of older epochs and attempts refused */
    uint64_t n_again;            /* tasks given out again */
    uint64_t n_confirmed;        /* ranks whose late result was equal to that of others */
    double round_seconds;        /* of the last round, */
    double communication;        /* and the share of them that no rank's work explains */
    char differs[256];           /* whose was not, "": nobody */
    int code;                    /* of the last worker that left, with its sentence */
    char reason[640];
    const char *version; /* of the program, borrowed; NULL: not compared */
    void (*notify)(void *context, const struct notice *n); /* NULL: nobody */
    /* Whether the round at hand is to end; asked now and then, with its kind. NULL: never. */
    bool (*interrupt)(void *context, const struct task_kind *kind);
    void *context;
};

/* *c is zero but for version, notify, interrupt and context. Sends every worker the configuration and waits for its hello. setup is opened by the caller between
 * crew_invite and crew_gather, so that all ranks do it at once. A rank that has not answered within
 * cluster.start_limit is left out. Errors name rank and host: its own error of one that cannot start, ERR_CONFIG where
 * versions, builds, layouts or BLAS kernels differ, ERR_DATA where data differ, ERR_LOST where nobody answers. */
int crew_invite(struct crew *c, struct comm *comm, const char *configuration, const char *root);
int crew_gather(struct crew *c, const struct setup *setup);

/* Bytes that crew_gather takes: tasks to give, their owners, and the round's sum. */
size_t crew_size(const struct setup *setup);

/* Between rounds, where the coordinator waits for something else (a disk): tells the workers now and then that it is
 * there. To be called several times per cluster.lease. Whom it does not reach, the next round finds lost. */
void crew_reassure(struct crew *c);

/* Tells every worker that the run is over, and waits for their answers; who does not give one is gone. */
void crew_dismiss(struct crew *c, int code, const char *reason);
void crew_release(struct crew *c);

/* Ranks that are out of reach now. */
int crew_lost(const struct crew *c);

struct domain_models { /* of a stage whose tasks step a model each, on the workers */
    const real *theta; /* (n_models x P of a model) */
    const real *state; /* the optimizer's vectors, each (n_models x P) */
    real *next;        /* (n_models x engine's state: P, then P of each vector) what came back */
    bool *
        arrived; /* (n_models) whether it did; a task that was set aside leaves its model as it was */
};

struct round {
    const struct stage *stage;
    enum purpose purpose;
    int data; /* index of the data section */
    uint64_t round;
    uint32_t n_tasks;
    const real *theta;  /* (P of a model) of evaluation, and of training where tasks do not step */
    const real *anchor; /* parameters of the stage's anchor; NULL where it has none */
    const struct domain_models *domains; /* of training where they do; else NULL */
    uint32_t amount;                     /* of evaluation: what its kind's `amount` gave */
};

/* The kind that answers for all tasks of the round. */
const struct task_kind *round_kind(const struct round *r);

/* What draws them. */
struct sampler round_sampler(const struct setup *setup, const struct round *r);

/* Runs one round; *total is its sum over all tasks, each counted once, valid until the next. Tasks that were not
 * finite are in its METRIC_FAILED. ERR_LOST when no worker is left (a worker's own error where the last one left
 * with it); ERR_STOPPED where it was interrupted; ERR_FAILED when ranks computed different results for the same
 * tasks: the sentence names who is wrong. */
int crew_round(struct crew *c, const struct round *r, struct round_sum *total);

#endif
