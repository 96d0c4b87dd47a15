/* moments.h - means and deviations of a set's inputs and targets, in one pass. */
#ifndef CORE_DATA_MOMENTS_H
#define CORE_DATA_MOMENTS_H

#include "core/data/data.h"

/* Of each of n columns; owned. The deviation is the root of the mean square, over the numbers that
 * are there, of what they differ from their mean; a column without two different numbers has 1. */
struct moments {
    size_t n;
    double *mean, *deviation;
    uint32_t n_constant, constant; /* such columns, and the first of them */
};

/* Of the last dimension of every sample of d, in flat order (Welford 1962): the same bits wherever
 * they are computed. Numbers that are not finite are left out. inputs has d->shape.c columns,
 * targets d->n_target; either may be NULL. ERR_CONFIG for a set without flat samples, or without an
 * end; ERR_MEMORY; errors of data_read_flat. Release both, after an error too. */
int moments_of(const struct data *d, struct moments *inputs, struct moments *targets);
void moments_release(struct moments *m);

#endif
