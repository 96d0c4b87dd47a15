/* exact.h - a sum that does not depend on the order of its terms.
 *
 * Each x is rounded onto a fixed grid, hi = rint(x 2^20), lo = rint((x - hi 2^-20) 2^60), and the
 * two integers are added: integer addition is associative, so any order and any partition over
 * threads and ranks gives the same bits. Exact for up to 2^20 terms of |x| < 2^22; a term's
 * rounding error is at most 2^-61. docs/math.md, section 6. */
#ifndef CORE_MATH_EXACT_H
#define CORE_MATH_EXACT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/base/real.h"

#define EXACT_LIMIT 0x1p22

/* sum (2n): n hi words, then n lo words. */
bool exact_fits(size_t n, const real *x);              /* every |x| < EXACT_LIMIT, none NaN    */
void exact_add(size_t n, const real *x, int64_t *sum); /* ADDED to; x must fit                 */
void exact_merge(size_t n_words, const int64_t *x,
                 int64_t *sum); /* sum += x, word by word        */
/* x (n) = n of a sum's numbers / divisor; hi (n), lo (n): their words. */
void exact_read(size_t n, const int64_t *hi, const int64_t *lo, double divisor, real *x);

/* One double, for losses and counts: hi in sum[0], lo in sum[1]. */
bool exact_fits_one(double x);
void exact_add_one(double x, int64_t sum[2]);
double exact_read_one(const int64_t sum[2]);

#endif
