/* simulate.h - rounds of a stage on many ranks, in virtual time. */
#ifndef LAUNCH_SIMULATE_H
#define LAUNCH_SIMULATE_H

#include "core/plan/setup.h"
#include "proto/comm/network.h"

struct simulation {      /* what to simulate; all pointers are borrowed */
    struct setup *setup; /* open; hollow unless real: hollow_setup */
    const struct stage *stage;
    const struct network *network;
    int n_ranks, ranks_per_host; /* rank 0 included; it stands on the first host */
    int n_threads;               /* compute threads of a worker */
    double task_seconds;         /* of one thread for a task */
    double jitter;               /* tasks differ by at most this share, by seed, round and slot */
    uint64_t seed;
    int rounds;   /* after the first one, which is not counted */
    bool real;    /* tasks are computed: parameters are what training makes them */
    double scale; /* parameters that one of a hollow setup stands for; 1: real */
};

struct simulated { /* means over the rounds that are counted */
    int n_hosts, n_cores;
    double round_seconds;
    double efficiency;       /* time of tasks / (time of cores) */
    double communication;    /* share of a round that no worker's tasks explain */
    double rank0;            /* share of its time that rank 0 is busy with messages and its step */
    double host_bytes;       /* a round, of the host whose link carries most */
    uint64_t events, record; /* of the whole simulation: their number, a hash of the messages */
    uint64_t digest;         /* of the parameters after all rounds */
};

/* ERR_MEMORY, and errors of crew_gather and crew_round. */
int simulate(const struct simulation *s, struct simulated *out);

/* Hosts and cores that n ranks take; rank 0 has a core if workers have one thread, and stands
 * beside them if they have more. */
int simulated_host(const struct simulation *s, int rank);

#endif
