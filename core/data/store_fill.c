/* store_fill.c - turns arrays into a store's pixels and labels, after it has checked every
 * number. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/err.h"
#include "core/base/plural.h"
#include "core/data/store.h"

int store_set_shape(struct store *s, uint64_t h, uint64_t w, uint64_t c, const char *what)
{
    if (h < 1 || w < 1 || h > SIDE_MAX || w > SIDE_MAX)
        return err(ERR_DATA, "'%s' has images of %ju x %ju pixels, the limit is %d per side", what,
                   (uintmax_t)h, (uintmax_t)w, SIDE_MAX);
    if (c < 1 || c > CHANNELS_MAX)
        return err(ERR_DATA,
                   "'%s' has images of %ju channels (the last dimension), the limit is %d; if they "
                   "come first, save np.transpose(x, (0, 2, 3, 1))",
                   what, (uintmax_t)c, CHANNELS_MAX);
    s->shape = (struct shape){.h = (int)h, .w = (int)w, .c = (int)c};
    return 0;
}

/* Copies n numbers of width 4 or 8 (little endian) to floats. A finite number out of range means
 * another scale and is refused. A number that is not finite means a damaged image: tasks that draw
 * it fail. */
static int floats_copy(struct blob *to, const struct array *a, const char *what)
{
    float *f;

    TRY(blob_alloc(to, (size_t)a->n * sizeof(float)));
    f = (float *)(void *)to->bytes;
    if (a->width == 4)
        memcpy(f, a->data, (size_t)a->n * sizeof(float));
    for (size_t i = 0; i < a->n; i++) {
        double wide = a->width == 4 ? f[i] : 0;

        if (a->width == 8) {
            memcpy(&wide, a->data + 8 * i, sizeof wide);
            f[i] = (float)wide;
        }
        if (isfinite(wide) && !(f[i] >= 0 && f[i] <= 1))
            return err(ERR_DATA,
                       "'%s' has the number %g at index %zu, images are within 0 and 1: save x / "
                       "255 if they go up to 255, or save bytes",
                       what, wide, i);
    }
    return 0;
}

static int images_type_refuse(const struct array *a, const char *what)
{
    const char *advice = a->kind == 'f'                    ? "x.astype('<f4')"
                         : a->kind == 'u' && a->width == 2 ? "(x // 257).astype(np.uint8)"
                                                           : "x.astype(np.uint8)";

    return err(
        ERR_DATA,
        "'%s' has numbers of type %c%d%s, images are u1, f4 or f8 (little endian): save %s%s%s",
        what, a->kind, a->width, a->big ? " (big endian)" : "", advice,
        a->kind == 'f'                    ? ""
        : a->kind == 'u' && a->width == 2 ? " if they go up to 65535"
                                          : " if they lie within 0 and 255",
        a->n_dims == 1 ? " (or are 'path' and 'labels' swapped?)" : "");
}

/* The channels of a picture: grey, with transparency, RGB, RGBA. */
static bool is_channels(uint64_t c)
{
    return c >= 1 && c <= 4;
}

static int images_check(const struct array *a, const char *what)
{
    if (!(a->kind == 'u' && a->width == 1) && !(a->kind == 'f' && !a->big))
        return images_type_refuse(a, what);
    if (a->n_dims < 3)
        return err(ERR_DATA,
                   "'%s' has %d dimension%s, images are [n, h, w] or [n, h, w, c]: save "
                   "x.reshape(n, h, w)%s",
                   what, a->n_dims, plural(a->n_dims),
                   a->n_dims == 1 ? " (or are 'path' and 'labels' swapped?)" : "");
    if (a->n_dims == 4 && (a->dims[1] == 1 || a->dims[1] == 3) && !is_channels(a->dims[3]))
        return err(ERR_DATA,
                   "'%s' has the shape [%ju, %ju, %ju, %ju]: channels come first, images are "
                   "[n, h, w, c]; save np.transpose(x, (0, 2, 3, 1))",
                   what, (uintmax_t)a->dims[0], (uintmax_t)a->dims[1], (uintmax_t)a->dims[2],
                   (uintmax_t)a->dims[3]);
    if (a->dims[0] < 1 || a->dims[0] >= DATA_GRID)
        return err(ERR_DATA, "'%s' has %ju images, a set has 1 to %ju", what, (uintmax_t)a->dims[0],
                   (uintmax_t)DATA_GRID - 1);
    return 0;
}

int store_set_images(struct store *s, const struct array *a, struct blob *b, const char *what)
{
    struct blob floats = {0};
    int code;

    TRY(images_check(a, what));
    TRY(store_set_shape(s, a->dims[1], a->dims[2], a->n_dims == 4 ? a->dims[3] : 1, what));
    s->n = (uint32_t)a->dims[0];
    if (a->n_dims == 4 && a->dims[1] == 3 && a->dims[2] > 4)
        store_note(s,
                   "images of [3, %ju, %ju] are read as 3 rows of %ju pixels; if the 3 are "
                   "channels, save np.transpose(x, (0, 2, 3, 1))",
                   (uintmax_t)a->dims[2], (uintmax_t)a->dims[3], (uintmax_t)a->dims[2]);
    if (a->kind == 'u') {
        s->u8 = a->data;
        s->pixels = *b;
        *b = (struct blob){0};
        return 0;
    }
    code = floats_copy(&floats, a, what);
    if (code < 0) {
        blob_release(&floats);
        return code;
    }
    s->f32 = (const float *)(void *)floats.bytes;
    s->pixels = floats;
    return 0;
}

/* The i-th integer, with its sign carried to 64 bits. */
static uint64_t label_at(const struct array *a, uint64_t i, bool *negative)
{
    const uint8_t *p = a->data + i * (uint64_t)a->width;
    uint64_t v = 0;

    for (int k = 0; k < a->width; k++)
        v |= (uint64_t)p[a->big ? a->width - 1 - k : k] << 8 * k;
    *negative = a->kind == 'i' && v >> (8 * a->width - 1);
    return *negative && a->width < 8 ? v | ~UINT64_C(0) << 8 * a->width : v;
}

static int label_take(struct store *s, const struct array *a, uint32_t i, const char *what)
{
    bool negative;
    uint64_t v = label_at(a, i, &negative);

    if (negative || v >= LABEL_MAX)
        return err(ERR_DATA, "'%s' has a label out of range at index %u, %s%ju: labels are 0 to %d",
                   what, i, negative ? "-" : "", (uintmax_t)(negative ? -v : v), LABEL_MAX - 1);
    s->labels[i] = (uint32_t)v;
    if (v >= s->n_classes)
        s->n_classes = (uint32_t)v + 1;
    return 0;
}

static const char *labels_advice(const struct array *a)
{
    if (a->n_dims == 2 && a->dims[1] > 1)
        return "y.argmax(1), if each row marks one class";
    return a->kind == 'f' ? "y.astype(np.int64).ravel()" : "y.ravel()";
}

int store_set_labels(struct store *s, const struct array *a, const char *what)
{
    if (a->kind == 'f' || a->n_dims != 1)
        return err(ERR_DATA,
                   "'%s' has numbers of type %c%d in %d dimension%s, labels are whole "
                   "numbers in 1 dimension: save %s",
                   what, a->kind, a->width, a->n_dims, plural(a->n_dims), labels_advice(a));
    if (a->n != s->n)
        return err(ERR_DATA, "'%s' has %ju labels for %u images", what, (uintmax_t)a->n, s->n);
    s->labels = calloc(s->n, sizeof *s->labels);
    if (!s->labels)
        return err(ERR_MEMORY, "out of memory for %u labels", s->n);
    for (uint32_t i = 0; i < s->n; i++)
        TRY(label_take(s, a, i, what));
    return 0;
}
