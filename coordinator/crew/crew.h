/* crew.h - the workers as rank 0 sees them, and a round with them.
 *
 * A round is a transaction: parameters and each rank's first tasks go down the tree, more tasks to
 * each rank that asks, sums up the tree. Every message carries the round's epoch, and every wait
 * has a limit. A rank that is lost or holds the round up is left out of it: its tasks go to others,
 * to the same bits. docs/protocol.md.
 */
#ifndef COORDINATOR_CREW_CREW_H
#define COORDINATOR_CREW_CREW_H

#include "coordinator/crew/failed_report.h"
#include "core/plan/audit.h"
#include "core/plan/round_sum.h"
#include "core/plan/sampler.h"
#include "proto/comm/tree.h"
#include "proto/wire.h"

struct crew_worker { /* one worker rank */
    struct hello hello;
    bool ready;        /* its hello has come */
    double heard;      /* clock of its last message */
    uint32_t epoch;    /* of its last message: that of the last round whose parameters it got */
    bool gone;         /* silent for a lease; comes back with its next message */
    bool left;         /* has said that it cannot go on, or is wrong */
    bool wrong;        /* was found to compute wrongly */
    bool behind;       /* was sent parameters, and not heard since */
    uint32_t n_slow;   /* rounds it was left out of for being late */
    int accuser;       /* rank that was the first to get a damaged message of it; 0: none */
    bool proved;       /* took part in the last round: may stand high in the tree */
    uint32_t host;     /* its host's place in crew.hosts */
    uint32_t beside;   /* the next ready rank of that host; 0: none */
    struct alive work; /* as last reported; all zero: not yet */
    double busy;       /* share of its threads' time spent computing between its last two reports */
    double gflops;     /* useful billions of operations a second between them; of meaning if
                          work.seconds > 0, as busy is */
    int anchored;      /* 1 + index of the stage whose anchor's parameters it has */

    /* A rank that was left out of a round stays out until it reports its tasks of that round. */
    bool owing;
    uint32_t owed_epoch;      /* of that round */
    uint32_t owed_tasks;      /* that it was given */
    bool others_known;        /* others_checksum is */
    uint64_t others_checksum; /* of the same tasks done by others */

    /* of the round at hand */
    bool member;           /* was sent its parameters */
    bool last;             /* knows that there are no more tasks */
    bool out;              /* left out: nothing it does counts */
    bool finished;         /* has reported all it was given */
    bool helped;           /* was given tasks of a rank left out, after its own were finished */
    uint64_t own_checksum; /* of its own tasks, if it helped */
    struct slots first;    /* its tasks from the beginning: of those given */
    uint32_t given;        /* tasks */
    uint32_t chunk;        /* tasks given last */
    double since;          /* clock: when they were given */
    uint64_t checksum;     /* of its finished tasks */
};

struct notice {       /* something an operator wants to know */
    const char *kind; /* "lost", "back", "slow", "left", "differs", "wrong", "alone" */
    int rank;
    const char *host;
    uint64_t round;
    const char *text; /* the whole sentence */
};

struct crew_audit { /* the tasks of the round at hand that are done twice */
    struct audit plan;
    uint32_t n_left;     /* audits that nobody has; ... */
    uint32_t first;      /* ... none is before this one */
    bool by_host;        /* the second time on another host, not just another rank */
    uint32_t n_awaited;  /* checksums that have not come */
    uint64_t *checksums; /* owned (2 room): of each task and of its audit */
    bool *known;         /* owned (2 room) */
    uint32_t room;
    bool told; /* that a rank was alone */
};

struct crew {
    struct comm *comm;           /* borrowed */
    const struct setup *setup;   /* borrowed */
    int n_members;               /* ranks of the round at hand, coordinator first */
    uint32_t *members;           /* owned (comm->size) */
    uint32_t n_hosts;            /* with ready ranks, that of rank 0 first */
    uint32_t *hosts;             /* owned (comm->size): the first worker of each; 0: none */
    struct tree_node *tree;      /* owned (comm->size): of the round's messages down it */
    uint32_t *planted;           /* owned (comm->size): its ranks, host after host, ... */
    uint32_t *host_first;        /* owned (comm->size + 1): ... and where each host's begin */
    struct sections sections;    /* what the data hold, here: every rank's are compared with them */
    struct crew_worker *workers; /* owned (comm->size); [0]: rank 0, its host and accuser */
    uint32_t epoch;              /* of the round at hand: one more for each attempt */
    double checked;              /* clock: leases last checked */
    double spoke;                /* clock: last sign of life given */
    struct task task;            /* of a failed one's file, in arena */
    struct arena arena;
    struct buffer out;
    int64_t *words;   /* owned: the round's total */
    uint32_t *owner;  /* owned: the rank that has each task of the round, then each
                                    audit; 0: none */
    uint32_t n_owner; /* room of owner */
    struct crew_audit audit;
    struct failed_report failed; /* the last round's tasks that were set aside */

    int stage;              /* of the next figure */
    double task_seconds[3]; /* by purpose: of a thread per task, waiting too; 0: not known */
    double work_seconds[3]; /* the same without the way of parameters and sums */
    double longest[3];      /* as task_seconds, of the longest of recent rounds */
    double answer;          /* seconds in which a rank that is asked must answer; 0: ANSWER */
    double round_seconds;   /* of the last round */
    double communication;   /* share of them that no rank's work explains */
    uint64_t n_stale;       /* messages of older epochs and attempts, refused */
    uint64_t n_again;       /* tasks given out again */
    uint64_t n_confirmed;   /* ranks whose late result was equal to that of others */
    uint64_t n_audited;     /* tasks that were done twice before a step */
    char differs[256];      /* whose was not, a sentence; "": nobody's */
    int code;               /* of the last worker that left */
    char reason[640];       /* its sentence */

    bool own_core;       /* rank 0 has one: it may wait without sleeping */
    const char *version; /* of the program, borrowed; NULL: not compared */
    void (*notify)(void *context, const struct notice *n); /* NULL: nobody */
    /* Whether the round at hand is to end; asked now and then, with its kind. NULL: never. */
    bool (*interrupt)(void *context, const struct task_kind *kind);
    void *context;
};

/* Sends every worker the configuration and the data root. *c is zero but for version,
 * own_core, notify, interrupt and context. ERR_MEMORY, errors of comm_send. */
int crew_invite(struct crew *c, struct comm *comm, const char *configuration, const char *root);

/* Waits for every worker's hello. The caller opens setup between crew_invite and crew_gather, so
 * that all ranks do it at once. The run starts without a worker that misses cluster.start_limit;
 * it joins when it answers. Errors name rank and host: a worker's own if it cannot start;
 * ERR_CONFIG if versions, builds, layouts or BLAS kernels differ; ERR_DATA if data differ; ERR_LOST
 * if nobody answers; ERR_MEMORY. */
int crew_gather(struct crew *c, const struct setup *setup);

/* Bytes that crew_gather takes: a task for a file, owners of tasks, and the round's sum. */
size_t crew_size(const struct setup *setup);

/* Tells the workers now and then that the coordinator is there, while it waits for something else
 * between rounds (a disk). To be called several times per cluster.lease. A worker that it does not
 * reach is found lost by the next round. */
void crew_reassure(struct crew *c);

/* Tells every worker that the run is over, and why; waits for their answers, at most a lease. A
 * worker that gives none is gone. */
void crew_dismiss(struct crew *c, int code, const char *reason);

void crew_release(struct crew *c); /* gives back all it owns; *c is zero afterwards */

int crew_lost(const struct crew *c);  /* how many ranks are out of reach now */
int crew_wrong(const struct crew *c); /* how many were found to compute wrongly */

struct domain_models { /* of a stage whose tasks step a model each, on the workers */
    const real *theta; /* (n_models x P of a model) borrowed, as all of these */
    const real *state; /* the optimizer's vectors, each (n_models x P) */
    real *next;        /* (n_models x (P, then P of each vector)) what came back */
    bool *arrived;     /* (n_models) false: the task was set aside, its model stays as it was */
};

struct round { /* what to do; all pointers are borrowed */
    const struct stage *stage;
    enum purpose purpose;
    int data; /* index of the data section */
    uint64_t round;
    uint32_t n_tasks;
    const real *theta;  /* (P of a model); not read if tasks step models of their own */
    const real *anchor; /* parameters of the stage's anchor; NULL: it has none */
    const struct domain_models *domains; /* of training whose tasks step a model each; else NULL */
    /* Called before parameters leave: theta must have those before `end` then. Again for the same
     * ones if the round begins again. NULL: theta has all. */
    void (*settle)(void *context, size_t end);
    /* Called when all have left. Its error ends the round. NULL: nothing is. */
    int (*sent)(void *context);
    void *context;
    uint32_t amount; /* of evaluation what its kind's `amount` gave; of watching n_tasks */
};

/* The kind that answers for all tasks of the round. */
const struct task_kind *round_kind(const struct round *r);

/* What draws them. */
struct sampler round_sampler(const struct setup *setup, const struct round *r);

/* Runs one round. *total becomes its sum over all tasks, each counted once; it is valid until the
 * next round. METRIC_FAILED counts the tasks that were not finite. ERR_LOST if no worker is left (a
 * worker's own error if the last one left with it); ERR_STOPPED if the round was interrupted;
 * ERR_FAILED if ranks computed different results for the same tasks, and that of one who is wrong
 * may be in earlier totals, or it is not known who is: the sentence tells. */
int crew_round(struct crew *c, const struct round *r, struct round_sum *total);

#endif
