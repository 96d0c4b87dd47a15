/* safetensors_write.c - the header, its digests, and the file as one. */
#include <assert.h>
#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define XXH_STATIC_LINKING_ONLY /* a state on the stack */
#include <xxhash.h>

#include "core/base/err.h"
#include "core/base/outfile.h"
#include "core/file/safetensors.h"

static const char zeros[] = "0000000000000000";

enum { DIGITS = sizeof zeros - 1, ALIGN = 64 };

struct file_header {
    char *bytes; /* owned; u64 length, JSON, spaces: ends where the data begin */
    size_t n;
    char *digits; /* of the digest, inside bytes */
};

static size_t tensor_bytes(const struct tensor *t)
{
    return t->n * dtype_size(t->dtype);
}

/* Of each tensor, with spaces between. */
static json_t *digests_json(const struct tensor *tensors, int n_tensors)
{
    size_t n = (size_t)n_tensors * (DIGITS + 1);
    char *text = malloc(n + 1);
    json_t *value;

    if (!text)
        return NULL;
    for (int i = 0; i < n_tensors; i++)
        snprintf(text + (size_t)i * (DIGITS + 1), DIGITS + 2, "%016llx ",
                 (unsigned long long)XXH64(tensors[i].data, tensor_bytes(&tensors[i]), 0));
    value = json_stringn(text, n ? n - 1 : 0);
    free(text);
    return value;
}

static bool is_written_here(const char *key)
{
    return strcmp(key, "digest") == 0 || strcmp(key, "digest_kind") == 0 ||
           strcmp(key, "tensor_digests") == 0;
}

/* The digest is the last entry. */
static int metadata_json(const char *path, const struct tensor *tensors, int n_tensors,
                         const struct text *texts, int n_texts, json_t **metadata)
{
    json_t *o = json_object();
    int code = o ? 0 : err(ERR_MEMORY, "out of memory to write '%s'", path);

    for (int i = 0; i < n_texts && code == 0; i++) {
        if (is_written_here(texts[i].key))
            continue;
        assert(!json_object_get(o, texts[i].key));
        if (json_object_set_new(o, texts[i].key, json_string(texts[i].value)) < 0)
            code = err(ERR_DATA, "cannot write '%s': its text '%.60s' is not UTF-8", path,
                       texts[i].key);
    }
    if (code == 0 &&
        (json_object_set_new(o, "digest_kind", json_string("xxh64")) < 0 ||
         json_object_set_new(o, "tensor_digests", digests_json(tensors, n_tensors)) < 0 ||
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
        at += tensor_bytes(&tensors[i]);
    }
    if (code == 0)
        return o;
    json_decref(o);
    return NULL;
}

/* json's text behind its length, with spaces up to a multiple of ALIGN. */
static int header_lay(struct file_header *h, const char *path, const char *json, size_t n_metadata)
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

static int header_make(struct file_header *h, const char *path, const struct tensor *tensors,
                       int n_tensors, const struct text *texts, int n_texts)
{
    json_t *metadata;
    int code = metadata_json(path, tensors, n_tensors, texts, n_texts, &metadata);
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

static void header_sign(struct file_header *h, const struct tensor *tensors, int n_tensors)
{
    XXH64_state_t state;
    char digits[DIGITS + 1];

    XXH64_reset(&state, 0);
    XXH64_update(&state, h->bytes, h->n);
    for (int i = 0; i < n_tensors; i++)
        XXH64_update(&state, tensors[i].data, tensor_bytes(&tensors[i]));
    snprintf(digits, sizeof digits, "%016llx", (unsigned long long)XXH64_digest(&state));
    memcpy(h->digits, digits, DIGITS);
}

static int file_write(const char *path, const struct file_header *h, const struct tensor *tensors,
                      int n_tensors)
{
    struct outfile f;

    TRY(outfile_open(&f, path));
    outfile_write(&f, h->bytes, h->n);
    for (int i = 0; i < n_tensors; i++)
        outfile_write(&f, tensors[i].data, tensor_bytes(&tensors[i]));
    return outfile_commit(&f);
}

int safetensors_write(const char *path, const struct tensor *tensors, int n_tensors,
                      const struct text *texts, int n_texts)
{
    struct file_header h = {0};

    TRY(header_make(&h, path, tensors, n_tensors, texts, n_texts));
    header_sign(&h, tensors, n_tensors);
    int code = file_write(path, &h, tensors, n_tensors);
    free(h.bytes);
    return code;
}
