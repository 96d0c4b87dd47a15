/* saver.h - checkpoints are written beside the run, by a thread of their own. */
#ifndef COORDINATOR_SAVER_H
#define COORDINATOR_SAVER_H

#include <pthread.h>
#include <stdbool.h>

#include "core/checkpoint.h"

struct saver {
    pthread_t thread;
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    bool running, busy, ending, fresh; /* fresh: a result nobody has asked for yet */
    const char *directory;             /* borrowed */
    int keep;
    const struct layout *layout; /* borrowed, of the snapshot */
    const struct optim_ops *ops;
    struct checkpoint_info info;
    real *theta, *state; /* owned: the snapshot */
    size_t room;         /* reals of theta and state together */
    char path[1280];     /* of the last snapshot */
    int code;            /* of the last write */
    double seconds;      /* it took */
    char error[512];
};

int saver_open(struct saver *s, const char *directory, int keep);
void saver_close(struct saver *s); /* waits for the write in progress */

/* Copies theta (P) and state (n_state x P) and returns; the thread writes, then removes the oldest beyond `keep`.
 * Waits first for a write still in progress. ERR_MEMORY. */
int saver_save(struct saver *s, const struct layout *l, const real *theta,
               const struct optim_ops *ops, const real *state, const struct checkpoint_info *info);

/* 1: a write has ended since the last call, s->path, s->seconds, s->code and s->error tell how. 0: none has. */
int saver_poll(struct saver *s);
int saver_wait(struct saver *s); /* until nothing is being written; returns the last write's code */

#endif
