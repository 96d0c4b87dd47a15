/* view_survey.c - digests of a view's labels and pixels, and the pixels' range, in one pass. */
#include <math.h>
#include <xxhash.h>

#include "core/base/err.h"
#include "core/data/mapped.h"
#include "core/data/survey.h"
#include "core/data/view.h"

enum { BUFFER = 1024 }; /* labels digested at once */

uint64_t view_labels(const struct store_view *v, const struct store *s)
{
    uint32_t labels[BUFFER];
    uint64_t digest = v->n;

    for (uint32_t i = 0; i < v->n; i++) {
        labels[i % BUFFER] = view_class(v, s->labels[view_image(v, i)]);
        if (i % BUFFER == BUFFER - 1 || i == v->n - 1)
            digest = XXH3_64bits_withSeed(labels, (i % BUFFER + 1) * sizeof *labels, digest);
    }
    return digest;
}

static void range_bytes(const uint8_t *p, size_t n, struct survey *out)
{
    uint8_t low = 255, high = 0;

    for (size_t i = 0; i < n; i++) {
        low = p[i] < low ? p[i] : low;
        high = p[i] > high ? p[i] : high;
    }
    out->low = fminf(out->low, (float)low / 255);
    out->high = fmaxf(out->high, (float)high / 255);
}

static void range_floats(const float *p, size_t n, struct survey *out)
{
    for (size_t i = 0; i < n; i++)
        if (isfinite(p[i])) {
            out->low = fminf(out->low, p[i]);
            out->high = fmaxf(out->high, p[i]);
        }
}

/* Image `index` of k that are read, evenly spaced over the view's n. */
static uint32_t nth(const struct store_view *v, uint64_t k, uint64_t index)
{
    return (uint32_t)(k > 1 ? index * (v->n - 1) / (k - 1) : 0);
}

/* The number of images that are read: all, or a sample if they are mapped and large. */
static uint64_t images_looked_at(const struct store_view *v, const struct store *s, size_t bytes)
{
    uint64_t k;

    if (!s->pixels.map || v->n * (uint64_t)bytes <= SURVEY_WHOLE)
        return v->n;
    k = SURVEY_SAMPLE / bytes;
    return k < 2 ? 2 : k < v->n ? k : v->n;
}

static void look(const struct store_view *v, const struct store *s, uint64_t k, XXH3_state_t *state,
                 struct survey *out)
{
    size_t size = shape_size(s->shape);

    for (uint64_t i = 0; i < k; i++) {
        uint32_t image = view_image(v, nth(v, k, i));
        size_t place = s->at ? s->at[image] : image, at = place * store_stride(s);

        if (!store_is_table(s) && i % (k / SURVEY_LOOKS + 1) == 0)
            looks_add(&out->looks, s, place);
        if (s->u8) {
            XXH3_64bits_update(state, s->u8 + at, size);
            range_bytes(s->u8 + at, size, out);
        } else {
            XXH3_64bits_update(state, s->f32 + at, size * sizeof *s->f32);
            range_floats(s->f32 + at, size, out);
        }
        if (s->n_target)
            XXH3_64bits_update(state, s->targets + (size_t)image * (size_t)s->n_target,
                               (size_t)s->n_target * sizeof *s->targets);
    }
}

int view_pixels(const struct store_view *v, const struct store *s, struct survey *out)
{
    uint64_t k = images_looked_at(v, s, shape_size(s->shape) * (s->u8 ? 1 : sizeof *s->f32));
    XXH3_state_t *state = XXH3_createState();

    if (!state)
        return err(ERR_MEMORY, "out of memory for a digest");
    XXH3_64bits_reset_withSeed(state, v->n + (uint64_t)(s->u8 ? 0 : 1) + s->columns);
    out->kind = store_is_table(s) ? '\0' : s->u8 ? 'u' : 'f';
    out->sampled = k < v->n;
    out->time = out->sampled ? (int64_t)s->pixels.map->then.st_mtim.tv_sec : 0;
    look(v, s, k, state, out);
    looks_close(&out->looks);
    out->pixels = XXH3_64bits_digest(state);
    XXH3_freeState(state);
    return 0;
}
