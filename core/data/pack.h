/* pack.h - converts an image set to .npy files, which open at once and are shared by the ranks
 * of a host. */
#ifndef CORE_DATA_PACK_H
#define CORE_DATA_PACK_H

#include <stdint.h>

#include "core/data/data.h"

struct pack_watch {
    /* After each image: how many of all are written. Not 0 ends the packing with that code. */
    int (*written)(void *context, uint64_t n, uint64_t of);
    void *context;
    uint8_t low, high; /* out: of the bytes that were written; low > high: none were */
};

/* Writes every image of d, as data_read gives it, in the order of classes and samples: dest (.npy,
 * u1, [n, h, w] or [n, h, w, c]), <stem>_labels.npy (i8, [n]) and <stem>_classes.txt (line i names
 * label i, from 0). Each appears whole or not at all. d may be streamed; memory is then that of the
 * index. ERR_USAGE: dest does not end in .npy, or d is a generator; ERR_CANTCREAT, ERR_IO with the
 * path; ERR_DATA; what w->written returns. */
int data_pack(const struct data *d, const char *dest, struct pack_watch *w);

#endif
