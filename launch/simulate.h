/* simulate.h - rounds of a stage on many ranks, in virtual time. */
#ifndef LAUNCH_SIMULATE_H
#define LAUNCH_SIMULATE_H

#include <stdio.h>

#include "core/plan/setup.h"
#include "launch/faults.h"
#include "proto/comm/network.h"

enum { SIMULATE_BEFORE = 3 }; /* rounds in which rank 0 gets to know the tasks' time */

struct simulation {      /* what to simulate; all pointers are borrowed */
    struct setup *setup; /* open; hollow unless real: hollow_setup */
    const struct stage *stage;
    const struct network *network;
    int n_ranks, ranks_per_host; /* rank 0 included; it stands on the first host */
    int n_threads;               /* compute threads of a worker */
    double task_seconds;         /* of one thread for a task */
    double jitter;               /* tasks differ by at most this share, by seed, round and slot */
    uint64_t seed;
    int rounds;                  /* that are counted, after SIMULATE_BEFORE others */
    bool real;                   /* tasks are computed: parameters are what training makes them */
    double scale;                /* parameters that one of a hollow setup stands for; 1: real */
    FILE *trace;                 /* borrowed: what ranks do, for SMPI; NULL: nobody asks */
    const struct faults *faults; /* from the first round that counts on; NULL: none */
};

/* What a round consists of for the rank whose last task ended last, in seconds. */
struct round_parts {
    double down;  /* from the first parameters that leave rank 0 to that rank's first task */
    double tasks; /* from there to the end of its last task */
    double up;    /* from there until rank 0 has the whole sum */
    double step;  /* rank 0 from there to the first piece of the next round */
};

struct simulated { /* means over the rounds that are counted */
    int n_hosts, n_cores;
    double round_seconds;
    double efficiency; /* time of tasks / (time of cores) */
    struct round_parts parts;
    double communication;    /* share of a round that no worker's tasks explain */
    double rank0;            /* share of its time that rank 0 is busy with messages and its step */
    double host_bytes;       /* a round, of the host whose link carries most */
    uint64_t events, record; /* of the whole simulation: their number, a hash of the messages */
    uint64_t digest;         /* of the parameters after all rounds */
    int n_lost, n_losses;    /* ranks killed, and how often some were */
    uint64_t n_again;        /* tasks given out again, of ranks that were lost or late */
    uint64_t n_wrong;        /* results that ranks gave */
    /* Ranks named for that, and the round, of those that count, in which the first was; 0: none. */
    int n_named;
    uint64_t named_in;
    /* By which a round in which ranks were killed is longer than others, for each time that some
     * were; 0: none, or there were no others. */
    double loss_seconds;
};

/* ERR_MEMORY, ERR_DATA for faults of ranks that are not there, errors of crew_gather and
 * crew_round. */
int simulate(const struct simulation *s, struct simulated *out);

/* Hosts and cores that n ranks take; rank 0 has a core if workers have one thread, and stands
 * beside them if they have more. */
int simulated_host(const struct simulation *s, int rank);

#endif
