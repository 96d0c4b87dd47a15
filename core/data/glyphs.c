/* glyphs.c - endless classes of random characters drawn by simulated writers. A class is the same
 * character in every style. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "core/base/err.h"
#include "core/base/nearest.h"
#include "core/config/config.h"
#include "core/data/data.h"
#include "core/data/framing.h"
#include "core/data/glyph.h"
#include "core/data/shift.h"
#include "core/data/survey.h"

enum { FIRST_MAX = 1 << 20 }; /* classes */

struct glyphs {
    uint64_t seed;
    int size;
    const struct glyph_style *style; /* borrowed */
    uint32_t n_classes;              /* 0: endless */
    struct shift shift;
};

static int style_find(const struct glyph_style **style, const char *name)
{
    const char *names[32] = {0};
    char hint[NEAREST_HINT];

    for (*style = glyph_styles; (*style)->name; (*style)++) {
        if (strcmp((*style)->name, name) == 0)
            return 0;
        if (*style - glyph_styles < 31)
            names[*style - glyph_styles] = (*style)->name;
    }
    return err(ERR_CONFIG, "unknown style '%s'%s", name, nearest_hint(name, names, hint));
}

static int glyphs_set(struct glyphs *g, const struct data_config *c)
{
    TRY(style_find(&g->style, c->style && *c->style ? c->style : "ink"));
    g->size = c->size == 0 ? 28 : (int)c->size;
    if (c->size != 0 && (c->size < GLYPH_SIDE_MIN || c->size > GLYPH_SIDE_MAX))
        return err(ERR_CONFIG, "size '%jd' is not within %d and %d", (intmax_t)c->size,
                   GLYPH_SIDE_MIN, GLYPH_SIDE_MAX);
    if (c->first < 0 || c->first > FIRST_MAX)
        return err(ERR_CONFIG, "first '%jd' is not within 0 and %d", (intmax_t)c->first, FIRST_MAX);
    TRY(framing_refuse(c));
    if (c->subset || c->margin)
        return err(ERR_CONFIG, "format 'glyphs' does not use the key '%s'",
                   c->subset ? "subset" : "margin");
    g->n_classes = (uint32_t)c->first;
    g->seed = (uint64_t)c->seed;
    return shift_set(&g->shift, c);
}

static int glyphs_open(struct data *d, const struct data_config *c, const char *root)
{
    struct glyphs *g = d->state = calloc(1, sizeof *g);

    (void)root;
    if (!g)
        return err(ERR_MEMORY, "out of memory for a data set");
    TRY(glyphs_set(g, c));
    d->shape = (struct shape){g->size, g->size, 1};
    d->n_classes = g->n_classes > 0 ? g->n_classes : DATA_ENDLESS;
    d->n_samples = DATA_ENDLESS;
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

static void glyph_draw(const struct glyphs *s, uint32_t class_id, uint32_t sample, real *x)
{
    double scale = s->size / 28.0, radius;
    struct glyph g;
    struct rng r;

    rng_init(&r, s->seed, RNG_GLYPH, class_id, 0);
    glyph_invent(&g, &r);
    rng_init(&r, s->seed, RNG_WRITER, class_id, sample);
    glyph_write(&g, &s->style->hand, &r);
    radius = scale * rng_uniform(&r, 0.4, 0.9);
    glyph_distance(&g, s->size, scale * s->style->reach, scale * s->style->gap, x);
    s->style->paint(x, s->size, radius, &r);
}

static int glyphs_read(const struct data *d, uint32_t class_id, uint32_t sample, real *x,
                       real *target)
{
    const struct glyphs *s = d->state;
    real apart[GLYPH_SIDE_MAX * GLYPH_SIDE_MAX], *drawn = shift_moves(&s->shift) ? apart : x;

    (void)target;
    glyph_draw(s, class_id, sample, drawn);
    shift_read(&s->shift, &(struct raster){.values = drawn, .inner = d->shape}, class_id, sample,
               x);
    return 0;
}

/* Class and sample of a flat index: classes in turn, or 16 samples of each of endless ones. */
static uint32_t flat_class(const struct glyphs *s, uint32_t index)
{
    return s->n_classes > 0 ? index % s->n_classes : index >> 4;
}

static uint32_t flat_sample(const struct glyphs *s, uint32_t index)
{
    return s->n_classes > 0 ? index / s->n_classes : index & 15;
}

static int glyphs_read_flat(const struct data *d, uint32_t index, real *x)
{
    return glyphs_read(d, flat_class(d->state, index), flat_sample(d->state, index), x, NULL);
}

static uint32_t glyphs_label_flat(const struct data *d, uint32_t index)
{
    return flat_class(d->state, index);
}

static int glyphs_survey(const struct data *d, struct survey *s)
{
    const struct glyphs *g = d->state;
    uint64_t words[] = {g->seed, (uint64_t)g->size, g->n_classes};

    s->pixels = XXH3_64bits_withSeed(g->style->name, strlen(g->style->name),
                                     XXH3_64bits(words, sizeof words));
    s->pixels = shift_digest(&g->shift, s->pixels);
    return 0;
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
    .survey = glyphs_survey,
    .close = glyphs_close,
};
