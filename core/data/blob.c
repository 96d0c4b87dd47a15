/* blob.c - mapping files and unpacking gzip, checked to the last byte (zlib compares the CRC). */
#include "core/data/blob.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include "core/base/err.h"
#include "core/data/mapped.h"

enum {
    INPUT_MAX = 1 << 30,  /* zlib counts in unsigned int */
    OUTPUT_MAX = 1 << 20, /* bytes between two checks of the ratio */
};

static int map_fd(struct blob *b, int fd, const char *path)
{
    struct stat st;
    void *bytes;

    if (fstat(fd, &st) < 0)
        return err(ERR_NOINPUT, "cannot read '%s': %s", path, strerror(errno));
    if (!S_ISREG(st.st_mode))
        return err(ERR_DATA, "'%s' is not a regular file%s", path,
                   S_ISDIR(st.st_mode) ? ": it is a directory (only format \"folder\" reads those)"
                                       : "");
    *b = (struct blob){.n = (size_t)st.st_size};
    if (b->n == 0)
        return 0;
    bytes = mmap(NULL, b->n, PROT_READ, MAP_SHARED, fd, 0);
    if (bytes == MAP_FAILED) {
        *b = (struct blob){0};
        return err(ERR_NOINPUT, "cannot map '%s': %s", path, strerror(errno));
    }
    b->bytes = bytes;
    b->map = mapped_add(bytes, b->n, path, &st);
    if (b->map)
        return 0;
    munmap(bytes, b->n);
    *b = (struct blob){0};
    return err(ERR_MEMORY, "out of memory for '%s'", path);
}

int blob_whole(const struct blob *b)
{
    return mapped_whole(b->map);
}

int blob_map(struct blob *b, const char *path)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK), code;

    *b = (struct blob){0};
    if (fd < 0)
        return err(ERR_NOINPUT, "cannot open '%s': %s", path, strerror(errno));
    code = map_fd(b, fd, path);
    close(fd);
    return code;
}

int blob_alloc(struct blob *b, size_t n)
{
    *b = (struct blob){.bytes = malloc(n > 0 ? n : 1), .n = n};
    if (!b->bytes)
        return err(ERR_MEMORY, "out of memory for %zu bytes of data", n);
    return 0;
}

void blob_release(struct blob *b)
{
    mapped_remove(b->map);
    if (b->map)
        munmap(b->bytes, b->n);
    else
        free(b->bytes);
    *b = (struct blob){0};
}

size_t blob_limit(size_t n)
{
    size_t limit;

    if (__builtin_mul_overflow(n, DATA_RATIO_MAX, &limit))
        return DATA_BYTES_MAX;
    limit += DATA_RATIO_FREE;
    return limit < DATA_BYTES_MAX ? limit : DATA_BYTES_MAX;
}

size_t blob_limit_so_far(size_t n)
{
    return blob_limit(n) + DATA_RATIO_SLACK;
}

/* The unpacked size that the trailer states: only a hint, so that most files are unpacked in one
 * go. */
static size_t gzip_hint(const struct blob *b)
{
    const uint8_t *end = b->bytes + b->n;
    size_t size = 0;

    for (int i = 1; i <= 4; i++)
        size = size << 8 | end[-i];
    return size;
}

static int too_much(const char *path, size_t limit)
{
    return err(ERR_DATA, "'%s' unpacks to more than %zu bytes, %u times its size", path, limit,
               DATA_RATIO_MAX);
}

static int grow(struct blob *out, size_t limit, const char *path)
{
    size_t n = out->n <= limit / 2 ? 2 * out->n : limit;
    uint8_t *bytes;

    if (n == out->n)
        return too_much(path, limit);
    bytes = realloc(out->bytes, n);
    if (!bytes)
        return err(ERR_MEMORY, "out of memory for %zu bytes of '%s'", n, path);
    out->bytes = bytes;
    out->n = n;
    return 0;
}

static int inflate_all(z_stream *z, const struct blob *in, struct blob *out, const char *path)
{
    size_t taken = 0, made = 0;
    int status = Z_OK;

    while (status == Z_OK) {
        size_t input = in->n - taken < INPUT_MAX ? in->n - taken : INPUT_MAX, output;

        if (made == out->n)
            TRY(grow(out, blob_limit(in->n), path));
        output = out->n - made < OUTPUT_MAX ? out->n - made : OUTPUT_MAX;
        z->next_in = in->bytes + taken;
        z->avail_in = (uInt)input;
        z->next_out = out->bytes + made;
        z->avail_out = (uInt)output;
        status = inflate(z, Z_NO_FLUSH);
        taken += input - z->avail_in;
        made += output - z->avail_out;
        if (made > blob_limit_so_far(taken))
            return err(ERR_DATA, "'%s' unpacks to more than %zu bytes by its byte %zu", path,
                       blob_limit_so_far(taken), taken);
    }
    if (status == Z_BUF_ERROR)
        return err(ERR_DATA, "'%s' ends at byte %zu inside its gzip stream", path, in->n);
    if (status != Z_STREAM_END)
        return err(ERR_DATA, "'%s' is damaged near byte %zu: %s", path, taken,
                   z->msg ? z->msg : "not a gzip stream");
    if (taken < in->n)
        return err(ERR_DATA, "'%s' has more data after its gzip stream, from byte %zu", path,
                   taken);
    out->n = made;
    return 0;
}

int blob_gunzip(struct blob *b, const char *path)
{
    z_stream z = {0};
    struct blob out;
    int code;

    if (b->n < 2 || b->bytes[0] != 0x1f || b->bytes[1] != 0x8b)
        return 0;
    if (b->n < 18)
        return err(ERR_DATA, "'%s' ends at byte %zu inside its gzip stream", path, b->n);
    if (gzip_hint(b) > blob_limit(b->n))
        return too_much(path, blob_limit(b->n));
    TRY(blob_alloc(&out, gzip_hint(b) + 1));
    code = inflateInit2(&z, 15 + 16) == Z_OK ? inflate_all(&z, b, &out, path)
                                             : err(ERR_MEMORY, "out of memory for zlib");
    inflateEnd(&z);
    if (code < 0) {
        blob_release(&out);
        return code;
    }
    blob_release(b);
    *b = out;
    return 0;
}
