/* safetensors_write.c - a whole file under its name, or none. */
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define XXH_STATIC_LINKING_ONLY /* a state on the stack */
#include <xxhash.h>

#include "core/err.h"
#include "core/safetensors.h"

static const char zeros[] = "0000000000000000";

enum { DIGITS = sizeof zeros - 1, ALIGN = 64, WRITE_MAX = 1 << 30, ATTEMPTS = 1000 };

struct header {
    char *bytes; /* owned; u64 length, JSON, spaces: ends where the data begin */
    size_t n;
    char *digits; /* of the digest, inside bytes */
};

/* The digest is the last entry. */
static int metadata_json(const char *path, const struct text *texts, int n_texts, json_t **metadata)
{
    json_t *o = json_object();
    int code = o ? 0 : err(ERR_MEMORY, "out of memory to write '%s'", path);

    for (int i = 0; i < n_texts && code == 0; i++) {
        if (strcmp(texts[i].key, "digest") == 0 || strcmp(texts[i].key, "digest_kind") == 0)
            continue;
        assert(!json_object_get(o, texts[i].key));
        if (json_object_set_new(o, texts[i].key, json_string(texts[i].value)) < 0)
            code = err(ERR_DATA, "cannot write '%s': its text '%.60s' is not UTF-8", path,
                       texts[i].key);
    }
    if (code == 0 && (json_object_set_new(o, "digest_kind", json_string("xxh64")) < 0 ||
                      json_object_set_new(o, "digest", json_string(zeros)) < 0))
        code = err(ERR_MEMORY, "out of memory to write '%s'", path);
    *metadata = o;
    return code;
}

static json_t *tensor_json(const struct tensor *t, size_t begin)
{
    json_t *shape = json_array();
    size_t n = 1;

    for (int i = 0; i < t->n_dims; i++) {
        n *= t->dims[i];
        if (json_array_append_new(shape, json_integer((json_int_t)t->dims[i])) < 0) {
            json_decref(shape);
            return NULL;
        }
    }
    assert(n == t->n);
    return json_pack("{s:s, s:o, s:[I, I]}", "dtype", dtype_name(t->dtype), "shape", shape,
                     "data_offsets", (json_int_t)begin,
                     (json_int_t)(begin + n * dtype_size(t->dtype)));
}

static json_t *header_json(const struct tensor *tensors, int n_tensors, json_t *metadata)
{
    json_t *o = json_object();
    size_t at = 0;
    int code = json_object_set(o, "__metadata__", metadata);

    for (int i = 0; i < n_tensors && code == 0; i++) {
        assert(!json_object_get(o, tensors[i].name));
        code = json_object_set_new(o, tensors[i].name, tensor_json(&tensors[i], at));
        at += tensors[i].n * dtype_size(tensors[i].dtype);
    }
    if (code == 0)
        return o;
    json_decref(o);
    return NULL;
}

/* json's text behind its length, with spaces up to a multiple of ALIGN. */
static int header_lay(struct header *h, const char *path, const char *json, size_t n_metadata)
{
    size_t n = strlen(json);

    h->n = (8 + n + ALIGN - 1) / ALIGN * ALIGN;
    if (h->n - 8 > SAFETENSORS_HEADER_MAX)
        return err(ERR_DATA, "cannot write '%s': a header of %zu bytes, more than %d", path, n,
                   SAFETENSORS_HEADER_MAX);
    h->bytes = malloc(h->n);
    if (!h->bytes)
        return err(ERR_MEMORY, "out of memory to write '%s'", path);
    memset(h->bytes, ' ', h->n);
    for (int i = 0; i < 8; i++)
        h->bytes[i] = (char)((uint64_t)(h->n - 8) >> 8 * i);
    memcpy(h->bytes + 8, json, n);
    h->digits = h->bytes + 8 + strlen("{\"__metadata__\":") + n_metadata - strlen("\"}") - DIGITS;
    assert(memcmp(h->digits, zeros, DIGITS) == 0);
    return 0;
}

static int header_make(struct header *h, const char *path, const struct tensor *tensors,
                       int n_tensors, const struct text *texts, int n_texts)
{
    json_t *metadata;
    int code = metadata_json(path, texts, n_texts, &metadata);
    json_t *all = code == 0 ? header_json(tensors, n_tensors, metadata) : NULL;
    char *text = all ? json_dumps(all, JSON_COMPACT) : NULL;

    if (text)
        code = header_lay(h, path, text, json_dumpb(metadata, NULL, 0, JSON_COMPACT));
    else if (code == 0)
        code = err(ERR_MEMORY, "out of memory to write '%s'", path);
    free(text);
    json_decref(all);
    json_decref(metadata);
    return code;
}

static void header_sign(struct header *h, const struct tensor *tensors, int n_tensors)
{
    XXH64_state_t state;
    char digits[DIGITS + 1];

    XXH64_reset(&state, 0);
    XXH64_update(&state, h->bytes, h->n);
    for (int i = 0; i < n_tensors; i++)
        XXH64_update(&state, tensors[i].data, tensors[i].n * dtype_size(tensors[i].dtype));
    snprintf(digits, sizeof digits, "%016llx", (unsigned long long)XXH64_digest(&state));
    memcpy(h->digits, digits, DIGITS);
}

static int bytes_write(int fd, const void *bytes, size_t n)
{
    const char *p = bytes;

    while (n > 0) {
        ssize_t done = write(fd, p, n < WRITE_MAX ? n : WRITE_MAX);
        if (done < 0 && errno == EINTR)
            continue;
        if (done <= 0)
            return -1;
        p += done;
        n -= (size_t)done;
    }
    return 0;
}

static int all_write(int fd, const struct header *h, const struct tensor *tensors, int n_tensors)
{
    int code = bytes_write(fd, h->bytes, h->n);

    for (int i = 0; i < n_tensors && code == 0; i++)
        code = bytes_write(fd, tensors[i].data, tensors[i].n * dtype_size(tensors[i].dtype));
    return code == 0 ? fsync(fd) : code;
}

static int directory_sync(const char *path)
{
    char *copy = strdup(path);
    int fd = copy ? open(dirname(copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;

    free(copy);
    if (fd < 0)
        return err(ERR_IO, "cannot sync the directory of '%s': %s", path, strerror(errno));
    int code = fsync(fd) < 0 && errno != EINVAL /* has nothing to sync */
                   ? err(ERR_IO, "cannot sync the directory of '%s': %s", path, strerror(errno))
                   : 0;
    close(fd);
    return code;
}

/* Creates PATH.tmp-PID-N: the umask applies, a leftover of a killed process does not matter. */
static int temporary_open(const char *path, char **name)
{
    for (int i = 0; i < ATTEMPTS; i++) {
        if (asprintf(name, "%s.tmp-%ld-%d", path, (long)getpid(), i) < 0) {
            *name = NULL;
            return err(ERR_MEMORY, "out of memory to write '%s'", path);
        }
        int fd = open(*name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
        if (fd >= 0)
            return fd;
        free(*name);
        *name = NULL;
        if (errno != EEXIST)
            break;
    }
    return err(ERR_CANTCREAT, "cannot create '%s': %s", path, strerror(errno));
}

static int file_write(const char *path, const struct header *h, const struct tensor *tensors,
                      int n_tensors)
{
    char *name;
    int fd = temporary_open(path, &name), code = 0;

    TRY(fd);
    if (all_write(fd, h, tensors, n_tensors) < 0)
        code = err(ERR_IO, "cannot write '%s': %s", path, strerror(errno));
    if (close(fd) < 0 && code == 0)
        code = err(ERR_IO, "cannot write '%s': %s", path, strerror(errno));
    if (code == 0 && rename(name, path) < 0)
        code = err(ERR_CANTCREAT, "cannot create '%s': %s", path, strerror(errno));
    if (code < 0)
        unlink(name);
    free(name);
    TRY(code);
    return directory_sync(path);
}

int safetensors_write(const char *path, const struct tensor *tensors, int n_tensors,
                      const struct text *texts, int n_texts)
{
    struct header h = {0};

    TRY(header_make(&h, path, tensors, n_tensors, texts, n_texts));
    header_sign(&h, tensors, n_tensors);
    int code = file_write(path, &h, tensors, n_tensors);
    free(h.bytes);
    return code;
}
