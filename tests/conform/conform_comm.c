/* conform_comm.c - every transport keeps the contract of proto/comm/comm.h, and wrong ones are
 * rejected.
 *
 *     conform_comm              transports of one process, and the wrong ones; ranks are threads
 *     conform_comm NAME FILE    under a launcher: this process is one rank of transport NAME; FILE,
 *                               which is made, is where the ranks meet
 *     conform_comm NAME death   the same with a rank that is killed */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <fcntl.h>
#include <mpi.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include "core/sim/fiber.h"
#include "tests/lib/comm_broken.h"

enum { LIMIT = 30 }; /* seconds */

/* Without it the sanitizer ends a program that asks for 2^62 bytes. */
const char *__asan_default_options(void);

const char *__asan_default_options(void)
{
    return "allocator_may_return_null=1";
}

/* ---- ranks as threads, in a process of their own, because what is wrong may never end ---- */

static pthread_barrier_t barrier;

static void meet_threads(void)
{
    pthread_barrier_wait(&barrier);
}

/* How often this thread has gone to sleep. */
static long thread_sleeps(void)
{
    struct rusage u;

    getrusage(RUSAGE_THREAD, &u);
    return u.ru_nvcsw;
}

struct rank {
    const struct script *script;
    struct comm comm;
    double limit;
    int out; /* the reason of the first rank that fails */
};

/* The other ranks may be waiting for this one: a failure ends them all. */
static void rank_fail(int out)
{
    if (write(out, err_text(), strlen(err_text())) < 0)
        _exit(2);
    _exit(1);
}

static void *rank_thread(void *context)
{
    struct rank *r = context;
    struct scene s = {&r->comm, meet_threads, meet_threads, r->limit, thread_sleeps};

    if (r->script->play(&s) < 0)
        rank_fail(r->out);
    comm_close(&r->comm);
    return NULL;
}

/* ops: NULL, or those to use instead of the transport's. */
static void play_threads(const char *transport, const struct comm_ops *ops,
                         const struct script *script, double limit, int out)
{
    struct comm ends[RANKS];
    struct rank ranks[RANKS];
    pthread_t threads[RANKS];

    pthread_barrier_init(&barrier, NULL, RANKS);
    if (comm_open(transport, ends, RANKS) < 0)
        rank_fail(out);
    for (int i = 0; i < RANKS; i++) {
        ranks[i] = (struct rank){script, ends[i], limit, out};
        ranks[i].comm.ops = ops ? ops : ends[i].ops;
        if (pthread_create(&threads[i], NULL, rank_thread, &ranks[i]) != 0)
            _exit(2);
    }
    for (int i = 0; i < RANKS; i++)
        pthread_join(threads[i], NULL);
    _exit(0);
}

/* ---- ranks as fibers, whose time is virtual ---- */

static struct fiber *met[RANKS]; /* those that wait for the others */
static int n_met;

static void meet_fibers(void)
{
    met[n_met++] = fiber_running();
    if (n_met < RANKS) {
        fiber_wait();
        return;
    }
    for (int i = 0; i < RANKS - 1; i++)
        fiber_wake(met[i], fiber_now());
    n_met = 0;
}

/* An idle that sleeps takes time, 10 us at least; one that was poked takes none. */
static long fiber_sleeps(void)
{
    return (long)(fiber_now() / 10000);
}

static void rank_fiber(void *context)
{
    struct rank *r = context;
    struct scene s = {&r->comm, meet_fibers, meet_fibers, r->limit, fiber_sleeps};

    if (r->script->play(&s) < 0)
        rank_fail(r->out);
    comm_close(&r->comm);
}

static void play_fibers(const char *transport, const struct script *script, double limit, int out)
{
    struct comm ends[RANKS];
    struct rank ranks[RANKS];

    fibers_open();
    if (comm_open(transport, ends, RANKS) < 0)
        rank_fail(out);
    for (int i = 0; i < RANKS; i++) {
        ranks[i] = (struct rank){script, ends[i], limit, out};
        if (fiber_start(rank_fiber, &ranks[i], "host") < 0)
            rank_fail(out);
    }
    if (fibers_run() < 0)
        rank_fail(out);
    fibers_close();
    _exit(0);
}

/* What the process says before it ends: "" if nothing. */
static void hear_process(int in, double limit, char *text, size_t n)
{
    struct pollfd p = {in, POLLIN, 0};
    ssize_t got = -1;

    if (poll(&p, 1, (int)(limit * 1000)) > 0)
        got = read(in, text, n - 1);
    text[got > 0 ? got : 0] = '\0';
    if (got < 0)
        snprintf(text, n, "the script does not end");
}

/* 0, or ERR_FAILED with what was wrong. limit, end: seconds that a message and the script may
 * take. */
static int play(const char *transport, const struct comm_ops *ops, const struct script *script,
                double limit, double end)
{
    char text[256];
    int ends[2], status;
    pid_t child;

    assert_int_equal(pipe(ends), 0);
    fflush(NULL);
    child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        close(ends[0]);
        if (strcmp(transport, "sim") == 0)
            play_fibers(transport, script, limit, ends[1]);
        play_threads(transport, ops, script, limit, ends[1]);
    }
    close(ends[1]);
    hear_process(ends[0], end, text, sizeof text);
    close(ends[0]);
    if (*text)
        kill(child, SIGKILL);
    waitpid(child, &status, 0);
    if (!*text && status == 0)
        return 0;
    return err(ERR_FAILED, "%s, %s: %s", transport, script->name,
               *text ? text : "the process ended badly");
}

static int play_all(const char *transport, const struct comm_ops *ops, double limit, double end)
{
    for (int i = 0; i < SCRIPTS; i++)
        TRY(play(transport, ops, &scripts[i], limit, end));
    return 0;
}

static void test_table(void **state)
{
    int n = 0;

    (void)state;
    for (const struct comm_ops *const *ops = comm_table; *ops; ops++) {
        if (!(*ops)->one_process)
            continue;
        n++;
        if (play_all((*ops)->name, NULL, LIMIT, 2 * LIMIT) < 0)
            fail_msg("%s", err_text());
    }
    assert_true(n > 0);
}

static void test_broken(void **state)
{
    (void)state;
    right = table_find(comm_table, "local");
    for (int i = 0; i < FLAWS; i++) {
        const struct flaw *f = &flaws[i];
        struct comm_ops ops = flawed_ops(f);
        int code = play_all("local", &ops, f->hear, f->end);

        if (!f->expected && code < 0)
            fail_msg("rejects the right one: %s", err_text());
        if (f->expected && code == 0)
            fail_msg("accepts one that %s", f->name);
        if (f->expected && !strstr(err_text(), f->expected))
            fail_msg("one that %s is rejected for another reason: %s", f->name, err_text());
    }
}

static void test_open(void **state)
{
    struct comm ends[1];

    (void)state;
    assert_int_equal(comm_open("locla", ends, 1), ERR_USAGE);
    assert_non_null(strstr(err_text(), "unknown transport 'locla', did you mean 'local'?"));
    assert_int_equal(comm_open("local", ends, 1), 0);
    assert_true(comm_is_local(&ends[0]));
    assert_int_equal(ends[0].rank, 0);
    assert_int_equal(ends[0].size, 1);
    comm_close(&ends[0]);
    comm_close(&ends[0]); /* does nothing */
}

/* ---- ranks as processes: a line for each script that all of them have played ---- */

static void meet_processes(void)
{
    MPI_Barrier(MPI_COMM_WORLD);
}

static pthread_barrier_t *shared; /* in memory of all ranks */

/* Without MPI, which would move messages while it waits. */
static void meet_still(void)
{
    pthread_barrier_wait(shared);
}

/* All ranks are processes of one host. */
static void shared_open(const char *path)
{
    pthread_barrierattr_t across;
    int rank, file = open(path, O_RDWR | O_CREAT, 0600);

    if (file < 0 || ftruncate(file, sizeof *shared) != 0)
        MPI_Abort(MPI_COMM_WORLD, 1);
    shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    if (rank == 0) {
        pthread_barrierattr_init(&across);
        pthread_barrierattr_setpshared(&across, PTHREAD_PROCESS_SHARED);
        pthread_barrier_init(shared, &across, RANKS);
    }
    meet_processes();
}

/* What was sent to a rank that had closed is no part of the next script. */
static void drain(void)
{
    int found = 1;

    meet_processes();
    for (int quiet = 0; quiet < 1000; quiet = found ? 0 : quiet + 1) {
        MPI_Message handle;
        MPI_Status status;
        int n;

        MPI_Improbe(MPI_ANY_SOURCE, MPI_ANY_TAG, MPI_COMM_WORLD, &found, &handle, &status);
        if (!found)
            continue;
        MPI_Get_count(&status, MPI_BYTE, &n);
        void *bytes = malloc((size_t)n);
        MPI_Mrecv(bytes, n, MPI_BYTE, &handle, MPI_STATUS_IGNORE);
        free(bytes);
    }
    meet_processes();
}

/* The last rank is killed when it has heard the others, who go on and are not told. */
static int play_death(const struct scene *s)
{
    struct message m;

    if (s->c->rank < RANKS - 1) {
        TRY(tell(s, RANKS - 1, 0, 1));
        return play_without(s, NULL);
    }
    for (int i = 0; i < RANKS - 1; i++)
        TRY(hear(s, &m));
    return raise(SIGKILL);
}

static void nobody(void)
{
}

static int report(const struct comm *c, const char *name, int code)
{
    if (code < 0)
        printf("not ok - %s: rank %d: %s\n", name, c->rank, err_text());
    else
        printf("ok - %s\n", name);
    fflush(stdout);
    return code;
}

static void play_processes(const char *transport)
{
    struct comm c, other;

    if (comm_open(transport, &other, 2) != ERR_USAGE)
        err(ERR_FAILED, "two ranks in one process are not refused"), report(&other, "open", -1);
    for (int i = 0; i < SCRIPTS; i++) {
        struct scene s = {&c, meet_processes, meet_still, LIMIT, thread_sleeps};
        int code = comm_open(transport, &c, 1);

        code = code < 0 ? code : scripts[i].play(&s);
        if (report(&c, scripts[i].name, code) < 0)
            MPI_Abort(MPI_COMM_WORLD, 1);
        comm_close(&c);
        drain();
    }
}

static void play_death_here(const char *transport)
{
    struct comm c;
    struct scene s = {&c, nobody, nobody, LIMIT, thread_sleeps};

    if (comm_open(transport, &c, 1) < 0)
        MPI_Abort(MPI_COMM_WORLD, 1);
    if (report(&c, "a rank is killed", play_death(&s)) == 0)
        comm_close(&c);
    _exit(0); /* MPI_Finalize would wait for the dead */
}

static int rank_main(int argc, char **argv)
{
    int provided;

    alarm(3 * LIMIT);
    MPI_Init_thread(&argc, &argv, MPI_THREAD_FUNNELED, &provided);
    if (argc != 3)
        MPI_Abort(MPI_COMM_WORLD, 1);
    if (strcmp(argv[2], "death") == 0)
        play_death_here(argv[1]);
    shared_open(argv[2]);
    play_processes(argv[1]);
    MPI_Finalize();
    return 0;
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_open),
        cmocka_unit_test(test_table),
        cmocka_unit_test(test_broken),
    };

    if (argc > 1)
        return rank_main(argc, argv);
    return cmocka_run_group_tests_name("conform_comm", tests, NULL, NULL);
}
