/* fiber.c - fibers on stacks of their own, and a heap of events. */
#include "core/sim/fiber.h"

#include <assert.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <ucontext.h>
#include <unistd.h>

#include "core/base/err.h"
#include "core/base/habitat.h"
#include "core/base/thread.h"

enum { STACK = 256 << 10 }; /* bytes of address space; memory as far as it is used */

struct fiber {
    struct fiber *next;  /* waiting for the same condition, or for use again */
    struct fiber *older; /* of all that there are */
    jmp_buf here;        /* where it goes on */
    bool begun;
    void (*run)(void *);
    void *context;
    const char *host; /* borrowed */
    uint64_t wait;    /* counts its waits: a wake-up for an earlier one is too late */
    bool waits;
    struct fiber *joiner; /* waits for its end */
    bool ended, joined;   /* of a thread: its join frees it */
    char sentence[ERR_SENTENCE];
    char *stack; /* owned: mapped, a guard page below it */
};

struct happening {
    virtual_time time;
    uint64_t number; /* order of events of the same time */
    void (*act)(void *);
    void *context;
    uint64_t wait; /* of a wake-up: the wait that it ends */
};

static struct {
    virtual_time now;
    struct happening *heap; /* owned: the earliest first */
    size_t n, room;
    uint64_t added, happened, hash;
    struct fiber *running, *unused, *newest;
    int n_fibers;
    jmp_buf loop; /* where fibers_run goes on when a fiber waits */
} sim;

/* ---- events ---- */

static bool is_before(const struct happening *a, const struct happening *b)
{
    return a->time < b->time || (a->time == b->time && a->number < b->number);
}

static void heap_swap(size_t a, size_t b)
{
    struct happening e = sim.heap[a];

    sim.heap[a] = sim.heap[b];
    sim.heap[b] = e;
}

static void heap_put(struct happening e)
{
    if (sim.n == sim.room) {
        sim.room = sim.room ? 2 * sim.room : 1024;
        sim.heap = realloc(sim.heap, sim.room * sizeof *sim.heap);
        if (!sim.heap)
            abort();
    }
    sim.heap[sim.n] = e;
    for (size_t i = sim.n++; i > 0 && is_before(&sim.heap[i], &sim.heap[(i - 1) / 2]);
         i = (i - 1) / 2)
        heap_swap(i, (i - 1) / 2);
}

static struct happening heap_take(void)
{
    struct happening e = sim.heap[0];
    size_t i = 0, child;

    sim.heap[0] = sim.heap[--sim.n];
    while ((child = 2 * i + 1) < sim.n) {
        if (child + 1 < sim.n && is_before(&sim.heap[child + 1], &sim.heap[child]))
            child++;
        if (!is_before(&sim.heap[child], &sim.heap[i]))
            break;
        heap_swap(i, child);
        i = child;
    }
    return e;
}

static void event_put(virtual_time time, void (*act)(void *), void *context, uint64_t wait)
{
    assert(time >= sim.now);
    heap_put((struct happening){time, sim.added++, act, context, wait});
}

void event_at(virtual_time time, void (*act)(void *), void *context)
{
    event_put(time, act, context, 0);
}

void record_add(uint64_t number)
{
    sim.hash = (sim.hash ^ (uint64_t)fiber_now()) * 0x9e3779b97f4a7c15u;
    sim.hash = (sim.hash ^ sim.hash >> 29 ^ number) * 0xbf58476d1ce4e5b9u;
}

uint64_t record_hash(void)
{
    return sim.hash;
}

uint64_t record_events(void)
{
    return sim.happened;
}

/* ---- fibers ---- */

struct fiber *fiber_running(void)
{
    return sim.running;
}

virtual_time fiber_now(void)
{
    return sim.now;
}

/* Back to fibers_run, until fiber_resume. */
static void fiber_leave(void)
{
    if (_setjmp(sim.running->here) == 0)
        _longjmp(sim.loop, 1);
}

static void fiber_free(struct fiber *f)
{
    f->next = sim.unused;
    sim.unused = f;
}

static void fiber_main(void)
{
    struct fiber *f = sim.running;

    f->run(f->context);
    f->ended = true;
    sim.n_fibers--;
    if (f->joiner)
        fiber_wake(f->joiner, sim.now);
    _longjmp(sim.loop, 1);
}

static void fiber_begin(struct fiber *f)
{
    static ucontext_t context; /* on no stack: this call never returns, and leaves nothing there */

    f->begun = true;
    getcontext(&context);
    context.uc_stack.ss_sp = f->stack;
    context.uc_stack.ss_size = STACK;
    context.uc_link = NULL;
    makecontext(&context, fiber_main, 0);
    setcontext(&context);
}

/* Runs it until it waits or has ended. */
static void fiber_resume(struct fiber *f)
{
    f->waits = false;
    sim.running = f;
    if (_setjmp(sim.loop) == 0) {
        if (f->begun)
            _longjmp(f->here, 1);
        fiber_begin(f);
    }
    f = sim.running;
    sim.running = NULL;
    if (f->ended && !f->joined)
        fiber_free(f);
}

static void resume(void *f)
{
    fiber_resume(f);
}

static char *stack_new(void)
{
    size_t guard = (size_t)sysconf(_SC_PAGESIZE);
    char *stack = mmap(NULL, guard + STACK, PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

    if (stack == MAP_FAILED)
        return NULL;
    mprotect(stack, guard, PROT_NONE);
    return stack + guard;
}

static void stack_free(char *stack)
{
    size_t guard = (size_t)sysconf(_SC_PAGESIZE);

    munmap(stack - guard, guard + STACK);
}

/* One that has ended, or a new one. */
static struct fiber *fiber_new(void)
{
    struct fiber *f = sim.unused;

    if (f) {
        sim.unused = f->next;
        *f = (struct fiber){.older = f->older, .stack = f->stack, .wait = f->wait};
        return f;
    }
    f = calloc(1, sizeof *f);
    if (f)
        f->stack = stack_new();
    if (f && !f->stack) {
        free(f);
        f = NULL;
    }
    if (f)
        f->older = sim.newest, sim.newest = f;
    return f;
}

static struct fiber *fiber_launch(void (*run)(void *), void *context, const char *host)
{
    struct fiber *f = fiber_new();

    if (!f)
        return NULL;
    f->run = run;
    f->context = context;
    f->host = host;
    sim.n_fibers++;
    event_put(sim.now, resume, f, 0);
    return f;
}

int fiber_start(void (*run)(void *), void *context, const char *host)
{
    return fiber_launch(run, context, host) ? 0 : err(ERR_MEMORY, "no memory for a fiber");
}

void fiber_spend(virtual_time ns)
{
    virtual_time end = sim.now + ns;

    assert(ns >= 0);
    if (!sim.running)
        return;
    if (sim.n == 0 || sim.heap[0].time > end) {
        sim.now = end;
        return;
    }
    event_put(end, resume, sim.running, 0);
    fiber_leave();
}

static void wait_begin(void)
{
    sim.running->wait++;
    sim.running->waits = true;
}

void fiber_wait(void)
{
    wait_begin();
    fiber_leave();
}

void fiber_wait_until(virtual_time time)
{
    wait_begin();
    fiber_wake(sim.running, time);
    fiber_leave();
}

/* Apart from `resume`, because it may come too late. */
static void wake(void *f)
{
    fiber_resume(f);
}

void fiber_wake(struct fiber *f, virtual_time time)
{
    if (f->waits)
        event_put(time, wake, f, f->wait);
}

static bool is_too_late(const struct happening *e)
{
    const struct fiber *f = e->context;

    return e->act == wake && !(f->waits && f->wait == e->wait);
}

/* ---- the habitat ---- */

static double fiber_seconds(void)
{
    return 1e-9 * (double)fiber_now();
}

const char *fiber_host(void)
{
    return sim.running ? sim.running->host : "localhost";
}

static void copy_host(char *name, size_t n)
{
    snprintf(name, n, "%s", fiber_host());
}

static char *fiber_sentence(void)
{
    return sim.running ? sim.running->sentence : NULL;
}

struct start { /* of a thread */
    void *(*run)(void *);
    void *context;
};

static void thread_main(void *context)
{
    struct start s = *(struct start *)context;

    free(context);
    s.run(s.context);
}

static int fiber_thread(struct thread *t, void *(*run)(void *), void *context)
{
    struct start *s = malloc(sizeof *s);
    struct fiber *f;

    if (!s)
        return err(ERR_MEMORY, "no memory for a thread");
    *s = (struct start){run, context};
    f = fiber_launch(thread_main, s, fiber_host());
    if (!f) {
        free(s);
        return err(ERR_MEMORY, "no memory for a thread");
    }
    f->joined = true;
    t->fiber = f;
    return 0;
}

static void fiber_join(struct thread *t)
{
    struct fiber *f = t->fiber;

    f->joiner = sim.running;
    while (!f->ended)
        fiber_wait();
    fiber_free(f);
}

/* In the order in which they came. */
static void condition_enqueue(struct condition *c, struct fiber *f)
{
    struct fiber **last = (struct fiber **)&c->waiting;

    while (*last)
        last = &(*last)->next;
    f->next = NULL;
    *last = f;
}

static void fiber_await(struct condition *c, pthread_mutex_t *mutex)
{
    condition_enqueue(c, sim.running);
    pthread_mutex_unlock(mutex);
    fiber_wait();
    pthread_mutex_lock(mutex);
}

static void fiber_signal(struct condition *c, bool all)
{
    struct fiber *f;

    while ((f = c->waiting)) {
        c->waiting = f->next;
        fiber_wake(f, fiber_now());
        if (!all)
            break;
    }
}

/* Nanoseconds until a fiber looks again that waits for what wakes nobody. */
enum { YIELD = 10000 };

static void fiber_yield(void)
{
    fiber_wait_until(fiber_now() + YIELD);
}

static const struct habitat virtual_habitat = {
    .seconds = fiber_seconds,
    .host = copy_host,
    .sentence = fiber_sentence,
    .start = fiber_thread,
    .join = fiber_join,
    .wait = fiber_await,
    .wake = fiber_signal,
    .yield = fiber_yield,
};

void fibers_open(void)
{
    memset(&sim, 0, sizeof sim);
    habitat = &virtual_habitat;
}

int fibers_run(void)
{
    while (sim.n > 0) {
        struct happening e = heap_take();

        sim.now = e.time;
        if (is_too_late(&e))
            continue;
        sim.happened++;
        e.act(e.context);
    }
    if (sim.n_fibers > 0)
        return err(ERR_FAILED, "%d fibers wait for ever", sim.n_fibers);
    return 0;
}

void fibers_close(void)
{
    struct fiber *f;

    while ((f = sim.newest)) {
        sim.newest = f->older;
        stack_free(f->stack);
        free(f);
    }
    free(sim.heap);
    habitat = NULL;
    memset(&sim, 0, sizeof sim);
}
