/* rundir_check.c - checks that a run's directory still exists, and creates it again if not. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "coordinator/run/rundir_internal.h"
#include "core/base/err.h"

static bool is_same(int fd, const char *path)
{
    struct stat mine, there;

    return fstat(fd, &mine) == 0 && stat(path, &there) == 0 && mine.st_dev == there.st_dev &&
           mine.st_ino == there.st_ino;
}

/* If the check itself fails, nothing is taken to have changed. */
static bool is_missing(const char *path)
{
    struct stat st;

    return stat(path, &st) != 0 && (errno == ENOENT || errno == ENOTDIR);
}

static bool metrics_stand(const struct rundir *d)
{
    char metrics[PATH_ROOM];
    struct stat st;

    rundir_file(d->path, "metrics.jsonl", metrics);
    if (stat(metrics, &st) != 0)
        return errno != ENOENT;
    return st.st_dev == d->metrics_device && st.st_ino == d->metrics_inode;
}

static bool lock_stands(const struct rundir *d)
{
    char lock[PATH_ROOM];

    rundir_file(d->path, RUN_LOCK, lock);
    return run_lock_stands(&d->lock, d->path) || (access(lock, F_OK) != 0 && errno != ENOENT);
}

enum rundir_state rundir_check(const struct rundir *d, char *where, size_t n)
{
    struct stat st;
    char link[64];
    ssize_t length;

    if (is_same(d->fd, d->path))
        return lock_stands(d) && metrics_stand(d) ? RUNDIR_STANDS : RUNDIR_EMPTIED;
    if (fstat(d->fd, &st) != 0 || (stat(d->path, &st) != 0 && !is_missing(d->path)))
        return RUNDIR_STANDS;
    snprintf(link, sizeof link, "/proc/self/fd/%d", d->fd);
    length = readlink(link, where, n - 1);
    where[length > 0 ? length : 0] = '\0';
    if (length > 0 && is_same(d->fd, where))
        return RUNDIR_MOVED;
    return is_missing(d->path) ? RUNDIR_GONE : RUNDIR_TAKEN;
}

int rundir_remake(struct rundir *d, const char *configuration, const struct crew *c,
                  const char *version)
{
    struct lock_holder holder;
    struct run_lock lock;

    if (!is_same(d->fd, d->path)) {
        close(d->fd);
        TRY(rundir_open_directory(d));
    }
    if (!run_lock_stands(&d->lock, d->path)) {
        TRY(run_lock_take(&lock, d->path, &holder));
        run_lock_release(&d->lock);
        d->lock = lock;
    }
    TRY(run_lock_sign(&d->lock, d->path, d->run.id));
    d->mode = RUNDIR_RESUME;
    sink_close(&d->metrics);
    return rundir_begin(d, configuration, c, version);
}
