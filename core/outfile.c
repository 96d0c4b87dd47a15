/* outfile.c - temporary, fsync, rename, fsync of the directory. */
#include "core/outfile.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/err.h"

enum { WRITE_MAX = 1 << 30, ATTEMPTS = 1000 };

static const char mark[] = ".tmp-";

int outfile_code(int error)
{
    static const int of_the_disk[] = {ENOSPC, EDQUOT, EIO, EROFS, EFBIG, ESTALE};

    for (size_t i = 0; i < sizeof of_the_disk / sizeof *of_the_disk; i++)
        if (of_the_disk[i] == error)
            return ERR_IO;
    return ERR_CANTCREAT;
}

static int fail_create(const char *path, int error)
{
    return err(outfile_code(error), "cannot create '%s': %s", path, strerror(error));
}

/* A leftover of a killed process with our pid does not matter. */
int outfile_open(struct outfile *f, const char *path)
{
    int error = 0;

    *f = (struct outfile){.path = path, .fd = -1};
    for (int i = 0; i < ATTEMPTS; i++) {
        if (asprintf(&f->temporary, "%s%s%ld-%d", path, mark, (long)getpid(), i) < 0) {
            f->temporary = NULL;
            return err(ERR_MEMORY, "out of memory to write '%s'", path);
        }
        f->fd = open(f->temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
        if (f->fd >= 0)
            return 0;
        error = errno;
        free(f->temporary);
        f->temporary = NULL;
        if (error != EEXIST)
            break;
    }
    return fail_create(path, error);
}

void outfile_write(struct outfile *f, const void *bytes, size_t n)
{
    const char *p = bytes;

    while (n > 0 && f->error == 0) {
        ssize_t done = write(f->fd, p, n < WRITE_MAX ? n : WRITE_MAX);
        if (done < 0 && errno == EINTR)
            continue;
        if (done <= 0) {
            f->error = done < 0 ? errno : EIO;
            return;
        }
        p += done;
        n -= (size_t)done;
    }
}

void outfile_abandon(struct outfile *f)
{
    if (f->fd >= 0)
        close(f->fd);
    if (f->temporary)
        unlink(f->temporary);
    free(f->temporary);
    *f = (struct outfile){.fd = -1};
}

/* After a failed fsync the bytes are nobody's promise: the next attempt writes a file of its own. */
static int finish(struct outfile *f)
{
    int fd = f->fd;

    if (f->error == 0 && fsync(fd) < 0)
        f->error = errno;
    f->fd = -1;
    if (close(fd) < 0 && f->error == 0)
        f->error = errno;
    if (f->error)
        return err(ERR_IO, "cannot write '%s': %s", f->path, strerror(f->error));
    if (rename(f->temporary, f->path) < 0)
        return fail_create(f->path, errno);
    free(f->temporary);
    f->temporary = NULL;
    return 0;
}

int outfile_commit(struct outfile *f)
{
    const char *path = f->path;
    int code = finish(f);

    outfile_abandon(f);
    TRY(code);
    return outfile_sync_directory(path);
}

int outfile_whole(const char *path, const void *bytes, size_t n)
{
    struct outfile f;

    TRY(outfile_open(&f, path));
    outfile_write(&f, bytes, n);
    return outfile_commit(&f);
}

int outfile_sync_directory(const char *path)
{
    char *copy = strdup(path);
    int fd = copy ? open(dirname(copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1, error = 0;

    if (fd < 0)
        error = errno;
    else if (fsync(fd) < 0 && errno != EINVAL) /* has nothing to sync */
        error = errno;
    if (fd >= 0)
        close(fd);
    free(copy);
    return error ? err(ERR_IO, "cannot sync the directory of '%s': %s", path, strerror(error)) : 0;
}

static const char *digits_end(const char *p)
{
    const char *end = p;

    while (isdigit((unsigned char)*end))
        end++;
    return end > p ? end : NULL;
}

/* NAME.tmp-PID-N with a NAME of ours. */
static bool is_stale(const char *entry, bool (*is_ours)(const char *name))
{
    char name[NAME_MAX + 1];
    const char *at = strstr(entry, mark), *p = at ? digits_end(at + strlen(mark)) : NULL;

    if (!p || *p != '-')
        return false;
    p = digits_end(p + 1);
    if (!p || *p || (size_t)(at - entry) >= sizeof name)
        return false;
    memcpy(name, entry, (size_t)(at - entry));
    name[at - entry] = '\0';
    return is_ours(name);
}

void outfile_clean(const char *directory, bool (*is_ours)(const char *name))
{
    DIR *d = opendir(directory);
    const struct dirent *e;

    while (d && (e = readdir(d)))
        if (is_stale(e->d_name, is_ours))
            unlinkat(dirfd(d), e->d_name, 0);
    if (d)
        closedir(d);
}
