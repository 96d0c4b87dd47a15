/* outfile.c - a regular file: temporary, fsync, rename, fsync of the directory. Anything else is
 * written in place. */
#include "core/base/outfile.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "core/base/err.h"

enum { WRITE_MAX = 1 << 30, ATTEMPTS = 1000, LINKS_MAX = 40, MARK_ROOM = 32 };

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

/* ---- where a path leads ---- */

/* True if the directory is the one in which a process finds its own descriptors. */
static bool is_descriptors(const char *directory)
{
    static const char *const places[] = {"/proc/self/fd", "/proc/thread-self/fd"};
    char own[PATH_MAX];

    for (size_t i = 0; i < sizeof places / sizeof *places; i++)
        if (realpath(places[i], own) && strcmp(own, directory) == 0)
            return true;
    return false;
}

/* The descriptor that a path like /dev/fd/3 stands for; -1: it is another path. */
static int descriptor_of(const char *path)
{
    const char *slash = strrchr(path, '/'), *digit = slash ? slash + 1 : "";
    char directory[PATH_MAX], real[PATH_MAX];
    long n = 0;

    if (!*digit || strlen(digit) > 6 || slash == path)
        return -1;
    for (; isdigit((unsigned char)*digit); digit++)
        n = 10 * n + (*digit - '0');
    snprintf(directory, sizeof directory, "%.*s", (int)(slash - path), path);
    return !*digit && realpath(directory, real) && is_descriptors(real) ? (int)n : -1;
}

/* The target of a link, relative to the link's directory. NULL: no memory, or the link cannot be
 * read. */
static char *link_read(const char *path)
{
    const char *slash = strrchr(path, '/');
    char text[PATH_MAX], *joined = NULL;
    ssize_t n = readlink(path, text, sizeof text - 1);

    if (n < 0)
        return NULL;
    text[n] = '\0';
    if (text[0] == '/' || !slash)
        return strdup(text);
    return asprintf(&joined, "%.*s/%s", (int)(slash - path), path, text) < 0 ? NULL : joined;
}

/* Follows links of the last component, even to a file that does not exist yet. *descriptor: an open
 * one, or -1. */
static int target_find(struct outfile *f, int *descriptor)
{
    struct stat st;

    f->target = strdup(f->path);
    for (int i = 0; f->target && i <= LINKS_MAX; i++) {
        *descriptor = descriptor_of(f->target);
        if (*descriptor >= 0 || lstat(f->target, &st) < 0 || !S_ISLNK(st.st_mode))
            return 0;
        char *next = link_read(f->target);

        free(f->target);
        f->target = next;
    }
    return f->target ? fail_create(f->path, ELOOP)
                     : err(ERR_MEMORY, "out of memory to write '%s'", f->path);
}

/* ---- opening ---- */

/* Opens a device, or a FIFO, for whose reader it waits OUTFILE_PATIENCE seconds. */
static int special_open(const char *path, const struct stat *st)
{
    int flags = O_WRONLY | O_CLOEXEC | O_NOCTTY, fd;

    if (!S_ISFIFO(st->st_mode))
        return open(path, flags);
    for (int i = 0; i < OUTFILE_PATIENCE * 20; i++) {
        fd = open(path, flags | O_NONBLOCK);
        if (fd >= 0)
            fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) & ~O_NONBLOCK);
        if (fd >= 0 || errno != ENXIO)
            return fd;
        if (nanosleep(&(struct timespec){.tv_nsec = 50000000}, NULL) != 0)
            return -1;
    }
    errno = ENXIO;
    return -1;
}

static int place_open(struct outfile *f, const struct stat *st, int descriptor)
{
    f->fd = descriptor >= 0 ? fcntl(descriptor, F_DUPFD_CLOEXEC, 3) : special_open(f->target, st);
    if (f->fd < 0 && errno == ENXIO && S_ISFIFO(st->st_mode))
        return err(ERR_CANTCREAT, "cannot write '%s': this FIFO has no reader", f->path);
    return f->fd < 0 ? fail_create(f->path, errno) : 0;
}

/* The mode and the owner of the file that is replaced. A change of owner clears bits of the
 * mode. */
static int likeness_take(const struct outfile *f, const struct stat *old)
{
    struct stat now;

    if (fstat(f->fd, &now) < 0)
        return -1;
    if ((now.st_uid != old->st_uid || now.st_gid != old->st_gid) &&
        fchown(f->fd, old->st_uid, old->st_gid) < 0 && fchown(f->fd, (uid_t)-1, old->st_gid) < 0)
        return fchmod(f->fd, old->st_mode & 0777 & ~(mode_t)S_IRWXG);
    return fchmod(f->fd, old->st_mode & 07777);
}

/* A leftover of a killed process with our pid does not matter. A long name is cut to leave room. */
static int temporary_open(struct outfile *f)
{
    const char *slash = strrchr(f->target, '/');
    int n = (int)strlen(f->target), start = slash ? (int)(slash + 1 - f->target) : 0;

    if (n - start > NAME_MAX - MARK_ROOM && n - start <= NAME_MAX)
        n = start + NAME_MAX - MARK_ROOM;
    for (int i = 0; i < ATTEMPTS; i++) {
        if (asprintf(&f->temporary, "%.*s%s%ld-%d", n, f->target, mark, (long)getpid(), i) < 0) {
            f->temporary = NULL;
            errno = ENOMEM;
            return -1;
        }
        f->fd = open(f->temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
        if (f->fd >= 0)
            return 0;
        free(f->temporary);
        f->temporary = NULL;
        if (errno != EEXIST)
            break;
    }
    return -1;
}

static int file_open(struct outfile *f, const struct stat *old)
{
    int error;

    if (old && faccessat(AT_FDCWD, f->target, W_OK, AT_EACCESS) < 0)
        return fail_create(f->path, errno);
    if (temporary_open(f) == 0) {
        if (old && likeness_take(f, old) < 0)
            return fail_create(f->path, errno);
        return 0;
    }
    error = errno;
    if (old && (error == EACCES || error == EPERM))
        f->fd = open(f->target, O_WRONLY | O_TRUNC | O_CLOEXEC);
    return f->fd < 0 ? fail_create(f->path, error) : 0;
}

/* Finds what the path stands for. 1: a regular file that is there, *st describes it; 0: there is
 * none; 2: something to write in place. */
static int kind_find(struct outfile *f, struct stat *st, int *descriptor)
{
    *st = (struct stat){0};
    TRY(target_find(f, descriptor));
    if (*descriptor >= 0)
        return 2;
    if (stat(f->target, st) < 0)
        return errno == ENOENT ? 0 : fail_create(f->path, errno);
    if (S_ISDIR(st->st_mode))
        return err(ERR_CANTCREAT, "cannot write '%s': it is a directory", f->path);
    return S_ISREG(st->st_mode) && strncmp(f->target, "/proc/", 6) != 0 ? 1 : 2;
}

int outfile_open(struct outfile *f, const char *path)
{
    struct stat st;
    int descriptor = -1, kind, code;

    *f = (struct outfile){.path = path, .fd = -1};
    kind = kind_find(f, &st, &descriptor);
    code = kind < 0    ? kind
           : kind == 2 ? place_open(f, &st, descriptor)
                       : file_open(f, kind == 1 ? &st : NULL);
    if (code < 0)
        outfile_abandon(f);
    return code;
}

char *outfile_target(const char *path)
{
    struct outfile f = {.path = path, .fd = -1};
    int descriptor;

    target_find(&f, &descriptor);
    return f.target;
}

bool outfile_replaces(const char *path)
{
    struct outfile f = {.path = path, .fd = -1};
    struct stat st;
    int descriptor, kind = kind_find(&f, &st, &descriptor);

    free(f.target);
    return kind != 2;
}

int outfile_stream(const char *path)
{
    struct outfile f = {.path = path, .fd = -1};
    struct stat st;
    int descriptor = -1, kind = kind_find(&f, &st, &descriptor), code = kind;

    if (kind == 2)
        code = place_open(&f, &st, descriptor);
    else if (kind >= 0) {
        f.fd = open(f.target, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOCTTY, 0666);
        code = f.fd < 0 ? fail_create(path, errno) : 0;
    }
    free(f.target);
    return code < 0 ? code : f.fd;
}

/* ---- writing ---- */

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
    free(f->target);
    *f = (struct outfile){.fd = -1};
}

/* Devices and FIFOs cannot always be synced. */
static bool is_synced(const struct outfile *f)
{
    return fsync(f->fd) == 0 ||
           (!f->temporary && (errno == EINVAL || errno == EROFS || errno == ENOTSUP));
}

/* After a failed fsync the written bytes are uncertain: the next attempt writes a new file. */
int outfile_sync(struct outfile *f)
{
    int fd = f->fd;

    if (fd >= 0 && f->error == 0 && !is_synced(f))
        f->error = errno;
    f->fd = -1;
    if (fd >= 0 && close(fd) < 0 && f->error == 0)
        f->error = errno;
    return f->error ? err(ERR_IO, "cannot write '%s': %s", f->path, strerror(f->error)) : 0;
}

static int finish(struct outfile *f)
{
    TRY(outfile_sync(f));
    if (!f->temporary)
        return 0;
    if (rename(f->temporary, f->target) < 0)
        return fail_create(f->path, errno);
    free(f->temporary);
    f->temporary = NULL;
    return outfile_sync_directory(f->target);
}

int outfile_commit(struct outfile *f)
{
    int code = finish(f);

    outfile_abandon(f);
    return code;
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

/* True for NAME.tmp-PID-N with one of our NAMEs. */
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
