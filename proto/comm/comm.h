/* comm.h - how bytes travel: point to point, without blocking, between numbered ranks.
 *
 * A transport is a struct comm_ops and a line in table.c: local (ranks are threads of one process),
 * mpi (ranks are processes) and sim (ranks are fibers of one thread, in virtual time). Its contract
 * stands at the slots below; tests/conform/conform_comm.c proves each line of it for every entry of
 * the table.
 *
 * An end is one rank's access to all others. It belongs to one thread at a time: that thread alone
 * may call it, except comm_poke, which any thread may call. */
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
    MESSAGE_PARAMS,      /* down the tree: a piece of theta; the first opens a round            */
    MESSAGE_WANT,        /* worker -> coordinator: more tasks, please                           */
    MESSAGE_TASKS,       /* coordinator -> worker                                               */
    MESSAGE_DONE,        /* worker -> coordinator: all tasks given so far are finished          */
    MESSAGE_GATHER,      /* down another tree: the sums again, from its ranks alone             */
    MESSAGE_FAILED,      /* worker -> coordinator: which of its tasks were not finite           */
    MESSAGE_SUM,         /* up the tree: a piece of the total of a subtree                      */
    MESSAGE_ALIVE,       /* both ways, when there was nothing else to say                       */
    MESSAGE_STATE,       /* both ways: a domain model and its optimizer state, with its task    */
    MESSAGE_PING,        /* coordinator -> worker: DONE or ALIVE, please, at once               */
    MESSAGE_BYE,         /* coordinator -> worker: end; worker -> coordinator: cannot go on     */
};
/* clang-format on */

struct header {       /* in front of every message, in host byte order */
    uint32_t magic;   /* HEADER_MAGIC */
    uint16_t kind;    /* enum message_kind */
    uint16_t purpose; /* enum purpose */
    uint32_t epoch;   /* counts rounds: what belongs to another is dropped */
    uint32_t stage;
    uint64_t round;
    uint32_t head;    /* bytes that the body begins with and that concern its receiver alone */
    uint32_t data;    /* evaluation: index of the data section */
    uint64_t size;    /* bytes that follow */
    uint32_t attempt; /* sums, gather: which tree of this round; 0 is the one of its parameters */
    union {
        uint32_t slot;  /* state: of its task */
        uint32_t piece; /* parameters, sums: which one of them (pieces.h) */
    };
    uint32_t anchor;   /* parameters: reals of the anchor that follow them; 0: as before */
    uint32_t checksum; /* of the message; how it is made stands at comm_rest */
    uint64_t worked; /* sum: nanoseconds from parameters to last task, the longest of the subtree */
};
#define HEADER_MAGIC 0x31504c4du /* "MLP1" */

struct message { /* as comm_poll returns it */
    int from;    /* the sender's rank */
    struct header h;
    /* h.size bytes, aligned for any type; the transport's, until the next comm_poll */
    const void *body;
};

struct part {          /* a message's body is given in parts, which travel as one */
    const void *bytes; /* borrowed during the call; anything if n is 0 */
    size_t n;
};

struct comm {                   /* an end: one rank's access to the others */
    const struct comm_ops *ops; /* borrowed */
    int rank, size;             /* this rank, and the number of ranks */
    void *state;                /* owned by ops */
    bool awake;                 /* its user's: idle yields instead of sleeping */
};

struct comm_ops { /* what a transport does */
    const char *name;
    bool one_process; /* the ranks are threads or fibers of one process and share its memory */

    /* Opens the n ends that this process holds: all ranks, 0 .. n - 1, if one_process; else n is 1
     * and *ends becomes the rank that the launcher made this process. Fills rank, size and state of
     * each. May block while the transport starts. On an error nothing is left open. ERR_USAGE (n
     * ends are not possible), ERR_MEMORY. */
    int (*open)(struct comm *ends, int n);

    /* Takes a message for rank `to`, another one than c's. h->magic and h->size are set; the n
     * parts (n may be 0) have h->size bytes together. Copies everything: h and parts are the
     * caller's again on return. Never blocks, whatever the receiver does. Messages between two
     * ranks arrive once each, whole, in the order they were sent. A message to a rank that is
     * closed or dead vanishes, and is no error. ERR_MEMORY: no memory, or more bytes than the
     * transport carries; nothing was sent. */
    int (*send)(struct comm *c, int to, const struct header *h, const struct part *parts, int n);

    /* Looks for a message; never blocks. 1: *m is the next one. Its body stays what it is until the
     * next poll of this end, even if this end sends meanwhile. 0: none has arrived; *m is
     * untouched. ERR_MEMORY: there is no memory to receive the next message. Also drives sends that
     * are under way. */
    int (*poll)(struct comm *c, struct message *m);

    /* Waits until a message may have come, poke was called, or about a millisecond has passed;
     * returns at once if poke was called since the last wait. Yields a few times before it sleeps,
     * and sleeps longer each time that nothing came, so that waiting costs next to no processor
     * time. If c->awake, it only yields. */
    void (*idle)(struct comm *c);

    /* Ends the idle that is under way, or the next one that would sleep. Any thread may call it,
     * until close begins. Never blocks. */
    void (*poke)(struct comm *c);

    /* Close need not wait for messages to this rank. NULL: it never waits. */
    void (*give_up)(struct comm *c, int rank);

    /* Ends the use of this end; what it has sent still arrives. Blocks while messages are under way
     * to ranks that poll, for about two seconds at most and not for ranks given up. What has
     * arrived here and was not polled is lost. */
    void (*close)(struct comm *c);
};

extern const struct comm_ops *const comm_table[]; /* ended by NULL */

/* Opens n ends with the transport of that name: comm_ops.open. Each is closed with comm_close.
 * ERR_USAGE: there is no such transport. */
int comm_open(const char *transport, struct comm *ends, int n);

/* Sends a message to rank `to`: comm_ops.send. Of h the fields magic, size, head and checksum need
 * not be set. */
int comm_send(struct comm *c, int to, const struct header *h, const struct part *parts, int n);

/* The same of a message whose first part, its head, is for this receiver alone, while the rest goes
 * to others as well. rest: comm_checksum of the rest, or comm_rest of a message that is passed on
 * with another head: whoever gets it then notices damage on any part of the rest's way, that to the
 * memory of this rank too. */
int comm_send_headed(struct comm *c, int to, const struct header *h, const struct part *parts,
                     int n, uint32_t rest);

/* Takes the next message: comm_ops.poll. A message that is refused is skipped, and m->from tells
 * who sent it: ERR_DATA, it is not metaloop's; ERR_DAMAGED, it is not what was sent. */
int comm_poll(struct comm *c, struct message *m);

/* 32 bits of the XXH3 of the parts, as if they were one. */
uint32_t comm_checksum(const struct part *parts, int n);

/* The checksum of what follows the head of a message, as the first that sent it made it. The
 * header's checksum is that, exclusive-or comm_checksum of the header (in which it counts as zero)
 * and the head. */
uint32_t comm_rest(const struct message *m);

/* Waits for something to do, about a millisecond at most: comm_ops.idle. c->awake is for who has a
 * core to himself and expects a message at once. */
void comm_idle(struct comm *c);

/* Ends a comm_idle, from any thread: comm_ops.poke. */
void comm_poke(struct comm *c);

/* Nobody need wait for messages to this rank any more: comm_ops.give_up. */
void comm_give_up(struct comm *c, int rank);

/* Closes an end and zeroes *c: comm_ops.close. Does nothing to one that is zero. */
void comm_close(struct comm *c);

/* True if the ranks are of one process, and share its data sets. */
bool comm_is_local(const struct comm *c);

#endif
