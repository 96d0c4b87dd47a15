/* sim.h - the transport "sim": ranks are fibers of one thread (core/sim/fiber.h), messages take the
 * time that a model of a cluster says (network.h), and so does the work that they are.
 *
 * It is told apart from real ones by what it is made of: comm_open("sim", ends, n) gives n ranks
 * with a host each on 100G; sim_plan says otherwise. */
#ifndef PROTO_COMM_SIM_H
#define PROTO_COMM_SIM_H

#include <stdio.h>

#include "proto/comm/comm.h"
#include "proto/comm/network.h"

enum { SIM_KINDS = 16 }; /* more than there are kinds of messages */

/* What the processor of a rank is busy with, in nanoseconds. */
struct sim_costs {
    double poll, poll_rank; /* a poll; of each rank that it may be from */
    double send, receive;   /* a message beside its bytes */
    double copy;            /* a byte that is sent or received */
    double out[SIM_KINDS];  /* what was done to make a byte of a message of that kind, ... */
    double in[SIM_KINDS];   /* ... and is done with it where it arrives */
    double yield;           /* of an idle that does not sleep */
    double oversleep;       /* a sleep lasts longer than asked */
    double wake;            /* from a poke to the end of the sleep */
    uint64_t eager;         /* larger messages wait until their receiver polls */
};

/* Of a core of an AMD EPYC (Zen 4), Open MPI 4.1. far: if sums and parameters are longer than what
 * stays in the processor's cache. */
extern const struct sim_costs sim_measured, sim_measured_far;

struct sim_plan {
    struct network network;
    struct sim_costs costs;
    const int *host; /* (ranks) of each rank, borrowed */
    /* Messages that stand for larger ones: `scale` bytes for each of the first bulk[kind] bytes of
     * a body. scale 1: all are what they are. */
    double scale;
    uint64_t bulk[SIM_KINDS];
};

/* Writes from now on what each rank does, in its order, as a time-independent trace that SimGrid's
 * SMPI can replay: compute (1 a nanosecond), isend and recv of so many bytes. Waiting is left out
 * while no thread of the rank works: sim_threads. `to` is borrowed. */
void sim_trace(struct comm *c, FILE *to);

/* So many more of the rank's compute threads work from now on, or less. */
void sim_threads(struct comm *c, int more);

/* Plans the cluster of these ends, before the first message. ERR_MEMORY. */
int sim_plan(struct comm *c, const struct sim_plan *plan);

struct sim_figures {   /* of a rank since it was opened */
    virtual_time busy; /* with messages; empty polls are not counted */
    uint64_t sent, received;
};

/* Of that rank. */
struct sim_figures sim_figures(const struct comm *c, int rank);

/* The bytes that the link of a rank's host has carried in both directions. */
uint64_t sim_link_bytes(const struct comm *c, int rank);

/* The rank of these ends is killed: nothing leaves it any more, and its next poll is ERR_FAILED. */
void sim_kill(struct comm *c, int rank);

/* The rank stands still at its next poll, until that time. Its compute threads do not. */
void sim_stop(struct comm *c, int rank, virtual_time until);

/* The rank works for so long on something that is not a message. */
void sim_work(struct comm *c, double ns);

#endif
