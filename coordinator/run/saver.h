/* saver.h - checkpoints are written beside the run, by a thread of their own.
 *
 * Nobody waits for the disk: a checkpoint that is due while the one before it is still being
 * written, or that could not be written, is owed, and a later round's takes its place. After a
 * failure the next attempt comes 1, 2, 4 ... 60 seconds later. All calls are the coordinator's;
 * none touches the thread's data while it writes. */
#ifndef COORDINATOR_RUN_SAVER_H
#define COORDINATOR_RUN_SAVER_H

#include <stdbool.h>

#include "core/file/checkpoint.h"

#define SAVER_STALLED 60.0   /* seconds after which a write in progress is worth a word */
#define SAVER_PATIENCE 300.0 /* seconds: nobody waits longer for a write, not even at the end */

enum { SAVER_RECENT = 8, SAVER_SENTENCE = 1536 };

struct saved { /* one attempt */
    struct checkpoint_info info;
    char path[1280];
    int code;
    double seconds;      /* it took, syncing and pruning included */
    char error[1024];    /* code < 0: why */
    char unpruned[1024]; /* not "": written, but an old one could not be removed */
};

struct saver {
    struct writer *writer;    /* shared with the thread, which owns it once it was given up */
    struct saved last;        /* the attempt that saver_poll told of last */
    char say[SAVER_SENTENCE]; /* set by saver_poll: a sentence for the user, or "" */
    double patience;          /* SAVER_PATIENCE; tests wait less */
    int n_failed;             /* attempts in a row */
    bool owed, stalled, unpruned;
    double again, delay; /* clock of the next attempt after a failure; seconds to it */
    double recent[SAVER_RECENT];
    int n_recent;
};

/* Starts the thread. room: the most reals that theta and state of any snapshot have together,
 * allocated here. ERR_MEMORY, ERR_FAILED. */
int saver_open(struct saver *s, const char *directory, int keep, size_t room);

/* Waits for the write in progress, until it has taken `patience` seconds; a thread that the disk
 * holds longer is left behind. */
void saver_close(struct saver *s);

/* Whether to call saver_save now: one is due or owed, nothing is being written, saver_poll has told
 * of all that was, and no failure was a moment ago. */
bool saver_ready(struct saver *s, bool due);

/* Copies theta (P) and state (n_state x P) and returns; the thread writes, then removes the oldest
 * beyond `keep`. Never waits: a write still in progress, or one that saver_poll has not told of,
 * leaves this one owed. ERR_MEMORY. */
int saver_save(struct saver *s, const struct layout *l, const real *theta,
               const struct optim_ops *ops, const real *state, const struct checkpoint_info *info);

/* true: an attempt has ended since the last call, s->last tells how. Also sets s->say: when a
 * trouble begins (a failure, a write that takes longer than SAVER_STALLED) and when it is over, not
 * in between. */
bool saver_poll(struct saver *s);

/* Until nothing is being written, at most `seconds`: then ERR_IO. */
int saver_wait(struct saver *s, double seconds);

/* What is saved from now on goes there. */
void saver_move(struct saver *s, const char *directory);

/* The longest of the last SAVER_RECENT attempts and of the one in progress, in seconds; 0: there
 * was none. */
double saver_cost(const struct saver *s);

#endif
