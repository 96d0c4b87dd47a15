/* vec.h - whole-vector arithmetic on reals. */
#ifndef CORE_MATH_VEC_H
#define CORE_MATH_VEC_H

#include <stddef.h>

#include "core/base/real.h"

void vec_zero(size_t n, real *x);                              /* x = 0                       */
void vec_copy(size_t n, const real *x, real *y);               /* y = x                       */
void vec_add(size_t n, const real *x, real *y);                /* y += x                      */
void vec_mul(size_t n, const real *a, const real *x, real *y); /* y = a x, element by element */
void vec_scale(size_t n, double by, real *x);                  /* x *= by                     */
void vec_sub(size_t n, const real *x, real *y);                /* y -= x                      */
void vec_step(size_t n, const real *w, const real *rate, const real *g,
              real *y);                  /* y = w - rate g */
int vec_finite(size_t n, const real *x); /* no NaN, no infinity         */

#endif
