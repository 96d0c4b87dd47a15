/* discrepancy.h - distances between two sets of features, of the source and of the target domain,
 * and their gradients; first order. docs/math.md, (3.5) and (3.6). */
#ifndef CORE_MATH_DISCREPANCY_H
#define CORE_MATH_DISCREPANCY_H

#include <stddef.h>

#include "core/base/real.h"

enum mmd_estimator { MMD_BIASED, MMD_UNBIASED, MMD_LINEAR };
enum mmd_bandwidth { MMD_MEAN, MMD_MEDIAN };
enum mmd_family { MMD_FIVE, MMD_PAPER };

/* What the configuration calls them, in the order of the enums; each ended by NULL. */
extern const char *const mmd_estimator_names[]; /* biased, unbiased, linear */
extern const char *const mmd_bandwidth_names[]; /* mean, median             */
extern const char *const mmd_family_names[];    /* five, paper              */

/* Read by mmd alone. */
struct discrepancy_spec {
    enum mmd_estimator estimator;
    enum mmd_bandwidth bandwidth;
    enum mmd_family family;
    double sigma; /* > 0: the bandwidth, fixed; else it is found from the features at each call */
};

/* xs (ns x d), xt (nt x d): features, rows contiguous, read only; d >= 1, ns and nt at least
 * n_min(s), which is asserted. Rows that are not finite have gradients that are not (linear: those
 * it pairs). No allocation: scratch is the caller's, best at a multiple of 64 bytes. The same bits
 * for the same input. */
struct discrepancy_ops {
    const char *name;
    const char *summary;
    int (*n_min)(const struct discrepancy_spec *s); /* samples that each domain must have */
    /* Doubles of scratch that value_grad and bandwidth need; not less for larger ns or nt. */
    size_t (*scratch)(const struct discrepancy_spec *s, int ns, int nt, int d);
    /* The value; gs (ns x d), gt (nt x d) OVERWRITTEN with its gradient, the bandwidth held fixed.
     * NULL: that gradient is not wanted; the value's bits do not depend on it. */
    double (*value_grad)(const struct discrepancy_spec *s, int ns, int nt, int d, const real *xs,
                         const real *xt, real *gs, real *gt, double *scratch);
    /* The bandwidth value_grad uses: as s->sigma it gives the same bits. NULL: there is none. */
    double (*bandwidth)(const struct discrepancy_spec *s, int ns, int nt, int d, const real *xs,
                        const real *xt, double *scratch);
};

extern const struct discrepancy_ops *const discrepancy_table[];   /* ended by NULL */
const struct discrepancy_ops *discrepancy_find(const char *name); /* NULL: no such name */

#endif
