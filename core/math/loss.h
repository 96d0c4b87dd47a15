/* loss.h - losses over a batch of outputs, each a mean over its samples. docs/math.md, section
 * 3. */
#ifndef CORE_MATH_LOSS_H
#define CORE_MATH_LOSS_H

#include "core/base/real.h"

/* n samples; inputs x in the network's shape; label (n) for classification, else NULL;
 * target (n x outputs) for regression, else NULL. All borrowed. */
struct batch {
    int n;
    const real *x;
    const int *label;
    const real *target;
};

/* y, yt, gy, gyt: (n, c), rows contiguous. */
struct loss_ops {
    const char *name;
    const char *summary;
    double (*value)(const struct batch *b, int c, const real *y);        /* mean over n */
    void (*grad)(const struct batch *b, int c, const real *y, real *gy); /* of that mean */
    /* gyt = d grad along yt. NULL: refused inside an unrolled inner loop. */
    void (*grad_tangent)(const struct batch *b, int c, const real *y, const real *yt, real *gyt);
    /* Fraction of samples answered rightly, 0 to 1; NULL if that means nothing. */
    double (*accuracy)(const struct batch *b, int c, const real *y);
};

extern const struct loss_ops *const loss_table[];   /* ended by NULL */
const struct loss_ops *loss_find(const char *name); /* NULL: no such name */

#endif
