/* test_rundir.c - whole lines and whole files on a disk that fills up; what a run's directory may
 * hold. */
#include "tests/lib/run_files.h"

static struct rlimit unlimited;

/* Stands for a full disk: files may not grow beyond n bytes. */
static void limit(rlim_t n)
{
    setrlimit(RLIMIT_FSIZE, &(struct rlimit){n < unlimited.rlim_cur ? n : unlimited.rlim_cur,
                                             unlimited.rlim_max});
}

static void test_full(void **unused)
{
    (void)unused;
    struct rundir d;
    char sentence[1024], metrics[300];
    json_int_t events;
    int told = 0;

    strcpy(metrics, path_in("metrics.jsonl"));
    assert_int_equal(open_run(&d, RUNDIR_FRESH), 0);
    for (rlim_t n = 1000; n < 1100; n += 7) { /* cut a line at every place, more or less */
        limit(n);
        for (int i = 0; i < 40; i++) {
            emit(&d, i);
            told += rundir_news(&d, sentence, sizeof sentence);
        }
        assert_non_null(strstr(sentence, strerror(EFBIG)));
        assert_true(d.metrics.gap > 0);
        count_lines(metrics, "round", &events);
        limit(RLIM_INFINITY);
        if (n == 1000)
            assert_int_equal(told, 1);
    }
    uint64_t lost = d.metrics.lost;
    emit(&d, 40);
    assert_true(rundir_news(&d, sentence, sizeof sentence));
    assert_non_null(strstr(sentence, "metrics.jsonl' is written again; "));
    assert_true(d.metrics.lost == lost && d.metrics.gap == 0);
    assert_false(rundir_news(&d, sentence, sizeof sentence));
    assert_int_equal(sink_flush(&d.metrics), 0);
    assert_true(count_lines(metrics, "lost", &events) >= 1);
    assert_true((uint64_t)events == lost);
    rundir_close(&d);
    assert_int_equal(open_run(&d, RUNDIR_ERASE), 0);
    rundir_close(&d);
    unlink(metrics);
}

static void test_whole_files(void **unused)
{
    (void)unused;
    char path[300], text[4000], read_text[16] = "";
    FILE *f;

    strcpy(path, path_in("manifest.json"));
    memset(text, 'x', sizeof text);
    touch("manifest.json", "the old");
    limit(1000);
    assert_int_equal(outfile_whole(path, text, sizeof text), ERR_IO);
    limit(RLIM_INFINITY);
    assert_non_null(strstr(err_text(), strerror(EFBIG)));
    f = fopen(path, "r");
    assert_non_null(fgets(read_text, sizeof read_text, f));
    fclose(f);
    assert_string_equal(read_text, "the old");
    unlink(path);
}

static void test_open(void **unused)
{
    (void)unused;
    struct rundir d;
    char metrics[300];

    strcpy(metrics, path_in("metrics.jsonl"));
    touch("checkpoint-00-000000001.safetensors", "of a run without metrics");
    assert_int_equal(open_run(&d, RUNDIR_FRESH), ERR_CANTCREAT);
    rundir_close(&d);
    assert_non_null(strstr(err_text(), "already holds a run"));
    touch("manifest.json.tmp-4-0", "");
    touch("checkpoint-00-000000001.safetensors.tmp-77-3", "");
    touch("thesis.tex.tmp-77-3", "");
    assert_int_equal(open_run(&d, RUNDIR_RESUME), 0);
    rundir_close(&d);
    assert_int_not_equal(access(path_in("manifest.json.tmp-4-0"), F_OK), 0);
    assert_int_not_equal(access(path_in("checkpoint-00-000000001.safetensors.tmp-77-3"), F_OK), 0);
    assert_int_equal(unlink(path_in("thesis.tex.tmp-77-3")), 0);
    assert_int_equal(open_run(&d, RUNDIR_ERASE), 0);
    rundir_close(&d);
    assert_int_equal(unlink(metrics), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_full),
        cmocka_unit_test(test_whole_files),
        cmocka_unit_test(test_open),
    };

    signal(SIGXFSZ, SIG_IGN);
    getrlimit(RLIMIT_FSIZE, &unlimited);
    return cmocka_run_group_tests(tests, setup, teardown);
}
