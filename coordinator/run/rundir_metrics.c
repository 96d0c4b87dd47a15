/* rundir_metrics.c - finds the run that metrics.jsonl belongs to, and sets aside that of another
 * run. */
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "coordinator/run/rundir_internal.h"
#include "core/base/err.h"
#include "core/base/outfile.h"

/* The first line, or as much as fits. Only of a regular file, since others may block. */
static size_t first_line(const char *path, char *line, size_t n)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    struct stat st;
    ssize_t got = 0;

    if (fd < 0)
        return 0;
    if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode))
        got = pread(fd, line, n, 0);
    close(fd);
    if (got <= 0)
        return 0;
    const char *end = memchr(line, '\n', (size_t)got);
    return end ? (size_t)(end - line) : (size_t)got;
}

bool rundir_metrics_tell(const char *directory, char id[RUN_ID_ROOM])
{
    char path[PATH_ROOM], line[4096];
    size_t n;
    json_t *o;

    rundir_file(directory, "metrics.jsonl", path);
    n = first_line(path, line, sizeof line);
    o = n > 0 ? json_loadb(line, n, 0, NULL) : NULL;
    if (run_id_is(json_string_value(json_object_get(o, "run_id"))))
        strcpy(id, json_string_value(json_object_get(o, "run_id")));
    json_decref(o);
    return n > 0;
}

/* A device is written in place, and so is a file that names no run. */
static bool is_usable(const struct rundir *d, const char *path)
{
    char id[RUN_ID_ROOM] = "";
    struct stat st;

    if (stat(path, &st) != 0 || S_ISCHR(st.st_mode))
        return true;
    if (!S_ISREG(st.st_mode))
        return false;
    rundir_metrics_tell(d->path, id);
    return !*id || strcmp(id, d->run.id) == 0;
}

static int set_aside(struct rundir *d, const char *path)
{
    char other[PATH_ROOM + 8];

    snprintf(other, sizeof other, "%s.other", path);
    if (rename(path, other) != 0)
        return err(outfile_code(errno),
                   "'%s' does not belong to this run, and cannot be set aside: %s", path,
                   strerror(errno));
    d->set_aside = true;
    return 0;
}

int rundir_metrics_open(struct rundir *d)
{
    char path[PATH_ROOM];
    struct stat st;

    rundir_file(d->path, "metrics.jsonl", path);
    if (!is_usable(d, path))
        TRY(set_aside(d, path));
    TRY(sink_open_jsonl(&d->metrics, path));
    if (stat(path, &st) != 0)
        return err(ERR_IO, "cannot read '%s': %s", path, strerror(errno));
    d->metrics_device = st.st_dev;
    d->metrics_inode = st.st_ino;
    return 0;
}
