/* test_rewind.c - metrics.jsonl cut back to a round, whatever is at its end. */
#include "tests/lib/run_files.h"

/* A line that is no JSON is not a reason to cut off what follows. */
static void test_rewind(void **unused)
{
    (void)unused;
    json_int_t events;

    touch("metrics.jsonl", "{\"kind\":\"round\",\"round\":1,\"stage_index\":0}\n"
                           "\x01\x02 a bad sector\n"
                           "{\"kind\":\"round\",\"round\":2,\"stage_index\":0}\n"
                           "{\"kind\":\"round\",\"round\":3,\"stage_index\":0}\n");
    assert_int_equal(rundir_rewind(directory, 0, 2), 0);
    FILE *f = fopen(path_in("metrics.jsonl"), "r+");
    char line[100];
    int n = 0;

    while (fgets(line, sizeof line, f))
        n++;
    fclose(f);
    assert_int_equal(n, 3);
    assert_int_equal(rundir_rewind(directory, 0, 0), 0);
    assert_int_equal(count_lines(path_in("metrics.jsonl"), "round", &events), 0);
    unlink(path_in("metrics.jsonl"));
}

/* ---- metrics, cut from their end ---- */

#define ROUND(n) "{\"kind\":\"round\",\"round\":" #n ",\"stage_index\":1}\n"
#define MEASURED(n) "{\"kind\":\"evaluation\",\"round\":" #n ",\"stage_index\":1}\n"
#define LATER "{\"kind\":\"round\",\"round\":1,\"stage_index\":2}\n"
#define FAILED(purpose, n)                                                                         \
    "{\"kind\":\"failed\",\"purpose\":\"" purpose "\",\"round\":" #n ",\"stage_index\":1}\n"
#define NOTE "{\"kind\":\"rank\",\"in_round\":9}\n"

static void expect_rewound(const char *text, size_t n, const char *kept)
{
    char found[400000];
    FILE *f = fopen(path_in("metrics.jsonl"), "w");

    assert_int_equal(fwrite(text, 1, n, f), n);
    fclose(f);
    assert_int_equal(rundir_rewind(directory, 1, 4), 0);
    f = fopen(path_in("metrics.jsonl"), "r");
    n = fread(found, 1, sizeof found - 1, f);
    found[n] = '\0';
    fclose(f);
    assert_string_equal(found, kept);
    assert_int_equal(n, strlen(kept));
}

static void test_rewind_from_the_end(void **unused)
{
    (void)unused;
    static const struct {
        const char *text, *kept;
    } cases[] = {
        {"", ""},
        {"\n", "\n"},
        {ROUND(3) ROUND(4), ROUND(3) ROUND(4)},
        {ROUND(3) ROUND(4) NOTE ROUND(5) NOTE ROUND(6), ROUND(3) ROUND(4) NOTE},
        {ROUND(3) MEASURED(3) ROUND(4) MEASURED(4) NOTE, ROUND(3) MEASURED(3) ROUND(4)},
        {ROUND(3) ROUND(4) "{\"kind\":\"round\",\"rou", ROUND(3) ROUND(4)},
        {ROUND(4) "{\"kind\":\"round\",\"round\":4,\"stage_index\":1}", ROUND(4)},
        {ROUND(4) "{\"kind\":\"round\",\"round\":1,\"stage_index\":2}\n" ROUND(
             1), /* of another run */
         ROUND(4) "{\"kind\":\"round\",\"round\":1,\"stage_index\":2}\n" ROUND(1)},
        {"{\"kind\":\"round\",\"round\":9,\"stage_index\":0}\n" ROUND(5),
         "{\"kind\":\"round\",\"round\":9,\"stage_index\":0}\n"},
        {ROUND(4) "no JSON\n" NOTE "nor this\n" ROUND(5), ROUND(4) "no JSON\n" NOTE "nor this\n"},
        {ROUND(4) LATER LATER, ROUND(4)}, /* its rounds count from one again */
        {ROUND(3) ROUND(4) FAILED("watch", 4), ROUND(3) ROUND(4)}, /* a look is done again */
        {ROUND(3) ROUND(4) FAILED("evaluate", 4), ROUND(3) ROUND(4)},
        {ROUND(3) FAILED("train", 4) ROUND(4), ROUND(3) FAILED("train", 4) ROUND(4)},
        {ROUND(3) FAILED("train", 4), ROUND(3) FAILED("train", 4)},
        {"{\"kind\":\"run\"}\n" ROUND(5) ROUND(6), "{\"kind\":\"run\"}\n"},
    };

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        expect_rewound(cases[i].text, strlen(cases[i].text), cases[i].kept);
}

/* A run that begins again keeps what stands before its first round, as far as that is whole. */
static void test_rewind_to_the_beginning(void **unused)
{
    (void)unused;
    static const char run[] = "{\"kind\":\"run\"}\n";
    struct stat st;

    for (int i = 0; i < 3; i++) {
        static const char *const after[] = {"{\"kind\":\"ro", ROUND(1) ROUND(2), ""};
        char text[200];

        snprintf(text, sizeof text, "%s%s", run, after[i]);
        touch("metrics.jsonl", text);
        assert_int_equal(rundir_rewind(directory, 0, 0), 0);
        stat(path_in("metrics.jsonl"), &st);
        assert_int_equal(st.st_size, strlen(run));
    }
    unlink(path_in("metrics.jsonl"));
}

/* Zeros after a power cut, with and without an end of line, of sizes about those that are read at
 * once. */
static void test_rewind_zeros(void **unused)
{
    (void)unused;
    static const size_t sizes[] = {1, 4096, 65535, 65536, 65537, 300000};
    static const char good[] = ROUND(3) ROUND(4);
    char *text = calloc(1, 400000);

    memcpy(text, good, strlen(good));
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        size_t n = strlen(good) + sizes[i];

        expect_rewound(text, n, good);
        text[n - 1] = '\n';
        expect_rewound(text, n, sizes[i] == 1 ? ROUND(3) ROUND(4) "\n" : good);
        text[n - 1] = '\0';
    }
    free(text);
}

/* Lines longer than the window, and what stands before them. */
static void test_rewind_long_lines(void **unused)
{
    (void)unused;
    char *text = malloc(5 << 20), *at = text;
    struct stat st;
    FILE *f;

    at += sprintf(at, "%s", ROUND(4));
    for (int i = 0; i < 3; i++) {
        at += sprintf(at, "{\"kind\":\"round\",\"stage_index\":1,\"text\":\"");
        memset(at, 'x', 1 << 20), at += 1 << 20;
        at += sprintf(at, "\",\"round\":%d}\n", 5 + i);
    }
    at += sprintf(at, "%s", ROUND(8));
    f = fopen(path_in("metrics.jsonl"), "w");
    assert_int_equal(fwrite(text, 1, (size_t)(at - text), f), at - text);
    fclose(f);
    assert_int_equal(rundir_rewind(directory, 1, 4), 0);
    stat(path_in("metrics.jsonl"), &st);
    assert_int_equal(st.st_size, strlen(ROUND(4)));
    free(text);
}

static unsigned long long bytes_read(void)
{
    unsigned long long n = 0;
    FILE *f = fopen("/proc/self/io", "r");

    if (!f || fscanf(f, "rchar: %llu", &n) != 1)
        skip();
    fclose(f);
    return n;
}

/* A history of 64 MiB costs no more than what is cut off. */
static void test_rewind_does_not_read_the_history(void **unused)
{
    (void)unused;
    FILE *f = fopen(path_in("metrics.jsonl"), "w");
    unsigned long long before;
    struct stat st;

    for (int i = 0; i < 100; i++)
        fputs(ROUND(3), f);
    assert_int_equal(fseek(f, 64 << 20, SEEK_SET), 0); /* a hole: it would be read as zeros */
    fputs("\n" ROUND(3) ROUND(4) ROUND(5), f);
    fclose(f);
    before = bytes_read();
    assert_int_equal(rundir_rewind(directory, 1, 4), 0);
    assert_true(bytes_read() - before < 1 << 20);
    stat(path_in("metrics.jsonl"), &st);
    assert_int_equal(st.st_size, (64 << 20) + 1 + 2 * (off_t)strlen(ROUND(3)));
    unlink(path_in("metrics.jsonl"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rewind),
        cmocka_unit_test(test_rewind_from_the_end),
        cmocka_unit_test(test_rewind_to_the_beginning),
        cmocka_unit_test(test_rewind_zeros),
        cmocka_unit_test(test_rewind_long_lines),
        cmocka_unit_test(test_rewind_does_not_read_the_history),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
