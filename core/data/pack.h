/* pack.h - converts an image set to .npy files, which open at once and are shared by the ranks
 * of a host. */
#ifndef CORE_DATA_PACK_H
#define CORE_DATA_PACK_H

#include "core/data/data.h"

/* Writes every image of d, as data_read gives it, in the order of classes and samples: dest (.npy,
 * u1, [n, h, w] or [n, h, w, c]), <stem>_labels.npy (i8, [n]) and <stem>_classes.txt (line i names
 * label i, from 0). Each appears whole or not at all. ERR_USAGE: dest does not end in .npy, or d is
 * a generator; ERR_CANTCREAT, ERR_IO with the path. */
int data_pack(const struct data *d, const char *dest);

#endif
