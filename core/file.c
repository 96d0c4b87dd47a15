/* file.c - temporary, fsync, rename, fsync of the directory. */
#include "core/file.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "core/err.h"

enum { PATH_ROOM = 1400 };

/* 0, or -1 and errno. */
static int bytes_write(int fd, const char *bytes, size_t n)
{
    while (n > 0) {
        ssize_t done = write(fd, bytes, n);

        if (done < 0 && errno != EINTR)
            return -1;
        if (done > 0)
            bytes += done, n -= (size_t)done;
    }
    return fsync(fd);
}

static int directory_sync(const char *path)
{
    char copy[PATH_ROOM];
    int fd, code = 0;

    snprintf(copy, sizeof copy, "%s", path);
    fd = open(dirname(copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0 || (fsync(fd) < 0 && errno != EINVAL)) /* EINVAL: has nothing to sync */
        code = err(ERR_IO, "cannot sync the directory of '%s': %s", path, strerror(errno));
    if (fd >= 0)
        close(fd);
    return code;
}

int file_write(const char *path, const void *bytes, size_t n)
{
    char name[PATH_ROOM];
    int fd, code = 0;

    snprintf(name, sizeof name, "%s.tmp-%ld", path, (long)getpid());
    fd = open(name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    if (fd < 0)
        return err(ERR_CANTCREAT, "cannot create '%s': %s", path, strerror(errno));
    if (bytes_write(fd, bytes, n) < 0)
        code = err(ERR_IO, "cannot write '%s': %s", path, strerror(errno));
    if (close(fd) < 0 && code == 0)
        code = err(ERR_IO, "cannot write '%s': %s", path, strerror(errno));
    if (code == 0 && rename(name, path) < 0)
        code = err(ERR_CANTCREAT, "cannot create '%s': %s", path, strerror(errno));
    if (code < 0)
        unlink(name);
    return code < 0 ? code : directory_sync(path);
}
