/* overlap.h - what two data sets have in common: classes by name, images by their pixels. */
#ifndef CORE_DATA_OVERLAP_H
#define CORE_DATA_OVERLAP_H

#include "core/data/data.h"

/* The first class name of b, in order of the alphabet, that a has, too; quarter turns do not make
 * other names. 1, and *name, owned by the caller; 0: none, or one of them has only numbers;
 * ERR_MEMORY. */
int overlap_class(const struct data *a, const struct data *b, char **name);

struct prints { /* a digest of each image */
    uint32_t n;
    struct print *items; /* owned; by digest, then by index */
};

/* The digests of all images of d (before quarter turns): of the pixels as stored, after resizing,
 * as bytes; 16 bytes of memory for each. n = 0 for a set without stored images. ERR_MEMORY,
 * ERR_DATA. Release them. */
int prints_of(const struct data *d, struct prints *p);
void prints_release(struct prints *p);

/* The first image of b, in the order of the file, that a has, too: 1, and which they are (flat
 * indices before quarter turns); 0: none. */
int overlap_image(const struct prints *a, const struct prints *b, uint32_t *in_a, uint32_t *in_b);

#endif
