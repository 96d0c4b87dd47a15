/* sums.c - what exact sums cost beside plain sums of floats, and threads that merge together beside
 * one that merges alone: all in turn, the least of each, in one process.
 *
 *   usage: build/bench/sums CONFIGURATION THREADS TASKS [STAGE]        TASKS: a rank's in a round
 *
 * bench/RESULTS.md has the results, `make bench-sums` the configurations. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/clock.h"
#include "core/base/err.h"
#include "core/math/exact.h"
#include "core/plan/sampler.h"
#include "launch/solo.h"
#include "proto/comm/pieces.h"
#include "proto/comm/words.h"
#include "worker/pool.h"

enum { REPEATS = 101, CHILDREN = 2 };

enum clock { TASK, ADD, ADD_FLOAT, LEAF, UP, UP_FLOAT, CHECK, ALONE, TOGETHER, CLOCKS };

struct packed { /* a piece of a sum */
    void *bytes;
    size_t n;
};

struct price {
    struct solo solo;
    struct comm comm;
    struct pool pool;
    struct task task;
    struct arena arena;
    int n_tasks;
    size_t n, n_words;
    real *theta, *plain, *plain_message; /* (n) */
    int64_t *words;                      /* (n_words) */
    struct packed message[PIECES_MAX], child[PIECES_MAX];
    size_t size; /* of all pieces of a message */
    double seconds[CLOCKS][REPEATS];
};

static void *take(size_t bytes)
{
    void *p = aligned_alloc(64, (bytes + 63) / 64 * 64);

    if (!p)
        exit(1);
    memset(p, 0, bytes);
    return p;
}

/* The least, in milliseconds: what it takes if nobody else has the processor. */
static double ms(const struct price *b, enum clock c)
{
    double least = b->seconds[c][0];

    for (int r = 1; r < REPEATS; r++)
        least = b->seconds[c][r] < least ? b->seconds[c][r] : least;
    return 1e3 * least;
}

static void add_plain(size_t n, const real *restrict x, real *restrict sum)
{
    for (size_t i = 0; i < n; i++)
        sum[i] += x[i];
}

static struct round_sum sum_of(struct price *b)
{
    return round_sum_over(b->words, b->n, b->solo.stage->n_metrics);
}

/* What a rank with one thread does with a piece of its sum: its children's, its own, into a
 * message. */
static size_t pass_piece(struct price *b, uint32_t i, struct piece_range s, int n_children)
{
    int64_t *words = b->words + s.from;

    if (n_children > 0)
        memset(words, 0, s.n * sizeof *words);
    for (int k = 0; k < n_children; k++)
        if (words_merge(b->child[i].bytes, b->child[i].n, words, s.n) < 0)
            exit(1);
    b->message[i].n = words_pack(b->pool.engines[0].words + s.from, n_children > 0 ? words : NULL,
                                 s.n, b->message[i].bytes);
    return b->message[i].n;
}

/* All pieces, one after the other. */
static size_t pass_exact(struct price *b, int n_children)
{
    struct pieces pieces = pieces_of(b->n_words, sizeof(int64_t));
    size_t size = 0;

    for (uint32_t i = 0; i < pieces.n; i++)
        size += pass_piece(b, i, pieces_at(&pieces, i), n_children);
    return size;
}

static void pass_plain(struct price *b)
{
    memset(b->plain, 0, b->n * sizeof(real));
    for (int i = 0; i < 1 + CHILDREN; i++)
        add_plain(b->n, b->pool.engines[0].gradient, b->plain);
    memcpy(b->plain_message, b->plain, b->n * sizeof(real));
}

/* What is done on both sides of a message, whatever is in it. */
static void check_all(const struct price *b)
{
    static volatile uint32_t sum;

    for (int i = 0; i < PIECES_MAX; i++)
        sum += comm_checksum(&(struct part){b->message[i].bytes, b->message[i].n}, 1);
}

/* As many tasks as there are threads and a rank has, so that every thread has a total. */
static int run_tasks(struct price *b)
{
    const struct stage *stage = b->solo.stage;
    struct sampler s = {&b->solo.setup, stage, stage->data, PURPOSE_TRAIN, 1, 0};
    int n = b->pool.n_threads;

    pool_begin(&b->pool, &s, b->theta, NULL);
    for (int i = 0; i < n; i++) {
        sampler_draw(&s, (uint32_t)i % stage->n_tasks, &b->task);
        for (int k = 0; k < b->n_tasks; k++)
            TRY(engine_run(&b->pool.engines[i], &b->task, b->theta, NULL));
    }
    return 0;
}

#define TIME(clock, repeat, statement)                                                             \
    do {                                                                                           \
        double start = clock_seconds();                                                            \
                                                                                                   \
        statement;                                                                                 \
        b->seconds[clock][repeat] = clock_seconds() - start;                                       \
    } while (0)

static int measure(struct price *b)
{
    struct engine *e = &b->pool.engines[0];
    struct round_sum sum = sum_of(b);
    int code = 0;

    TRY(run_tasks(b));
    b->size = pass_exact(b, 0);
    for (int i = 0; i < PIECES_MAX; i++) {
        b->child[i].n = b->message[i].n;
        memcpy(b->child[i].bytes, b->message[i].bytes, b->message[i].n);
    }
    for (int r = 0; r < REPEATS && code >= 0; r++) {
        round_sum_clear(&sum);
        TIME(ADD, r, code = round_sum_add(&sum, e->gradient, &e->metrics));
        TIME(ADD_FLOAT, r, add_plain(b->n, e->gradient, b->plain));
        TIME(LEAF, r, pass_exact(b, 0));
        TIME(UP, r, pass_exact(b, CHILDREN));
        TIME(CHECK, r, check_all(b));
        TIME(UP_FLOAT, r, pass_plain(b));
        TIME(ALONE, r,
             for (int i = 0; i < b->pool.n_threads; i++)
                 exact_merge(b->n_words, b->pool.engines[i].words, b->words));
        TIME(TOGETHER, r, pool_collect(&b->pool, &sum, 0, b->n_words));
        if (code >= 0)
            TIME(TASK, r, code = engine_run(e, &b->task, b->theta, NULL));
    }
    return code;
}

static void report(const struct price *b)
{
    double task = ms(b, TASK), add = ms(b, ADD), add_float = ms(b, ADD_FLOAT), up = ms(b, UP),
           up_float = ms(b, UP_FLOAT), alone = ms(b, ALONE), together = ms(b, TOGETHER);
    double more = b->n_tasks * (add - add_float) + up - up_float;

    printf("%zu parameters, %d tasks a rank and round, %d threads, the least of %d, ms\n", b->n,
           b->n_tasks, b->pool.n_threads, REPEATS);
    printf("  a task                               %9.3f\n", task);
    printf("  its contribution added               %9.3f   float %9.3f\n", add, add_float);
    printf("  sum of own and %d children, as sent   %9.3f   float %9.3f\n", CHILDREN, up, up_float);
    printf("  sum of own alone, as sent            %9.3f\n", ms(b, LEAF));
    printf("  a byte of it: own %.3f ns, a child's %.3f ns, checksum %.3f ns\n",
           1e6 * ms(b, LEAF) / (double)b->size,
           1e6 * (up - ms(b, LEAF)) / CHILDREN / (double)b->size,
           1e6 * ms(b, CHECK) / (double)b->size);
    printf("  bytes a parameter, as sent           %9.2f   float %9.2f\n",
           (double)b->size / (double)b->n, (double)sizeof(real));
    printf("  price of equal bits                  %9.2f %% of the round\n",
           100 * more / (b->n_tasks * task + up - more));
    printf("  totals of %d threads merged by one    %9.3f   by all %9.3f   ratio %.2f\n",
           b->pool.n_threads, alone, together, alone / together);
}

static int bench_open(struct price *b, const struct options *o, int n_threads)
{
    const struct stage *stage;

    TRY(solo_open(&b->solo, o));
    TRY(comm_open("local", &b->comm, 1));
    TRY(pool_open(&b->pool, &b->solo.setup, n_threads, &b->comm, &compute_tasks));
    TRY(arena_init(&b->arena, 1 << 24));
    stage = b->solo.stage;
    task_init(&b->task, stage->train, &b->arena);
    b->n = stage->model.n;
    b->n_words = round_sum_words(b->n, stage->n_metrics);
    b->theta = take(b->n * sizeof(real));
    b->plain = take(b->n * sizeof(real));
    b->plain_message = take(b->n * sizeof(real));
    b->words = take(b->n_words * sizeof *b->words);
    for (int i = 0; i < PIECES_MAX; i++) {
        size_t room = words_room(pieces_most(b->n_words, sizeof(int64_t)));

        b->message[i].bytes = take(room);
        b->child[i].bytes = take(room);
    }
    layout_init(&stage->model, 1, 0, b->theta);
    return 0;
}

int main(int argc, char **argv)
{
    struct options o = {.n_places = 1, .data_root = getenv("METALOOP_DATA")};
    static struct price b;

    if (argc < 4) {
        fprintf(stderr, "usage: sums CONFIGURATION THREADS TASKS [STAGE]\n");
        return 64;
    }
    o.places = argv + 1;
    o.stage = argc > 4 ? argv[4] : NULL;
    b.n_tasks = atoi(argv[3]);
    if (bench_open(&b, &o, atoi(argv[2])) < 0 || measure(&b) < 0) {
        fprintf(stderr, "sums: %s\n", err_text());
        return 1;
    }
    report(&b);
    return 0;
}
