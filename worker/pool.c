/* pool.c - a queue of tasks, and threads with a total each. */
#include "worker/pool.h"

#include <stdio.h>
#include <stdlib.h>
#include <xxhash.h>

#include "core/base/clock.h"
#include "core/base/err.h"
#include "core/base/machine.h"
#include "core/math/blas.h"
#include "core/math/exact.h"
#include "worker/method_work.h"

static void note_error(struct pool *p, int code)
{
    if (code >= 0 || p->code < 0)
        return;
    p->code = code;
    snprintf(p->error, sizeof p->error, "%s", err_text());
}

struct seat { /* what a thread is told */
    struct pool *pool;
    struct engine *engine;
    struct task *task; /* the task that it works on */
};

static void note_failed(struct pool *p, const struct seat *seat)
{
    if (!seat->engine->failed || seat->engine->apart)
        return;
    failed_set_keep(&p->failed, seat->task->slot);
    p->failed.count++;
}

static struct carry *carry_of(struct pool *p, uint32_t slot)
{
    for (int i = 0; i < p->n_carries; i++)
        if (p->carries[i].use == CARRY_HELD && p->carries[i].slot == slot)
            return &p->carries[i];
    return NULL;
}

static uint64_t total_checksum(const struct engine *e)
{
    return e->empty ? 0 : round_sum_checksum(e->total.words, 0, e->total.n_words);
}

/* Whether a slot is that of an audit. */
static bool is_audit(const struct pool *p, uint32_t slot)
{
    return p->audit.n_audits > 0 && slot >= p->audit.n_tasks;
}

/* Whether what the task in a slot gives is compared with what it gives elsewhere. */
static bool is_seen(const struct pool *p, uint32_t slot)
{
    return is_audit(p, slot) || (p->audit.n_audits > 0 && audit_has(&p->audit, slot));
}

/* checksum: 0, or of a task that is compared what it has added to the total, or would have. */
static int run_task(struct pool *p, const struct seat *seat, uint32_t slot, struct carry *carry,
                    uint64_t *checksum)
{
    struct engine *e = seat->engine;
    uint64_t before;
    int code;

    e->apart = is_audit(p, slot);
    sampler_draw(&p->sampler, e->apart ? audit_slot(&p->audit, slot - p->audit.n_tasks) : slot,
                 seat->task);
    before = is_seen(p, slot) && !e->apart ? total_checksum(e) : 0;
    code = p->compute->run(e, seat->task, p->theta, carry ? carry->state : NULL);
    *checksum = e->apart ? e->checksum : is_seen(p, slot) ? total_checksum(e) - before : 0;
    return code == ERR_STOPPED ? 0 : code;
}

/* If a task fails, the coordinator keeps its old state. Returns the checksum of the new one. */
static uint64_t settle_carry(struct pool *p, const struct seat *seat, struct carry *carry)
{
    size_t n = task_state_size(p->sampler.stage) * sizeof(real);
    uint64_t checksum;

    if (!carry)
        return 0;
    carry->use = seat->engine->failed || seat->engine->apart ? CARRY_FREE : CARRY_READY;
    if (seat->engine->failed)
        return 0;
    checksum = XXH64(carry->state, n, seat->task->slot);
    if (!seat->engine->apart)
        p->carried += checksum;
    return checksum;
}

static void note_work(struct pool *p, const struct seat *seat, double took)
{
    p->worked.tasks++;
    p->worked.seconds += took;
    if (p->kind->gives != GIVES_METRICS)
        p->worked.operations += method_flops(seat->engine->setup, seat->engine->stage);
}

static uint32_t next_slot(struct pool *p)
{
    struct slots *first = &p->queue[p->first];
    uint32_t slot = first->first++;

    if (--first->n == 0) {
        p->first = (p->first + 1) % p->room;
        p->n_ranges--;
    }
    p->waiting--;
    return slot;
}

/* Draws the queue's first task and runs it, outside the lock. Wakes the rank's main thread if that
 * has something to do: to ask for tasks, to send a state or the sum. */
static void pool_take(struct pool *p, const struct seat *seat)
{
    uint32_t slot = next_slot(p);
    struct carry *carry = carry_of(p, slot);
    uint64_t checksum;

    p->running++;
    pthread_mutex_unlock(&p->mutex);
    double begun = clock_seconds();
    int code = run_task(p, seat, slot, carry, &checksum);
    double took = clock_seconds() - begun;
    pthread_mutex_lock(&p->mutex);
    note_work(p, seat, took);
    checksum += settle_carry(p, seat, carry);
    if (is_seen(p, slot))
        sightings_note(&p->seen, slot, checksum);
    note_error(p, code);
    note_failed(p, seat);
    p->running--;
    p->done++;
    if (p->waiting < p->n_threads || carry || code < 0)
        comm_poke(p->comm);
}

/* Takes part in the work that is shared, outside the lock. */
static void pool_help(struct pool *p)
{
    struct share *share = p->share;

    p->sharing++;
    pthread_mutex_unlock(&p->mutex);
    share_do(share);
    pthread_mutex_lock(&p->mutex);
    p->sharing--;
}

static void *pool_thread(void *argument)
{
    struct seat seat = *(struct seat *)argument;
    struct pool *p = seat.pool;

    free(argument);
    pthread_mutex_lock(&p->mutex);
    while (!p->ending)
        if (p->waiting > 0)
            pool_take(p, &seat);
        else if (p->share && share_waits(p->share))
            pool_help(p);
        else
            condition_wait(&p->filled, &p->mutex);
    pthread_mutex_unlock(&p->mutex);
    return NULL;
}

static struct task_size largest_task(const struct setup *s)
{
    struct task_size most = {0};

    for (int i = 0; i < s->n_stages; i++) {
        most = task_size_most(most, engine_task_size(&s->stages[i]));
    }
    return most;
}

static void tasks_layout(struct pool *p, struct arena *arena)
{
    struct task_size most = largest_task(p->setup);

    for (int i = 0; i < p->n_threads; i++) {
        struct task t;

        task_init(&t, most, arena);
        if (arena->base)
            p->tasks[i] = t;
    }
}

/* Ranges of slots: those of one message, and those in which fewer tasks wait than there are
 * threads. */
static int queue_room(int n_threads)
{
    return WIRE_RANGES_MAX + n_threads;
}

static int queue_open(struct pool *p)
{
    struct arena measure = arena_measuring();

    p->room = queue_room(p->n_threads);
    p->queue = calloc((size_t)p->room, sizeof *p->queue);
    p->tasks = calloc((size_t)p->n_threads, sizeof *p->tasks);
    if (!p->queue || !p->tasks)
        return err(ERR_MEMORY, "no memory for the task queue");
    tasks_layout(p, &measure);
    TRY(arena_init(&p->arena, measure.peak));
    tasks_layout(p, &p->arena);
    return 0;
}

static void carries_layout(struct pool *p, size_t size, struct arena *arena)
{
    for (int i = 0; i < p->n_carries; i++)
        p->carries[i].state = arena_reals(arena, size);
}

/* Reals of the largest state that a task of the configuration carries; 0: no task has one. */
static size_t largest_state(const struct setup *s)
{
    size_t most = 0;

    for (int i = 0; i < s->n_stages; i++) {
        size_t size = task_state_size(&s->stages[i]);

        most = size > most ? size : most;
    }
    return most;
}

/* Per thread one in work and one waiting, and one more that has been stepped. */
static int carries_of(int n_threads)
{
    return 2 * n_threads + 2;
}

/* A rank may have audited tasks, and audits of others. */
static uint32_t seen_room(const struct setup *s)
{
    return 2 * audits_most(s);
}

size_t pool_size(const struct setup *s, int n_threads)
{
    struct pool p = {.setup = s, .n_threads = n_threads};
    struct arena measure = arena_measuring();

    tasks_layout(&p, &measure);
    return (size_t)queue_room(n_threads) * sizeof *p.queue + (size_t)n_threads * sizeof *p.tasks +
           measure.peak + sightings_size(seen_room(s)) +
           (size_t)carries_of(n_threads) * largest_state(s) * sizeof(real);
}

static int carries_open(struct pool *p)
{
    struct arena measure = arena_measuring();
    size_t most = largest_state(p->setup);

    if (most == 0)
        return 0;
    p->n_carries = carries_of(p->n_threads);
    p->carries = calloc((size_t)p->n_carries, sizeof *p->carries);
    if (!p->carries)
        return err(ERR_MEMORY, "no memory for the models in work");
    carries_layout(p, most, &measure);
    TRY(arena_init(&p->states, measure.peak));
    carries_layout(p, most, &p->states);
    return 0;
}

static int seat_start(struct pool *p, int i)
{
    struct seat *seat = malloc(sizeof *seat);

    if (!seat)
        return err(ERR_MEMORY, "no memory for a compute thread");
    *seat = (struct seat){p, &p->engines[i], &p->tasks[i]};
    if (thread_start(&p->threads[i], pool_thread, seat) < 0) {
        free(seat);
        return err_within(ERR_FAILED, "cannot start compute thread %d", i);
    }
    p->n_started++;
    return 0;
}

static int pool_fill(struct pool *p)
{
    p->threads = calloc((size_t)p->n_threads, sizeof *p->threads);
    p->engines = calloc((size_t)p->n_threads, sizeof *p->engines);
    if (!p->threads || !p->engines)
        return err(ERR_MEMORY, "no memory for %d compute threads", p->n_threads);
    TRY(queue_open(p));
    TRY(carries_open(p));
    TRY(sightings_open(&p->seen, seen_room(p->setup)));
    for (int i = 0; i < p->n_threads; i++) {
        TRY(p->compute->open(&p->engines[i], p->setup));
        p->engines[i].abandoned = &p->abandoned;
    }
    if (!machine_has_room((size_t)p->n_threads * BLAS_THREAD_ROOM))
        return err(
            ERR_MEMORY,
            "no address space for %d compute thread%s (%zu MiB each): raise the limit (ulimit -v) "
            "or use fewer (cluster.threads)",
            p->n_threads, p->n_threads == 1 ? "" : "s", BLAS_THREAD_ROOM >> 20);
    for (int i = 0; i < p->n_threads; i++)
        TRY(seat_start(p, i));
    return 0;
}

/* Cores for each of so many ranks, at least one. */
static int cores_each(int n_ranks)
{
    int cores = machine_cores() / n_ranks;

    return cores > 1 ? cores : 1;
}

int pool_open(struct pool *p, const struct setup *s, int n_threads, struct comm *comm,
              const struct compute *compute)
{
    int code;

    *p = (struct pool){.setup = s, .comm = comm, .n_threads = n_threads, .compute = compute};
    p->shares = n_threads > 1 && n_threads <= cores_each(machine_ranks_beside());
    pthread_mutex_init(&p->mutex, NULL);
    condition_init(&p->filled);
    code = pool_fill(p);
    if (code < 0)
        pool_close(p);
    return code;
}

void pool_close(struct pool *p)
{
    pthread_mutex_lock(&p->mutex);
    p->ending = true;
    condition_wake_all(&p->filled);
    pthread_mutex_unlock(&p->mutex);
    for (int i = 0; i < p->n_started; i++)
        thread_join(&p->threads[i]);
    for (int i = 0; p->engines && i < p->n_threads; i++)
        p->compute->close(&p->engines[i]);
    arena_release(&p->arena);
    arena_release(&p->states);
    free(p->carries);
    sightings_close(&p->seen);
    free(p->tasks);
    free(p->queue);
    free(p->engines);
    free(p->threads);
    condition_release(&p->filled);
    pthread_mutex_destroy(&p->mutex);
    *p = (struct pool){0};
}

/* Waits, with the lock, until *count, which threads lower, is 0. */
static void await_none(struct pool *p, const int *count)
{
    while (*count > 0) {
        pthread_mutex_unlock(&p->mutex);
        thread_yield();
        pthread_mutex_lock(&p->mutex);
    }
}

/* Drops waiting tasks and lets running ones finish. */
static void pool_settle(struct pool *p)
{
    p->waiting = p->n_ranges = 0;
    p->abandoned = true;
    await_none(p, &p->running);
    p->abandoned = false;
}

/* Does a piece of work on n elements with all threads. */
static void pool_share(struct pool *p, void (*work)(void *, size_t, size_t), void *context,
                       size_t n)
{
    struct share s = {work, context, n, 0};

    pthread_mutex_lock(&p->mutex);
    p->share = &s;
    if (p->shares && n > SHARE_BLOCK)
        condition_wake_all(&p->filled);
    pthread_mutex_unlock(&p->mutex);
    share_do(&s);
    pthread_mutex_lock(&p->mutex);
    await_none(p, &p->sharing);
    p->share = NULL;
    pthread_mutex_unlock(&p->mutex);
}

void pool_begin(struct pool *p, const struct sampler *sampler, const real *theta,
                const real *anchor)
{
    pthread_mutex_lock(&p->mutex);
    pool_settle(p);
    p->first = p->done = 0;
    failed_set_clear(&p->failed);
    p->sampler = *sampler;
    p->kind = task_kind_of_round(sampler->stage, sampler->purpose);
    p->theta = theta;
    p->anchor = anchor;
    p->audit = (struct audit){0};
    p->seen.known.n = 0;
    p->carried = 0;
    for (int i = 0; i < p->n_carries; i++)
        p->carries[i].use = CARRY_FREE;
    for (int i = 0; i < p->n_threads; i++)
        p->compute->begin(&p->engines[i], sampler->stage, sampler->purpose, anchor);
    pthread_mutex_unlock(&p->mutex);
}

void pool_audit(struct pool *p, const struct audit *a)
{
    p->audit = *a;
}

struct sightings pool_seen(const struct pool *p)
{
    return p->seen.known;
}

real *pool_carry(struct pool *p, uint32_t slot)
{
    real *state = NULL;

    pthread_mutex_lock(&p->mutex);
    for (int i = 0; i < p->n_carries && !state; i++) {
        struct carry *c = &p->carries[i];

        if (c->use != CARRY_FREE)
            continue;
        c->use = CARRY_HELD;
        c->slot = slot;
        state = c->state;
    }
    pthread_mutex_unlock(&p->mutex);
    return state;
}

const struct carry *pool_stepped(struct pool *p)
{
    const struct carry *found = NULL;

    pthread_mutex_lock(&p->mutex);
    for (int i = 0; i < p->n_carries && !found; i++)
        if (p->carries[i].use == CARRY_READY)
            found = &p->carries[i];
    pthread_mutex_unlock(&p->mutex);
    return found;
}

void pool_carried(struct pool *p, const struct carry *c)
{
    pthread_mutex_lock(&p->mutex);
    p->carries[c - p->carries].use = CARRY_FREE;
    pthread_mutex_unlock(&p->mutex);
}

int pool_push(struct pool *p, struct slots tasks)
{
    bool fits;

    pthread_mutex_lock(&p->mutex);
    fits = p->n_ranges < p->room;
    if (fits) {
        p->queue[(p->first + p->n_ranges++) % p->room] = tasks;
        p->waiting += (int)tasks.n;
        if (tasks.n == 1)
            condition_wake(&p->filled);
        else
            condition_wake_all(&p->filled);
    }
    pthread_mutex_unlock(&p->mutex);
    return fits ? 0 : err(ERR_DATA, "more ranges of tasks than the %d that may wait", p->room);
}

struct pool_state pool_look(struct pool *p)
{
    struct pool_state s;

    pthread_mutex_lock(&p->mutex);
    s = (struct pool_state){p->waiting, p->running, p->done, p->code};
    pthread_mutex_unlock(&p->mutex);
    return s;
}

struct failed_set pool_failed(struct pool *p)
{
    struct failed_set s;

    pthread_mutex_lock(&p->mutex);
    s = p->failed;
    pthread_mutex_unlock(&p->mutex);
    return s;
}

struct collection { /* what a block of the threads' totals goes to */
    struct pool *pool;
    int64_t *words;            /* of the sum */
    size_t first;              /* word that the blocks begin at */
    _Atomic uint64_t checksum; /* of what has been looked at */
};

static void collect_block(void *context, size_t from, size_t end)
{
    const struct collection *c = context;
    size_t at = c->first + from;

    for (int i = 0; i < c->pool->n_threads; i++)
        if (!c->pool->engines[i].empty)
            exact_merge(end - from, c->pool->engines[i].words + at, c->words + at);
}

void pool_collect(struct pool *p, struct round_sum *t, size_t from, size_t n)
{
    struct collection c = {.pool = p, .words = t->words, .first = from};

    pool_share(p, collect_block, &c, n);
}

const int64_t *pool_only_total(struct pool *p)
{
    const int64_t *only = NULL;

    for (int i = 0; i < p->n_threads; i++) {
        if (p->engines[i].empty)
            continue;
        if (only)
            return NULL;
        only = p->engines[i].words;
    }
    return only;
}

struct worked pool_worked(struct pool *p)
{
    struct worked w;

    pthread_mutex_lock(&p->mutex);
    w = p->worked;
    pthread_mutex_unlock(&p->mutex);
    return w;
}

static void checksum_block(void *context, size_t from, size_t end)
{
    struct collection *c = context;

    for (int i = 0; i < c->pool->n_threads; i++)
        if (!c->pool->engines[i].empty)
            atomic_fetch_add(&c->checksum, round_sum_checksum(c->pool->engines[i].words + from,
                                                              from, end - from));
}

uint64_t pool_checksum(struct pool *p)
{
    struct collection c = {.pool = p, .checksum = p->carried};

    pool_share(p, checksum_block, &c, p->engines[0].total.n_words);
    return c.checksum;
}

int pool_threads(const struct cluster_config *c, int beside)
{
    return c->threads ? (int)c->threads : cores_each(beside);
}
