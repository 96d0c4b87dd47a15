/* safetensors.c - access to the content of a file that has been read. */
#include "core/file/safetensors.h"

#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

static const struct {
    const char *name;
    size_t size;
} dtypes[] = {
    [DTYPE_F32] = {"F32", 4},   [DTYPE_F64] = {"F64", 8}, [DTYPE_I64] = {"I64", 8},
    [DTYPE_I32] = {"I32", 4},   [DTYPE_U8] = {"U8", 1},   [DTYPE_F16] = {"F16", 2},
    [DTYPE_BF16] = {"BF16", 2},
};

size_t dtype_size(enum dtype t)
{
    return dtypes[t].size;
}

const char *dtype_name(enum dtype t)
{
    return dtypes[t].name;
}

bool dtype_is_real(enum dtype t)
{
    return t == DTYPE_F32 || t == DTYPE_F64 || t == DTYPE_F16 || t == DTYPE_BF16;
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

/* IEEE 754 binary16: sign, 5 bits of exponent, 10 of fraction. */
static double half_value(uint16_t bits)
{
    int exponent = bits >> 10 & 31, fraction = bits & 1023;
    double size = exponent == 31 ? (fraction ? NAN : INFINITY)
                  : exponent     ? ldexp(1024 + fraction, exponent - 25)
                                 : ldexp(fraction, -24);

    return bits >> 15 ? -size : size;
}

/* bfloat16: the upper half of a float. */
static double brain_value(uint16_t bits)
{
    uint32_t whole = (uint32_t)bits << 16;
    float x;

    memcpy(&x, &whole, sizeof x);
    return x;
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
        uint16_t half;
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
    case DTYPE_F16:
        return half_value(x.half);
    case DTYPE_BF16:
        return brain_value(x.half);
    }
    return 0;
}
