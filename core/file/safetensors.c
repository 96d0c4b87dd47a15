/* safetensors.c - access to the content of a file that has been read. */
#include "core/file/safetensors.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

static const struct {
    const char *name;
    size_t size;
} dtypes[] = {
    [DTYPE_F32] = {"F32", 4}, [DTYPE_F64] = {"F64", 8}, [DTYPE_I64] = {"I64", 8},
    [DTYPE_I32] = {"I32", 4}, [DTYPE_U8] = {"U8", 1},
};

size_t dtype_size(enum dtype t)
{
    return dtypes[t].size;
}

const char *dtype_name(enum dtype t)
{
    return dtypes[t].name;
}

void safetensors_close(struct safetensors *s)
{
    if (s->bytes)
        munmap(s->bytes, s->n_bytes);
    json_decref(s->json);
    free(s->tensors);
    free(s->texts);
    *s = (struct safetensors){0};
}

const struct tensor *safetensors_find(const struct safetensors *s, const char *name)
{
    for (int i = 0; i < s->n_tensors; i++)
        if (strcmp(s->tensors[i].name, name) == 0)
            return &s->tensors[i];
    return NULL;
}

const char *safetensors_text(const struct safetensors *s, const char *key)
{
    for (int i = 0; i < s->n_texts; i++)
        if (strcmp(s->texts[i].key, key) == 0)
            return s->texts[i].value;
    return NULL;
}

/* memcpy: after a U8 tensor the next one may lie at an odd address. */
double tensor_get(const struct tensor *t, size_t i)
{
    const char *at = (const char *)t->data + i * dtype_size(t->dtype);
    union {
        float f32;
        double f64;
        int64_t i64;
        int32_t i32;
        uint8_t u8;
    } x;

    memcpy(&x, at, dtype_size(t->dtype));
    switch (t->dtype) {
    case DTYPE_F32:
        return x.f32;
    case DTYPE_F64:
        return x.f64;
    case DTYPE_I64:
        return (double)x.i64;
    case DTYPE_I32:
        return x.i32;
    case DTYPE_U8:
        return x.u8;
    }
    return 0;
}
