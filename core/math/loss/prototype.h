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

/* From features of the support, with its labels 0 .. way - 1, and of n queries: p->way, p->y. */
void prototypes_forward(struct prototypes *p, const struct batch *support, const real *f_support,
                        int n, const real *f_query);

/* From p->gy, after prototypes_forward of the same: p->g_support, p->g_query, overwritten. */
void prototypes_backward(struct prototypes *p, const struct batch *support, int n,
                         const real *f_query);

#endif
