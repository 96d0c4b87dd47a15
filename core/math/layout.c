/* layout.c - the parameter vector's description. */
#include "core/math/layout.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define XXH_STATIC_LINKING_ONLY /* a state on the stack */
#include <xxhash.h>

#include "core/base/err.h"
#include "core/math/rng.h"
#include "core/math/vec.h"

const char *role_name(enum role role)
{
    static const char *const names[] = {"body",      "head", "stat", "discriminator",
                                        "regressor", "old",  "rate", "scale"};

    return names[role];
}

struct layout layout_measuring(void)
{
    return (struct layout){.measuring = true};
}

void layout_release(struct layout *l)
{
    for (int i = 0; i < l->n_segments; i++)
        free((char *)l->segments[i].name);
    free(l->segments);
    *l = (struct layout){0};
}

/* Makes room for one more segment. */
static int grow(struct layout *l)
{
    int room = l->room ? 2 * l->room : 8;
    struct segment *more;

    if (l->n_segments < l->room)
        return 0;
    more = realloc(l->segments, (size_t)room * sizeof *more);
    if (!more)
        return err(ERR_MEMORY, "no memory for %d parameter segments", room);
    l->segments = more;
    l->room = room;
    return 0;
}

/* Keeps a segment under "prefix.name", or under its own name if prefix is empty. */
static int keep(struct layout *l, const char *prefix, struct segment s)
{
    size_t n = strlen(prefix) + strlen(s.name) + 2;
    char *name;

    TRY(grow(l));
    name = malloc(n);
    if (!name)
        return err(ERR_MEMORY, "no memory for the name of a parameter segment");
    snprintf(name, n, "%s%s%s", prefix, *prefix ? "." : "", s.name);
    s.name = name;
    l->segments[l->n_segments++] = s;
    return 0;
}

static int add_behind(struct layout *l, const char *prefix, struct segment s)
{
    s.n = 1;
    for (int i = 0; i < s.n_dims; i++)
        s.n *= s.dims[i];
    s.offset = l->n;
    if (!l->measuring)
        TRY(keep(l, prefix, s));
    l->n += s.n;
    return 0;
}

int layout_add(struct layout *l, struct segment s)
{
    return add_behind(l, "", s);
}

const struct segment *layout_find(const struct layout *l, const char *name)
{
    for (int i = 0; i < l->n_segments; i++)
        if (strcmp(l->segments[i].name, name) == 0)
            return &l->segments[i];
    return NULL;
}

uint64_t layout_digest(const struct layout *l)
{
    uint64_t digest = 0;

    for (int i = 0; i < l->n_segments; i++) {
        const struct segment *s = &l->segments[i];
        char rest[128]; /* " regressor" and four sizes */
        int n = snprintf(rest, sizeof rest, " %s", role_name(s->role));
        XXH64_state_t line;

        for (int k = 0; k < s->n_dims; k++)
            n += snprintf(rest + n, sizeof rest - (size_t)n, " %zu", s->dims[k]);
        XXH64_reset(&line, digest);
        XXH64_update(&line, s->name, strlen(s->name));
        XXH64_update(&line, rest, (size_t)n);
        digest = XXH64_digest(&line);
    }
    return digest;
}

int layout_append(struct layout *l, const char *prefix, const struct layout *more)
{
    for (int i = 0; i < more->n_segments; i++)
        TRY(add_behind(l, prefix, more->segments[i]));
    return 0;
}

static double init_value(const struct segment *s, struct rng *r)
{
    switch (s->init) {
    case INIT_UNIFORM:
        return rng_uniform(r, -s->scale, s->scale);
    case INIT_RANGE:
        return rng_uniform(r, s->low, s->scale);
    case INIT_CONSTANT:
        break;
    }
    return s->scale;
}

void layout_init(const struct layout *l, uint64_t seed, int stage, real *theta)
{
    for (int i = 0; i < l->n_segments; i++) {
        const struct segment *s = &l->segments[i];
        struct rng r;

        rng_init(&r, seed, RNG_INIT, (uint32_t)stage, (uint32_t)i);
        for (size_t k = 0; k < s->n; k++)
            theta[s->offset + k] = (real)init_value(s, &r);
    }
}

bool segment_has_shape(const struct segment *s, int n_dims, const size_t *dims)
{
    return n_dims == s->n_dims && memcmp(dims, s->dims, (size_t)n_dims * sizeof *dims) == 0;
}

void shape_text(int n_dims, const size_t *dims, char *text, size_t size)
{
    int at = snprintf(text, size, "[");

    for (int i = 0; i < n_dims && at < (int)size; i++)
        at += snprintf(text + at, size - (size_t)at, "%s%zu", i ? ", " : "", dims[i]);
    if (at < (int)size)
        snprintf(text + at, size - (size_t)at, "]");
}

void layout_add_learnable(const struct layout *l, const real *x, real *y)
{
    for (int i = 0; i < l->n_segments; i++)
        if (role_learns(l->segments[i].role))
            vec_add(l->segments[i].n, x + l->segments[i].offset, y + l->segments[i].offset);
}

/* A segment as [out][channel][position]; in memory channels are last. */
struct columns {
    size_t out, channels, positions;
};

static struct columns columns_of(const struct segment *s)
{
    if (s->n_dims == 4)
        return (struct columns){s->dims[0], s->dims[1], s->dims[2] * s->dims[3]};
    if (s->n_dims == 3)
        return (struct columns){s->dims[0], s->dims[1], s->dims[2]};
    if (s->n_dims == 2 && s->positions > 1)
        return (struct columns){s->dims[0], s->dims[1] / s->positions, s->positions};
    return (struct columns){1, 1, s->n};
}

/* Where element (o, c, p) lies in memory, [out][position][channel]. */
static size_t memory_index(struct columns k, size_t o, size_t c, size_t p)
{
    return (o * k.positions + p) * k.channels + c;
}

bool layout_reorders_columns(const struct segment *s)
{
    struct columns k = columns_of(s);

    return s->n_dims == 2 && k.positions > 1 && k.channels > 1;
}

void layout_export(const struct segment *s, const real *theta, real *torch)
{
    struct columns k = columns_of(s);

    if (k.positions == 1 || k.channels == 1) {
        memcpy(torch, theta + s->offset, s->n * sizeof(real));
        return;
    }
    for (size_t o = 0; o < k.out; o++)
        for (size_t c = 0; c < k.channels; c++)
            for (size_t p = 0; p < k.positions; p++)
                *torch++ = theta[s->offset + memory_index(k, o, c, p)];
}

void layout_import(const struct segment *s, const real *torch, real *theta)
{
    struct columns k = columns_of(s);

    if (k.positions == 1 || k.channels == 1) {
        memcpy(theta + s->offset, torch, s->n * sizeof(real));
        return;
    }
    for (size_t o = 0; o < k.out; o++)
        for (size_t c = 0; c < k.channels; c++)
            for (size_t p = 0; p < k.positions; p++)
                theta[s->offset + memory_index(k, o, c, p)] = *torch++;
}

uint64_t layout_hash(const struct layout *l, const real *theta, real *scratch)
{
    for (int i = 0; i < l->n_segments; i++)
        layout_export(&l->segments[i], theta, scratch + l->segments[i].offset);
    return XXH64(scratch, l->n * sizeof(real), 0);
}
