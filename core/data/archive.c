/* archive.c - libarchive: zip by its central directory (a cut-off zip has none), tar over zlib,
 * which compares gzip's CRC where libarchive does not. */
#include "core/data/archive.h"

#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <fcntl.h>
#include <locale.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include "core/base/err.h"
#include "core/data/blob.h"
#include "core/data/seems.h"

enum {
    CHUNK = 1 << 14,       /* bytes read at once */
    PIECE = 1 << 20,       /* bytes unpacked between two checks of the ratio */
    TAR_END = 1024,        /* tar ends with two blocks of zeros */
    AHEAD_MAX = 64 << 20,  /* bytes of a zip's directory looked at before libarchive reads it */
    MEMBERS_MAX = 1 << 18, /* of a zip, whose directory libarchive keeps in memory */
};

struct reader {
    const char *path; /* borrowed */
    struct archive *archive;
    gzFile gz;           /* of tar */
    int fd;              /* of zip */
    la_int64_t at, end;  /* of zip: the next byte to read, and its size */
    size_t n_members;    /* of zip: entries of the directory read so far */
    size_t limit, total; /* bytes it may unpack to, and has (zip: as stated) */
    size_t taken, made;  /* bytes read from the file, and what they have unpacked to */
    size_t zeros;        /* of tar: at the end of what was read */
    char name[4096];     /* the file at hand */
    char refusal[96];    /* the error of a callback; libarchive may report another */
    locale_t utf8;       /* 0: the system has none */
    bool directories;    /* are told */
    bool looked;         /* of zip: ahead, since the last seek */
    bool begun;          /* it is an archive: something of it was read */
    uint8_t head[SEEMS_HEAD];
    size_t n_head; /* of tar: its first bytes, unpacked */
    uint8_t chunk[CHUNK];
};

static int reader_error(struct reader *r)
{
    const char *text = *r->refusal ? r->refusal : archive_error_string(r->archive);

    return err(ERR_DATA, "'%s' is damaged near byte %jd%s%s: %s", r->path,
               (intmax_t)(r->gz ? gzoffset(r->gz) : archive_filter_bytes(r->archive, -1)),
               *r->name ? " at " : "", r->name, text ? text : "not an archive");
}

/* A callback stopped libarchive, and has said why. */
static bool reader_stopped(const struct reader *r)
{
    int status = Z_OK;

    if (r->gz)
        gzerror(r->gz, &status);
    return *r->refusal || status != Z_OK;
}

/* libarchive failed. If nothing was read before, the file is not an archive and may be of another
 * format. */
static int archive_failed(struct reader *r)
{
    if (r->begun || reader_stopped(r))
        return reader_error(r);
    if (!r->gz)
        return err(ERR_DATA,
                   "'%s' is damaged: the directory at the end of the zip file is missing; copy or "
                   "download it again",
                   r->path);
    return err(ERR_DATA, "'%s' is %s%s", r->path,
               gzdirect(r->gz) ? "neither a zip nor a tar file" : "a gzip file that holds no tar",
               seems(r->head, r->n_head));
}

/* Ends a callback. */
static la_ssize_t refuse(struct reader *r, const char *what, size_t limit, const char *unit)
{
    snprintf(r->refusal, sizeof r->refusal, "it %s more than %zu %s", what, limit, unit);
    archive_set_error(r->archive, EFBIG, "%s", r->refusal);
    return -1;
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
    r->taken = (size_t)gzoffset(r->gz);
    if (r->total > r->limit)
        return refuse(r, "unpacks to", r->limit, "bytes");
    if (r->total > blob_limit_so_far(r->taken))
        return refuse(r, "unpacks to", blob_limit_so_far(r->taken), "bytes");
    if (r->total == (size_t)n) {
        r->n_head = n < SEEMS_HEAD ? (size_t)n : SEEMS_HEAD;
        memcpy(r->head, r->chunk, r->n_head);
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
        return archive_failed(r);
    return 0;
}

static size_t members_count(const uint8_t *bytes, size_t n)
{
    const uint8_t *at = bytes, *end = bytes + n;
    size_t count = 0;

    while ((at = memmem(at, (size_t)(end - at), "PK\1\2", 4))) {
        at += 4;
        count++;
    }
    return count;
}

/* Counts a zip's members at the start of its directory, before libarchive spends two microseconds
 * on each. Members beyond AHEAD_MAX are counted while they are read. */
static void members_ahead(struct reader *r)
{
    uint8_t bytes[CHUNK];
    size_t ahead = 0, found = 0;
    ssize_t n = 1;

    r->looked = true;
    while (n > 0 && ahead < AHEAD_MAX && found <= MEMBERS_MAX) {
        n = pread(r->fd, bytes, CHUNK, r->at + (off_t)ahead);
        ahead += n > 0 ? (size_t)n : 0;
        found += n > 0 ? members_count(bytes, (size_t)n) : 0;
    }
    if (found > MEMBERS_MAX)
        r->n_members = found;
}

/* libarchive's callbacks over the file. */
static la_ssize_t zip_read(struct archive *a, void *data, const void **bytes)
{
    struct reader *r = data;
    ssize_t n = pread(r->fd, r->chunk, CHUNK, r->at);

    if (n < 0) {
        archive_set_error(a, errno, "%s", strerror(errno));
        return -1;
    }
    r->at += n;
    r->taken += (size_t)n;
    r->n_members += members_count(r->chunk, (size_t)n);
    if (r->n_members > 0 && !r->looked && !*r->name)
        members_ahead(r);
    if (r->n_members > MEMBERS_MAX)
        return refuse(r, "holds", MEMBERS_MAX, "files");
    *bytes = r->chunk;
    return n;
}

static la_int64_t zip_seek(struct archive *a, void *data, la_int64_t offset, int whence)
{
    struct reader *r = data;
    la_int64_t from = whence == SEEK_END ? r->end : whence == SEEK_CUR ? r->at : 0, to;

    if (__builtin_add_overflow(from, offset, &to) || to < 0) {
        archive_set_error(a, EINVAL, "it refers to a place before its start");
        return ARCHIVE_FATAL;
    }
    r->looked = false;
    return r->at = to < r->end ? to : r->end;
}

static int zip_open(struct reader *r, int fd)
{
    r->fd = dup(fd);
    if (r->fd < 0)
        return err(ERR_MEMORY, "no file descriptor for '%s'", r->path);
    archive_read_support_format_zip_seekable(r->archive);
    archive_read_set_read_callback(r->archive, zip_read);
    archive_read_set_seek_callback(r->archive, zip_seek);
    archive_read_set_callback_data(r->archive, r);
    return archive_read_open1(r->archive) == ARCHIVE_OK ? 0 : archive_failed(r);
}

static int archive_start(struct reader *r, int fd)
{
    struct stat st;
    char magic[4] = "";

    if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))
        return err(ERR_DATA, "'%s' is not a regular file%s", r->path,
                   S_ISDIR(st.st_mode) ? ": it is a directory (only format \"folder\" reads those)"
                                       : "");
    r->end = st.st_size;
    r->limit = blob_limit((size_t)st.st_size);
    r->archive = archive_read_new();
    if (!r->archive)
        return err(ERR_MEMORY, "out of memory for '%s'", r->path);
    if (pread(fd, magic, 4, 0) == 4 && memcmp(magic, "PK\5\6", 4) == 0)
        return err(ERR_DATA, "'%s' is a zip file without anything in it", r->path);
    if (memcmp(magic, "PK", 2) == 0)
        return zip_open(r, fd);
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
    r->fd = -1;
    r->utf8 = newlocale(LC_CTYPE_MASK, "C.UTF-8", (locale_t)0);
    code = archive_start(r, fd);
    close(fd);
    if (code < 0) {
        reader_close(r);
        return code;
    }
    *out = r;
    return 0;
}

/* Reads the rest of the gzip stream after tar's end mark, to check its CRC. */
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

static int directory_accept(struct reader *r, size_t *size)
{
    size_t n = strlen(r->name);

    *size = 0;
    if (n > 0 && r->name[n - 1] != '/' && n + 1 < sizeof r->name)
        memcpy(r->name + n, "/", 2);
    return 1;
}

/* Refuses names that would be another file after unpacking. */
static int name_check(const struct reader *r, const char *name)
{
    if (!*name)
        return err(ERR_DATA, "'%s' holds a file without a name", r->path);
    for (const char *at = name; *at; at += strcspn(at, "/"), at += *at == '/')
        if (strncmp(at, "..", 2) == 0 && (at[2] == '/' || at[2] == '\0'))
            return err(ERR_DATA, "'%s' holds '%s', whose path leads out of a folder by '..'",
                       r->path, name);
    if (!r->gz && strchr(name, '\\'))
        return err(ERR_DATA,
                   "'%s' holds '%s', with a backslash in its path: pack it again with slashes",
                   r->path, name);
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
    if (archive_entry_filetype(e) == AE_IFDIR)
        return r->directories && *name ? directory_accept(r, size) : 0;
    TRY(name_check(r, name));
    if (archive_entry_filetype(e) != AE_IFREG || archive_entry_hardlink(e))
        return err(
            ERR_DATA,
            "'%s' holds '%s', which is a link or a device: put the file itself into the archive "
            "(tar -h --hard-dereference; zip without -y)",
            r->path, name);
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

static int next_file(struct reader *r, const char **name, size_t *size)
{
    struct archive_entry *e;
    int accepted = 0;

    while (accepted == 0) {
        int status = archive_read_next_header(r->archive, &e);

        if (status == ARCHIVE_EOF)
            return reader_drain(r);
        if (status != ARCHIVE_OK && status != ARCHIVE_WARN)
            return archive_failed(r);
        r->begun = true;
        accepted = entry_accept(r, e, size);
    }
    *name = r->name;
    return accepted;
}

/* libarchive converts names to the encoding of the locale, so it is set to UTF-8 here. */
int reader_next(struct reader *r, const char **name, size_t *size)
{
    locale_t before = r->utf8 ? uselocale(r->utf8) : (locale_t)0;
    int code = next_file(r, name, size);

    if (r->utf8)
        uselocale(before);
    return code;
}

static size_t piece_of(size_t n)
{
    return n < PIECE ? n : PIECE;
}

int reader_read(struct reader *r, uint8_t *bytes, size_t size)
{
    uint8_t beyond;
    la_ssize_t n = 1;
    size_t done = 0;

    while (n > 0 && done < size) {
        n = archive_read_data(r->archive, bytes + done, piece_of(size - done));
        done += n > 0 ? (size_t)n : 0;
        r->made += n > 0 ? (size_t)n : 0;
        if (!r->gz && r->made > blob_limit_so_far(r->taken))
            return err(ERR_DATA, "'%s' unpacks to more than %zu bytes at '%s'", r->path,
                       blob_limit_so_far(r->taken), r->name);
    }
    if (n >= 0 && done == size)
        n = archive_read_data(r->archive, &beyond, 1);
    if (n < 0)
        return reader_error(r);
    if (n > 0 || done < size)
        return err(ERR_DATA, "'%s' holds '%s' in another size than stated", r->path, r->name);
    return 0;
}

void reader_directories(struct reader *r)
{
    r->directories = true;
}

int reader_head(struct reader *r, uint8_t *bytes, size_t n)
{
    la_ssize_t got = archive_read_data(r->archive, bytes, n);

    return got < 0 ? reader_error(r) : (int)got;
}

void reader_close(struct reader *r)
{
    if (!r)
        return;
    archive_read_free(r->archive);
    if (r->utf8)
        freelocale(r->utf8);
    if (r->gz)
        gzclose(r->gz);
    if (r->fd >= 0)
        close(r->fd);
    free(r);
}
