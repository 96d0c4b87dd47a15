/* test_safetensors.c - what is written is read; what was damaged, cut or forged is refused. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>
#include <xxhash.h>

#include "core/base/err.h"
#include "core/file/safetensors.h"

static char directory[] = "/tmp/test_safetensors_XXXXXX";
static char path[64]; /* directory/a.safetensors */

static const float weights[] = {1.5f, -2, 3, 4, 5, 6.25f};
static const double scalar[] = {0.1};
static const int64_t rounds[] = {-9007199254740991, 41};
static const int32_t small[] = {-7};
static const uint8_t bytes[] = {0, 255, 7};

static const struct tensor tensors[] = {
    {"conv1.weight", DTYPE_F32, 3, {1, 2, 3}, 6, weights},
    {"scale", DTYPE_F64, 0, {0}, 1, scalar},
    {"nothing", DTYPE_F32, 2, {0, 5}, 0, NULL},
    {"round", DTYPE_I64, 1, {2}, 2, rounds},
    {"bytes", DTYPE_U8, 1, {3}, 3, bytes},
    {"odd \"name\" \xc3\xa9", DTYPE_I32, 6, {1, 1, 1, 1, 1, 1}, 1, small},
};
enum { N_TENSORS = sizeof tensors / sizeof *tensors };

/* The first imitates what the digest is looked for by. */
static const struct text texts[] = {
    {"a\"digest", "0000000000000000"}, {"config", "run {\n name = \"x\" }\n"}, {"empty", ""}};
enum { N_TEXTS = sizeof texts / sizeof *texts };

static int setup(void **state)
{
    (void)state;
    snprintf(path, sizeof path, "%s/a.safetensors", mkdtemp(directory));
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    unlink(path);
    return rmdir(directory); /* fails where a temporary was left */
}

static int entries(const char *name)
{
    DIR *d = opendir(name);
    int n = -2; /* . and .. */

    while (readdir(d))
        n++;
    closedir(d);
    return n;
}

static void write_sample(void)
{
    int code = safetensors_write(path, tensors, N_TENSORS, texts, N_TEXTS);

    if (code < 0)
        print_error("%s\n", err_text());
    assert_int_equal(code, 0);
}

static unsigned char *load(size_t *n)
{
    FILE *f = fopen(path, "rb");
    unsigned char *p = malloc(1 << 16);

    *n = fread(p, 1, 1 << 16, f);
    fclose(f);
    return p;
}

static void store(const void *p, size_t n)
{
    FILE *f = fopen(path, "wb");

    assert_non_null(f);
    assert_int_equal(fwrite(p, 1, n, f), n);
    fclose(f);
}

/* A file of this header and n bytes of data. */
static void forge(const char *json, size_t n)
{
    size_t length = strlen(json);
    unsigned char *p = calloc(1, 8 + length + n);

    for (int i = 0; i < 8; i++)
        p[i] = (unsigned char)((uint64_t)length >> 8 * i);
    memcpy(p + 8, json, length);
    store(p, 8 + length + n);
    free(p);
}

static void refused(const char *part)
{
    struct safetensors s, empty = {0};

    assert_int_equal(safetensors_open(&s, path), ERR_DATA);
    if (!strstr(err_text(), path) || !strstr(err_text(), part))
        fail_msg("'%s' does not say '%s'", err_text(), part);
    assert_memory_equal(&s, &empty, sizeof s);
}

static void test_round_trip(void **state)
{
    (void)state;
    struct safetensors s;

    write_sample();
    assert_int_equal(safetensors_open(&s, path), 0);
    assert_int_equal(s.n_tensors, N_TENSORS);
    for (int i = 0; i < N_TENSORS; i++) {
        const struct tensor *t = &s.tensors[i], *o = &tensors[i];
        assert_string_equal(t->name, o->name);
        assert_int_equal(t->dtype, o->dtype);
        assert_int_equal(t->n_dims, o->n_dims);
        assert_int_equal(t->n, o->n);
        assert_memory_equal(t->dims, o->dims, sizeof t->dims);
        if (t->n)
            assert_memory_equal(t->data, o->data, t->n * dtype_size(t->dtype));
        assert_ptr_equal(safetensors_find(&s, o->name), t);
    }
    assert_int_equal(s.n_texts, N_TEXTS + 3);
    for (int i = 0; i < N_TEXTS; i++) {
        assert_string_equal(s.texts[i].key, texts[i].key);
        assert_string_equal(safetensors_text(&s, texts[i].key), texts[i].value);
    }
    assert_string_equal(s.texts[N_TEXTS + 2].key, "digest");
    assert_null(safetensors_text(&s, "none"));
    assert_null(safetensors_find(&s, "none"));
    safetensors_close(&s);
    safetensors_close(&s);
}

static void test_get(void **state)
{
    (void)state;
    struct safetensors s;

    write_sample();
    assert_int_equal(safetensors_open(&s, path), 0);
    assert_true(tensor_get(safetensors_find(&s, "conv1.weight"), 5) == 6.25);
    assert_true(tensor_get(safetensors_find(&s, "scale"), 0) == 0.1);
    assert_true(tensor_get(safetensors_find(&s, "round"), 0) == -9007199254740991.0);
    assert_true(tensor_get(safetensors_find(&s, "bytes"), 1) == 255);
    assert_true(tensor_get(safetensors_find(&s, tensors[5].name), 0) == -7);
    safetensors_close(&s);
    assert_string_equal(dtype_name(DTYPE_I32), "I32");
}

/* Digest and padding as the header says, recomputed from the bytes alone. */
static void test_format(void **state)
{
    (void)state;
    size_t n;
    struct safetensors s;

    write_sample();
    unsigned char *p = load(&n);
    size_t header = p[0] | (size_t)p[1] << 8;
    assert_int_equal((8 + header) % 64, 0);
    assert_int_equal(n, 8 + header + 24 + 8 + 16 + 3 + 4);
    assert_int_equal(p[8], '{');
    assert_true(p[8 + header - 1] == ' ' || p[8 + header - 1] == '}');
    char *digits = strstr((char *)p + 8, ",\"digest\":\"") + 11;
    uint64_t told = strtoull(digits, NULL, 16);
    memset(digits, '0', 16);
    assert_true(XXH64(p, n, 0) == told);
    assert_int_equal(safetensors_open(&s, path), 0);
    assert_true(s.digest == told);
    free(p);

    struct text copied[8]; /* rewriting what was read gives the same file */
    memcpy(copied, s.texts, sizeof *copied * (size_t)s.n_texts);
    assert_int_equal(safetensors_write(path, s.tensors, s.n_tensors, copied, s.n_texts), 0);
    safetensors_close(&s);
    assert_int_equal(safetensors_open(&s, path), 0);
    assert_true(s.digest == told);
    safetensors_close(&s);
}

static void test_empty(void **state)
{
    (void)state;
    struct safetensors s;

    assert_int_equal(safetensors_write(path, NULL, 0, NULL, 0), 0);
    assert_int_equal(safetensors_open(&s, path), 0);
    assert_int_equal(s.n_tensors, 0);
    assert_true(s.digest != 0);
    safetensors_close(&s);
}

static void test_foreign(void **state)
{
    (void)state;
    struct safetensors s;

    /* as numpy and torch write them: other order, spaces, no metadata */
    forge("{\"b\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]}}", 8);
    assert_int_equal(safetensors_open(&s, path), 0);
    assert_int_equal(s.digest, 0);
    assert_int_equal(s.n_texts, 0);
    safetensors_close(&s);
    forge(
        "{\"b\": {\"shape\": [], \"data_offsets\": [1, 5], \"dtype\": \"F32\"}, \"__metadata__\": "
        "{\"format\": \"pt\", \"digest\": \"sha256:12\"}, \"z\": {\"dtype\":\"F32\",\"shape\":[0],"
        "\"data_offsets\":[1,1]}, \"a\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1]}}  "
        " ",
        5);
    assert_int_equal(safetensors_open(&s, path), 0);
    assert_int_equal(s.digest, 0);
    assert_string_equal(s.tensors[0].name, "a");
    assert_string_equal(s.tensors[1].name, "z");
    assert_string_equal(s.tensors[2].name, "b");
    assert_true(tensor_get(&s.tensors[2], 0) == 0);
    assert_string_equal(safetensors_text(&s, "format"), "pt");
    safetensors_close(&s);
}

static void test_truncation(void **state)
{
    (void)state;
    size_t n;

    write_sample();
    unsigned char *p = load(&n);
    for (size_t i = 0; i < n; i++) {
        store(p, i);
        refused("'");
    }
    store(p, n);
    FILE *f = fopen(path, "ab");
    fputc(0, f);
    fclose(f);
    refused("56 bytes of data, its tensors have 55");
    free(p);
}

static void test_bit_flips(void **state)
{
    (void)state;
    size_t n;
    struct safetensors s;

    write_sample();
    unsigned char *p = load(&n);
    for (size_t i = 0; i < 8 * n; i++) {
        p[i / 8] ^= (unsigned char)(1 << i % 8);
        store(p, n);
        if (safetensors_open(&s, path) == 0)
            fail_msg("bit %zu of byte %zu ('%c') went unnoticed", i % 8, i / 8, p[i / 8]);
        assert_non_null(strstr(err_text(), path));
        p[i / 8] ^= (unsigned char)(1 << i % 8);
    }
    store(p, n);
    assert_int_equal(safetensors_open(&s, path), 0);
    safetensors_close(&s);
    free(p);
}

/* For a damaged file the error names the place: the tensor, or the header if a tensor's digest was
 * hit. */
static void test_place(void **state)
{
    (void)state;
    size_t n;
    struct safetensors s;
    char part[200];

    write_sample();
    unsigned char *p = load(&n);
    size_t data = 8 + (p[0] | (size_t)p[1] << 8);
    size_t list = (size_t)(strstr((char *)p + 8, "tensor_digests") - (char *)p) + 17;
    assert_int_equal(safetensors_open(&s, path), 0);
    for (size_t i = 0; i < n; i++) {
        snprintf(part, sizeof part, "header");
        for (int k = 0; k < s.n_tensors; k++) {
            size_t begin = (size_t)((const char *)s.tensors[k].data - s.bytes);
            size_t end = begin + s.tensors[k].n * dtype_size(s.tensors[k].dtype);
            if (i >= begin && i < end)
                snprintf(part, sizeof part, "is damaged: tensor '%s', bytes %zu .. %zu, ",
                         s.tensors[k].name, begin, end);
        }
        p[i] ^= 1;
        store(p, n);
        refused(i >= data || (i >= list && i < list + 17 * N_TENSORS - 1) ? part : "'");
        p[i] ^= 1;
    }
    safetensors_close(&s);
    free(p);
}

/* A file whose digest is right and whose tensors' are not, and one without these (version 0.1). */
static void test_lists(void **state)
{
    (void)state;
    size_t n;
    struct safetensors s;

    write_sample();
    unsigned char *p = load(&n);
    char *list = strstr((char *)p + 8, "\"tensor_digests\":\"") + 18;
    char *digits = strstr((char *)p + 8, ",\"digest\":\"") + 11, sign[17];
    list[0] = list[0] == '0' ? '1' : '0';
    memset(digits, '0', 16);
    snprintf(sign, sizeof sign, "%016llx", (unsigned long long)XXH64(p, n, 0));
    memcpy(digits, sign, 16);
    store(p, n);
    refused("is damaged: tensor 'conv1.weight', bytes ");
    memcpy(list - 18, "\"tensor_digestx\"", 16);
    memset(digits, '0', 16);
    snprintf(sign, sizeof sign, "%016llx", (unsigned long long)XXH64(p, n, 0));
    memcpy(digits, sign, 16);
    store(p, n);
    assert_int_equal(safetensors_open(&s, path), 0);
    assert_true(s.digest != 0 && s.tensors[0].digest == 0);
    safetensors_close(&s);
    p[n - 1] ^= 1;
    store(p, n);
    refused("bytes have digest ");
    free(p);
}

#define ONE(dtype, shape, offsets)                                                                 \
    "{\"w\":{\"dtype\":\"" dtype "\",\"shape\":" shape ",\"data_offsets\":" offsets "}}"
#define TWO(a, b)                                                                                  \
    "{\"a\":{\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":" a "},"                              \
    "\"b\":{\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":" b "}}"

static void test_hostile(void **state)
{
    (void)state;
    static const struct {
        const char *json;
        size_t n;
        const char *part;
    } cases[] = {
        {TWO("[0,4]", "[2,6]"), 6, "tensor 'b' begins at byte 2 of the data, not at 4"},
        {TWO("[0,4]", "[0,4]"), 4, "tensor 'b' begins at byte 0 of the data, not at 4"},
        {TWO("[0,4]", "[5,9]"), 9, "tensor 'b' begins at byte 5 of the data, not at 4"},
        {TWO("[1,5]", "[5,9]"), 9, "tensor 'a' begins at byte 1 of the data, not at 0"},
        {TWO("[0,4]", "[4,8]"), 9, "has 9 bytes of data, its tensors have 8"},
        {ONE("U8", "[4]", "[0,4]"), 3, "lies at 0 .. 4 of 3 bytes"},
        {ONE("U8", "[4]", "[4,0]"), 4, "lies at 4 .. 0"},
        {ONE("U8", "[4]", "[-4,0]"), 4, "lies at -4 .. 0"},
        {ONE("U8", "[4]", "[9223372036854775803,9223372036854775807]"), 4, "lies at 9223"},
        {ONE("U8", "[4]", "[0,5]"), 5, "has 5 bytes, its shape needs 4"},
        {ONE("U8", "[4]", "[0,4,4]"), 4, "has no 'data_offsets'"},
        {ONE("U8", "[4]", "[0.0,4.0]"), 4, "has no 'data_offsets'"},
        {ONE("U8", "[4]", "{}"), 4, "has no 'data_offsets'"},
        {ONE("U8", "[-4]", "[0,4]"), 4, "has a dimension that is not"},
        {ONE("U8", "[4.0]", "[0,4]"), 4, "has a dimension that is not"},
        {ONE("U8", "[\"4\"]", "[0,4]"), 4, "has a dimension that is not"},
        {ONE("U8", "4", "[0,4]"), 4, "has no 'shape'"},
        {ONE("U8", "[1,1,1,1,1,1,1]", "[0,1]"), 1, "has more than 6 dimensions"},
        {ONE("U8", "[4294967296,4294967296]", "[0,0]"), 0, "has more elements than memory"},
        {ONE("F64", "[2305843009213693952]", "[0,0]"), 0, "has more elements than memory"},
        {ONE("F32", "[4611686018427387904]", "[0,0]"), 0, "has more elements than memory"},
        {ONE("U8", "[99999999999999999999]", "[0,0]"), 0, "too big integer"},
        {ONE("F8_E4M3", "[4]", "[0,4]"), 4, "has dtype 'F8_E4M3', which is not read"},
        {ONE("f32", "[1]", "[0,4]"), 4, "has dtype 'f32', which is not read"},
        {"{\"w\":{\"dtype\":1,\"shape\":[],\"data_offsets\":[0,1]}}", 1, "has no 'dtype'"},
        {"{\"w\":{\"dtype\":\"U8\",\"shape\":[],\"data_offsets\":[0,1],\"x\":1}}", 1, "alone"},
        {"{\"w\":{\"dtype\":\"U8\",\"shap\":[],\"data_offsets\":[0,1]}}", 1, "has no 'shape'"},
        {"{\"w\":[]}", 0, "is not described by"},
        {"{\"w\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1]},"
         "\"w\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[1,2]}}",
         2, "duplicate object key"},
        {"{\"__metadata__\":[]}", 0, "'__metadata__' is not an object"},
        {"{\"__metadata__\":{\"a\":1}}", 0, "'a' in '__metadata__' is not a string"},
        {"{\"__metadata__\":{\"digest\":\"0123456789abcdef\"}}", 0, "is damaged"},
        {"{\"__metadata__\":{\"a\\\"digest\":\"0123456789abcdef\",\"digest\":\"0123456789abcdef\"}"
         "}",
         0, "is damaged"},
        {"{\"__metadata__\":{\"digest_kind\":\"xxh64\"}}", 0, "header has lost its digest"},
        {"{\"__metadata__\":{\"digest\":\"0123456789abcdef\",\"tensor_digests\":\"0\"}}", 0,
         "is damaged: its header, bytes 0 .. "},
        {"{\"__metadata__\":{\"dig\\u0065st\":\"0123456789abcdef\"}}", 0, "say clearly where"},
        {"{\"__metadata__\":{\"digest\":\"01234567\\u00389abcdef\"}}", 0, "say clearly where"},
        {"{\"a\\u0000b\":{}}", 0, "header, at byte"},
        {"{\"\xff\":{}}", 0, "header, at byte"},
        {"{}x", 0, "header, at byte"},
        {"{", 0, "not a JSON object"},
        {"[]", 0, "not a JSON object"},
        {" {}", 0, "not a JSON object"},
        {"", 0, "not a JSON object"},
    };

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        forge(cases[i].json, cases[i].n);
        refused(cases[i].part);
    }
}

static void test_hostile_long(void **state)
{
    (void)state;
    size_t n = 100;
    char *json = malloc(1 << 20);

    memset(json, 0, 1 << 20);
    memcpy(json, "{\"", 2);
    memset(json + 2, 'n', n);
    strcpy(json + 2 + n, "\":{}}");
    forge(json, 0);
    refused("nnn' is not described by dtype, shape and data_offsets alone");
    memset(json, '[', SAFETENSORS_VALUES_MAX);
    memcpy(json, "{\"a\":", 5);
    forge(json, 0);
    refused("maximum parsing depth reached");
    memset(json, '[', (1 << 20) - 1);
    memcpy(json, "{\"a\":", 5);
    forge(json, 0);
    refused("has a header of more than 131072 values");
    free(json);
    for (int shift = 8; shift < 64; shift++) { /* header lengths beyond the file */
        uint64_t length = (uint64_t)1 << shift;
        unsigned char p[10] = {0};
        for (int i = 0; i < 8; i++)
            p[i] = (unsigned char)(length >> 8 * i);
        memcpy(p + 8, "{}", 2);
        store(p, sizeof p);
        refused("has 10 bytes, its header would have");
    }
}

static void test_hostile_huge(void **state)
{
    (void)state;
    uint64_t length = 100000000;
    struct timespec a, b;

    store("\x00\xe1\xf5\x05\0\0\0\0{", 9);
    assert_int_equal(truncate(path, 8 + (off_t)length), 0);
    clock_gettime(CLOCK_MONOTONIC, &a);
    refused("has a header of 100000000 bytes, more than 4194304");
    clock_gettime(CLOCK_MONOTONIC, &b);
    assert_true(b.tv_sec - a.tv_sec <= 1);
}

static void test_not_files(void **state)
{
    (void)state;
    struct safetensors s;

    assert_int_equal(safetensors_open(&s, "/nowhere/a.safetensors"), ERR_NOINPUT);
    assert_string_equal(err_text(),
                        "cannot open '/nowhere/a.safetensors': No such file or directory");
    assert_int_equal(safetensors_open(&s, "/tmp"), ERR_DATA);
    assert_string_equal(err_text(), "'/tmp' is not a file");
    assert_int_equal(safetensors_open(&s, "/dev/null"), ERR_DATA);
}

static void test_full_disk(void **state)
{
    (void)state;
    struct rlimit kept, cut;
    struct safetensors s;
    static float many[20000];
    struct tensor t = {"w", DTYPE_F32, 1, {20000}, 20000, many};

    write_sample(); /* the old file must survive */
    signal(SIGXFSZ, SIG_IGN);
    getrlimit(RLIMIT_FSIZE, &kept);
    for (rlim_t size = 0; size < 80000; size += 7919) {
        cut = (struct rlimit){size, kept.rlim_max};
        setrlimit(RLIMIT_FSIZE, &cut);
        int code = safetensors_write(path, &t, 1, NULL, 0);
        setrlimit(RLIMIT_FSIZE, &kept);
        assert_int_equal(code, ERR_IO);
        assert_non_null(strstr(err_text(), path));
        assert_non_null(strstr(err_text(), strerror(EFBIG)));
        assert_int_equal(entries(directory), 1);
        assert_int_equal(safetensors_open(&s, path), 0);
        assert_int_equal(s.n_tensors, N_TENSORS);
        safetensors_close(&s);
    }
    signal(SIGXFSZ, SIG_DFL);
}

static void test_uncreatable(void **state)
{
    (void)state;
    char below[128], taken[128];

    write_sample();
    snprintf(below, sizeof below, "%s/b.safetensors", path); /* below a file */
    assert_int_equal(safetensors_write(below, tensors, N_TENSORS, NULL, 0), ERR_CANTCREAT);
    assert_non_null(strstr(err_text(), below));
    assert_int_equal(safetensors_write("/nowhere/a", tensors, 1, NULL, 0), ERR_CANTCREAT);
    assert_string_equal(err_text(), "cannot create '/nowhere/a': No such file or directory");
    snprintf(taken, sizeof taken, "%s/taken", directory); /* a directory of that name */
    assert_int_equal(mkdir(taken, 0777), 0);
    assert_int_equal(safetensors_write(taken, tensors, N_TENSORS, NULL, 0), ERR_CANTCREAT);
    rmdir(taken);
    assert_int_equal(entries(directory), 1);
}

static void test_leftover(void **state)
{
    (void)state;
    char left[128];
    struct safetensors s;
    struct stat st;

    unlink(path);
    snprintf(left, sizeof left, "%s.tmp-%ld-0", path, (long)getpid());
    close(open(left, O_CREAT | O_WRONLY, 0600));
    umask(027);
    write_sample();
    umask(022);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0640);
    assert_int_equal(safetensors_open(&s, path), 0);
    safetensors_close(&s);
    assert_int_equal(entries(directory), 2);
    unlink(left);
}

static void test_unwritable_texts(void **state)
{
    (void)state;
    struct text bad = {"config", "\xff"};
    struct text large = {"config", NULL};
    char *value = malloc(SAFETENSORS_HEADER_MAX + 1);

    assert_int_equal(safetensors_write(path, NULL, 0, &bad, 1), ERR_DATA);
    assert_non_null(strstr(err_text(), "its text 'config' is not UTF-8"));
    memset(value, 'x', SAFETENSORS_HEADER_MAX);
    value[SAFETENSORS_HEADER_MAX] = '\0';
    large.value = value;
    assert_int_equal(safetensors_write(path, NULL, 0, &large, 1), ERR_DATA);
    free(value);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trip),
        cmocka_unit_test(test_get),
        cmocka_unit_test(test_format),
        cmocka_unit_test(test_empty),
        cmocka_unit_test(test_foreign),
        cmocka_unit_test(test_place),
        cmocka_unit_test(test_lists),
        cmocka_unit_test(test_truncation),
        cmocka_unit_test(test_bit_flips),
        cmocka_unit_test(test_hostile),
        cmocka_unit_test(test_hostile_long),
        cmocka_unit_test(test_hostile_huge),
        cmocka_unit_test(test_not_files),
        cmocka_unit_test(test_full_disk),
        cmocka_unit_test(test_uncreatable),
        cmocka_unit_test(test_leftover),
        cmocka_unit_test(test_unwritable_texts),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
