/* pool.h - a rank's compute threads, fed from one queue of slots: a thread draws the task of a slot
 * itself, just before it computes it.
 *
 * The thread that opened the pool speaks with the other ranks and never computes, so a rank answers
 * while its tasks run. Which thread takes which task does not matter: the totals are exact. */
#ifndef WORKER_POOL_H
#define WORKER_POOL_H

#include <pthread.h>
#include <stdatomic.h>

#include "core/base/thread.h"
#include "core/plan/audit.h"
#include "core/plan/sampler.h"
#include "proto/comm/comm.h"
#include "proto/wire.h"
#include "worker/engine.h"
#include "worker/share.h"
#include "worker/sightings.h"

struct carry { /* the state of a task that steps its own model */
    enum { CARRY_FREE, CARRY_HELD, CARRY_READY } use;
    uint32_t slot;
    real *state; /* in the arena of states */
};

struct worked { /* by all threads together */
    uint64_t tasks;
    double seconds, operations; /* computing; useful floating-point operations of training */
};

struct pool {
    const struct setup *setup; /* borrowed */
    struct comm *comm;         /* poked whenever a task is done */
    int n_threads, n_started;
    const struct compute *compute; /* borrowed */
    struct thread *threads;
    struct engine *engines; /* one per thread */
    pthread_mutex_t mutex;
    struct condition filled;
    struct slots *queue;       /* owned: a ring of `room` ranges */
    int room, first, n_ranges; /* of the queue */
    struct task *tasks;        /* owned: one per thread, in arena */
    struct arena arena;
    int waiting, running, done; /* tasks in the queue; in work; finished in this round */
    struct failed_set failed;   /* of the finished ones */
    struct arena states;        /* of the carries */
    struct carry *carries;      /* owned: as many as a rank can hold at once */
    int n_carries;
    bool shares;           /* a thread has a core of its own: none waits for one that has not */
    struct share *share;   /* of all threads, between tasks; NULL: none. On the opener's stack */
    int sharing;           /* threads that work on it */
    atomic_bool abandoned; /* the round: tasks of several steps end early */
    uint64_t carried;      /* of this round's states: a checksum, linear as round_sum_checksum */
    const struct task_kind *kind; /* of the round at hand */
    struct audit audit;           /* of the round at hand */
    struct sighting_list seen;
    bool ending;
    struct sampler sampler; /* of the round at hand */
    const real *theta, *anchor;
    struct worked worked; /* since the pool was opened */
    int code;             /* the first error of a task, 0: none */
    char error[512];      /* its sentence */
};

/* Bytes of the queue, of a task a thread and of the models that tasks carry; each thread's engine
 * (engine_size) comes on top. */
size_t pool_size(const struct setup *s, int n_threads);

/* Starts n_threads compute threads, each with an engine. comm, compute: borrowed. ERR_MEMORY. */
int pool_open(struct pool *p, const struct setup *s, int n_threads, struct comm *comm,
              const struct compute *compute);

/* Ends the threads, after the tasks in work, and frees all. */
void pool_close(struct pool *p);

/* Opens a round at theta, which stays in place until pool_collect, as the anchor does. Tasks still
 * in work from an abandoned round are waited for. sampler: draws the round's tasks; copied. */
void pool_begin(struct pool *p, const struct sampler *sampler, const real *theta,
                const real *anchor);

/* Tasks of the round that has just begun are done twice as *a says. */
void pool_audit(struct pool *p, const struct audit *a);

/* What this rank has seen of tasks that are done twice, in this round. Nothing may be waiting or
 * running; borrowed until the next. */
struct sightings pool_seen(const struct pool *p);

/* Room for the state of the task in `slot` (task_state_size), to be filled before the task is
 * pushed. NULL: this rank holds as many as it can. */
real *pool_carry(struct pool *p, uint32_t slot);

/* The next state that is stepped, or NULL: read it and give it back with pool_carried. */
const struct carry *pool_stepped(struct pool *p);
void pool_carried(struct pool *p, const struct carry *c);

/* Queues tasks, which the round has, or audits of them (core/plan/audit.h). ERR_DATA: more ranges
 * wait already than come in one message. */
int pool_push(struct pool *p, struct slots tasks);

struct pool_state {
    int waiting, running, done; /* tasks */
    int code;                   /* of the first task that failed to run */
};

/* How far the round is. */
struct pool_state pool_look(struct pool *p);

/* The tasks of this round, so far, that were set aside. */
struct failed_set pool_failed(struct pool *p);

/* Adds n words of the threads' totals, from word `from` on, to those of t; they stand until the
 * next pool_begin. Nothing may be waiting or running: if they have cores, all threads do it
 * together, block by block, with the one that calls. */
void pool_collect(struct pool *p, struct round_sum *t, size_t from, size_t n);

/* The words of the only thread's total that has anything in it: they are the sum. NULL: several
 * threads have something, or none has. Nothing may be waiting or running. */
const int64_t *pool_only_total(struct pool *p);

/* round_sum_checksum of that sum, and of the states stepped; done together as well. */
uint64_t pool_checksum(struct pool *p);

/* What the threads have done since pool_open. */
struct worked pool_worked(struct pool *p);

/* Compute threads of this rank: the configured number, or the cores it may use, shared with the
 * `beside` - 1 other workers of its host. */
int pool_threads(const struct cluster_config *c, int beside);

#endif
