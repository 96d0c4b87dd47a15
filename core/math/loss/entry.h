/* entry.h - losses that are a mean over entries: over samples and outputs, each against its target.
 * Output j of a sample answers to target j / per_target. An entry whose target is NaN is a hole.
 *     L = sum of w l(y, t) / sum of w                                             math.md (3.2)
 * These are value, grad, grad_tangent of all of them; ops->entry gives l, l' and l''. */
#ifndef CORE_MATH_LOSS_ENTRY_H
#define CORE_MATH_LOSS_ENTRY_H

#include "core/math/loss.h"

struct loss_term { /* a term, and its derivatives by y */
    double value;
    real slope, curve;
};

/* As the slots of struct loss_ops. */
double entry_value(const struct loss *l, const struct batch *b, int c, const real *y);
void entry_grad(const struct loss *l, const struct batch *b, int c, const real *y, real *gy);
void entry_grad_tangent(const struct loss *l, const struct batch *b, int c, const real *y,
                        const real *yt, real *gyt);

/* The share of entries that are right, in the same mean. */
double entry_share(const struct loss *l, const struct batch *b, int c, const real *y,
                   bool (*right)(real y, real t));

#endif
