/* serve_internal.h - between the files of a worker's side of the protocol. */
#ifndef WORKER_SERVE_INTERNAL_H
#define WORKER_SERVE_INTERNAL_H

#include "proto/comm/children.h"
#include "proto/wire.h"
#include "worker/pool.h"
#include "worker/serve.h"

struct worker {
    struct comm *comm; /* borrowed */
    const char *version;
    const struct worker_place *place; /* borrowed; NULL: its own process */
    struct config config;             /* owned, of own; not used in a place */
    struct setup own;                 /* owned; not used in a place */
    const struct setup *setup;        /* own, or the place's; NULL: not yet */
    struct sections sections;         /* what its data held at the start */
    struct pool pool;
    bool ready; /* pool is open */
    struct buffer out;
    double heard, spoke; /* clock of the last message from, to the coordinator */
    double lease, limit; /* cluster.lease; seconds of silence allowed */
    double opened, told; /* clocks: ready; the last report of what was done */
    bool own_cores;      /* as in a place */
    double awake_until;  /* clock: nothing computes, and until then a message may come at once */

    struct header round; /* of the round at hand; worked: the longest that a child has told */
    double begun;        /* clock: all its parameters are here, and passed on */
    bool open;           /* there is one */
    bool wanted, last;   /* asked for tasks; there are no more */
    uint32_t n_slots;    /* that it has, of all ranks together, and audits */
    int n_tasks;         /* received */
    int n_reported;      /* of those, reported as done; -1: no report yet */
    double idle_since;   /* clock, while all of them are done; 0: they are not */

    struct header coming; /* of the last parameters: the round opens when they are whole */
    struct deal deal;     /* of that round's tasks, ... */
    struct slots first;   /* ... and this rank's first */
    size_t n_theta;       /* parameters in it, without the anchor's, ... */
    struct pieces params; /* ... how all are cut, ... */
    uint32_t n_params;    /* ... and pieces that are here, and passed on */

    int parent; /* in the tree of the parameters, then of the sums */
    struct children children;
    uint32_t n_sent;      /* pieces of the sum */
    real *theta, *anchor; /* owned (largest P), (largest anchor) */
    int anchored;         /* stage whose anchor that is; -1: none */
    int64_t *words;       /* owned: of total */
    void *packed;         /* owned: a piece of it, as it is sent */
    struct round_sum total;
    bool spoiled;     /* its data have changed */
    int damaged;      /* 1 + the rank whose message came damaged; 0: none did */
    bool ended, lost; /* the coordinator has said bye, after a loss */
};

/* Errors are those of comm_send and of the wire, and ERR_DATA if a message cannot be right. */

/* ---- talk.c ---- */

/* Sends a message of the round at hand. */
int worker_say(struct worker *w, int to, enum message_kind kind, const struct part *parts, int n);

int worker_say_buffer(struct worker *w, enum message_kind kind); /* w->out, to rank 0 */

/* Reads the tree that a message begins with, of which this rank is the root. */
int worker_tree(const struct worker *w, const struct message *m, const struct tree_node **tree);

/* Takes this rank's place in that tree and passes the message down it before anything else. The
 * sender is the parent. The sum is to be sent again from its beginning. */
int worker_enter(struct worker *w, const struct message *m, const struct tree_node *tree);

bool worker_is_current(const struct worker *w, const struct message *m); /* of the round at hand */

/* ---- params.c ---- */

/* PARAMS: a piece of theta and of the anchor's, passed on before anything else. The first ends the
 * round before, the last opens the round: until then this rank speaks from the one before. */
int worker_on_params(struct worker *w, const struct message *m);

/* Queues tasks of the round at hand. */
int worker_take_tasks(struct worker *w, struct slots tasks);

/* ---- sums.c ---- */

/* GATHER: the round's sums again, along another tree. */
int worker_on_gather(struct worker *w, const struct message *m);

/* SUM: a piece of a child's. */
int worker_on_sum(struct worker *w, const struct message *m);

/* Sends the pieces of the sum that all children have sent. This rank's own tasks are done. */
int worker_send_sum(struct worker *w);

#endif
