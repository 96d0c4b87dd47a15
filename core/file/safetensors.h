/* safetensors.h - the safetensors file format: u64 header length, JSON header, data.
 *
 * Writing is atomic (core/base/outfile.h). Reading checks everything before it is used: header
 * length, JSON, dtypes, shapes, offsets (no holes, no overlap, within the file), and the digests
 * if the file carries them. */
#ifndef CORE_FILE_SAFETENSORS_H
#define CORE_FILE_SAFETENSORS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum dtype { DTYPE_F32, DTYPE_F64, DTYPE_I64, DTYPE_I32, DTYPE_U8, DTYPE_F16, DTYPE_BF16 };
enum { DTYPES = DTYPE_BF16 + 1 };
size_t dtype_size(enum dtype t);      /* bytes of one element */
const char *dtype_name(enum dtype t); /* as in the file: "F32" */
bool dtype_is_real(enum dtype t);     /* F64, F32, F16 or BF16 */

struct tensor {
    const char *name; /* borrowed when writing; inside `json` when read */
    enum dtype dtype;
    int n_dims; /* 0 to 6; 0: a scalar, one element */
    size_t dims[6];
    size_t n;         /* elements */
    const void *data; /* borrowed when writing; inside `bytes` when read, aligned to its dtype only
                       * where every tensor before it has a size that is a multiple of that */
    uint64_t
        digest; /* XXH64 (seed 0) of its bytes, when read from a file that carries it; else 0 */
};

enum {
    SAFETENSORS_HEADER_MAX = 1 << 22, /* bytes; longer ones are neither read nor written */
    SAFETENSORS_VALUES_MAX = 1 << 17, /* JSON values in a header that is read, about */
};

struct text { /* one entry of __metadata__ */
    const char *key, *value;
};

struct safetensors {
    int n_tensors;
    struct tensor *tensors; /* owned, in file order */
    int n_texts;
    struct text *texts; /* owned */
    uint64_t digest;    /* of the file, as computed; 0 if the file carries none */
    char *bytes;        /* owned: the file */
    size_t n_bytes;
    void *json; /* owned: the parsed header that texts point into */
};

/* Reads and checks a file. A file without "digest" in its metadata (numpy's, torch's) is fine; one
 * with "digest_kind" but without "digest" is not. Errors name the path and the offset, the tensor
 * or the header: ERR_NOINPUT (also a read that fails), ERR_DATA, ERR_MEMORY. */
int safetensors_open(struct safetensors *s, const char *path);
void safetensors_close(struct safetensors *s);

const struct tensor *safetensors_find(const struct safetensors *s, const char *name); /* or NULL */
const char *safetensors_text(const struct safetensors *s, const char *key);           /* or NULL */

/* Writes tensors in the order given, with texts (UTF-8) as __metadata__ and, as the last entries of
 * it, "digest_kind": "xxh64", "tensor_digests": XXH64 (seed 0) of each tensor's bytes in file
 * order, 16 hex digits each, a space between, and "digest": XXH64 of the whole file with these 16
 * hex digits set to '0'; entries of these names among texts are left out. Data begin at a multiple
 * of 64 bytes. Never leaves a partial file under `path`; a killed process may leave PATH.tmp-PID-N.
 * Errors name the path: ERR_CANTCREAT, ERR_IO, ERR_MEMORY, ERR_DATA (a text that is not UTF-8, a
 * header that is too long). */
int safetensors_write(const char *path, const struct tensor *tensors, int n_tensors,
                      const struct text *texts, int n_texts);

/* Element i of a numeric tensor as double (I64 beyond 2^53 loses bits). */
double tensor_get(const struct tensor *t, size_t i);

#endif
