/* glyphs.c - endless classes of random characters drawn by simulated writers. A class is the same
 * character in every style. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/config.h"
#include "core/data.h"
#include "core/data/glyph.h"
#include "core/err.h"

struct glyphs {
    uint64_t seed;
    int size;
    const struct glyph_style *style; /* borrowed */
};

static int style_find(const struct glyph_style **style, const char *name)
{
    for (*style = glyph_styles; (*style)->name; (*style)++)
        if (strcmp((*style)->name, name) == 0)
            return 0;
    return err(ERR_CONFIG, "style '%s' is none of ink, chalk, outline, rotated, blurred, inverted",
               name);
}

static int glyphs_open(struct data *d, const struct data_config *c, const char *root)
{
    struct glyphs *g = d->state = calloc(1, sizeof *g);

    (void)root;
    if (!g)
        return err(ERR_MEMORY, "out of memory for a data set");
    TRY(style_find(&g->style, c->style && *c->style ? c->style : "ink"));
    g->size = c->size == 0 ? 28 : (int)c->size;
    if (c->size != 0 && (c->size < GLYPH_SIDE_MIN || c->size > GLYPH_SIDE_MAX))
        return err(ERR_CONFIG, "size '%jd' is not within %d and %d", (intmax_t)c->size,
                   GLYPH_SIDE_MIN, GLYPH_SIDE_MAX);
    g->seed = (uint64_t)c->seed;
    d->shape = (struct shape){g->size, g->size, 1};
    d->n_classes = d->n_samples = DATA_ENDLESS;
    return 0;
}

static uint32_t glyphs_class_size(const struct data *d, uint32_t class_id)
{
    (void)d;
    (void)class_id;
    return DATA_ENDLESS;
}

static void glyphs_class_name(const struct data *d, uint32_t class_id, char *name, size_t n)
{
    (void)d;
    snprintf(name, n, "glyph%u", class_id);
}

static int glyphs_read(const struct data *d, uint32_t class_id, uint32_t sample, real *x,
                       real *target)
{
    const struct glyphs *s = d->state;
    double scale = s->size / 28.0, radius;
    struct glyph g;
    struct rng r;

    (void)target;
    rng_init(&r, s->seed, RNG_GLYPH, class_id, 0);
    glyph_invent(&g, &r);
    rng_init(&r, s->seed, RNG_WRITER, class_id, sample);
    glyph_write(&g, &s->style->hand, &r);
    radius = scale * rng_uniform(&r, 0.4, 0.9);
    glyph_distance(&g, s->size, scale * s->style->reach, x);
    s->style->paint(x, s->size, radius, &r);
    return 0;
}

enum { FLAT_BITS = 4 }; /* 16 samples of each of endless classes */

static int glyphs_read_flat(const struct data *d, uint32_t index, real *x)
{
    return glyphs_read(d, index >> FLAT_BITS, index & ((1 << FLAT_BITS) - 1), x, NULL);
}

static uint32_t glyphs_label_flat(const struct data *d, uint32_t index)
{
    (void)d;
    return index >> FLAT_BITS;
}

static void glyphs_close(struct data *d)
{
    free(d->state);
}

const struct data_ops data_glyphs = {
    .name = "glyphs",
    .summary = "endless random characters drawn by simulated writers, in several styles",
    .open = glyphs_open,
    .class_size = glyphs_class_size,
    .class_name = glyphs_class_name,
    .read = glyphs_read,
    .read_flat = glyphs_read_flat,
    .label_flat = glyphs_label_flat,
    .close = glyphs_close,
};
