/* store.h - the pixels and labels of one image set: one copy per process, however many data sets
 * are opened on it. */
#ifndef CORE_DATA_STORE_H
#define CORE_DATA_STORE_H

#include <stdint.h>

#include "core/data/array.h"
#include "core/data/blob.h"
#include "core/data/data.h"
#include "core/data/framing.h"
#include "core/data/names.h"

enum {
    CHANNELS_MAX = 16, /* of arrays; PNG and JPEG have 1 or 3        */
};

struct sizes {             /* of images as their files have them */
    int h[2], w[2];        /* pixels: the least and the most */
    uint32_t grey, colour; /* images with 1 or 2 channels (alpha), with more */
};

struct store {
    struct shape shape;
    struct sizes sizes; /* of its images, before they were resized */
    uint32_t n;         /* images */
    const uint8_t *u8;  /* [n][h][w][c], 0..255: this */
    const float *f32;   /* or this, 0..1 */
    struct blob pixels; /* owned; u8 or f32 points into it */
    size_t stride;      /* numbers from one image to the next; 0: shape_size */
    uint32_t *labels;   /* owned; [n]: of every image, in file order */
    /* owned; [n]: where the images in file order lie in pixels; NULL: in that order */
    uint32_t *at;
    uint32_t n_classes; /* largest label + 1 */
    struct names names; /* owned; of folders; else n = 0 */
    float *targets;     /* owned; [n][n_target]; NaN: a hole */
    int n_target;       /* 0: classes without weights */
    bool weighted;      /* the last of the targets is the weight of a sample */
    struct names goals; /* owned; names of a table's targets; n = 0: they have none */
    uint64_t columns;   /* digest of the names of a table's columns; 0: they have none */
    char *note;         /* owned; a sentence that the user should see, or NULL */
    char *empty;        /* owned: of folders, the first class without an image, or NULL */
    char *path;         /* owned */
    void *listing;      /* owned: what a loader needs to read its images one by one, or NULL */
    void (*listing_free)(void *listing);
    char *key; /* owned; the rest is store.c's */
    int n_users;
    struct store *next;
};

struct store_source {
    const char *format;
    char *path;   /* owned */
    char *labels; /* owned; a path, or the member's name, or NULL */
    struct framing framing;
    bool listed; /* of folders: without pixels, which are read one by one (data_each) */
    const struct data_config *config; /* borrowed */
    const char *root;                 /* borrowed; of other files */
    char *options; /* owned; what else of the configuration decides what is loaded */
};

/* Fills shape, n, u8 or f32, pixels, labels and n_classes; and, of folders, at and names. */
typedef int store_load(struct store *s, const struct store_source *src);

/* Numbers from one image to the next. */
static inline size_t store_stride(const struct store *s)
{
    return s->stride ? s->stride : shape_size(s->shape);
}

/* Whether its images are rows of a table, of any numbers. */
static inline bool store_is_table(const struct store *s)
{
    return s->stride > 0;
}

/* The store of src, loaded now, or shared with an earlier user; return it with store_give. */
int store_take(struct store **s, const struct store_source *src, store_load *load);
void store_give(struct store *s);

/* Bytes of all open stores: held in memory by this process, and mapped from files, whose pages
 * the processes of a host share. */
void store_sizes(size_t *held, size_t *mapped);

/* Counts one image of that shape. */
void sizes_add(struct sizes *z, struct shape s);

/* For loaders: checks the array and takes its numbers; pixels (moved from b) may stay mapped. */
int store_set_images(struct store *s, const struct array *a, struct blob *b, const char *what);
int store_set_labels(struct store *s, const struct array *a, const char *what);
/* Keeps a sentence for the user; the first one stays. */
void store_note(struct store *s, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* The images' shape, checked: ERR_DATA for sides and channels out of range. */
int store_set_shape(struct store *s, uint64_t h, uint64_t w, uint64_t c, const char *what);

#endif
