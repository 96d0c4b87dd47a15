/* process.c - starts this program again to serve observers, and watches how it ends. */
#include "proto/stream/process.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "core/base/clock.h"
#include "core/base/err.h"

extern char **environ;

enum { HIGH = 10 }; /* the process gets no files from this number on */

/* ---- what it inherits ---- */

static bool is_left_out(const char *variable)
{
    static const char *const prefixes[] = {
        "OMPI_", "PMIX_", "OPENBLAS_NUM_THREADS=", "GOTO_NUM_THREADS=", "OMP_NUM_THREADS="};

    for (size_t i = 0; i < sizeof prefixes / sizeof *prefixes; i++)
        if (strncmp(variable, prefixes[i], strlen(prefixes[i])) == 0)
            return true;
    return false;
}

/* The environment of the process: it is not a rank, and OpenBLAS, which it links, starts no
 * threads. Texts are borrowed. */
static char **environment_new(void)
{
    static char one[] = "OPENBLAS_NUM_THREADS=1";
    size_t n = 0, kept = 0;
    char **copy;

    while (environ[n])
        n++;
    copy = malloc((n + 2) * sizeof *copy);
    if (!copy)
        return NULL;
    for (size_t i = 0; i < n; i++)
        if (!is_left_out(environ[i]))
            copy[kept++] = environ[i];
    copy[kept++] = one;
    copy[kept] = NULL;
    return copy;
}

/* Gives it its files and no others. words and ring have higher numbers, so no copy overwrites
 * another. */
static int files_plan(posix_spawn_file_actions_t *files, int words, int ring)
{
    int code = posix_spawn_file_actions_addopen(files, 0, "/dev/null", O_RDONLY, 0);

    if (code == 0)
        code = posix_spawn_file_actions_addopen(files, 1, "/dev/null", O_WRONLY, 0);
    if (code == 0)
        code = posix_spawn_file_actions_adddup2(files, words, PROCESS_WORDS);
    if (code == 0)
        code = posix_spawn_file_actions_adddup2(files, ring, PROCESS_RING);
    if (code == 0)
        code = posix_spawn_file_actions_addclosefrom_np(files, PROCESS_RING + 1);
    return code;
}

/* A process group of its own: Ctrl-C, and signals of mpirun to a rank's group, are for the run
 * alone. */
static int attributes_plan(posix_spawnattr_t *how)
{
    sigset_t none, all;
    int code;

    sigemptyset(&none);
    sigfillset(&all);
    code = posix_spawnattr_setflags(how, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK |
                                             POSIX_SPAWN_SETSIGDEF);
    if (code == 0)
        code = posix_spawnattr_setpgroup(how, 0);
    if (code == 0)
        code = posix_spawnattr_setsigmask(how, &none);
    return code == 0 ? posix_spawnattr_setsigdefault(how, &all) : code;
}

static void forget(struct stream_process *p)
{
    if (p->words >= 0)
        close(p->words);
    *p = (struct stream_process){.words = -1};
}

/* ---- start ---- */

static int spawn(pid_t *pid, char *const *arguments, int words, int ring)
{
    char **environment = environment_new();
    posix_spawn_file_actions_t files;
    posix_spawnattr_t how;
    int code = environment ? posix_spawn_file_actions_init(&files) : ENOMEM;

    if (code == 0) {
        posix_spawnattr_init(&how);
        code = files_plan(&files, words, ring);
        if (code == 0)
            code = attributes_plan(&how);
        if (code == 0)
            code = posix_spawn(pid, "/proc/self/exe", &files, &how, arguments, environment);
        posix_spawnattr_destroy(&how);
        posix_spawn_file_actions_destroy(&files);
    }
    free(environment);
    return code;
}

static int spawn_plan(struct stream_process *p, const struct stream_plan *plan, int words, int ring)
{
    char incarnation[24], first[24], name[] = "metaloop", verb[] = PROCESS_VERB;
    const char *const arguments[] = {
        name,          verb,          plan->endpoint,      plan->snapshot, plan->server_key,
        plan->allowed, plan->metrics, plan->source.run_id, incarnation,    first,
        NULL};

    snprintf(incarnation, sizeof incarnation, "%" PRIu64, plan->source.incarnation);
    snprintf(first, sizeof first, "%" PRIu64, plan->first);
    return spawn(&p->pid, (char *const *)arguments, words, ring);
}

static int high_copy(int file)
{
    int high = file < 0 ? -1 : fcntl(file, F_DUPFD_CLOEXEC, HIGH);

    if (file >= 0)
        close(file);
    return high;
}

int stream_process_start(struct stream_process *p, const struct stream_plan *plan, int ring)
{
    int pair[2] = {-1, -1}, copy = fcntl(ring, F_DUPFD_CLOEXEC, HIGH), code = 0;

    forget(p);
    if (copy < 0 || socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) != 0)
        code = errno;
    pair[1] = high_copy(pair[1]);
    if (code == 0)
        code = pair[1] < 0 ? errno : spawn_plan(p, plan, pair[1], copy);
    if (pair[1] >= 0)
        close(pair[1]);
    if (copy >= 0)
        close(copy);
    if (code == 0) {
        p->words = pair[0];
        return 0;
    }
    if (pair[0] >= 0)
        close(pair[0]);
    p->pid = 0;
    return err(ERR_FAILED, "cannot start the process that serves observers: %s", strerror(code));
}

/* ---- words ---- */

int stream_process_hear(struct stream_process *p, struct stream_word *w, double seconds)
{
    double limit = clock_seconds() + seconds, left = seconds;
    struct pollfd at = {.fd = p->words, .events = POLLIN};
    ssize_t n;

    while (p->words >= 0 && poll(&at, 1, left > 0 ? (int)(1e3 * left) + 1 : 0) <= 0) {
        left = limit - clock_seconds();
        if (left <= 0)
            return 0;
    }
    n = p->words < 0 ? 0 : recv(p->words, w, sizeof *w, MSG_DONTWAIT);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return 0;
    if (n != sizeof *w)
        return -1;
    w->text[sizeof w->text - 1] = '\0';
    return 1;
}

/* ---- end ---- */

bool stream_process_ended(struct stream_process *p, int *status)
{
    pid_t pid;

    *status = 0;
    if (p->pid == 0)
        return true;
    pid = waitpid(p->pid, status, WNOHANG);
    if (pid == 0 || (pid < 0 && errno == EINTR))
        return false;
    p->pid = 0; /* if other code has reaped it, its status is unknown */
    return true;
}

void stream_process_finish(struct stream_process *p, double seconds,
                           void (*meanwhile)(void *context), void *context)
{
    double limit = clock_seconds() + seconds;
    int status;

    while (!stream_process_ended(p, &status)) {
        if (clock_seconds() > limit)
            kill(p->pid, SIGKILL);
        if (meanwhile)
            meanwhile(context);
        nanosleep(&(struct timespec){.tv_nsec = 2000000}, NULL);
    }
    forget(p);
}

void stream_process_verdict(int status, char *text, size_t n)
{
    if (WIFSIGNALED(status))
        snprintf(text, n, "was ended by signal %d (%s)", WTERMSIG(status),
                 strsignal(WTERMSIG(status)));
    else
        snprintf(text, n, "ended with status %d", WEXITSTATUS(status));
}
