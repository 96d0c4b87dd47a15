/* cg.h - conjugate gradients (Hestenes and Stiefel 1952) for a symmetric positive definite
 * system. */
#ifndef CORE_MATH_CG_H
#define CORE_MATH_CG_H

#include <stdint.h>

#include "core/base/arena.h"

struct cg {      /* work space, (n) each, in an arena */
    real *x;     /* the solution so far */
    real *r;     /* the right-hand side, then the residual */
    real *p, *q; /* direction, and its image */
};

/* Takes room for systems of n unknowns. */
void cg_init(struct cg *s, size_t n, struct arena *arena);

/* From x = 0, `steps` steps towards A x = r, or fewer if the residual gets 0 or so small that
 * products round to 0. s->r is set before.
 * apply: q (overwritten) = A p. Sums are in double, in the order of the elements. */
void cg_solve(struct cg *s, size_t n, int64_t steps,
              void (*apply)(void *context, const real *p, real *q), void *context);

#endif
