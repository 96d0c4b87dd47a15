/* memory.c - one table of sizes, each from the code that takes the memory. */
#include "launch/memory.h"

#include <assert.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "coordinator/crew/crew.h"
#include "coordinator/run/stage_run.h"
#include "core/base/machine.h"
#include "core/data/store.h"
#include "proto/comm/tree.h"
#include "proto/stream/ring.h"
#include "worker/engine.h"
#include "worker/pool.h"
#include "worker/serve.h"

#define MIB 1048576.0

/* The share of other libraries is measured, not planned: resident growth on x86-64 with Open MPI
 * 4.1 and OpenBLAS 0.3. OpenBLAS copies parts of a product's operands into a buffer of each thread:
 * at most BLAS_MOST, and at most BLAS_SHARE times the weights of the largest layer. */
enum {
    MPI = 8448 << 10,  /* what MPI_Init adds to a process */
    OTHER = 640 << 10, /* its main thread's stack, open files, events, small blocks */
    STACK = 96 << 10,  /* the part of a thread's stack that is used */
    BLAS_MOST = 640 << 10,
    BLAS_SHARE = 4,
    PACKED = 6,     /* bytes of a parameter in a sum that travels (proto/comm/words.h) */
    HEAP = 1 << 20, /* smaller blocks leave their old place behind when they grow */
};

static struct memory_row *add(struct memory *m, const char *name)
{
    struct memory_row *row = &m->rows[m->n];

    assert(m->n < MEMORY_ROWS);
    m->n++;

    *row = (struct memory_row){.name = name};
    return row;
}

static size_t larger(size_t a, size_t b)
{
    return a > b ? a : b;
}

struct messages {
    size_t params, sum; /* bytes, the largest of all stages */
};

static struct messages messages_of(const struct setup *s)
{
    struct messages m = {0, 0};

    for (int i = 0; i < s->n_stages; i++) {
        const struct stage *stage = &s->stages[i];
        size_t n_anchor = stage->anchor >= 0 ? s->stages[stage->anchor].net.layout.n : 0;
        size_t state = task_state_size(stage);

        m.params = larger(m.params, (stage->model.n + n_anchor) * sizeof(real));
        m.params = larger(m.params, state * sizeof(real));
        m.sum = larger(m.sum, PACKED * (state ? 0 : stage->model.n) +
                                  round_sum_words(0, stage->n_metrics) * sizeof(int64_t));
    }
    return m;
}

static void add_messages(struct memory *m, const struct setup *s)
{
    struct messages each = messages_of(s);
    struct memory_row *row = add(m, "messages");

    size_t most = larger(each.params, each.sum); /* both use the same memory */

    row->bytes[OWNER_WORKER] = most;
    m->passed = TREE_ARITY * (most + (each.params < HEAP ? each.params : 0));
    row->bytes[OWNER_FIRST] = m->passed;
    /* A single process sends to itself: it has both mailboxes. */
    m->twice += row->bytes[OWNER_WORKER] + row->bytes[OWNER_FIRST] - each.params - each.sum;
}

static void add_data(struct memory *m)
{
    struct memory_row *row = add(m, "data");
    size_t held;

    store_sizes(&held, &m->mapped);
    row->bytes[OWNER_WORKER] = row->bytes[OWNER_FIRST] = held;
    m->twice += held;
}

static size_t blas_size(const struct setup *s)
{
    size_t most = 0;

    for (int i = 0; i < s->n_stages; i++)
        for (int k = 0; k < s->stages[i].net.n_layers; k++)
            most = larger(most, s->stages[i].net.layers[k].n_w);
    most *= BLAS_SHARE * sizeof(real);
    return most < BLAS_MOST ? most : BLAS_MOST;
}

/* What a thread of a worker takes. */
static void add_thread(struct memory *m, const struct setup *s)
{
    add(m, "work space")->bytes[OWNER_THREAD] = engine_size(s) + sizeof(struct engine);
    add(m, "BLAS buffer")->bytes[OWNER_THREAD] = blas_size(s);
    add(m, "stack")->bytes[OWNER_THREAD] = STACK;
}

static void add_up(struct memory *m)
{
    size_t sums[OWNERS] = {0};

    for (int i = 0; i < m->n; i++)
        for (int owner = 0; owner < OWNERS; owner++)
            sums[owner] += m->rows[i].bytes[owner];
    m->thread = sums[OWNER_THREAD];
    m->worker = sums[OWNER_WORKER] + (size_t)m->n_threads * m->thread;
    m->first = sums[OWNER_FIRST];
}

struct memory memory_plan(const struct setup *s, int n_threads)
{
    struct memory m = {.n_threads = n_threads};
    size_t program = (size_t)(machine_resident_mib() * MIB);
    struct memory_row *row;

    row = add(&m, "program, libraries");
    row->bytes[OWNER_WORKER] = row->bytes[OWNER_FIRST] = program;
    row = add(&m, "MPI");
    row->bytes[OWNER_WORKER] = row->bytes[OWNER_FIRST] = MPI;
    row = add(&m, "files, events");
    row->bytes[OWNER_WORKER] = row->bytes[OWNER_FIRST] = OTHER;
    m.twice = program + MPI + OTHER;
    if (*s->config->metrics.endpoint)
        add(&m, "ring of events")->bytes[OWNER_FIRST] = STREAM_RING;
    add_thread(&m, s);
    add(&m, "parameters, sum")->bytes[OWNER_WORKER] = worker_size(s);
    add(&m, "queue of tasks")->bytes[OWNER_WORKER] = pool_size(s, n_threads);
    add(&m, "tasks, sum")->bytes[OWNER_FIRST] = crew_size(s);
    add(&m, "optimizer")->bytes[OWNER_FIRST] = stage_run_size(s);
    row = add(&m, "checkpoint"); /* a copy, and the file's contents */
    row->bytes[OWNER_FIRST] = 2 * stage_run_room(s) * sizeof(real);
    add_messages(&m, s);
    add_data(&m);
    add_up(&m);
    m.alone = m.worker + m.first - m.twice;
    return m;
}

static void print_cell(size_t bytes)
{
    if (bytes)
        printf(" %12.2f", (double)bytes / MIB);
    else
        printf(" %12s", "-");
}

void memory_print(const struct memory *m)
{
    printf("%-20s %12s %12s %12s\n", "memory in MiB of", "a thread", "a worker", "rank 0");
    for (int i = 0; i < m->n; i++) {
        printf("  %-18s", m->rows[i].name);
        for (int owner = 0; owner < OWNERS; owner++)
            print_cell(m->rows[i].bytes[owner]);
        putchar('\n');
    }
    printf("  %-18s", "total");
    print_cell(m->thread);
    print_cell(m->worker);
    print_cell(m->first);
    printf("   (a worker with %d thread%s)\n", m->n_threads, m->n_threads == 1 ? "" : "s");
    printf("  a single process: %.2f MiB; a worker that forwards messages (4 ranks or more): %.2f "
           "more\n",
           (double)m->alone / MIB, (double)m->passed / MIB);
    if (m->mapped)
        printf("  mapped files, shared by the processes of a host: %.2f MiB more\n",
               (double)m->mapped / MIB);
}

json_t *memory_json(const struct memory *m)
{
    json_t *rows = json_array();

    for (int i = 0; i < m->n; i++) {
        const size_t *b = m->rows[i].bytes;

        json_array_append_new(rows, json_pack("{s:s, s:I, s:I, s:I}", "name", m->rows[i].name,
                                              "thread", (json_int_t)b[OWNER_THREAD], "worker",
                                              (json_int_t)b[OWNER_WORKER], "rank_0",
                                              (json_int_t)b[OWNER_FIRST]));
    }
    return json_pack("{s:i, s:I, s:I, s:I, s:I, s:I, s:I, s:o}", "threads", m->n_threads, "thread",
                     (json_int_t)m->thread, "worker", (json_int_t)m->worker, "rank_0",
                     (json_int_t)m->first, "alone", (json_int_t)m->alone, "mapped",
                     (json_int_t)m->mapped, "passed_on", (json_int_t)m->passed, "rows", rows);
}
