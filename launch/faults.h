/* faults.h - what happens to the ranks of a simulated cluster: a file of one fault a line.
 *
 *     at 2.5     rank 7      kill        # seconds after the first round that counts has begun
 *     at 3       host 2      stop 0.5    # its ranks stand still for half a second
 *     at 0       10% ranks   slow 2      # a tenth of them, drawn: tasks take twice as long
 *     at 0       rank 3      err 0.001   # it computes that share of its tasks wrongly
 *     every 30   host        kill        # again and again, at random, 30 s apart on average
 *
 * Times are virtual. What is drawn depends on the seed alone. Rank 0 and its host are never drawn
 * and cannot be named: a lost rank 0 ends the run, and its supervisor starts it again. */
#ifndef LAUNCH_FAULTS_H
#define LAUNCH_FAULTS_H

#include <stdbool.h>
#include <stdint.h>

#include "core/math/rng.h"
#include "proto/comm/comm.h"

struct fault {
    int line;
    bool every;              /* else once */
    double seconds;          /* when, or how far apart on average */
    bool hosts;              /* whom: hosts with all their ranks; else ranks */
    int number;              /* that one; 0: drawn */
    double share;            /* drawn: of all; 0: one */
    const struct harm *harm; /* what happens, ... */
    double amount;           /* ... for so many seconds, so many times as slow, for such a share */
};

struct faults {
    const char *path;   /* borrowed */
    struct fault *list; /* owned */
    int n;
};

/* ERR_NOINPUT, ERR_DATA with path and line, ERR_MEMORY. faults_release also then. */
int faults_read(struct faults *f, const char *path);
void faults_release(struct faults *f);

struct victims {       /* the ranks of a simulated cluster */
    struct comm *comm; /* of any of them, borrowed as all of these */
    int n_ranks, n_hosts;
    const int *host; /* (n_ranks) of each */
    double *slow;    /* (n_ranks) how many times as long its tasks take */
    double *errs;    /* (n_ranks) what share of its tasks is wrong */
    bool *dead;      /* (n_ranks) */
    uint64_t seed;
    int n_lost;            /* ranks killed so far, ... */
    int n_losses;          /* ... at so many times: a host's ranks count once */
    bool over;             /* nothing happens any more */
    struct coming *coming; /* owned: by faults_begin, until faults_end */
};

/* Whether all that the faults name is there: ERR_DATA. */
int faults_check(const struct faults *f, const struct victims *v);

/* Lets them happen from now on, until `over`. Both stay where they are until fibers_run returns;
 * then faults_end. ERR_MEMORY. */
int faults_begin(const struct faults *f, struct victims *v);
void faults_end(struct victims *v);

#endif
