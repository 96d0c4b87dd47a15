/* test_pool.c - the compute threads: a vector shared in blocks is done once, whatever its length;
 * the sum of a round is the same bits for any number of threads. */
#include <assert.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/base/err.h"
#include "core/plan/sampler.h"
#include "worker/method/table.h"
#include "worker/pool.h"

enum { N_THREADS = 5, N_TASKS = 6 };

static const char text[] =
    "cluster { lease = 10 start_limit = 20 }\n"
    "data ink { format = \"glyphs\" size = 12 first = 6 }\n"
    "model { type = \"mlp\" widths = {\"40\", \"40\"} }\n"
    "evaluate { episodes = 4 }\n"
    "stage meta { method = \"maml\" data = \"ink\" way = 3 shot = 1 query = 2 tasks = 6 }\n";

static struct config config;
static struct setup setup;

/* ---- share ---- */

static void count_block(void *context, size_t from, size_t end)
{
    unsigned char *seen = context;

    assert(from < end && end - from <= SHARE_BLOCK && from % SHARE_BLOCK == 0);
    for (size_t i = from; i < end; i++)
        seen[i]++;
}

static void *share_thread(void *share)
{
    share_do(share);
    return NULL;
}

static void test_share(void **state)
{
    static const size_t sizes[] = {
        0, 1, SHARE_BLOCK - 1, SHARE_BLOCK, SHARE_BLOCK + 1, 7 * SHARE_BLOCK + 3};

    (void)state;
    for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++) {
        unsigned char *seen = calloc(sizes[s] + 1, 1);
        struct share share = {count_block, seen, sizes[s], 0};
        pthread_t threads[N_THREADS];

        assert_non_null(seen);
        assert_int_equal(share_waits(&share), sizes[s] > 0);
        for (int i = 0; i < N_THREADS; i++)
            assert_int_equal(pthread_create(&threads[i], NULL, share_thread, &share), 0);
        for (int i = 0; i < N_THREADS; i++)
            pthread_join(threads[i], NULL);
        assert_false(share_waits(&share));
        for (size_t i = 0; i < sizes[s]; i++)
            assert_int_equal(seen[i], 1);
        assert_int_equal(seen[sizes[s]], 0);
        free(seen);
    }
}

/* ---- pool ---- */

struct place {
    struct comm comm;
    struct pool pool;
    real *theta; /* owned, as words */
    int64_t *words;
};

static void place_open(struct place *p, int n_threads)
{
    const struct stage *stage = &setup.stages[0];
    size_t n_words = round_sum_words(stage->model.n, stage->n_metrics);

    assert_int_equal(comm_open("local", &p->comm, 1), 0);
    if (pool_open(&p->pool, &setup, n_threads, &p->comm, &compute_tasks) < 0)
        fail_msg("%s", err_text());
    p->pool.shares = true; /* however few cores there are */
    p->theta = calloc(stage->model.n, sizeof *p->theta);
    p->words = calloc(n_words, sizeof *p->words);
    assert_true(p->theta && p->words && n_words > SHARE_BLOCK && n_words % SHARE_BLOCK != 0);
    layout_init(&stage->model, 1, 0, p->theta);
}

static void place_close(struct place *p)
{
    pool_close(&p->pool);
    comm_close(&p->comm);
    free(p->theta);
    free(p->words);
}

/* A round of so many tasks. Returns the sum's checksum, as the pool tells it. */
static uint64_t run_round(struct place *p, uint64_t round, int n_tasks, struct round_sum *sum)
{
    const struct stage *stage = &setup.stages[0];
    struct sampler s = {&setup, stage, stage->data, PURPOSE_TRAIN, round, N_TASKS};

    *sum = round_sum_begin(p->words, stage->model.n, stage->n_metrics);
    pool_begin(&p->pool, &s, p->theta, NULL);
    for (int i = 0; i < n_tasks; i += 2)
        assert_int_equal(pool_push(&p->pool, (struct slots){(uint32_t)i, i + 1 < n_tasks ? 2 : 1}),
                         0);
    while (pool_look(&p->pool).done < n_tasks)
        comm_idle(&p->comm);
    assert_int_equal(pool_look(&p->pool).code, 0);
    for (size_t from = 0, n; from < sum->n_words; from += n) { /* in pieces of several sizes */
        n = from < 100 ? 100 : sum->n_words - from;
        n = n < sum->n_words - from ? n : sum->n_words - from;
        pool_collect(&p->pool, sum, from, n);
    }
    return pool_checksum(&p->pool);
}

/* What one thread alone has is the sum. */
static void check_only_total(struct place *p, int n_tasks, const struct round_sum *sum)
{
    const int64_t *only = pool_only_total(&p->pool);

    if (n_tasks == 0)
        assert_null(only);
    if (n_tasks == 1 || (n_tasks > 0 && p->pool.n_threads == 1))
        assert_memory_equal(only, sum->words, sum->n_words * sizeof(int64_t));
}

/* Also if most threads had no task in a round, but had some in the round before. */
static void test_threads(void **state)
{
    static const int threads[] = {1, 2, 7}, tasks[] = {N_TASKS, 1, 0, 3};
    static int64_t *first[sizeof tasks / sizeof *tasks];

    (void)state;
    for (size_t t = 0; t < sizeof threads / sizeof *threads; t++) {
        struct place p = {0};

        place_open(&p, threads[t]);
        for (size_t r = 0; r < sizeof tasks / sizeof *tasks; r++) {
            struct round_sum sum = {0};
            uint64_t checksum = run_round(&p, r + 1, tasks[r], &sum);

            assert_true(round_sum_read(&sum, METRIC_DONE) == tasks[r]);
            assert_true(round_sum_checksum(sum.words, 0, sum.n_words) == checksum);
            check_only_total(&p, tasks[r], &sum);
            if (t == 0) {
                first[r] = malloc(sum.n_words * sizeof(int64_t));
                assert_non_null(first[r]);
                memcpy(first[r], sum.words, sum.n_words * sizeof(int64_t));
            }
            assert_memory_equal(sum.words, first[r], sum.n_words * sizeof(int64_t));
        }
        place_close(&p);
    }
    for (size_t r = 0; r < sizeof tasks / sizeof *tasks; r++)
        free(first[r]);
}

/* What is collected is added: a round may be collected again, or on top of another sum. */
static void test_collect_adds(void **state)
{
    struct place p = {0};
    struct round_sum sum = {0};
    uint64_t checksum;

    (void)state;
    place_open(&p, 2);
    checksum = run_round(&p, 1, N_TASKS, &sum);
    pool_collect(&p.pool, &sum, 0, sum.n_words);
    assert_true(round_sum_read(&sum, METRIC_DONE) == 2 * N_TASKS);
    assert_true(round_sum_checksum(sum.words, 0, sum.n_words) == 2 * checksum);
    place_close(&p);
}

static int open_setup(void **state)
{
    (void)state;
    if (config_parse(&config, text, "text", NULL, 0, stage_owner) < 0 ||
        setup_open(&setup, &config, "", method_traits_of) < 0)
        fail_msg("%s", err_text());
    return 0;
}

static int close_setup(void **state)
{
    (void)state;
    setup_close(&setup);
    config_release(&config);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_share),
        cmocka_unit_test(test_threads),
        cmocka_unit_test(test_collect_adds),
    };

    return cmocka_run_group_tests_name("pool", tests, open_setup, close_setup);
}
