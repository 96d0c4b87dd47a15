/* run_lock.c - opens the file, locks it, checks that it still has its name, and writes who holds
 * it. */
#include "coordinator/run/run_lock.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "core/base/err.h"
#include "core/base/machine.h"
#include "core/base/outfile.h"

enum { PATH_ROOM = 1280, TEXT_ROOM = 512, ATTEMPTS = 100 };

static void lock_path(const char *directory, char path[PATH_ROOM])
{
    snprintf(path, PATH_ROOM, "%s/" RUN_LOCK, directory);
}

/* Start of the process in clock ticks after boot; 0: not known. */
static unsigned long long start_of(long pid)
{
    char path[64], text[1024], *p;
    unsigned long long start = 0;
    size_t n = 0;
    FILE *f;

    snprintf(path, sizeof path, "/proc/%ld/stat", pid);
    f = fopen(path, "re");
    if (f) {
        n = fread(text, 1, sizeof text - 1, f);
        fclose(f);
    }
    text[n] = '\0';
    p = strrchr(text, ')'); /* the command's name may hold any character */
    if (p && sscanf(p + 1,
                    " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d %*d %*d "
                    "%*d %*d %llu",
                    &start) != 1)
        start = 0;
    return start;
}

/* The value of "KEY=" in the text, without control characters. */
static void line_take(const char *text, const char *key, char *to, size_t n)
{
    const char *at = strstr(text, key);
    size_t i = 0;

    for (at = at ? at + strlen(key) : ""; *at && *at != '\n' && i + 1 < n; at++)
        to[i++] = (unsigned char)*at < 0x20 || *at == 0x7f ? '?' : *at;
    to[i] = '\0';
}

static void holder_read(int fd, struct lock_holder *h)
{
    char text[TEXT_ROOM], number[32];
    ssize_t n = pread(fd, text, sizeof text - 1, 0);

    text[n > 0 ? n : 0] = '\0';
    line_take(text, "run=", h->run_id, sizeof h->run_id);
    line_take(text, "host=", h->host, sizeof h->host);
    line_take(text, "since=", h->since, sizeof h->since);
    line_take(text, "pid=", number, sizeof number);
    h->pid = strtol(number, NULL, 10);
    line_take(text, "start=", number, sizeof number);
    h->start = strtoull(number, NULL, 10);
}

static int refuse(const char *directory, const struct lock_holder *h)
{
    if (h->pid <= 0)
        return err(ERR_CANTCREAT, "'%s' is in use: another process holds '%s/" RUN_LOCK "'",
                   directory, directory);
    return err(
        ERR_CANTCREAT,
        "'%s' is in use: process %ld on host '%s' holds it since %s for run %s; wait for its "
        "end, or --run DIR puts this run elsewhere",
        directory, h->pid, h->host, h->since, h->run_id);
}

/* If the file system has no locks: true if the process that the text names lives on this host. */
static bool holder_lives(const struct lock_holder *h)
{
    char host[64];

    machine_host(host, sizeof host);
    if (h->pid <= 0 || h->pid == getpid() || strcmp(h->host, host) != 0)
        return false;
    if (kill((pid_t)h->pid, 0) != 0 && errno == ESRCH)
        return false;
    return !h->start || start_of(h->pid) == h->start;
}

static bool has_no_locks(int error)
{
    return error == ENOLCK || error == EOPNOTSUPP || error == ENOSYS || error == EINVAL;
}

static int open_file(struct run_lock *l, const char *path)
{
    struct stat st;

    l->fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0666);
    if (l->fd < 0 && (errno == EISDIR || errno == ELOOP))
        return err(ERR_CANTCREAT, "'%s' is not a regular file: remove it", path);
    if (l->fd < 0)
        return err(outfile_code(errno), "cannot open '%s': %s", path, strerror(errno));
    if (fstat(l->fd, &st) != 0 || !S_ISREG(st.st_mode))
        return err(ERR_CANTCREAT, "'%s' is not a regular file: remove it", path);
    return 0;
}

static int lock_file(struct run_lock *l, const char *directory, const char *path,
                     struct lock_holder *holder)
{
    struct flock whole = {.l_type = F_WRLCK, .l_whence = SEEK_SET};

    TRY(open_file(l, path));
    if (fcntl(l->fd, F_OFD_SETLK, &whole) == 0)
        return 0;
    int error = errno;

    l->plain = has_no_locks(error);
    holder_read(l->fd, holder);
    if (error == EAGAIN || error == EACCES || (l->plain && holder_lives(holder)))
        return refuse(directory, holder);
    return l->plain ? 0 : err(outfile_code(error), "cannot lock '%s': %s", path, strerror(error));
}

int run_lock_take(struct run_lock *l, const char *directory, struct lock_holder *holder)
{
    char path[PATH_ROOM];

    *l = (struct run_lock){.fd = -1};
    *holder = (struct lock_holder){0};
    lock_path(directory, path);
    for (int i = 0; i < ATTEMPTS; i++) {
        int code = lock_file(l, directory, path, holder);

        if (code < 0) {
            run_lock_release(l);
            return code;
        }
        if (run_lock_stands(l, directory)) /* otherwise the file has been replaced meanwhile */
            return 0;
        run_lock_release(l);
    }
    return err(ERR_CANTCREAT, "'%s' disappears again: something removes it", path);
}

bool run_lock_stands(const struct run_lock *l, const char *directory)
{
    struct stat mine, there;
    char path[PATH_ROOM];

    lock_path(directory, path);
    return l->fd >= 0 && fstat(l->fd, &mine) == 0 && stat(path, &there) == 0 &&
           mine.st_dev == there.st_dev && mine.st_ino == there.st_ino;
}

int run_lock_sign(const struct run_lock *l, const char *directory, const char *run_id)
{
    char text[TEXT_ROOM], host[64], when[32];
    time_t now = time(NULL);
    struct tm utc;
    int n;

    machine_host(host, sizeof host);
    strftime(when, sizeof when, "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&now, &utc));
    n = snprintf(text, sizeof text, "run=%s\nhost=%s\npid=%ld\nsince=%s\nstart=%llu\n", run_id,
                 host, (long)getpid(), when, start_of(getpid()));
    if (pwrite(l->fd, text, (size_t)n, 0) != n || ftruncate(l->fd, n) != 0)
        return err(ERR_IO, "cannot write '%s/" RUN_LOCK "': %s", directory, strerror(errno));
    return 0;
}

void run_lock_release(struct run_lock *l)
{
    if (l->fd >= 0)
        close(l->fd);
    l->fd = -1;
}
