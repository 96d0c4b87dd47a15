/* archive.c - libarchive: zip by its central directory (a cut-off zip has none), tar over zlib,
 * which compares gzip's CRC where libarchive does not. */
#include "core/data/archive.h"

#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include "core/data/blob.h"
#include "core/err.h"

enum { CHUNK = 1 << 16, TAR_END = 1024 }; /* tar ends with two blocks of zeros */

struct reader {
    const char *path; /* borrowed */
    struct archive *archive;
    gzFile gz;           /* of tar */
    size_t limit, total; /* bytes it may unpack to, and has */
    size_t zeros;        /* of tar: at the end of what was read */
    char name[4096];     /* the file at hand */
    uint8_t chunk[CHUNK];
};

static int reader_error(struct reader *r)
{
    const char *text = archive_error_string(r->archive);

    return err(ERR_DATA, "'%s' is damaged near byte %jd%s%s: %s", r->path,
               (intmax_t)(r->gz ? gzoffset(r->gz) : archive_filter_bytes(r->archive, -1)),
               *r->name ? " at " : "", r->name, text ? text : "not an archive");
}

static void zeros_count(struct reader *r, size_t n)
{
    size_t zeros = 0;

    while (zeros < n && r->chunk[n - 1 - zeros] == 0)
        zeros++;
    r->zeros = zeros == n ? r->zeros + n : zeros;
}

/* libarchive's read callback over zlib. */
static la_ssize_t gz_read(struct archive *a, void *data, const void **bytes)
{
    struct reader *r = data;
    int n = gzread(r->gz, r->chunk, CHUNK), status;
    const char *text = gzerror(r->gz, &status);

    if (n < 0 || status != Z_OK) {
        archive_set_error(a, EIO, "%s",
                          status == Z_BUF_ERROR ? "the gzip stream ends early" : text);
        return -1;
    }
    r->total += (size_t)n;
    if (r->total > r->limit) {
        archive_set_error(a, EFBIG, "it unpacks to more than %zu bytes", r->limit);
        return -1;
    }
    zeros_count(r, (size_t)n);
    *bytes = r->chunk;
    return n;
}

static int tar_open(struct reader *r, int fd)
{
    r->gz = gzdopen(dup(fd), "rb");
    if (!r->gz)
        return err(ERR_MEMORY, "out of memory for '%s'", r->path);
    archive_read_support_format_tar(r->archive);
    if (archive_read_open(r->archive, r, NULL, gz_read, NULL) != ARCHIVE_OK)
        return reader_error(r);
    return 0;
}

static int zip_open(struct reader *r)
{
    archive_read_support_format_zip_seekable(r->archive);
    if (archive_read_open_filename(r->archive, r->path, CHUNK) != ARCHIVE_OK)
        return reader_error(r);
    return 0;
}

static int archive_start(struct reader *r, int fd)
{
    struct stat st;
    char magic[2] = "";

    if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))
        return err(ERR_DATA, "'%s' is not a regular file", r->path);
    r->limit = blob_limit((size_t)st.st_size);
    r->archive = archive_read_new();
    if (!r->archive)
        return err(ERR_MEMORY, "out of memory for '%s'", r->path);
    if (pread(fd, magic, 2, 0) == 2 && memcmp(magic, "PK", 2) == 0)
        return zip_open(r);
    return tar_open(r, fd);
}

int reader_open(struct reader **out, const char *path)
{
    struct reader *r = calloc(1, sizeof *r);
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK), code;

    *out = NULL;
    if (fd < 0 || !r) {
        free(r);
        return fd < 0 ? err(ERR_NOINPUT, "cannot open '%s': %s", path, strerror(errno))
                      : (close(fd), err(ERR_MEMORY, "out of memory for '%s'", path));
    }
    r->path = path;
    code = archive_start(r, fd);
    close(fd);
    if (code < 0) {
        reader_close(r);
        return code;
    }
    *out = r;
    return 0;
}

/* After tar's end mark: the rest of the gzip stream, for its CRC. */
static int reader_drain(struct reader *r)
{
    const void *bytes;
    la_ssize_t n = r->gz ? 1 : 0;

    *r->name = '\0';
    while (n > 0)
        n = gz_read(r->archive, r, &bytes);
    if (n < 0)
        return reader_error(r);
    if (r->gz && r->zeros < TAR_END)
        return err(ERR_DATA, "'%s' ends at byte %zu of its tar without tar's end mark", r->path,
                   r->total);
    return 0;
}

static int entry_accept(struct reader *r, struct archive_entry *e, size_t *size)
{
    const char *name = archive_entry_pathname(e);

    if (!name)
        name = archive_entry_pathname_utf8(e);
    if (!name || strlen(name) >= sizeof r->name)
        return err(ERR_DATA, "'%s' holds a file whose name cannot be read", r->path);
    strcpy(r->name, name);
    if (archive_entry_filetype(e) != AE_IFREG || archive_entry_hardlink(e))
        return 0;
    if (!archive_entry_size_is_set(e) || archive_entry_size(e) < 0)
        return err(ERR_DATA, "'%s' does not state the size of '%s'", r->path, name);
    *size = (size_t)archive_entry_size(e);
    if (!r->gz && __builtin_add_overflow(r->total, *size, &r->total))
        r->total = SIZE_MAX;
    if (*size > r->limit || r->total > r->limit)
        return err(ERR_DATA, "'%s' unpacks to more than %zu bytes at '%s'", r->path, r->limit,
                   name);
    return 1;
}

int reader_next(struct reader *r, const char **name, size_t *size)
{
    struct archive_entry *e;
    int accepted = 0;

    while (accepted == 0) {
        int status = archive_read_next_header(r->archive, &e);

        if (status == ARCHIVE_EOF)
            return reader_drain(r);
        if (status != ARCHIVE_OK && status != ARCHIVE_WARN)
            return reader_error(r);
        accepted = entry_accept(r, e, size);
    }
    *name = r->name;
    return accepted;
}

int reader_read(struct reader *r, uint8_t *bytes, size_t size)
{
    uint8_t beyond;
    la_ssize_t n = 1;
    size_t done = 0;

    while (n > 0 && done < size) {
        n = archive_read_data(r->archive, bytes + done, size - done);
        done += n > 0 ? (size_t)n : 0;
    }
    if (n >= 0 && done == size)
        n = archive_read_data(r->archive, &beyond, 1);
    if (n < 0)
        return reader_error(r);
    if (n > 0 || done < size)
        return err(ERR_DATA, "'%s' holds '%s' in another size than stated", r->path, r->name);
    return 0;
}

void reader_close(struct reader *r)
{
    if (!r)
        return;
    archive_read_free(r->archive);
    if (r->gz)
        gzclose(r->gz);
    free(r);
}
