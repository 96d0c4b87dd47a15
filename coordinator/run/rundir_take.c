/* rundir_take.c - takes a directory for a run: the lock, and the identity in its files. */
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "coordinator/run/rundir_internal.h"
#include "core/base/clock.h"
#include "core/base/err.h"
#include "core/base/outfile.h"
#include "core/file/checkpoint.h"
#include "core/file/checkpoint_files.h"

enum { MANIFEST_MOST = 1 << 26 };

static bool is_directory(const char *path)
{
    struct stat st;

    return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

static int make_directories(const char *path)
{
    char part[PATH_ROOM];

    for (const char *slash = path; slash; slash = strchr(slash + 1, '/')) {
        const char *next = strchr(slash + 1, '/');
        int n = next ? (int)(next - path) : (int)strlen(path);

        snprintf(part, sizeof part, "%.*s", n, path);
        if (is_directory(part))
            continue;
        if (mkdir(part, 0777) != 0 && errno != EEXIST)
            return err(outfile_code(errno), "cannot create '%s': %s", part, strerror(errno));
        TRY(outfile_sync_directory(part));
    }
    return 0;
}

int rundir_open_directory(struct rundir *d)
{
    TRY(make_directories(d->path));
    d->fd = open(d->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return d->fd >= 0 ? 0
                      : err(outfile_code(errno), "cannot open '%s': %s", d->path, strerror(errno));
}

json_t *rundir_manifest(const char *directory)
{
    char path[PATH_ROOM];
    json_t *o = NULL;
    struct stat st;
    int fd;

    rundir_file(directory, "manifest.json", path);
    fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd >= 0 && fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_size <= MANIFEST_MOST)
        o = json_loadfd(fd, 0, NULL);
    if (fd >= 0)
        close(fd);
    return o;
}

bool rundir_identity(const char *directory, struct run_identity *run)
{
    json_t *o = rundir_manifest(directory);
    const char *id = json_string_value(json_object_get(o, "run_id"));
    bool any = json_is_object(o);

    *run = (struct run_identity){0};
    if (run_id_is(id)) {
        strcpy(run->id, id);
        run->unnamed = json_is_true(json_object_get(o, "began_without_run_id"));
    } else {
        any |= rundir_metrics_tell(directory, run->id);
        run->unnamed = any && !*run->id;
    }
    json_decref(o);
    return any;
}

static int refuse_run(const char *path)
{
    char metrics[PATH_ROOM];
    struct stat st;
    int n = checkpoint_count(path);

    TRY(n);
    rundir_file(path, "metrics.jsonl", metrics);
    if (n == 0 && (stat(metrics, &st) != 0 || st.st_size == 0))
        return 0;
    return err(ERR_CANTCREAT,
               "'%s' already holds a run: --resume continues it, --overwrite starts it "
               "again, --run DIR puts this one elsewhere",
               path);
}

static void ignore(void *context, const char *sentence)
{
    (void)context;
    (void)sentence;
}

/* The identity in the newest checkpoint, for a directory without another. 1: there is one. */
static int identity_of_checkpoint(const char *directory, struct run_identity *run)
{
    struct checkpoint_info info;
    char path[PATH_ROOM];
    int found = checkpoint_newest(directory, NULL, path, sizeof path, ignore, NULL);

    TRY(found);
    if (!found)
        return 0;
    TRY(checkpoint_peek(path, &info));
    *run = info.run;
    run->unnamed = !*info.run.id;
    return 1;
}

/* The identity of this start: that of the directory, or a new one. `wanted`: its id; "" draws
 * one. */
static int decide(struct rundir *d, const char *wanted)
{
    struct run_identity there;
    bool any = rundir_identity(d->path, &there);

    if (*wanted && strcmp(there.id, wanted) == 0)
        d->mode = RUNDIR_RESUME;
    if (d->mode == RUNDIR_FRESH)
        TRY(refuse_run(d->path));
    if (d->mode == RUNDIR_RESUME && !any)
        TRY(identity_of_checkpoint(d->path, &there));
    d->run = d->mode == RUNDIR_RESUME ? there : (struct run_identity){0};
    if (*d->run.id)
        return 0;
    if (!*wanted)
        return run_id_draw(d->run.id);
    snprintf(d->run.id, sizeof d->run.id, "%s", wanted);
    return 0;
}

/* A run that restarts after a loss may find the lock still held by a process that is dying. */
static int await_lock(struct rundir *d, const struct rundir_start *s)
{
    double limit = clock_seconds() + s->patience;
    struct lock_holder holder;
    int code;

    while ((code = run_lock_take(&d->lock, d->path, &holder)) < 0) {
        bool same = *s->run_id && strcmp(holder.run_id, s->run_id) == 0;

        if (!same || clock_seconds() >= limit)
            return code;
        if (s->stop && *s->stop)
            return err(ERR_STOPPED, "stopped by a signal before the run began");
        nanosleep(&(struct timespec){.tv_nsec = 20000000}, NULL);
    }
    return 0;
}

int rundir_take(struct rundir *d, const char *path, const struct rundir_start *s)
{
    *d = (struct rundir){.path = path, .mode = s->mode, .fd = -1, .lock = {.fd = -1}};
    if (strlen(path) > RUNDIR_PATH)
        return err(ERR_CANTCREAT, "the path of the run's directory has %zu bytes, at most %d",
                   strlen(path), RUNDIR_PATH);
    TRY(rundir_open_directory(d));
    TRY(await_lock(d, s));
    TRY(decide(d, s->run_id));
    return run_lock_sign(&d->lock, path, d->run.id);
}
