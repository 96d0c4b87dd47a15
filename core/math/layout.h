/* layout.h - one flat parameter vector, described once.
 *
 * Everything learnable or averaged is a named segment of one array of `real`. Reduction,
 * broadcast, checkpoint, optimizer and clipping see a pointer and a length; the layout knows
 * names, shapes, roles and how to initialise. Names, shapes and file order are PyTorch's. In
 * memory a convolution's weight is [out][kh][kw][in] (channels last), and so are the columns of a
 * dense layer that reads a map as it lies; layout_export and layout_import convert. */
#ifndef CORE_MATH_LAYOUT_H
#define CORE_MATH_LAYOUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/base/real.h"

enum role {
    ROLE_BODY,
    ROLE_HEAD,
    ROLE_STAT,          /* running statistics */
    ROLE_DISCRIMINATOR, /* tells domains apart */
    ROLE_REGRESSOR,     /* from a student's features to its teacher's */
    ROLE_OLD,           /* the head of an earlier task */
    ROLE_RATE,          /* inner rates that are learned */
    ROLE_SCALE,         /* means and deviations of inputs and targets: constants */
    ROLES,
};
const char *role_name(enum role role); /* never NULL; static */

/* Whether gradients step segments of the role: all but statistics and constants. */
static inline bool role_learns(enum role role)
{
    return role != ROLE_STAT && role != ROLE_SCALE;
}

enum init {
    INIT_CONSTANT, /* the constant `scale` */
    INIT_UNIFORM,  /* uniform on [-scale, scale] */
    INIT_RANGE,    /* uniform on [low, scale] */
};

struct segment {
    const char *name; /* "conv1.weight"; owned by the layout that it is in */
    int n_dims;       /* 1 to 4 */
    size_t dims[4];   /* PyTorch's shape */
    size_t offset, n; /* place in the vector */
    enum role role;
    enum init init;
    double scale, low;
    bool idle; /* no gradient of the stage reaches it, so it is never stepped */
    /* Positions of a map whose channels its columns are: in memory [out][position][channel], to
     * others PyTorch's [out][channel][position]. 0: a plain vector's. Only if n_dims is 2. */
    size_t positions;
};

/* A layout of zeros is empty and ready. */
struct layout {
    int n_segments, room;     /* room: segments that there is memory for */
    size_t n;                 /* parameters in all (P) */
    struct segment *segments; /* owned, (n_segments); it may move when a segment is added */
    bool measuring;           /* it counts parameters and keeps no segment */
};

/* An empty layout that only counts: no memory is asked for, nothing needs a release. */
struct layout layout_measuring(void);

/* Frees the segments and their names; what is left is an empty layout. */
void layout_release(struct layout *l);

/* Appends a segment with a copy of its name; offset and n are filled in. ERR_MEMORY leaves the
 * layout as it was. */
int layout_add(struct layout *l, struct segment s);
const struct segment *layout_find(const struct layout *l, const char *name); /* NULL if absent */

/* XXH64 over names, shapes and roles: equal layouts, equal digests. */
uint64_t layout_digest(const struct layout *l);

/* Appends a copy of every segment of `more`, its name behind "prefix." if prefix is not empty: with
 * an empty one it is a deep copy. ERR_MEMORY leaves the segments that were appended so far. */
int layout_append(struct layout *l, const char *prefix, const struct layout *more);

/* Fills theta (P) from the seed: a pure function of (layout, seed, stage), stage the index of the
 * one that begins. */
void layout_init(const struct layout *l, uint64_t seed, int stage, real *theta);

/* Whether these are its n_dims and dims. */
bool segment_has_shape(const struct segment *s, int n_dims, const size_t *dims);

/* "[64, 3, 3]", cut off at `size` bytes. */
void shape_text(int n_dims, const size_t *dims, char *text, size_t size);

/* Whether it is a dense layer whose columns are ordered differently in memory than in files. */
bool layout_reorders_columns(const struct segment *s);

/* y (P) += x (P) in every segment that learns. */
void layout_add_learnable(const struct layout *l, const real *x, real *y);

/* One segment between memory order (at the vector's theta) and PyTorch's order. */
void layout_export(const struct segment *s, const real *theta, real *torch);
void layout_import(const struct segment *s, const real *torch, real *theta);

/* XXH64 (seed 0) of the parameters' bytes as a checkpoint holds them: segments in order, each in
 * PyTorch's layout. scratch (P). */
uint64_t layout_hash(const struct layout *l, const real *theta, real *scratch);

#endif
