/* run_lock.h - one owner of a run's directory at a time: a lock on its file run.lock, which tells
 * who holds it.
 *
 * The lock belongs to the open file (F_OFD_SETLK): the kernel drops it when the process ends,
 * however it ends, and a child that is started does not inherit it. The file stays for good. On a
 * file system without locks the text decides: a process of this host that lives holds the
 * directory. */
#ifndef COORDINATOR_RUN_RUN_LOCK_H
#define COORDINATOR_RUN_RUN_LOCK_H

#include <stdbool.h>

#include "core/base/run_id.h"

#define RUN_LOCK "run.lock"

struct run_lock {
    int fd;     /* -1: not held */
    bool plain; /* the file system has no locks: the text is all there is */
};

struct lock_holder { /* what run.lock tells */
    char run_id[RUN_ID_ROOM], host[64], since[32];
    long pid;
    unsigned long long
        start; /* of the process, in clock ticks after its host's boot: a pid may come again */
};

/* Takes the lock of a directory that is there. 0; ERR_CANTCREAT if another process holds it: the
 * sentence tells who, and so does *holder; ERR_CANTCREAT, ERR_IO if the file cannot be opened, is
 * no regular file, or cannot be locked. On error l->fd is -1. Nothing is written. */
int run_lock_take(struct run_lock *l, const char *directory, struct lock_holder *holder);

/* Writes who holds it: this process, for that run. ERR_IO. */
int run_lock_sign(const struct run_lock *l, const char *directory, const char *run_id);

/* Whether the file that is held is still that of the directory. */
bool run_lock_stands(const struct run_lock *l, const char *directory);

/* Gives the directory up; another run may take it. */
void run_lock_release(struct run_lock *l); /* closes the file: the kernel drops the lock */

#endif
