/* test_rundir_owner.c - one directory, one owner, one run; and whether it is still there. */
#include <sys/prctl.h>

#include "tests/lib/run_files.h"

/* ---- whose it is ---- */

static const char A[] = "aaaaaaaaaaaaaaaa", B[] = "bbbbbbbbbbbbbbbb";

static void begin_as(const char *run_id, enum rundir_mode mode)
{
    struct rundir d;

    assert_int_equal(take(&d, mode, run_id), 0);
    assert_int_equal(rundir_begin(&d, "run { }\n", &crew, "1"), 0);
    emit(&d, 1);
    rundir_close(&d);
}

static void expect_decision(enum rundir_mode mode, const char *run_id, enum rundir_mode decided,
                            const char *run)
{
    struct rundir d;

    assert_int_equal(take(&d, mode, run_id), 0);
    assert_int_equal(d.mode, decided);
    if (run)
        assert_string_equal(d.run.id, run);
    else
        assert_true(run_id_is(d.run.id) && strcmp(d.run.id, A) && strcmp(d.run.id, B));
    rundir_close(&d);
}

/* A start that goes on with its own run does so whatever its words are; any other follows its
 * words. */
static void test_decision(void **unused)
{
    (void)unused;
    struct rundir d;

    begin_as(A, RUNDIR_FRESH);
    expect_decision(RUNDIR_ERASE, A, RUNDIR_RESUME, A);
    expect_decision(RUNDIR_FRESH, A, RUNDIR_RESUME, A);
    expect_decision(RUNDIR_RESUME, B, RUNDIR_RESUME, A);
    expect_decision(RUNDIR_RESUME, "", RUNDIR_RESUME, A);
    expect_decision(RUNDIR_ERASE, B, RUNDIR_ERASE, B);
    expect_decision(RUNDIR_ERASE, "", RUNDIR_ERASE, NULL);
    assert_int_equal(take(&d, RUNDIR_FRESH, B), ERR_CANTCREAT);
    rundir_close(&d);
    unlink(
        path_in("manifest.json")); /* then the metrics tell, whose first line report_begin writes */
    touch("metrics.jsonl", "{\"kind\":\"run\",\"run_id\":\"aaaaaaaaaaaaaaaa\"}\n");
    expect_decision(RUNDIR_ERASE, A, RUNDIR_RESUME, A);
    unlink(path_in("metrics.jsonl"));
    expect_decision(RUNDIR_RESUME, "", RUNDIR_RESUME, NULL);
}

/* A directory of before there were ids is given one, and its files count for ever; one that begins
 * afresh takes none. */
static void test_unnamed(void **unused)
{
    (void)unused;
    struct rundir d;

    touch("manifest.json", "{\"program\": \"metaloop\"}");
    touch("metrics.jsonl", "{\"kind\":\"stage\"}\n");
    for (int i = 0; i < 2; i++) {
        assert_int_equal(take(&d, RUNDIR_RESUME, B), 0);
        assert_true(d.run.unnamed && run_id_owns(&d.run, "") && run_id_owns(&d.run, B));
        assert_false(run_id_owns(&d.run, A));
        assert_string_equal(d.run.id, B);
        assert_int_equal(rundir_begin(&d, "run { }\n", &crew, "1"), 0);
        rundir_close(&d);
    }
    begin_as(A, RUNDIR_ERASE);
    assert_int_equal(take(&d, RUNDIR_RESUME, ""), 0);
    assert_false(d.run.unnamed || run_id_owns(&d.run, ""));
    rundir_close(&d);
}

/* A file that is not a manifest tells nothing, and does no harm. */
static void test_manifest_that_is_none(void **unused)
{
    (void)unused;
    static const char *const texts[] = {"",
                                        "{",
                                        "[]",
                                        "7",
                                        "{\"run_id\": 7}",
                                        "{\"run_id\": \"AAAAAAAAAAAAAAAA\"}",
                                        "{\"run_id\": \"../../../../tmp/x\"}",
                                        "{\"run_id\": \"aaaaaaaaaaaaaaaaa\"}"};
    struct run_identity run;

    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        unlink(path_in("manifest.json"));
        unlink(path_in("metrics.jsonl"));
        touch("manifest.json", texts[i]);
        rundir_identity(directory, &run);
        assert_string_equal(run.id, "");
    }
    unlink(path_in("manifest.json"));
}

/* Metrics of no bytes are no run; those of any are. */
static void test_empty_metrics(void **unused)
{
    (void)unused;
    struct rundir d;

    touch("metrics.jsonl", "");
    assert_int_equal(take(&d, RUNDIR_FRESH, ""), 0);
    rundir_close(&d);
    touch("metrics.jsonl", "\n");
    assert_int_equal(take(&d, RUNDIR_FRESH, ""), ERR_CANTCREAT);
    rundir_close(&d);
    unlink(path_in("metrics.jsonl"));
}

/* ---- one owner ---- */

/* Takes the directory in another process, which then waits to be killed; its pid. */
static pid_t hold(const char *run_id)
{
    int ready[2];
    char byte;
    pid_t pid;

    assert_int_equal(pipe(ready), 0);
    pid = fork();
    if (pid == 0) {
        struct rundir d;

        prctl(PR_SET_PDEATHSIG, SIGKILL); /* also if a test fails meanwhile */
        if (take(&d, RUNDIR_RESUME, run_id) == 0 && write(ready[1], "", 1) == 1)
            pause();
        _exit(1);
    }
    close(ready[1]);
    assert_int_equal(read(ready[0], &byte, 1), 1);
    close(ready[0]);
    return pid;
}

static void let_go(pid_t pid)
{
    kill(pid, SIGKILL);
    assert_int_equal(waitpid(pid, NULL, 0), pid);
}

static void test_second_start(void **unused)
{
    (void)unused;
    static const enum rundir_mode modes[] = {RUNDIR_FRESH, RUNDIR_RESUME, RUNDIR_ERASE};
    char link[300], pid_text[32];
    struct rundir d;
    pid_t pid;

    begin_as(A, RUNDIR_ERASE);
    pid = hold(A);
    snprintf(pid_text, sizeof pid_text, "process %d ", (int)pid);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(take(&d, modes[i], B), ERR_CANTCREAT);
        assert_non_null(strstr(err_text(), pid_text));
        assert_non_null(strstr(err_text(), A));
        rundir_close(&d);
    }
    snprintf(link, sizeof link, "%.200s-link", directory);
    assert_int_equal(symlink(directory, link), 0);
    assert_int_equal(
        rundir_take(&d, link, &(struct rundir_start){.mode = RUNDIR_ERASE, .run_id = B}),
        ERR_CANTCREAT);
    rundir_close(&d);
    unlink(link);
    assert_int_equal(access(path_in("metrics.jsonl"), F_OK), 0);
    let_go(pid);
    assert_int_equal(take(&d, RUNDIR_ERASE, B), 0);
    rundir_close(&d);
}

/* Only a start that goes on with the holder's run waits for it, and not for ever. */
static void test_dying_holder(void **unused)
{
    (void)unused;
    struct rundir_start start = {.mode = RUNDIR_ERASE, .run_id = A, .patience = 60};
    volatile sig_atomic_t stop = 1;
    struct rundir d;
    pid_t pid, killer;

    begin_as(A, RUNDIR_ERASE);
    pid = hold(A);
    killer = fork();
    if (killer == 0) {
        usleep(200000);
        kill(pid, SIGKILL);
        _exit(0);
    }
    assert_int_equal(rundir_take(&d, directory, &start), 0);
    assert_int_equal(d.mode, RUNDIR_RESUME);
    rundir_close(&d);
    waitpid(killer, NULL, 0);
    waitpid(pid, NULL, 0);
    pid = hold(A);
    start.patience = 0.05;
    assert_int_equal(rundir_take(&d, directory, &start), ERR_CANTCREAT);
    rundir_close(&d);
    start.patience = 60;
    start.stop = &stop;
    assert_int_equal(rundir_take(&d, directory, &start), ERR_STOPPED);
    rundir_close(&d);
    start.run_id = B; /* of another run: does not wait */
    assert_int_equal(rundir_take(&d, directory, &start), ERR_CANTCREAT);
    rundir_close(&d);
    let_go(pid);
}

/* A program that is started from here holds nothing when we have gone. */
static void test_lock_is_not_inherited(void **unused)
{
    (void)unused;
    struct rundir d;
    int go[2];
    pid_t pid;

    assert_int_equal(pipe(go), 0);
    assert_int_equal(take(&d, RUNDIR_RESUME, ""), 0);
    pid = fork();
    if (pid == 0) {
        dup2(go[0], 0);
        close(go[1]);
        execlp("cat", "cat", (char *)NULL);
        _exit(1);
    }
    close(go[0]);
    for (int i = 0; i < 6000; i++) { /* until it runs */
        char path[64], name[16] = "";
        FILE *f;

        snprintf(path, sizeof path, "/proc/%d/comm", (int)pid);
        f = fopen(path, "r");
        if (f && fgets(name, sizeof name, f) && strcmp(name, "cat\n") == 0)
            i = 6000;
        if (f)
            fclose(f);
        usleep(10000);
    }
    rundir_close(&d);
    assert_int_equal(take(&d, RUNDIR_RESUME, ""), 0);
    rundir_close(&d);
    close(go[1]);
    waitpid(pid, NULL, 0);
}

static void test_lock_that_is_no_file(void **unused)
{
    (void)unused;
    struct rundir d;
    char kept[310];

    snprintf(kept, sizeof kept, "%s.kept", path_in(RUN_LOCK));
    assert_int_equal(rename(path_in(RUN_LOCK), kept), 0);
    assert_int_equal(mkfifo(path_in(RUN_LOCK), 0600), 0);
    assert_int_equal(take(&d, RUNDIR_RESUME, ""), ERR_CANTCREAT);
    rundir_close(&d);
    unlink(path_in(RUN_LOCK));
    assert_int_equal(symlink("/etc/passwd", path_in(RUN_LOCK)), 0);
    assert_true(take(&d, RUNDIR_RESUME, "") < 0);
    rundir_close(&d);
    unlink(path_in(RUN_LOCK));
    assert_int_equal(rename(kept, path_in(RUN_LOCK)), 0);
}

/* Nothing of a path that is too long is cut off. */
static void test_long_path(void **unused)
{
    (void)unused;
    char path[RUNDIR_PATH + 2];
    struct rundir d;

    memset(path, 'x', sizeof path - 1);
    path[sizeof path - 1] = '\0';
    assert_int_equal(rundir_take(&d, path, &(struct rundir_start){.run_id = ""}), ERR_CANTCREAT);
    assert_non_null(strstr(err_text(), "1001 bytes"));
    rundir_close(&d);
}

/* ---- whether it is still there ---- */

static void test_look(void **unused)
{
    (void)unused;
    char where[300], moved[300];
    struct rundir d, other;

    begin_as(A, RUNDIR_ERASE);
    assert_int_equal(take(&d, RUNDIR_RESUME, ""), 0);
    assert_int_equal(rundir_begin(&d, "run { }\n", &crew, "1"), 0);
    assert_int_equal(rundir_check(&d, where, sizeof where), RUNDIR_STANDS);
    unlink(path_in("metrics.jsonl"));
    assert_int_equal(rundir_check(&d, where, sizeof where), RUNDIR_EMPTIED);
    assert_int_equal(rundir_remake(&d, "run { }\n", &crew, "1"), 0);
    assert_int_equal(rundir_check(&d, where, sizeof where), RUNDIR_STANDS);
    unlink(path_in(RUN_LOCK));
    assert_int_equal(rundir_check(&d, where, sizeof where), RUNDIR_EMPTIED);
    assert_int_equal(take(&other, RUNDIR_RESUME, ""), 0); /* who comes now has the lock */
    assert_int_equal(rundir_remake(&d, "run { }\n", &crew, "1"), ERR_CANTCREAT);
    rundir_close(&other);
    assert_int_equal(rundir_remake(&d, "run { }\n", &crew, "1"), 0);
    snprintf(moved, sizeof moved, "%.200s-moved", directory);
    assert_int_equal(rename(directory, moved), 0);
    assert_int_equal(rundir_check(&d, where, sizeof where), RUNDIR_MOVED);
    assert_string_equal(where, moved);
    assert_int_equal(mkdir(directory, 0777), 0);
    assert_int_equal(rundir_check(&d, where, sizeof where), RUNDIR_MOVED);
    assert_int_equal(rmdir(directory), 0);
    assert_int_equal(rename(moved, directory), 0);
    assert_int_equal(rundir_check(&d, where, sizeof where), RUNDIR_STANDS);
    snprintf(where, sizeof where, "rm -r '%.200s'", directory);
    assert_int_equal(system(where), 0);
    assert_int_equal(rundir_check(&d, where, sizeof where), RUNDIR_GONE);
    assert_int_equal(mkdir(directory, 0777), 0);
    assert_int_equal(rundir_check(&d, where, sizeof where), RUNDIR_TAKEN);
    assert_int_equal(rmdir(directory), 0);
    assert_int_equal(rundir_remake(&d, "run { }\n", &crew, "1"), 0);
    assert_int_equal(rundir_check(&d, where, sizeof where), RUNDIR_STANDS);
    assert_int_equal(access(path_in("manifest.json"), F_OK), 0);
    rundir_close(&d);
    expect_decision(RUNDIR_ERASE, A, RUNDIR_RESUME, A);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_decision),
        cmocka_unit_test(test_unnamed),
        cmocka_unit_test(test_manifest_that_is_none),
        cmocka_unit_test(test_empty_metrics),
        cmocka_unit_test(test_second_start),
        cmocka_unit_test(test_dying_holder),
        cmocka_unit_test(test_lock_is_not_inherited),
        cmocka_unit_test(test_lock_that_is_no_file),
        cmocka_unit_test(test_long_path),
        cmocka_unit_test(test_look),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
