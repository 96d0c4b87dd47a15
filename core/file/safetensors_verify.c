/* safetensors_verify.c - the digest of the file tells if it is damaged, those of the tensors
 * where. */
#include "core/file/safetensors_verify.h"

#include <ctype.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define XXH_STATIC_LINKING_ONLY /* a state on the stack */
#include <xxhash.h>

#include "core/base/err.h"

enum { DIGITS = 16 };

static bool is_digest(const char *text)
{
    return strspn(text, "0123456789abcdef") == DIGITS && !text[DIGITS];
}

/* The place of the digits of `"digest": "..."` in the raw header; NULL unless there is exactly
 * one. */
static const char *digest_place(const char *header, size_t n, const char *digits)
{
    static const char key[] = "\"digest\"";
    const char *end = header + n, *found = NULL;

    for (const char *p = header + 1; p < end; p++) {
        p = memmem(p, (size_t)(end - p), key, sizeof key - 1);
        if (!p)
            break;
        const char *q = p + sizeof key - 1;
        while (q < end && (isspace((unsigned char)*q) || *q == ':'))
            q++;
        if (p[-1] == '\\' || end - q < DIGITS + 2 || *q != '"' ||
            memcmp(q + 1, digits, DIGITS) != 0)
            continue;
        if (found)
            return NULL;
        found = q + 1;
    }
    return found;
}

/* XXH64 of header (n_header bytes, '0' for the digits at offset `at`) and data. */
static uint64_t digest_whole(const struct safetensors *s, const char *header, size_t n_header,
                             size_t at)
{
    XXH64_state_t state;

    XXH64_reset(&state, 0);
    XXH64_update(&state, header, at);
    XXH64_update(&state, "0000000000000000", DIGITS);
    XXH64_update(&state, header + at + DIGITS, n_header - at - DIGITS);
    XXH64_update(&state, s->bytes + n_header, s->n_bytes - n_header);
    return XXH64_digest(&state);
}

/* True if there is one digest per tensor, separated by spaces. */
static bool is_list(const char *list, int n_tensors)
{
    size_t n = strlen(list);

    if (n != (n_tensors ? (size_t)n_tensors * (DIGITS + 1) - 1 : 0))
        return false;
    for (size_t i = 0; i < n; i++)
        if (i % (DIGITS + 1) == DIGITS ? list[i] != ' ' : !strchr("0123456789abcdef", list[i]))
            return false;
    return true;
}

/* Compares every tensor's digest; returns the first tensor that differs, or NULL. */
static const struct tensor *tensors_check(struct safetensors *s, const char *list)
{
    const struct tensor *bad = NULL;

    for (int i = 0; i < s->n_tensors; i++) {
        struct tensor *t = &s->tensors[i];

        t->digest = XXH64(t->data, t->n * dtype_size(t->dtype), 0);
        if (!bad && t->digest != strtoull(list + (size_t)i * (DIGITS + 1), NULL, 16))
            bad = t;
    }
    return bad;
}

/* True if the file would be valid with the tensors' own digests in the list: then the list is
 * damaged, not they. */
static bool list_is_damaged(const struct safetensors *s, size_t n_header, const char *list,
                            size_t at, uint64_t told)
{
    size_t n = strlen(list);
    const char *place = memmem(s->bytes, n_header, list, n);
    char *header = place ? malloc(n_header) : NULL, digits[DIGITS + 1];
    bool damaged;

    if (!header)
        return false;
    memcpy(header, s->bytes, n_header);
    for (int i = 0; i < s->n_tensors; i++) {
        snprintf(digits, sizeof digits, "%016llx", (unsigned long long)s->tensors[i].digest);
        memcpy(header + (place - s->bytes) + (size_t)i * (DIGITS + 1), digits, DIGITS);
    }
    damaged = digest_whole(s, header, n_header, at) == told;
    free(header);
    return damaged;
}

static int fail_tensor(const struct safetensors *s, const char *path, const struct tensor *t)
{
    size_t begin = (size_t)((const char *)t->data - s->bytes);

    return err(ERR_DATA, "'%s' is damaged: tensor '%s', bytes %zu .. %zu, is not what was written",
               path, t->name, begin, begin + t->n * dtype_size(t->dtype));
}

static int fail_header(const char *path, size_t n_header)
{
    return err(ERR_DATA, "'%s' is damaged: its header, bytes 0 .. %zu, is not what was written",
               path, n_header);
}

/* "digest_kind" distinguishes a file that lost its digest from one that never had one. */
int safetensors_verify(struct safetensors *s, const char *path, size_t n_header)
{
    const char *digits = safetensors_text(s, "digest"), *kind = safetensors_text(s, "digest_kind");
    const char *list = safetensors_text(s, "tensor_digests");
    const struct tensor *bad = NULL;

    if (!digits || !is_digest(digits))
        return kind ? err(ERR_DATA, "'%s' is damaged: its header has lost its digest", path) : 0;
    const char *place = digest_place(s->bytes + 8, n_header - 8, digits);
    if (!place)
        return err(ERR_DATA, "'%s': its header does not say clearly where its digest is", path);
    size_t at = (size_t)(place - s->bytes);
    uint64_t told = strtoull(digits, NULL, 16);
    s->digest = digest_whole(s, s->bytes, n_header, at);
    if (list && !is_list(list, s->n_tensors))
        return fail_header(path, n_header);
    if (list)
        bad = tensors_check(s, list);
    if (bad && (s->digest == told || !list_is_damaged(s, n_header, list, at, told)))
        return fail_tensor(s, path, bad);
    if (s->digest == told)
        return 0;
    return list ? fail_header(path, n_header)
                : err(ERR_DATA, "'%s' is damaged: its %zu bytes have digest %016llx, it says %s",
                      path, s->n_bytes, (unsigned long long)s->digest, digits);
}
