/* prototype.h - classes as the means of their samples' features (Snell et al. 2017, eq. (1), (2)).
 *     mean_c = mean of f(x) over the support of class c
 *     y_qc   = -|f(q) - mean_c|^2                                                  math.md (8.4) */
#ifndef CORE_MATH_LOSS_PROTOTYPE_H
#define CORE_MATH_LOSS_PROTOTYPE_H

#include "core/base/arena.h"
#include "core/math/loss.h"

struct prototypes { /* of features of length d; buffers in an arena */
    size_t d;
    int way;                   /* classes of the support at hand */
    real *mean, *g_mean;       /* (way x d) */
    real *y, *gy;              /* (n_query x way) outputs, and the gradient with respect to them */
    real *g_support, *g_query; /* (n x d) gradients with respect to the features */
    double *count;             /* (way) support samples */
};

/* Takes room for up to n_support and n_query samples, each of which may be a class of its own. */
void prototypes_init(struct prototypes *p, size_t d, int n_support, int n_query,
                     struct arena *arena);

/* From features of the support, with its labels 0 .. way - 1: p->way, p->mean. */
void prototypes_means(struct prototypes *p, const struct batch *support, const real *f);

/* From features of n queries and the means (way x d) of `way` classes, which may be p's own:
 * p->y. */
void prototypes_distances(struct prototypes *p, const real *mean, int way, int n, const real *f);

/* From p->gy, after prototypes_means, and prototypes_distances from p->mean, of the same:
 * p->g_support, p->g_query, overwritten. */
void prototypes_backward(struct prototypes *p, const struct batch *support, int n,
                         const real *f_query);

#endif
