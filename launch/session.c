/* session.c - runs a command (mpirun) in a session of its own and leaves nothing of it behind.
 *
 *   metaloop-session [--pid FILE] [--end FILE] COMMAND [ARGUMENT]...
 *
 * Ctrl-C in the terminal does not reach the command; SIGTERM, SIGUSR1, ... to this program are
 * passed on to it, and so is the death of the parent, as SIGUSR1: the run saves and ends. Its
 * standard error passes through noise.h. When the command has ended, or has not obeyed SIGTERM
 * in time, or at SIGINT at once, all that it has started is ended, whatever session or group
 * that is in. The exit status is the command's, 128 and the number if a signal killed it; the
 * file of --end says which of the two: "exit NUMBER" or "signal NUMBER". That of --pid has the
 * command's process. */
#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "launch/noise.h"

enum {
    OBEY = 4,       /* seconds to end after SIGTERM */
    HELD = 100,     /* milliseconds to wait for the rest of a line that may be noise */
    GRACE = 5000,   /* milliseconds in which the command's children may end by themselves */
    STEP = 20,      /* milliseconds between checks for that */
    FAILED = 71,    /* this program itself could not do its work */
    NOT_FOUND = 127 /* the statuses that a shell uses */
};

static const int taken[] = {SIGCHLD, SIGALRM, SIGTERM, SIGINT, SIGHUP, SIGUSR1, SIGUSR2};

struct session {
    pid_t parent, command;
    int errors, signals; /* file descriptors; errors is -1 at the end of the stream */
    int status;          /* of the command; -1: it is running */
    bool killed;         /* by a signal */
    bool hard;           /* end all processes at once */
    bool gone;           /* standard error has no reader; the run goes on */
    struct noise_filter noise;
};

static void take_signal(struct session *s);

/* Waits for a reader that is slow (a terminal that was stopped) and goes on taking signals. */
static void write_all(void *context, const char *text, size_t n)
{
    struct session *s = context;

    while (n > 0 && !s->gone && !s->hard) {
        struct pollfd fd[2] = {{STDERR_FILENO, POLLOUT, 0}, {s->signals, POLLIN, 0}};
        ssize_t k = 0;

        poll(fd, 2, -1);
        if (fd[1].revents)
            take_signal(s);
        if (fd[0].revents)
            k = write(STDERR_FILENO, text, n < PIPE_BUF ? n : PIPE_BUF);
        s->gone = k < 0 && errno != EINTR && errno != EAGAIN;
        text += k > 0 ? k : 0;
        n -= k > 0 ? (size_t)k : 0;
    }
}

/* The command, with its standard error in a pipe; its process, or -1. */
static pid_t spawn(char **command, const sigset_t *before, int *errors)
{
    int fd[2];
    pid_t parent = getpid(), pid;

    if (pipe(fd) < 0)
        return -1;
    pid = fork();
    if (pid != 0) {
        close(fd[1]);
        *errors = fd[0];
        return pid;
    }
    dup2(fd[1], STDERR_FILENO);
    close(fd[0]);
    close(fd[1]);
    prctl(PR_SET_PDEATHSIG, SIGUSR1);
    for (size_t i = 0; i < sizeof taken / sizeof *taken; i++)
        signal(taken[i], SIG_DFL);
    signal(SIGPIPE, SIG_DFL);
    sigprocmask(SIG_SETMASK, before, NULL);
    if (getppid() == parent)
        execvp(command[0], command);
    fprintf(stderr, "metaloop-session: cannot run '%s': %s\n", command[0], strerror(errno));
    _exit(NOT_FOUND);
}

/* The processes that the command left behind are now children of this one (a subreaper). Sends a
 * signal to each; returns their number. */
static int children(int signal)
{
    FILE *f = fopen("/proc/thread-self/children", "re");
    int pid, n = 0;

    if (!f)
        return 0;
    for (; fscanf(f, "%d", &pid) == 1; n++)
        kill(pid, signal);
    fclose(f);
    return n;
}

/* True if the parent died before the ranks started (METALOOP_STARTED): then the command is
 * ended. */
static bool is_orphaned_early(const struct session *s)
{
    const char *started = getenv("METALOOP_STARTED");

    return getppid() != s->parent && started && access(started, F_OK) != 0;
}

/* Collects the children that have ended; keeps the command's status if it is among them. */
static void collect(struct session *s)
{
    int status;
    pid_t pid;

    while ((pid = waitpid(-1, &status, WNOHANG)) > 0)
        if (pid == s->command) {
            s->killed = !WIFEXITED(status);
            s->status = s->killed ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
        }
}

/* Reads what is available; false: end of the stream. */
static bool relay(int errors, struct noise_filter *noise)
{
    char text[65536];
    ssize_t n = read(errors, text, sizeof text);

    if (n > 0)
        noise_feed(noise, text, (size_t)n);
    return n > 0 || (n < 0 && errno == EINTR);
}

static void take_signal(struct session *s)
{
    struct signalfd_siginfo info;

    if (read(s->signals, &info, sizeof info) != sizeof info)
        return;
    if (info.ssi_signo == SIGCHLD) {
        collect(s);
        return;
    }
    if (info.ssi_signo == SIGTERM || (info.ssi_signo == SIGUSR1 && is_orphaned_early(s)))
        alarm(OBEY);
    s->hard |= info.ssi_signo == SIGALRM || info.ssi_signo == SIGINT;
    if (s->status < 0)
        kill(s->command, s->hard ? SIGKILL : (int)info.ssi_signo);
}

/* Waits for text, a signal or the timeout; passes on text and signals. */
static void look(struct session *s, int timeout)
{
    struct pollfd fd[2] = {{s->signals, POLLIN, 0}, {s->errors, POLLIN, 0}};
    int n = poll(fd, s->errors < 0 ? 1 : 2, timeout);

    if (n == 0)
        noise_flush(&s->noise);
    if (n > 0 && s->errors >= 0 && fd[1].revents && !relay(s->errors, &s->noise)) {
        close(s->errors);
        s->errors = -1;
    }
    if (n > 0 && fd[0].revents)
        take_signal(s);
}

/* The command has ended. Its children get some time, then they are killed. */
static void end_others(struct session *s)
{
    struct pollfd fd = {s->errors, POLLIN, 0};
    int passed = 0;

    while (collect(s), children(0) > 0) {
        if (passed >= GRACE || s->hard)
            children(SIGKILL);
        look(s, STEP);
        passed += STEP;
    }
    while (s->errors >= 0 && poll(&fd, 1, 0) > 0 && relay(s->errors, &s->noise))
        ;
    noise_flush(&s->noise);
}

static void open_signals(struct session *s, sigset_t *before)
{
    sigset_t set;

    sigemptyset(&set);
    for (size_t i = 0; i < sizeof taken / sizeof *taken; i++)
        sigaddset(&set, taken[i]);
    sigprocmask(SIG_BLOCK, &set, before);
    s->signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    signal(SIGPIPE, SIG_IGN);
}

/* Writes a line. A failure is reported and has no other consequence. */
static void write_file(const char *path, const char *text, int number)
{
    FILE *f = path ? fopen(path, "we") : NULL;

    if (f)
        fprintf(f, "%s%d\n", text, number);
    if (path && (!f || fclose(f) != 0))
        fprintf(stderr, "metaloop-session: cannot write '%s': %s\n", path, strerror(errno));
}

/* The command's place among the arguments; argc if there is none. */
static int read_options(int argc, char **argv, const char **pid, const char **end)
{
    int i = 1;

    for (; i + 1 < argc && strncmp(argv[i], "--", 2) == 0; i += 2)
        if (strcmp(argv[i], "--pid") == 0)
            *pid = argv[i + 1];
        else if (strcmp(argv[i], "--end") == 0)
            *end = argv[i + 1];
        else
            return argc;
    return i;
}

int main(int argc, char **argv)
{
    const char *pid = NULL, *end = NULL;
    int first = read_options(argc, argv, &pid, &end);
    char **command = argv + first;
    struct session s = {
        .parent = getppid(), .status = -1, .noise = {.write = write_all, .context = &s}};
    sigset_t before;

    if (first >= argc) {
        fprintf(stderr,
                "usage: metaloop-session [--pid FILE] [--end FILE] COMMAND [ARGUMENT]...\n");
        return 64;
    }
    s.noise.terminal = isatty(STDERR_FILENO);
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    prctl(PR_SET_PDEATHSIG, SIGUSR1);
    setsid();
    open_signals(&s, &before);
    s.command = s.signals < 0 ? -1 : spawn(command, &before, &s.errors);
    if (s.command < 0) {
        fprintf(stderr, "metaloop-session: cannot start '%s': %s\n", command[0], strerror(errno));
        return FAILED;
    }
    write_file(pid, "", s.command);
    while (s.status < 0)
        look(&s, noise_holds(&s.noise) ? HELD : -1);
    end_others(&s);
    write_file(end, s.killed ? "signal " : "exit ", s.killed ? s.status - 128 : s.status);
    return s.status;
}
