/* test_checkpoint.c - cut or flipped anywhere, a checkpoint is refused with the place; only bad or
 * surplus ones go. */
#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "core/base/err.h"
#include "core/base/outfile.h"
#include "core/file/checkpoint.h"
#include "core/file/checkpoint_files.h"
#include "core/math/rng.h"

enum { N = 8 + 3, N_STATE = 2, FLIPS = 10000 };

static char directory[] = "/tmp/test[checkpoint]_XXXXXX"; /* a name that no pattern matches */
static struct layout layout;
static const struct optim_ops *adam;
static real theta[N], state[N_STATE * N];

static int setup(void **unused)
{
    (void)unused;
    if (!mkdtemp(directory))
        return -1;
    adam = optim_find("adam");
    for (int i = 0; i < N; i++)
        theta[i] = (real)i / 8;
    for (int i = 0; i < N_STATE * N; i++)
        state[i] = (real)-i;
    layout_add(&layout,
               (struct segment){.name = "conv1.weight", .n_dims = 4, .dims = {2, 2, 2, 1}});
    return layout_add(&layout, (struct segment){.name = "bn1.bias", .n_dims = 1, .dims = {3}});
}

static void path_in(const char *name, char path[300])
{
    snprintf(path, 300, "%s/%s", directory, name);
}

/* Removes every file of the directory. */
static void sweep(void)
{
    DIR *d = opendir(directory);
    const struct dirent *e;

    while ((e = readdir(d)))
        if (e->d_name[0] != '.')
            unlinkat(dirfd(d), e->d_name, 0);
    closedir(d);
}

static int teardown(void **unused)
{
    (void)unused;
    sweep();
    return rmdir(directory);
}

static struct run_identity writing; /* the run of what is saved */

static void save(int stage, uint64_t round, char path[300])
{
    real scratch[N];
    struct checkpoint_info info = {.run = writing,
                                   .stage = stage,
                                   .round = round,
                                   .seed = 3,
                                   .hash = layout_hash(&layout, theta, scratch),
                                   .configuration = "run { name = \"x\" }\n"};

    checkpoint_path(directory, stage, round, path, 300);
    if (checkpoint_write(path, &layout, theta, adam, state, &info) < 0)
        fail_msg("%s", err_text());
}

static unsigned char *load(const char *path, size_t *n)
{
    FILE *f = fopen(path, "rb");
    unsigned char *p = malloc(1 << 16);

    assert_non_null(f);
    *n = fread(p, 1, 1 << 16, f);
    fclose(f);
    return p;
}

static void store(const char *path, const void *p, size_t n)
{
    FILE *f = fopen(path, "wb");

    assert_non_null(f);
    assert_int_equal(fwrite(p, 1, n, f), n);
    assert_int_equal(fclose(f), 0);
}

static void spoil(const char *path)
{
    size_t n;
    unsigned char *p = load(path, &n);

    p[n - 1] ^= 4;
    store(path, p, n);
    free(p);
}

/* The sentence names the path and says where: a byte, the header, a tensor, a size. */
static bool says_where(const char *path)
{
    static const char *const places[] = {"byte", "header", "tensor", "metadata", "'theta'"};
    const char *after = strstr(err_text(), path);

    for (size_t i = 0; after && i < sizeof places / sizeof *places; i++)
        if (strstr(after + strlen(path), places[i]))
            return true;
    return false;
}

/* 1: refused as it should be; 0: taken for good. */
static int refused(const char *path)
{
    real t[N], s[N_STATE * N];
    struct checkpoint_info info;
    int code = checkpoint_read(path, &layout, t, adam, s, &info);

    if (code == 0)
        return 0;
    assert_int_equal(code, ERR_DATA);
    if (!says_where(path))
        fail_msg("'%s' does not say where", err_text());
    return 1;
}

static void test_truncation(void **unused)
{
    (void)unused;
    char path[300];
    size_t n;

    save(0, 1, path);
    unsigned char *p = load(path, &n);
    for (size_t i = 0; i < n; i++) {
        store(path, p, i);
        assert_int_equal(refused(path), 1);
    }
    store(path, p, n);
    assert_int_equal(refused(path), 0);
    free(p);
    sweep();
    print_message("%zu cuts, all refused\n", n);
}

/* No bit is harmless, padding included: the digest covers all. */
static void test_flips(void **unused)
{
    (void)unused;
    const char *more = getenv("CHECKPOINT_FLIPS");
    long flips = more ? atol(more) : FLIPS;
    char path[300];
    struct rng r;
    size_t n;

    save(0, 1, path);
    unsigned char *p = load(path, &n);
    rng_init(&r, 1, RNG_INIT, 0, 0);
    for (long i = 0; i < flips; i++) {
        size_t bit = (size_t)rng_below(&r, (uint32_t)(8 * n));

        p[bit / 8] ^= (unsigned char)(1 << bit % 8);
        store(path, p, n);
        if (!refused(path))
            fail_msg("bit %zu of byte %zu went unnoticed", bit % 8, bit / 8);
        p[bit / 8] ^= (unsigned char)(1 << bit % 8);
    }
    store(path, p, n);
    assert_int_equal(refused(path), 0);
    free(p);
    sweep();
    print_message("%ld flipped bits, all refused\n", flips);
}

/* A sector that was never written: zeros. */
static void test_holes(void **unused)
{
    (void)unused;
    char path[300];
    size_t n;

    save(0, 1, path);
    unsigned char *p = load(path, &n), *q = malloc(n);
    for (size_t i = 0; i < n; i += 512) {
        memcpy(q, p, n);
        memset(q + i, 0, n - i < 512 ? n - i : 512);
        store(path, q, n);
        assert_int_equal(refused(path), 1);
    }
    free(q);
    free(p);
    sweep();
}

/* Digests that are right around parameters that `theta` does not describe. */
static void test_theta(void **unused)
{
    (void)unused;
    struct checkpoint_info info = {.hash = 12345, .configuration = ""};
    char path[300];

    checkpoint_path(directory, 0, 1, path, sizeof path);
    assert_int_equal(checkpoint_write(path, &layout, theta, adam, state, &info), 0);
    assert_int_equal(refused(path), 1);
    assert_non_null(strstr(err_text(), "'theta' is 0000000000003039"));
    assert_int_equal(checkpoint_peek(path, &info), ERR_DATA);
    sweep();
}

/* Writes one that keeps the parameters of two other stages. */
static void save_keeping(char path[300])
{
    static real other[N], best[N];
    real scratch[N];
    struct checkpoint_info info = {.stage = 2,
                                   .round = 4,
                                   .hash = layout_hash(&layout, theta, scratch),
                                   .configuration = "",
                                   .n_kept = 2,
                                   .kept = {{"00", &layout, other}, {"best", &layout, best}}};

    for (int i = 0; i < N; i++)
        other[i] = (real)(100 + i), best[i] = (real)(200 + i);
    checkpoint_path(directory, 2, 4, path, 300);
    if (checkpoint_write(path, &layout, theta, adam, state, &info) < 0)
        fail_msg("%s", err_text());
}

enum { CHANNELS = 2, POSITIONS = 3, OUT = 2, MAP = OUT * CHANNELS * POSITIONS };

/* A dense layer on a map of 2 channels and 3 positions, in a file of its own. */
static void write_dense(const char *name, const struct text *texts, int n_texts, char path[300])
{
    static real torch[MAP];
    struct tensor t = {.name = name,
                       .dtype = sizeof(real) == 8 ? DTYPE_F64 : DTYPE_F32,
                       .n_dims = 2,
                       .dims = {OUT, CHANNELS * POSITIONS},
                       .n = MAP,
                       .data = torch};

    for (int i = 0; i < MAP; i++)
        torch[i] = (real)i;
    path_in("dense.safetensors", path);
    assert_int_equal(safetensors_write(path, &t, 1, texts, n_texts), 0);
}

/* metaloop wrote such columns in another order before runs had ids: refused by name, not read
 * wrongly. What other programs wrote is PyTorch's order, and so is what metaloop writes now, of a
 * run with an id or without. */
static void test_columns_of_old(void **unused)
{
    (void)unused;
    struct text texts[] = {{"format", "pt"}, {"writer", "metaloop"}, {"run_id", ""}};
    struct layout dense = {0};
    struct checkpoint_info info;
    real t[MAP];
    char path[300];

    layout_add(&dense, (struct segment){.name = "discriminator.fc1.weight",
                                        .n_dims = 2,
                                        .dims = {OUT, CHANNELS * POSITIONS},
                                        .positions = POSITIONS});
    write_dense("discriminator.fc1.weight", texts, 2, path);
    assert_int_equal(checkpoint_read(path, &dense, t, NULL, NULL, &info), ERR_DATA);
    assert_non_null(
        strstr(err_text(), "tensor 'discriminator.fc1.weight' was written by an older"));
    write_dense("kept.00.discriminator.fc1.weight", texts, 2, path);
    assert_int_equal(checkpoint_read_kept(path, "00", &dense, t), ERR_DATA);
    for (int n = 1; n <= 3; n += 2) {
        write_dense("discriminator.fc1.weight", texts, n, path);
        assert_int_equal(checkpoint_read(path, &dense, t, NULL, NULL, &info), 0);
        assert_true(t[1] == POSITIONS && t[CHANNELS] == 1);
    }
    dense.segments[0].positions = 0; /* a plain vector's has one order only */
    write_dense("discriminator.fc1.weight", texts, 2, path);
    assert_int_equal(checkpoint_read(path, &dense, t, NULL, NULL, &info), 0);
    assert_true(t[1] == 1);
    layout_release(&dense);
    sweep();
}

static void test_kept(void **unused)
{
    (void)unused;
    struct layout wider = {0};
    char path[300];
    real t[N + 1];

    save_keeping(path);
    assert_int_equal(refused(path), 0);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(checkpoint_read_kept(path, i ? "best" : "00", &layout, t), 0);
        for (int k = 0; k < N; k++)
            assert_true(t[k] == (real)(100 * (i + 1) + k));
    }
    assert_int_equal(checkpoint_read_kept(path, "01", &layout, t), ERR_DATA);
    assert_non_null(strstr(err_text(), path));
    assert_non_null(strstr(err_text(), "kept.01.conv1.weight"));
    layout_add(&wider, (struct segment){.name = "conv1.weight", .n_dims = 4, .dims = {3, 2, 2, 1}});
    assert_int_equal(checkpoint_read_kept(path, "00", &wider, t), ERR_DATA);
    assert_non_null(strstr(err_text(), "kept.00.conv1.weight"));
    save(0, 1, path);
    assert_int_equal(checkpoint_read_kept(path, "best", &layout, t), ERR_DATA);
    assert_non_null(strstr(err_text(), "kept.best."));
    layout_release(&wider);
    sweep();
}

/* Cut or flipped anywhere: what is kept is covered like the rest. */
static void test_kept_damaged(void **unused)
{
    (void)unused;
    char path[300];
    real t[N];
    size_t n;

    save_keeping(path);
    unsigned char *p = load(path, &n);
    for (size_t i = 0; i < n; i += 7) {
        store(path, p, i);
        assert_int_equal(refused(path), 1);
        assert_true(checkpoint_read_kept(path, "best", &layout, t) < 0);
        assert_true(says_where(path));
        p[i] ^= 0x10;
        store(path, p, n);
        p[i] ^= 0x10;
        assert_int_equal(refused(path), 1);
        if (checkpoint_read_kept(path, "best", &layout, t) == 0)
            fail_msg("byte %zu of %zu went unnoticed", i, n);
        assert_true(says_where(path));
    }
    free(p);
    sweep();
}

static int n_complaints;

static void complain(void *context, const char *sentence)
{
    assert_non_null(strstr(sentence, context));
    n_complaints++;
}

static void test_newest(void **unused)
{
    (void)unused;
    char old[300], middle[300], new[300], path[300];

    assert_int_equal(checkpoint_newest(directory, NULL, path, sizeof path, complain, ""), 0);
    save(0, 999999999, old);
    save(1, 2, middle);
    save(1, 1000000000, new);
    assert_int_equal(checkpoint_newest(directory, NULL, path, sizeof path, complain, ""), 1);
    assert_string_equal(path, new);
    spoil(new);
    n_complaints = 0;
    assert_int_equal(checkpoint_newest(directory, NULL, path, sizeof path, complain, new), 1);
    assert_string_equal(path, middle);
    assert_int_equal(n_complaints, 1);
    assert_int_equal(checkpoint_newest("/nowhere", NULL, path, sizeof path, complain, ""), 0);
    assert_int_equal(checkpoint_newest("/dev/null", NULL, path, sizeof path, complain, ""),
                     ERR_NOINPUT);
    sweep();
}

static bool is_there(const char *path)
{
    return access(path, F_OK) == 0;
}

/* What was skipped is neither the newest nor in the way of pruning. */
static void test_set_aside(void **unused)
{
    (void)unused;
    struct checkpoint_key last = {0, 4};
    char p[5][300], to[320], path[300], other[300];

    for (int i = 1; i <= 4; i++)
        save(0, 2 * (uint64_t)i, p[i]);
    path_in("checkpoint-of-mine.safetensors", other);
    store(other, "mine", 4);
    spoil(p[3]);
    spoil(p[4]);
    assert_int_equal(checkpoint_set_aside(directory, NULL, &last), 0);
    assert_true(is_there(p[1]) && is_there(p[2]) && !is_there(p[3]) && !is_there(p[4]));
    snprintf(to, sizeof to, "%s.damaged", p[4]);
    assert_true(is_there(to));
    assert_int_equal(checkpoint_newest(directory, NULL, path, sizeof path, complain, "none"), 1);
    assert_string_equal(path, p[2]);
    assert_int_equal(checkpoint_count(directory), 2);
    assert_int_equal(checkpoint_erase(directory), 0);
    assert_true(!is_there(p[1]) && !is_there(p[2]) && !is_there(to) && is_there(other));
    sweep();
}

/* Damaged ones do not count, later ones neither count nor go, names that are not ours are never
 * touched. */
static void test_prune(void **unused)
{
    (void)unused;
    struct checkpoint_key trusted = {0, 10}, last = {0, 10};
    char p[7][300], other[300];

    for (int i = 1; i <= 6; i++)
        save(0, 2 * (uint64_t)i, p[i]); /* 2 4 6 8 10 12 */
    path_in("checkpoint-00-000000002.safetensors.copy", other);
    store(other, "mine", 4);
    spoil(p[4]);
    spoil(p[3]);
    assert_int_equal(checkpoint_prune(directory, NULL, 2, &trusted, &last), 0);
    assert_true(is_there(p[6]) && is_there(p[5]) && is_there(p[2]) && !is_there(p[1]));
    assert_true(is_there(p[3]) && is_there(p[4]));
    assert_int_equal(checkpoint_prune(directory, NULL, 1, &trusted, &last), 0);
    assert_true(is_there(p[6]) && is_there(p[5]) && !is_there(p[4]) && !is_there(p[2]));
    assert_true(is_there(other));
    sweep();
}

/* Another run's checkpoints do not count, and are put aside instead of being removed. */
static void test_another_run(void **unused)
{
    (void)unused;
    struct run_identity mine = {"aaaaaaaaaaaaaaaa", false}, theirs = {"bbbbbbbbbbbbbbbb", false};
    struct checkpoint_key trusted = {0, 10}, last = {0, 10};
    struct checkpoint_info info;
    char p[6][300], path[300], to[320];

    for (int i = 1; i <= 5; i++) {
        writing = i % 2 ? mine : theirs;
        save(0, 2 * (uint64_t)i, p[i]); /* 2 4 6 8 10 */
    }
    assert_int_equal(checkpoint_peek(p[4], &info), 0);
    assert_string_equal(info.run.id, theirs.id);
    assert_int_equal(checkpoint_newest(directory, &theirs, path, sizeof path, complain, mine.id),
                     1);
    assert_string_equal(path, p[4]);
    assert_int_equal(checkpoint_prune(directory, &mine, 2, &trusted, &last), 0);
    assert_true(is_there(p[5]) && !is_there(p[4]) && is_there(p[3]) && !is_there(p[2]));
    assert_false(is_there(p[1]));
    for (int i = 2; i <= 4; i += 2) {
        snprintf(to, sizeof to, "%s.other", p[i]);
        assert_true(is_there(to));
    }
    writing = theirs;
    save(0, 12, path);
    assert_int_equal(checkpoint_set_aside(directory, &mine, &last), 0);
    snprintf(to, sizeof to, "%s.other", path);
    assert_true(is_there(to) && !is_there(path));
    writing = (struct run_identity){0}; /* of before there were ids */
    save(0, 14, path);
    assert_int_equal(checkpoint_newest(directory, &mine, to, sizeof to, complain, path), 1);
    mine.unnamed = true;
    assert_int_equal(checkpoint_newest(directory, &mine, to, sizeof to, complain, ""), 1);
    assert_string_equal(to, path);
    assert_int_equal(checkpoint_erase(directory), 0);
    snprintf(to, sizeof to, "%s.other", p[4]);
    assert_false(is_there(to));
    sweep();
}

static void test_temporaries(void **unused)
{
    (void)unused;
    static const char *const stale[] = {"checkpoint-00-000000004.safetensors.tmp-1-0",
                                        "checkpoint-01-1234567890.safetensors.tmp-99999-17"};
    static const char *const kept[] = {"checkpoint-00-000000004.safetensors",
                                       "checkpoint-00-000000004.safetensors.tmp-1-",
                                       "checkpoint-00-000000004.safetensors.tmp-1-0x",
                                       "checkpoint-00-000000004.safetensors.tmp-x-0",
                                       "checkpoint-best.safetensors.tmp-1-0",
                                       "thesis.tmp-1-0",
                                       ".tmp-1-0"};
    char path[300];

    for (size_t i = 0; i < 2; i++) {
        path_in(stale[i], path);
        store(path, "x", 1);
    }
    for (size_t i = 0; i < sizeof kept / sizeof *kept; i++) {
        path_in(kept[i], path);
        store(path, "x", 1);
    }
    outfile_clean(directory, checkpoint_is_name);
    for (size_t i = 0; i < 2; i++) {
        path_in(stale[i], path);
        assert_false(is_there(path));
    }
    for (size_t i = 0; i < sizeof kept / sizeof *kept; i++) {
        path_in(kept[i], path);
        assert_true(is_there(path));
    }
    unlink(path); /* begins with a dot */
    sweep();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_truncation),   cmocka_unit_test(test_flips),
        cmocka_unit_test(test_holes),        cmocka_unit_test(test_theta),
        cmocka_unit_test(test_newest),       cmocka_unit_test(test_set_aside),
        cmocka_unit_test(test_prune),        cmocka_unit_test(test_temporaries),
        cmocka_unit_test(test_another_run),  cmocka_unit_test(test_kept),
        cmocka_unit_test(test_kept_damaged), cmocka_unit_test(test_columns_of_old),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
