/* metaloop.c - arguments, MPI's start and end, one verb, one exit status. */
#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <mpi.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/base/err.h"
#include "core/base/machine.h"
#include "core/base/nearest.h"
#include "core/base/table.h"
#include "core/config/config.h"
#include "core/math/blas.h"
#include "launch/exit_report.h"
#include "launch/team.h"
#include "launch/verbs.h"
#include "proto/stream/process.h"
#include "proto/stream/publish.h"
#include "worker/method/table.h"

enum {
    START_LIMIT = 300, /* seconds for MPI to start all ranks */
    END_LIMIT = 30,    /* seconds that a rank waits to be ended after a loss */
};

static int find_verb(const char *name, const struct verb **found)
{
    char hint[NEAREST_HINT];

    *found = table_find(verb_table, name);
    if (*found)
        return 0;
    return err(ERR_USAGE, "unknown verb '%s'%s (metaloop --help lists all)", name,
               table_hint(verb_table, name, hint));
}

static void say_error(int code)
{
    if (code < 0)
        fprintf(stderr, "metaloop: %s\n", err_text());
}

/* Verbs of one process, and all mistakes on the command line, need no MPI. Under mpirun only the
 * first rank speaks. */
static int is_first_rank(void)
{
    const char *rank = getenv("OMPI_COMM_WORLD_RANK");

    return !rank || strcmp(rank, "0") == 0;
}

/* The exit status of the run. Results are printed, the error is reported, the exit report is
 * written. */
static int conclude(int code)
{
    struct exit_report report = {
        .restart = code == ERR_LOST || code == ERR_DAMAGED,
        .lost = team_losses()->hosts,
        .wrong = team_losses()->wrong,
        .run = team_run_id,
    };

    if (fflush(stdout) != 0 && code == 0)
        code = err(ERR_IO, "cannot write to standard output");
    say_error(code);
    report.status = err_exit_status(code);
    report.reason = code < 0 ? err_text() : "done";
    code = exit_report_write(&report);
    say_error(code);
    return report.status ? report.status : err_exit_status(code);
}

/* After a loss MPI_Finalize could wait for ever. The coordinator ends all ranks. A worker waits to
 * be ended, unless it is the coordinator that was lost. */
static void leave(int rank, int code, int status)
{
    if (rank == 0)
        MPI_Abort(MPI_COMM_WORLD, status);
    signal(SIGTERM, SIG_DFL);
    if (code != ERR_LOST)
        sleep(END_LIMIT);
    _exit(err_exit_status(code));
}

static void on_alarm(int signal)
{
    static const char text[] = "metaloop: MPI has not started all ranks in time "
                               "(cluster.start_limit)\n";

    (void)signal;
    (void)!write(STDERR_FILENO, text, sizeof text - 1);
    _exit(1);
}

/* Seconds that MPI may take to start. Only the first rank reads the configuration here; errors in
 * it are reported later. */
static unsigned start_limit(const struct options *o)
{
    struct config c;
    double limit;

    if (!is_first_rank() || config_read(&c, o->places[0], o->sets, o->n_sets, stage_owner) < 0)
        return START_LIMIT;
    limit = c.cluster.start_limit;
    config_release(&c);
    return (unsigned)limit + 1;
}

/* launch/run waits for this file until cluster.start_limit. If the file cannot be written,
 * launch/run reports that ranks have not started. */
static void tell_started(void)
{
    const char *path = getenv("METALOOP_STARTED");
    int fd = path && *path ? open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0666) : -1;

    if (fd >= 0)
        close(fd);
    else if (path && *path)
        fprintf(stderr, "metaloop: cannot write '%s': %s\n", path, strerror(errno));
}

/* A rank that dies while MPI starts would keep the others waiting for ever. */
static int start_mpi(const struct options *o, int *argc, char ***argv)
{
    int provided, rank;

    signal(SIGALRM, on_alarm);
    alarm(start_limit(o));
    MPI_Init_thread(argc, argv, MPI_THREAD_FUNNELED, &provided);
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    alarm(0);
    if (rank == 0)
        tell_started();
    return rank;
}

/* The exit status is the coordinator's; a worker has already reported its error to it. */
static int run_ranks(const struct verb *v, const struct options *o, int *argc, char ***argv)
{
    int rank, code, status = 0;

    team_catch_signals();
    rank = start_mpi(o, argc, argv);
    code = v->run(o);
    if (rank == 0)
        status = conclude(code);
    else if (code == ERR_LOST)
        say_error(code);
    fflush(NULL);
    if (team_losses()->any)
        leave(rank, code, status);
    MPI_Finalize();
    return status;
}

/* What decides the bits of a result besides the configuration. */
static void print_version(void)
{
    char mpi[MPI_MAX_LIBRARY_VERSION_STRING] = "";
    int n = 0;

    MPI_Get_library_version(mpi, &n);
    mpi[strcspn(mpi, ",\n")] = '\0';
    printf("metaloop %s\n", version);
    printf("%s, %s\n%s\n%s\n", REAL_NAME, machine_build(), mpi, openblas_get_config());
}

static int start(int argc, char **argv)
{
    const struct verb *v = NULL;
    struct options o;
    int code;

    if (argc < 2)
        return err(ERR_USAGE, "usage: metaloop VERB ...; try 'metaloop --help'");
    if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0 ||
        strcmp(argv[1], "help") == 0) {
        options_help(verb_table);
        return 0;
    }
    if (strcmp(argv[1], "--version") == 0) {
        print_version();
        return 0;
    }
    TRY(find_verb(argv[1], &v));
    code = options_read(&o, v, argc, argv);
    if (code != 0)
        return code < 0 ? code : 0;
    if (v->ranks)
        exit(run_ranks(v, &o, &argc, &argv));
    return v->run(&o);
}

/* Large blocks are mapped, so that they go back to the system when they are freed. The memory of a
 * process then depends on what it holds now. (glibc would raise the limit with every block that is
 * freed.) */
static void map_large_blocks(void)
{
    mallopt(M_MMAP_THRESHOLD, 1 << 20);
}

int main(int argc, char **argv)
{
    int code;

    map_large_blocks();
    if (argc > 1 && strcmp(argv[1], PROCESS_VERB) == 0)
        return stream_publish(argc, argv); /* no rank, and no exit report */
    code = start(argc, argv);
    /* Every rank of an mpirun sees the same mistake. The first one speaks and exits with its
     * status, the others with 0: a rank that leaves with another status has mpirun end the first
     * before it has spoken. */
    return is_first_rank() ? conclude(code) : 0;
}
