/* safetensors_read.c - reading: everything is checked before it is believed. */
#include "core/file/safetensors.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/base/err.h"
#include "core/file/safetensors_verify.h"

enum { DIMS_MAX = 6, READ_MAX = 1 << 30 };

/* Reserves memory for the whole file. Pages are used only as they are read, so a false size costs
 * nothing. */
static int room_take(struct safetensors *s, int fd, const char *path)
{
    struct stat st;

    if (fstat(fd, &st) < 0)
        return err(ERR_NOINPUT, "cannot read '%s': %s", path, strerror(errno));
    if (!S_ISREG(st.st_mode))
        return err(ERR_DATA, "'%s' is not a file", path);
    if (st.st_size < 8)
        return err(ERR_DATA, "'%s' has %lld bytes, too few for a safetensors file", path,
                   (long long)st.st_size);
    void *room = mmap(NULL, (size_t)st.st_size, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (room == MAP_FAILED)
        return err(ERR_MEMORY, "no memory for the %lld bytes of '%s'", (long long)st.st_size, path);
    s->bytes = room;
    s->n_bytes = (size_t)st.st_size;
    return 0;
}

/* Bytes from .. to. Read, not mapped: a bad sector is an error, not a signal. */
static int bytes_read(const struct safetensors *s, int fd, const char *path, size_t from, size_t to)
{
    while (from < to) {
        size_t n = to - from < READ_MAX ? to - from : READ_MAX;
        ssize_t done = pread(fd, s->bytes + from, n, (off_t)from);

        if (done < 0 && errno == EINTR)
            continue;
        if (done < 0)
            return err(ERR_NOINPUT, "cannot read '%s' at byte %zu: %s", path, from,
                       strerror(errno));
        if (done == 0)
            return err(ERR_DATA, "'%s' became shorter while it was read, at byte %zu", path, from);
        from += (size_t)done;
    }
    return 0;
}

/* The header's length n, within the file and within reason. */
static int header_check(const struct safetensors *s, const char *path, size_t *n)
{
    uint64_t length = 0;

    for (int i = 7; i >= 0; i--)
        length = length << 8 | (unsigned char)s->bytes[i];
    if (length > s->n_bytes - 8)
        return err(ERR_DATA,
                   "'%s' is not a safetensors file: it has %zu bytes, its header would have %llu",
                   path, s->n_bytes, (unsigned long long)length);
    if (length > SAFETENSORS_HEADER_MAX)
        return err(ERR_DATA, "'%s' has a header of %llu bytes, more than %d", path,
                   (unsigned long long)length, SAFETENSORS_HEADER_MAX);
    *n = (size_t)length;
    return 0;
}

/* The number of values in a JSON text outside strings: an empty object of 2 bytes takes 250 in
 * memory. */
static size_t values_count(const char *json, size_t n)
{
    bool in_string = false;
    size_t count = 0;

    for (size_t i = 0; i < n; i++) {
        if (in_string && json[i] == '\\')
            i++;
        else if (json[i] == '"')
            in_string = !in_string;
        else if (!in_string)
            count += json[i] == '{' || json[i] == '[' || json[i] == ',';
    }
    return count;
}

static int header_parse(struct safetensors *s, const char *path, size_t n)
{
    json_error_t e;

    if (n < 2 || s->bytes[8] != '{')
        return err(ERR_DATA, "'%s' is not a safetensors file: its header is not a JSON object",
                   path);
    if (values_count(s->bytes + 8, n) > SAFETENSORS_VALUES_MAX)
        return err(ERR_DATA, "'%s' has a header of more than %d values", path,
                   SAFETENSORS_VALUES_MAX);
    s->json = json_loadb(s->bytes + 8, n, JSON_REJECT_DUPLICATES, &e);
    if (s->json)
        return 0;
    if (json_error_code(&e) == json_error_out_of_memory)
        return err(ERR_MEMORY, "out of memory for the header of '%s'", path);
    return err(ERR_DATA, "'%s': header, at byte %d: %s", path, e.position + 8, e.text);
}

static int texts_read(struct safetensors *s, const char *path)
{
    json_t *metadata = json_object_get(s->json, "__metadata__"), *value;
    const char *key;

    if (!metadata)
        return 0;
    if (!json_is_object(metadata))
        return err(ERR_DATA, "'%s': '__metadata__' is not an object", path);
    s->texts = calloc(json_object_size(metadata) + 1, sizeof *s->texts);
    if (!s->texts)
        return err(ERR_MEMORY, "out of memory for the header of '%s'", path);
    json_object_foreach(metadata, key, value)
    {
        if (!json_is_string(value))
            return err(ERR_DATA, "'%s': '%.60s' in '__metadata__' is not a string", path, key);
        s->texts[s->n_texts++] = (struct text){key, json_string_value(value)};
    }
    return 0;
}

static int tensor_fail(const char *path, const struct tensor *t, const char *what)
{
    return err(ERR_DATA, "'%s': tensor '%s' %s", path, t->name, what);
}

static int dtype_read(struct tensor *t, json_t *value, const char *path)
{
    const char *name = json_string_value(value);

    if (!name)
        return tensor_fail(path, t, "has no 'dtype'");
    for (int i = 0; i < DTYPES; i++) {
        if (strcmp(dtype_name((enum dtype)i), name) == 0) {
            t->dtype = (enum dtype)i;
            return 0;
        }
    }
    return err(ERR_DATA, "'%s': tensor '%s' has dtype '%.20s', which is not read", path, t->name,
               name);
}

/* Also t->n; its bytes do not overflow size_t. */
static int shape_read(struct tensor *t, json_t *shape, const char *path)
{
    size_t n = json_array_size(shape);

    if (!json_is_array(shape))
        return tensor_fail(path, t, "has no 'shape'");
    if (n > DIMS_MAX)
        return tensor_fail(path, t, "has more than 6 dimensions");
    t->n = 1;
    t->n_dims = (int)n;
    for (size_t i = 0; i < n; i++) {
        json_t *dim = json_array_get(shape, i);
        if (!json_is_integer(dim) || json_integer_value(dim) < 0)
            return tensor_fail(path, t, "has a dimension that is not a whole number from 0");
        t->dims[i] = (size_t)json_integer_value(dim);
        if (__builtin_mul_overflow(t->n, t->dims[i], &t->n))
            return tensor_fail(path, t, "has more elements than memory");
    }
    size_t bytes;
    if (__builtin_mul_overflow(t->n, dtype_size(t->dtype), &bytes))
        return tensor_fail(path, t, "has more elements than memory");
    return 0;
}

/* t->data, for now without regard to its neighbours. */
static int offsets_read(struct tensor *t, json_t *offsets, const char *path, const char *data,
                        size_t n_data)
{
    json_t *begin = json_array_get(offsets, 0), *end = json_array_get(offsets, 1);

    if (json_array_size(offsets) != 2 || !json_is_integer(begin) || !json_is_integer(end))
        return tensor_fail(path, t, "has no 'data_offsets'");
    json_int_t from = json_integer_value(begin), to = json_integer_value(end);
    if (from < 0 || to < from || (uint64_t)to > n_data)
        return err(ERR_DATA, "'%s': tensor '%s' lies at %lld .. %lld of %zu bytes of data", path,
                   t->name, (long long)from, (long long)to, n_data);
    if ((uint64_t)(to - from) != t->n * dtype_size(t->dtype))
        return err(ERR_DATA, "'%s': tensor '%s' has %lld bytes, its shape needs %zu", path, t->name,
                   (long long)(to - from), t->n * dtype_size(t->dtype));
    t->data = data + from;
    return 0;
}

static int tensor_read(struct tensor *t, const char *name, json_t *entry, const char *path,
                       const char *data, size_t n_data)
{
    t->name = name;
    if (!json_is_object(entry) || json_object_size(entry) != 3)
        return tensor_fail(path, t, "is not described by dtype, shape and data_offsets alone");
    TRY(dtype_read(t, json_object_get(entry, "dtype"), path));
    TRY(shape_read(t, json_object_get(entry, "shape"), path));
    return offsets_read(t, json_object_get(entry, "data_offsets"), path, data, n_data);
}

/* By place; an empty tensor before the one that begins where it lies. */
static int tensor_order(const void *a, const void *b)
{
    const struct tensor *x = a, *y = b;

    if (x->data != y->data)
        return x->data < y->data ? -1 : 1;
    if ((x->n == 0) != (y->n == 0))
        return x->n == 0 ? -1 : 1;
    return strcmp(x->name, y->name);
}

static int places_check(const struct safetensors *s, const char *path, const char *data,
                        size_t n_data)
{
    const char *at = data;

    for (int i = 0; i < s->n_tensors; i++) {
        const struct tensor *t = &s->tensors[i];
        const char *begin = t->data;
        if (begin != at)
            return err(ERR_DATA, "'%s': tensor '%s' begins at byte %zu of the data, not at %zu",
                       path, t->name, (size_t)(begin - data), (size_t)(at - data));
        at = begin + t->n * dtype_size(t->dtype);
    }
    if (at != data + n_data)
        return err(ERR_DATA, "'%s' has %zu bytes of data, its tensors have %zu", path, n_data,
                   (size_t)(at - data));
    return 0;
}

static int tensors_read(struct safetensors *s, const char *path, size_t n_header)
{
    const char *data = s->bytes + 8 + n_header, *name;
    size_t n_data = s->n_bytes - 8 - n_header;
    json_t *entry;

    s->tensors = calloc(json_object_size(s->json) + 1, sizeof *s->tensors);
    if (!s->tensors)
        return err(ERR_MEMORY, "out of memory for the tensors of '%s'", path);
    json_object_foreach(s->json, name, entry)
    {
        if (strcmp(name, "__metadata__") != 0)
            TRY(tensor_read(&s->tensors[s->n_tensors++], name, entry, path, data, n_data));
    }
    qsort(s->tensors, (size_t)s->n_tensors, sizeof *s->tensors, tensor_order);
    return places_check(s, path, data, n_data);
}

static int file_read(struct safetensors *s, int fd, const char *path)
{
    size_t n_header = 0;

    TRY(room_take(s, fd, path));
    TRY(bytes_read(s, fd, path, 0, 8));
    TRY(header_check(s, path, &n_header));
    TRY(bytes_read(s, fd, path, 8, 8 + n_header));
    TRY(header_parse(s, path, n_header));
    TRY(texts_read(s, path));
    TRY(tensors_read(s, path, n_header));
    TRY(bytes_read(s, fd, path, 8 + n_header, s->n_bytes));
    return safetensors_verify(s, path, 8 + n_header);
}

int safetensors_open(struct safetensors *s, const char *path)
{
    int fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC); /* does not wait for a pipe */

    *s = (struct safetensors){0};
    if (fd < 0)
        return err(ERR_NOINPUT, "cannot open '%s': %s", path, strerror(errno));
    int code = file_read(s, fd, path);
    close(fd);
    if (code < 0)
        safetensors_close(s);
    return code;
}
