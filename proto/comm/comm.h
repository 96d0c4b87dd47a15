/* comm.h - how bytes travel: point to point, without blocking, between numbered ranks.
 *
 * Two implementations, one contract: comm_mpi (ranks are processes) and comm_local (ranks are threads of
 * one process). Messages between two ranks keep their order. Only the thread that opened a comm may call it,
 * except comm_poke. */
#ifndef PROTO_COMM_COMM_H
#define PROTO_COMM_COMM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/plan/task.h"

/* clang-format off */
enum message_kind {      /* from -> to                                                          */
    MESSAGE_WELCOME = 1, /* coordinator -> worker: configuration                                */
    MESSAGE_HELLO,       /* worker -> coordinator: ready, or an error                           */
    MESSAGE_PARAMS,      /* down the tree: members, theta; opens a round                        */
    MESSAGE_WANT,        /* worker -> coordinator: more tasks, please                           */
    MESSAGE_TASKS,       /* coordinator -> worker                                               */
    MESSAGE_DONE,        /* worker -> coordinator: all tasks given so far are finished          */
    MESSAGE_GATHER,      /* down the tree: members; the sums again, from these ranks alone      */
    MESSAGE_FAILED,      /* worker -> coordinator: which of its tasks were not finite           */
    MESSAGE_SUM,         /* up the tree: the total of a subtree                                 */
    MESSAGE_ALIVE,       /* both ways, when there was nothing else to say                       */
    MESSAGE_STATE,       /* both ways: a block's parameters and optimizer state, with its task  */
    MESSAGE_BYE,         /* coordinator -> worker: end; worker -> coordinator: cannot go on     */
};
/* clang-format on */

struct header {     /* in front of every message, in host byte order */
    uint32_t magic; /* HEADER_MAGIC */
    uint32_t kind;  /* enum message_kind */
    uint32_t epoch; /* counts rounds: what belongs to another is dropped */
    uint32_t stage;
    uint64_t round;
    uint32_t purpose; /* enum purpose */
    uint32_t data;    /* evaluation: index of the data section */
    uint64_t size;    /* bytes that follow */
    uint32_t attempt; /* sums, gather: which tree of this round; 0 is the one of its parameters */
    uint32_t slot;    /* state: of its task */
    uint32_t anchor;  /* parameters: reals of the anchor that follow them; 0: as before */
    uint32_t spare32;
    uint64_t worked; /* sum: nanoseconds from parameters to last task, the longest of the subtree */
};
#define HEADER_MAGIC 0x31504c4du /* "MLP1" */

struct message {
    int from;
    struct header h;
    const void *body; /* h.size bytes, valid until the next comm_poll */
};

struct part { /* a message's body is given in parts, sent as one */
    const void *bytes;
    size_t n;
};

struct comm {
    const struct comm_ops *ops; /* borrowed */
    int rank, size;
    void *state;
};

struct comm_ops {
    const char *name;
    int (*send)(struct comm *c, int to, const struct header *h, const struct part *parts, int n);
    int (*poll)(struct comm *c, struct message *m);
    void (*idle)(struct comm *c);
    void (*poke)(struct comm *c);
    void (*give_up)(struct comm *c, int rank); /* NULL: nothing to do */
    void (*close)(struct comm *c);
};

/* Whether ranks are threads of one process, which share its data sets. */
bool comm_is_local(const struct comm *c);

/* Copies the parts and returns at once; delivery is not awaited, and a message to a rank that is dead is no
 * error. ERR_MEMORY. */
int comm_send(struct comm *c, int to, const struct header *h, const struct part *parts, int n);

/* 1: *m is the next message. 0: none now. Negative: ERR_DATA for a message that is none of ours,
 * ERR_MEMORY. */
int comm_poll(struct comm *c, struct message *m);

/* Waits until a message may have come or comm_poke was called, at most about a millisecond: first by
 * yielding, then asleep for longer and longer. */
void comm_idle(struct comm *c);
void comm_poke(struct comm *c); /* from any thread: ends a comm_idle */

/* Waits a little for what is under way to ranks that are not given up. */
void comm_close(struct comm *c);

/* Nobody need wait for messages to this rank any more. */
void comm_give_up(struct comm *c, int rank);

/* n ranks in this process: ends[0] .. ends[n - 1]. */
int comm_open_local(struct comm *ends, int n);

/* The world of a started MPI. */
int comm_open_mpi(struct comm *c);

#endif
