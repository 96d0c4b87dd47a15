/* inputs.h - whether two data sections hold inputs of the same kind: an inverted or unscaled set is
 * a common mistake. */
#ifndef COORDINATOR_RUN_INPUTS_H
#define COORDINATOR_RUN_INPUTS_H

#include "core/data/data.h"

struct inputs { /* of the first samples of a section, in file order */
    double low, high, mean;
};

/* Reads up to 256 samples of an open section. ERR_MEMORY, errors of data_read_flat. */
int inputs_read(const struct data *d, struct inputs *in);

/* True if the means or the ranges are so far apart that one of the two may be inverted or scaled
 * otherwise. */
bool inputs_differ(const struct inputs *a, const struct inputs *b);

#endif
