/* test_tree.c - trees: hosts, and ranks in hosts; trees that cannot be read. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "coordinator/crew/crew_internal.h"
#include "core/base/err.h"
#include "proto/comm/tree.h"
#include "proto/comm/words.h"

enum { SIZE = 200, HOSTS_MAX = 40, NOBODY = -1 };

struct found { /* by following a tree from its root */
    int n;     /* ranks reached */
    int parent[SIZE];
    int depth[SIZE];
};

/* As the messages travel: each rank reads its own part. */
static void follow(struct found *f, const struct tree_node *nodes, int parent, int depth)
{
    int rank = (int)nodes->rank, n;
    uint32_t child[TREE_CHILDREN];
    const struct tree_node *own;

    assert_int_equal(f->parent[rank], NOBODY);
    f->parent[rank] = parent;
    f->depth[rank] = depth;
    f->n++;
    assert_int_equal(tree_read(nodes, tree_bytes(nodes), rank, SIZE, &own), 0);
    assert_ptr_equal(own, nodes);
    n = tree_children(own, child);
    assert_in_range(n, 0, TREE_CHILDREN);
    for (int i = 0; i < n; i++)
        follow(f, own + child[i], rank, depth + 1);
}

static struct found follow_all(const struct tree_node *nodes)
{
    struct found f = {0};

    for (int i = 0; i < SIZE; i++)
        f.parent[i] = NOBODY;
    follow(&f, nodes, 0, 0);
    return f;
}

static int log2_floor(int n)
{
    int k = 0;

    while (n > 1)
        n /= 2, k++;
    return k;
}

/* Everyone is reached once; at most two sums enter a host, and one leaves it. */
static void check_hosts(const struct found *f, const int *host_of, int n_hosts, int most)
{
    int enter[HOSTS_MAX] = {0}, leave[HOSTS_MAX] = {0};

    for (int rank = 1; rank < SIZE; rank++) {
        int parent = f->parent[rank];

        if (parent == NOBODY || host_of[rank] == host_of[parent])
            continue;
        enter[host_of[parent]]++;
        leave[host_of[rank]]++;
    }
    assert_int_equal(leave[host_of[0]], 0);
    for (int h = 0; h < n_hosts; h++) {
        assert_in_range(enter[h], 0, 2);
        assert_int_equal(leave[h], h != host_of[0]);
    }
    for (int rank = 0; rank < SIZE; rank++)
        assert_in_range(f->depth[rank], 0,
                        log2_floor(n_hosts) + (most > 1 ? 1 + log2_floor(most - 1) : 0));
}

/* Hosts of 1 to `most` ranks. */
static void plant_hosts(int n_hosts, int most)
{
    struct tree_node nodes[SIZE];
    uint32_t ranks[SIZE], first[HOSTS_MAX + 1];
    int host_of[SIZE] = {0};
    uint32_t n = 0;
    struct found f;

    for (int h = 0; h < n_hosts; h++) {
        first[h] = n;
        for (int k = 0; k < 1 + (h + most - 1) % most; k++, n++)
            host_of[n] = h, ranks[n] = n;
    }
    first[n_hosts] = n;
    tree_plant(ranks, first, (uint32_t)n_hosts, nodes);
    assert_int_equal(nodes[0].below, n - 1);
    f = follow_all(nodes);
    assert_int_equal(f.n, n);
    check_hosts(&f, host_of, n_hosts, most);
}

static void hosts_first(void **state)
{
    (void)state;
    for (int n_hosts = 1; n_hosts <= HOSTS_MAX; n_hosts++)
        for (int most = 1; most * n_hosts <= SIZE; most++)
            plant_hosts(n_hosts, most);
}

/* Below its first rank. */
static void one_host_is_a_binary_tree(void **state)
{
    struct tree_node nodes[SIZE];
    uint32_t ranks[SIZE], first[2] = {0};

    (void)state;
    for (uint32_t i = 0; i < SIZE; i++)
        ranks[i] = i;
    for (first[1] = 1; first[1] <= SIZE; first[1]++) {
        struct found f;

        tree_plant(ranks, first, 1, nodes);
        f = follow_all(nodes);
        assert_int_equal(f.n, first[1]);
        for (int i = 1; i < f.n; i++)
            assert_int_equal(f.parent[i], i / 2);
    }
}

struct crowd { /* a crew of ranks that are ready, and nothing else */
    struct crew crew;
    struct comm comm;
    struct transaction round;
    struct round_sum total;
    int host_of[SIZE];
};

/* Ranks 0 ... n - 1, one after the other on n_hosts hosts. The hellos come in another order. */
static struct crowd *crowd_open(int n, int n_hosts)
{
    struct crowd *w = calloc(1, sizeof *w);
    struct crew *c = &w->crew;

    assert_non_null(w);
    w->comm.size = n;
    c->comm = &w->comm;
    w->round.crew = c;
    w->round.total = &w->total;
    assert_int_equal(crew_lists(c, (size_t)n), 0);
    for (int i = 0; i < n; i++)
        w->host_of[i] = i % n_hosts;
    for (int i = 0, rank = 0; i < n; i++, rank = (rank + 7) % n) { /* n is no multiple of 7 */
        struct crew_worker *worker = &c->workers[rank];

        if (rank == 0)
            continue;
        worker->ready = worker->proved = true;
        if (w->host_of[rank] > 0)
            snprintf(worker->hello.host, sizeof worker->hello.host, "h%d", w->host_of[rank]);
        else
            strcpy(worker->hello.host, c->workers[0].hello.host);
        crew_seat(c, (uint32_t)rank);
    }
    return w;
}

static void crowd_close(struct crowd *w)
{
    crew_release(&w->crew);
    free(w);
}

static struct found crowd_follow(struct crowd *w)
{
    round_choose(&w->crew);
    round_plant(&w->round, false);
    return follow_all(w->crew.tree);
}

static void interleaved(void **state)
{
    (void)state;
    for (int n_hosts = 1; n_hosts <= HOSTS_MAX; n_hosts += 3)
        for (int n = n_hosts; n < SIZE; n += 5) {
            if (n % 7 == 0)
                continue;
            struct crowd *w = crowd_open(n, n_hosts);
            struct found f = crowd_follow(w);

            assert_int_equal(f.n, n);
            check_hosts(&f, w->host_of, n_hosts, (n + n_hosts - 1) / n_hosts);
            for (int i = 1; i < n && n_hosts == 1; i++)
                assert_int_equal(f.parent[i], i / 2); /* in the order of ranks */
            crowd_close(w);
        }
}

/* Nothing proved hangs on what is not, in a host and among hosts. */
static void check_proved(const struct crowd *w, const struct found *f, const bool *host_proved)
{
    const struct crew_worker *workers = w->crew.workers;

    for (int rank = 1; rank < w->comm.size; rank++) {
        int parent = f->parent[rank], own = w->host_of[rank], other = w->host_of[parent];

        if (parent > 0 && own == other && workers[rank].proved)
            assert_true(workers[parent].proved);
        if (other != 0 && own != other && host_proved[own])
            assert_true(host_proved[other]);
    }
}

static void unproved_stand_low(void **state)
{
    enum { N = 96, N_HOSTS = 12 };
    uint32_t dice = 1;

    (void)state;
    for (int k = 0; k < 200; k++) {
        struct crowd *w = crowd_open(N, N_HOSTS);
        bool host_proved[N_HOSTS] = {0};
        struct found f;

        for (int i = 1; i < N; i++) {
            dice = dice * 1664525u + 1013904223u;
            w->crew.workers[i].proved = w->host_of[i] % 3 != k % 3 && dice >> 31;
            host_proved[w->host_of[i]] |= w->crew.workers[i].proved;
        }
        f = crowd_follow(w);
        assert_int_equal(f.n, N);
        check_hosts(&f, w->host_of, N_HOSTS, N / N_HOSTS);
        check_proved(w, &f, host_proved);
        crowd_close(w);
    }
}

/* Eight ranks per host. One of them has come back, and one of six hosts has: none is below them. */
static void unproved_are_leaves(void **state)
{
    enum { N = 48, N_HOSTS = 6, BACK = 2 * N_HOSTS + 1, HOST_BACK = 3 };
    struct crowd *w = crowd_open(N, N_HOSTS);
    struct found f;

    (void)state;
    for (int i = 1; i < N; i++)
        w->crew.workers[i].proved = i != BACK && w->host_of[i] != HOST_BACK;
    f = crowd_follow(w);
    for (int i = 1; i < N; i++) {
        assert_int_not_equal(f.parent[i], BACK);
        if (w->host_of[i] != HOST_BACK)
            assert_int_not_equal(w->host_of[f.parent[i]], HOST_BACK);
    }
    crowd_close(w);
}

/* Sums are gathered from those with tasks that are not left out. */
static void gatherers(void **state)
{
    enum { N = 48, N_HOSTS = 6 };
    struct crowd *w = crowd_open(N, N_HOSTS);
    struct found f;
    int n = 1;

    (void)state;
    round_choose(&w->crew);
    for (int i = 1; i < N; i++) {
        w->crew.workers[i].given = i % 5 > 0 && w->host_of[i] != 2;
        w->crew.workers[i].out = i % 7 == 0;
        n += w->crew.workers[i].given && !w->crew.workers[i].out;
    }
    round_plant(&w->round, true);
    f = follow_all(w->crew.tree);
    assert_int_equal(f.n, n);
    for (int i = 1; i < N; i++)
        assert_int_equal(f.parent[i] != NOBODY, i % 5 > 0 && w->host_of[i] != 2 && i % 7 > 0);
    crowd_close(w);
}

/* In memory of just that size, for the sanitizer. */
static int try_read(const struct tree_node *nodes, size_t n, int rank)
{
    void *copy = malloc(n ? n : 1);
    const struct tree_node *own = NULL;
    uint32_t child[TREE_CHILDREN];
    int code;

    assert_non_null(copy);
    memcpy(copy, nodes, n);
    code = tree_read(copy, n, rank, 10, &own);
    if (code == 0)
        for (int i = tree_children(own, child); i > 0; i--) {
            assert_in_range(own[child[i - 1]].rank, 1, 9);
            assert_true(tree_bytes(own + child[i - 1]) < n);
        }
    free(copy);
    return code;
}

static void damaged(void **state)
{
    static const struct tree_node good[] = {{1, 6}, {2, 1}, {3, 0}, {4, 2}, {5, 0}, {6, 0}, {7, 0}};
    static const struct {
        int at;
        struct tree_node node;
    } bad[] = {
        {0, {2, 6}},                       /* another rank's */
        {0, {1, 7}},                       /* more nodes than there are */
        {0, {1, 10}},                      /* than ranks */
        {0, {1, UINT32_MAX}}, {1, {2, 6}}, /* a child's nodes end after the parent's */
        {3, {4, 4}},          {3, {4, UINT32_MAX}}, {1, {2, 0}}, /* four children */
        {1, {0, 1}},  /* the coordinator below a worker */
        {1, {1, 1}},  /* a rank below itself */
        {6, {10, 0}}, /* no such rank */
        {6, {UINT32_MAX, 0}},
    };

    (void)state;
    assert_int_equal(try_read(good, sizeof good, 1), 0);
    for (size_t n = 0; n < sizeof good; n++)
        assert_int_equal(try_read(good, n, 1), ERR_DATA);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct tree_node nodes[7];

        memcpy(nodes, good, sizeof good);
        nodes[bad[i].at] = bad[i].node;
        assert_int_equal(try_read(nodes, sizeof nodes, 1), ERR_DATA);
    }
}

/* A good shape, of eleven ranks of ten. */
static void too_many(void **state)
{
    static const struct tree_node nodes[] = {{1, 10}, {2, 2}, {3, 0}, {4, 0}, {5, 2}, {6, 0},
                                             {7, 0},  {8, 1}, {9, 0}, {2, 1}, {3, 0}};

    (void)state;
    assert_int_equal(try_read(nodes, sizeof nodes, 1), ERR_DATA);
}

static void noise(void **state)
{
    struct tree_node nodes[12];
    uint32_t dice = 1;
    int n_read = 0;

    (void)state;
    for (int k = 0; k < 200000; k++) {
        for (size_t i = 0; i < 2 * sizeof nodes / sizeof *nodes; i++) {
            dice = dice * 1664525u + 1013904223u;
            (i % 2 ? &nodes[i / 2].below : &nodes[i / 2].rank)[0] = dice >> 29;
        }
        n_read += try_read(nodes, dice >> 8 & 63, 1) == 0;
    }
    assert_true(n_read > 100);
}

/* Pieces cover a vector once, in order, and are few. */
static void pieces_cover(void **state)
{
    (void)state;
    for (size_t n = 0; n < 3000000; n = n * 3 / 2 + 1) {
        struct pieces p = pieces_of(n, sizeof(int64_t));
        size_t next = 0;

        assert_in_range(p.n, 1, PIECES_MAX);
        assert_int_equal(p.n > 1, n * sizeof(int64_t) > piece_bytes);
        for (uint32_t i = 0; i < p.n; i++) {
            struct piece_range r = pieces_at(&p, i);

            assert_int_equal(r.from, next);
            assert_int_equal(r.from % PIECE_GRAIN, 0);
            assert_true(r.n > 0 || n == 0);
            next += r.n;
        }
        assert_int_equal(next, n);
    }
}

#define SUM ((size_t)20000)

/* A child's piece comes: each of its words is the child's rank. */
static bool take(struct children *c, int from, uint32_t piece, int64_t *sum)
{
    static int64_t words[SUM];
    static uint64_t packed[2 * SUM];
    struct message m = {.from = from, .h = {.piece = piece}, .body = packed};
    int code;

    assert_true(words_room(SUM) <= sizeof packed);
    for (size_t i = 0; i < SUM; i++)
        words[i] = from;
    m.h.size = words_pack(words, NULL, piece < c->sum.n ? pieces_at(&c->sum, piece).n : 1, packed);
    code = children_add(c, &m, sum);
    assert_true(code >= 0);
    return code == 1;
}

/* Each piece of each child once, in order; nothing from others. What stood in the sum before does
 * not count. */
static void pieces_once(void **state)
{
    static const struct tree_node nodes[] = {
        {.rank = 1, .below = 3}, {.rank = 4, .below = 1}, {.rank = 6}, {.rank = 5}};
    static int64_t sum[SUM];
    struct children c;

    (void)state;
    memset(sum, 0xee, sizeof sum);
    children_begin(&c, nodes, SUM);
    assert_int_equal(c.n, 2);
    assert_int_equal(c.sum.n, 5);
    for (uint32_t i = 0; i < 5; i++) {
        assert_false(take(&c, 4, i + 1, sum));
        assert_false(take(&c, 6, i, sum));
        assert_true(take(&c, 4, i, sum));
        assert_false(take(&c, 4, i, sum));
        assert_int_equal(children_taken(&c), i);
        assert_true(take(&c, 5, i, sum));
        assert_int_equal(children_taken(&c), i + 1);
    }
    assert_false(take(&c, 4, 5, sum));
    assert_false(take(&c, 4, 0, sum));
    for (size_t i = 0; i < SUM; i++)
        assert_true(sum[i] == 4 + 5);
}

/* One sentence, which names the child. The piece may come again. */
static void broken_piece(void **state)
{
    static const struct tree_node nodes[] = {{.rank = 1, .below = 1}, {.rank = 7}};
    static const uint64_t bytes[2] = {0};
    struct message m = {.from = 7, .h = {.size = sizeof bytes}, .body = bytes};
    int64_t sum[8];
    struct children c;

    (void)state;
    children_begin(&c, nodes, 8);
    assert_int_equal(children_add(&c, &m, sum), ERR_DATA);
    assert_non_null(strstr(err_text(), "rank 7 sent a sum of 16 bytes"));
    assert_int_equal(children_taken(&c), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hosts_first),
        cmocka_unit_test(one_host_is_a_binary_tree),
        cmocka_unit_test(interleaved),
        cmocka_unit_test(unproved_stand_low),
        cmocka_unit_test(unproved_are_leaves),
        cmocka_unit_test(gatherers),
        cmocka_unit_test(damaged),
        cmocka_unit_test(too_many),
        cmocka_unit_test(noise),
        cmocka_unit_test(pieces_cover),
        cmocka_unit_test(pieces_once),
        cmocka_unit_test(broken_piece),
    };

    return cmocka_run_group_tests_name("tree", tests, NULL, NULL);
}
