/* kernels.h - the mean over a family of gaussians exp(-d / (sigma 2^u)) of a squared distance d. */
#ifndef CORE_MATH_DISCREPANCY_KERNELS_H
#define CORE_MATH_DISCREPANCY_KERNELS_H

#include <stdbool.h>

#include "core/math/discrepancy.h"

enum { KERNELS_MAX = 33 };

/* `per_octave`: kernel i is kernel i + per_octave squared. */
struct kernels {
    int n, per_octave;
    bool flat;                /* no bandwidth: the slope is 0 everywhere */
    double over[KERNELS_MAX]; /* 1 / (sigma 2^u), u rising */
};

/* A bandwidth below 1e-200 is no bandwidth: then k is 1 for equal rows, 0 for others, and flat. */
void kernels_init(struct kernels *k, enum mmd_family family, double sigma);

/* The mean at d; *slope is its derivative with respect to d. */
double kernels_at(const struct kernels *k, double d, double *slope);

#endif
