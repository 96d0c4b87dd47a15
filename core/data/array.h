/* array.h - the checked header of a .npy or idx file, and the place of its numbers. */
#ifndef CORE_DATA_ARRAY_H
#define CORE_DATA_ARRAY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/data/blob.h"

enum { ARRAY_DIMS_MAX = 4 };

struct array {
    char kind; /* u, i, f: unsigned, signed, floating point */
    bool big;  /* big endian */
    int width; /* bytes per number */
    int n_dims;
    uint64_t dims[ARRAY_DIMS_MAX];
    uint64_t n;          /* numbers */
    const uint8_t *data; /* borrowed from the blob; n * width bytes, to the blob's end exactly */
};

/* ERR_DATA names `what` and the byte: another kind of file, a shape beyond the file, unsupported
 * numbers, Fortran order. */
int array_from_npy(struct array *a, const struct blob *b, const char *what);
int array_from_idx(struct array *a, const struct blob *b, const char *what);

#endif
