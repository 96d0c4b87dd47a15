/* test_outfile.c - an output is written as its kind asks: files are replaced whole, links stay,
 * devices and FIFOs too. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <cmocka.h>

#include "core/base/err.h"
#include "core/base/outfile.h"

static char directory[] = "/tmp/test_outfile_XXXXXX";

static char *at(const char *name)
{
    static char paths[8][300];
    static int i;

    i = (i + 1) % 8;
    snprintf(paths[i], sizeof paths[i], "%s/%s", directory, name);
    return paths[i];
}

static int setup(void **unused)
{
    (void)unused;
    return mkdtemp(directory) ? 0 : -1;
}

static int teardown(void **unused)
{
    char command[300];

    (void)unused;
    snprintf(command, sizeof command, "rm -rf '%s'", directory);
    return system(command);
}

static void put(const char *path, const char *text)
{
    FILE *f = fopen(path, "w");

    assert_non_null(f);
    fputs(text, f);
    fclose(f);
}

static void holds(const char *path, const char *text)
{
    char got[100] = "";
    FILE *f = fopen(path, "r");

    assert_non_null(f);
    got[fread(got, 1, sizeof got - 1, f)] = '\0';
    fclose(f);
    assert_string_equal(got, text);
}

static struct stat seen(const char *path)
{
    struct stat st;

    assert_int_equal(lstat(path, &st), 0);
    return st;
}

static void writes(const char *path, const char *text)
{
    int code = outfile_whole(path, text, strlen(text));

    if (code < 0)
        print_message("%s\n", err_text());
    assert_int_equal(code, 0);
}

static void refuses(const char *path, const char *why)
{
    assert_int_equal(outfile_whole(path, "x", 1), ERR_CANTCREAT);
    if (!strstr(err_text(), why))
        fail_msg("'%s' does not say '%s'", err_text(), why);
}

/* Nothing is left beside what is meant to be there. */
static void no_temporary(void)
{
    char command[300];

    snprintf(command, sizeof command, "! ls -a '%s' | grep -q tmp-", directory);
    assert_int_equal(system(command), 0);
}

static void test_file_keeps_its_mode(void **unused)
{
    static const mode_t modes[] = {0600, 0640, 0664, 0666, 0755};

    (void)unused;
    for (size_t i = 0; i < sizeof modes / sizeof *modes; i++) {
        put(at("kept"), "old, and longer");
        chmod(at("kept"), modes[i]);
        ino_t old = seen(at("kept")).st_ino;
        writes(at("kept"), "new");
        holds(at("kept"), "new");
        assert_int_equal(seen(at("kept")).st_mode, S_IFREG | modes[i]);
        assert_true(seen(at("kept")).st_ino != old);
    }
    no_temporary();
}

static void test_new_file_has_the_umask(void **unused)
{
    mode_t old = umask(027);

    (void)unused;
    writes(at("fresh"), "new");
    umask(old);
    assert_int_equal(seen(at("fresh")).st_mode, S_IFREG | 0640);
}

static void test_owner_stays(void **unused)
{
    (void)unused;
    if (geteuid() != 0)
        skip();
    put(at("owned"), "old");
    assert_int_equal(chown(at("owned"), 1234, 2345), 0);
    chmod(at("owned"), 0640);
    writes(at("owned"), "new");
    assert_int_equal(seen(at("owned")).st_uid, 1234);
    assert_int_equal(seen(at("owned")).st_gid, 2345);
    assert_int_equal(seen(at("owned")).st_mode, S_IFREG | 0640);
}

static void test_link_stays(void **unused)
{
    (void)unused;
    mkdir(at("far"), 0777);
    put(at("far/target"), "old");
    assert_int_equal(symlink("target", at("far/second")), 0);
    assert_int_equal(symlink("far/second", at("link")), 0); /* relative to where it lies */
    writes(at("link"), "new");
    assert_true(S_ISLNK(seen(at("link")).st_mode) && S_ISLNK(seen(at("far/second")).st_mode));
    assert_true(S_ISREG(seen(at("far/target")).st_mode));
    holds(at("far/target"), "new");
    assert_int_equal(symlink(at("far/absolute"), at("dangling")), 0);
    writes(at("dangling"), "made");
    assert_true(S_ISLNK(seen(at("dangling")).st_mode));
    holds(at("far/absolute"), "made");
    no_temporary();
}

static void test_links_that_lead_nowhere(void **unused)
{
    (void)unused;
    assert_int_equal(symlink("loop-b", at("loop-a")), 0);
    assert_int_equal(symlink("loop-a", at("loop-b")), 0);
    refuses(at("loop-a"), "symbolic links");
    assert_int_equal(symlink("no/such/file", at("nowhere")), 0);
    refuses(at("nowhere"), "No such file");
    assert_true(S_ISLNK(seen(at("nowhere")).st_mode));
}

static void test_directory_is_refused(void **unused)
{
    (void)unused;
    mkdir(at("folder"), 0777);
    assert_int_equal(symlink("folder", at("to-folder")), 0);
    refuses(at("folder"), "it is a directory");
    refuses(at("folder/"), "it is a directory");
    refuses(at("to-folder"), "it is a directory");
    assert_int_equal(outfile_stream(at("folder")), ERR_CANTCREAT);
    assert_non_null(strstr(err_text(), "it is a directory"));
    no_temporary();
}

static void test_hard_link_keeps_the_old(void **unused)
{
    (void)unused;
    put(at("one"), "old");
    assert_int_equal(link(at("one"), at("other")), 0);
    writes(at("one"), "new");
    holds(at("one"), "new");
    holds(at("other"), "old");
}

static void test_device_stays(void **unused)
{
    struct stat st;

    (void)unused;
    if (mknod(at("null"), S_IFCHR | 0666, makedev(1, 3)) != 0 || chmod(at("null"), 0646) != 0) {
        print_message("mknod is not permitted\n");
        skip();
    }
    int fd = open(at("null"), O_WRONLY);
    if (fd < 0) { /* on a file system without devices */
        print_message("devices are not permitted in /tmp\n");
        skip();
    }
    close(fd);
    writes(at("null"), "gone");
    st = seen(at("null"));
    assert_true(S_ISCHR(st.st_mode) && st.st_rdev == makedev(1, 3));
    assert_int_equal(st.st_mode & 07777, 0646);
    assert_int_equal(symlink("null", at("to-null")), 0);
    writes(at("to-null"), "gone");
    assert_true(S_ISLNK(seen(at("to-null")).st_mode) && S_ISCHR(seen(at("null")).st_mode));
    assert_false(outfile_replaces(at("null")));
    no_temporary();
}

static void *fifo_read(void *path)
{
    static char got[100];
    FILE *f = fopen(path, "r");

    got[f ? fread(got, 1, sizeof got - 1, f) : 0] = '\0';
    if (f)
        fclose(f);
    return got;
}

static void test_fifo_is_written(void **unused)
{
    pthread_t reader;
    void *got;

    (void)unused;
    assert_int_equal(mkfifo(at("fifo"), 0600), 0);
    pthread_create(&reader, NULL, fifo_read, at("fifo"));
    writes(at("fifo"), "through");
    pthread_join(reader, &got);
    assert_string_equal(got, "through");
    assert_int_equal(seen(at("fifo")).st_mode, S_IFIFO | 0600);
    assert_true(outfile_replaces(at("kept")) && outfile_replaces(at("not there")));
    no_temporary();
}

/* What a shell redirected: added to, not emptied, not replaced. */
static void test_descriptor_is_added_to(void **unused)
{
    static const char *const forms[] = {"/dev/fd/%d", "/proc/self/fd/%d",
                                        "/proc/thread-self/fd/%d"};
    char path[64];
    int fd = open(at("log"), O_WRONLY | O_CREAT | O_TRUNC, 0666), stream;

    (void)unused;
    assert_int_equal(write(fd, "head ", 5), 5);
    for (size_t i = 0; i < sizeof forms / sizeof *forms; i++) {
        snprintf(path, sizeof path, forms[i], fd);
        writes(path, "whole ");
    }
    snprintf(path, sizeof path, forms[0], fd);
    unlink(at("to-fd"));
    assert_int_equal(symlink(path, at("to-fd")), 0);
    writes(at("to-fd"), "linked ");
    stream = outfile_stream(path);
    assert_true(stream >= 0 && stream != fd);
    assert_int_equal(write(stream, "grown", 5), 5);
    close(stream);
    close(fd);
    holds(at("log"), "head whole whole whole linked grown");
    assert_false(outfile_replaces(path));
    refuses(path, "Bad file descriptor");
}

static void test_stdout_that_is_a_pipe(void **unused)
{
    int ends[2], saved = dup(STDOUT_FILENO), error_saved = dup(STDERR_FILENO);
    char got[20] = "";

    (void)unused;
    fflush(stdout);
    assert_int_equal(symlink("/proc/self/fd/1", at("stdout")), 0); /* twins of those in /dev */
    assert_int_equal(symlink("/proc/self/fd/2", at("stderr")), 0);
    assert_int_equal(pipe(ends), 0);
    dup2(ends[1], STDOUT_FILENO);
    dup2(ends[1], STDERR_FILENO);
    int code = outfile_whole(at("stdout"), "out", 3),
        code_2 = outfile_whole(at("stderr"), "err", 3);
    dup2(saved, STDOUT_FILENO);
    dup2(error_saved, STDERR_FILENO);
    close(saved);
    close(error_saved);
    close(ends[1]);
    assert_int_equal(code, 0);
    assert_int_equal(code_2, 0);
    assert_int_equal(read(ends[0], got, sizeof got - 1), 6);
    assert_string_equal(got, "outerr");
    close(ends[0]);
}

static void test_stream_empties_a_file_and_keeps_it(void **unused)
{
    (void)unused;
    put(at("grows"), "old, and longer");
    chmod(at("grows"), 0604);
    ino_t old = seen(at("grows")).st_ino;
    int fd = outfile_stream(at("grows"));

    assert_true(fd >= 0 && (fcntl(fd, F_GETFD) & FD_CLOEXEC));
    assert_int_equal(write(fd, "new", 3), 3);
    close(fd);
    holds(at("grows"), "new");
    assert_true(seen(at("grows")).st_ino == old);
    assert_int_equal(seen(at("grows")).st_mode, S_IFREG | 0604);
}

/* As a user other than root: protected files stay, files that may be written are written. */
static void test_permissions(void **unused)
{
    bool root = geteuid() == 0;

    (void)unused;
    mkdir(at("closed"), 0777);
    chmod(directory, 0755);
    put(at("closed/open"), "old, and longer");
    put(at("closed/shut"), "old");
    chmod(at("closed/open"), 0666);
    chmod(at("closed/shut"), 0444);
    chmod(at("closed"), 0555);
    if (root)
        assert_int_equal(seteuid(65534), 0);
    int code = outfile_whole(at("closed/open"), "new", 3),
        shut = outfile_whole(at("closed/shut"), "new", 3);
    int fresh = outfile_whole(at("closed/fresh"), "new", 3);
    if (root)
        assert_int_equal(seteuid(0), 0);
    chmod(at("closed"), 0777);
    assert_int_equal(code, 0);
    assert_int_equal(shut, ERR_CANTCREAT);
    assert_int_equal(fresh, ERR_CANTCREAT);
    holds(at("closed/open"), "new");
    holds(at("closed/shut"), "old");
}

static void test_long_name(void **unused)
{
    char name[256];

    (void)unused;
    memset(name, 'n', 255);
    name[255] = '\0';
    char path[600];
    snprintf(path, sizeof path, "%s/%s", directory, name);
    writes(path, "new");
    holds(path, "new");
    no_temporary();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_file_keeps_its_mode),
        cmocka_unit_test(test_new_file_has_the_umask),
        cmocka_unit_test(test_owner_stays),
        cmocka_unit_test(test_link_stays),
        cmocka_unit_test(test_links_that_lead_nowhere),
        cmocka_unit_test(test_directory_is_refused),
        cmocka_unit_test(test_hard_link_keeps_the_old),
        cmocka_unit_test(test_device_stays),
        cmocka_unit_test(test_fifo_is_written),
        cmocka_unit_test(test_descriptor_is_added_to),
        cmocka_unit_test(test_stdout_that_is_a_pipe),
        cmocka_unit_test(test_stream_empties_a_file_and_keeps_it),
        cmocka_unit_test(test_permissions),
        cmocka_unit_test(test_long_name),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
