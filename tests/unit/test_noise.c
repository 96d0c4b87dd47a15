/* test_noise.c - Open MPI's noise is taken out of standard error and nothing else is: recorded
 * noise, in one piece and byte by byte, between lines, behind a bar, and texts that look like
 * it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "launch/noise.h"

#define RULE_LINE "--------------------------------------------------------------------------\n"
#define ABORT                                                                                      \
    RULE_LINE "MPI_ABORT was invoked on rank 0 in communicator MPI_COMM_WORLD\n"                   \
              "with errorcode 75.\n"                                                               \
              "\n"                                                                                 \
              "NOTE: invoking MPI_ABORT causes Open MPI to kill all MPI processes.\n"              \
              "You may or may not see output from other processes, depending on\n"                 \
              "exactly when Open MPI kills them.\n" RULE_LINE
#define EXITED                                                                                     \
    RULE_LINE "Primary job  terminated normally, but 1 process returned\n"                         \
              "a non-zero exit code. Per user-direction, the job has been aborted.\n" RULE_LINE
#define DETECTED                                                                                   \
    RULE_LINE "mpirun detected that one or more processes exited with non-zero status, thus "      \
              "causing\nthe job to be terminated. The first process to do so was:\n\n"             \
              "  Process name: [[26339,1],0]\n  Exit code:    78\n" RULE_LINE
#define BAD_PARAM                                                                                  \
    "[vm:06993] PMIX ERROR: BAD-PARAM in file ../../../src/event/pmix_event_notification.c at "    \
    "line 1033\n"
#define UNREACHABLE                                                                                \
    "[node7.cluster:123] PMIX ERROR: UNREACHABLE in file ../../../src/server/pmix_server.c at "    \
    "line 2198\n"
#define FORWARDING "mpirun: Forwarding signal 10 to job\n"
#define AGGREGATE                                                                                  \
    "[vm:06993] 2 more processes have sent help message help-mpi-api.txt / mpi-abort\n"            \
    "[vm:06993] Set MCA parameter \"orte_base_help_aggregate\" to 0 to see all help / error "      \
    "messages\n"
#define NO_DAEMON                                                                                  \
    RULE_LINE "ORTE was unable to reliably start one or more daemons.\nThis usually is caused "    \
              "by:\n\n* not finding the required libraries\n" RULE_LINE
#define KILLED                                                                                     \
    RULE_LINE "mpirun noticed that process rank 1 with PID 0 on node vm exited on signal 9 "       \
              "(Killed).\n" RULE_LINE
#define BAR "\rmeta 3/10 \342\224\201\342\225\270  loss 1.2345  0:12 left\033[K"

static char passed[1 << 16];
static size_t n_passed;

static void keep(void *context, const char *text, size_t n)
{
    (void)context;
    assert_true(n_passed + n < sizeof passed);
    memcpy(passed + n_passed, text, n);
    n_passed += n;
    passed[n_passed] = '\0';
}

/* Feeds the text in pieces of so many bytes; what has passed. */
static const char *through(const char *text, size_t piece, bool terminal)
{
    struct noise_filter z = {.write = keep, .terminal = terminal};
    size_t n = strlen(text);

    n_passed = 0;
    passed[0] = '\0';
    for (size_t i = 0; i < n; i += piece)
        noise_feed(&z, text + i, n - i < piece ? n - i : piece);
    noise_flush(&z);
    assert_false(noise_holds(&z));
    return passed;
}

static void expect(const char *text, const char *wanted)
{
    static const size_t pieces[] = {1, 2, 3, 7, 64, 4096};

    for (size_t i = 0; i < sizeof pieces / sizeof *pieces; i++)
        assert_string_equal(through(text, pieces[i], false), wanted);
}

static void noise_goes(void **state)
{
    static const char *const all[] = {ABORT,       EXITED,     DETECTED,  BAD_PARAM,
                                      UNREACHABLE, FORWARDING, AGGREGATE, ABORT BAD_PARAM ABORT};
    char text[8192], wanted[8192];

    (void)state;
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        expect(all[i], "");
        snprintf(text, sizeof text, "one\n%stwo\n%s%sthree", all[i], all[i], all[i]);
        expect(text, "one\ntwo\nthree");
        snprintf(text, sizeof text, BAR "%s" BAR "%s", all[i], all[i]);
        expect(text, BAR BAR);
        snprintf(text, sizeof text, NO_DAEMON "%s" KILLED "%s", all[i], all[i]);
        snprintf(wanted, sizeof wanted, NO_DAEMON KILLED);
        expect(text, wanted);
    }
}

static void all_else_passes(void **state)
{
    static const char *const all[] = {
        "meta  round 3\n",
        "mpirun: command not found\n",
        "mpirun was unable to find the executable\n",
        NO_DAEMON,
        KILLED,
        RULE_LINE,
        RULE_LINE RULE_LINE RULE_LINE,
        RULE_LINE "a table\n" RULE_LINE "of mine\n" RULE_LINE,
        "---\n- - -\n[1] 3\n[vm:1] something else\n[vm:1] PMIX ERROR: NOT-FOUND in file a.c\n",
        "MPI_ABORT was invoked on rank 0 in communicator MPI_COMM_WORLD\n",
        "PMIX\nmpirun\n[\n\n\n",
        "a text about PMIX ERROR: BAD-PARAM in file x\n",
        "\033[31mred\033[0m\r\n\tx\001\002\377\n",
        "no end of the line",
        "[no end",
        "------",
        BAR "warning: rank 3 is slow\n" BAR "\r\033[Kdone\n",
        "[host][[1,2],3][btl_tcp_frag.c:241:mca_btl_tcp_frag_recv] peer unexpectedly "
        "disconnected\n",
    };

    (void)state;
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        expect(all[i], all[i]);
}

/* What is no noise is there at once, not when its line ends. */
static void a_bar_does_not_wait(void **state)
{
    struct noise_filter z = {.write = keep};

    (void)state;
    n_passed = 0;
    noise_feed(&z, BAR, strlen(BAR));
    assert_string_equal(passed, BAR);
    noise_feed(&z, "warn", 4);
    assert_string_equal(passed, BAR "warn");
    noise_feed(&z, "\n[vm:1] PM", 10);
    assert_string_equal(passed, BAR "warn\n");
    assert_true(noise_holds(&z));
    noise_flush(&z);
    assert_string_equal(passed, BAR "warn\n[vm:1] PM");
    noise_feed(&z, "IX\n" FORWARDING, 3 + strlen(FORWARDING));
    assert_string_equal(passed, BAR "warn\n[vm:1] PMIX\n");
}

/* A line of another rank first clears the bar; rank 0 clears it itself. */
static void lines_beside_a_bar(void **state)
{
    (void)state;
    assert_string_equal(through(BAR "other\n", 5, true), BAR "\r\033[Kother\n");
    assert_string_equal(through(BAR BAR BAD_PARAM BAR, 5, true), BAR BAR BAR);
    assert_string_equal(through(BAR "\r\033[K", 1, true), BAR "\r\033[K");
}

/* A box without an end takes no more than a box has. */
static void box_without_end(void **state)
{
    char text[4096] = RULE_LINE "MPI_ABORT was invoked on rank 0\n";

    (void)state;
    for (int i = 0; i < 40; i++)
        strcat(text, "line\n");
    strcat(text, "last\n");
    assert_non_null(strstr(through(text, 11, false), "line\nlast\n"));
}

static void long_lines(void **state)
{
    char *text = malloc(3 * NOISE_HOLD + 2);

    (void)state;
    memset(text, '-', 3 * NOISE_HOLD);
    strcpy(text + 3 * NOISE_HOLD, "\n");
    assert_string_equal(through(text, 100, false), text);
    text[0] = '[';
    assert_string_equal(through(text, 1, false), text);
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(noise_goes),          cmocka_unit_test(all_else_passes),
        cmocka_unit_test(a_bar_does_not_wait), cmocka_unit_test(lines_beside_a_bar),
        cmocka_unit_test(box_without_end),     cmocka_unit_test(long_lines),
    };

    return cmocka_run_group_tests_name("noise", tests, NULL, NULL);
}
