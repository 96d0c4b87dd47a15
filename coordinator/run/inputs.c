/* inputs.c - compares the range and mean of the inputs of two domains. */
#include "coordinator/run/inputs.h"

#include <math.h>
#include <stdlib.h>

#include "core/base/err.h"

enum { INPUTS = 256 };

#define APART 0.4 /* between the means of inputs within 0..1; of others, as a share of the range */

int inputs_read(const struct data *d, struct inputs *in)
{
    size_t size = shape_size(d->shape);
    uint32_t n = d->n_samples < INPUTS ? d->n_samples : INPUTS;
    real *x = malloc(size * sizeof *x);
    int code = x ? 0 : err(ERR_MEMORY, "no memory for a sample");

    *in = (struct inputs){INFINITY, -INFINITY, 0};
    for (uint32_t i = 0; i < n && code >= 0; i++) {
        code = data_read_flat(d, i, x);
        for (size_t k = 0; k < size && code >= 0; k++) {
            in->low = fmin(in->low, (double)x[k]);
            in->high = fmax(in->high, (double)x[k]);
            in->mean += (double)x[k] / ((double)size * n);
        }
    }
    free(x);
    return code;
}

bool inputs_differ(const struct inputs *a, const struct inputs *b)
{
    return fabs(a->mean - b->mean) > APART * fmax(1, a->high - a->low) ||
           b->high - b->low < (a->high - a->low) / 2 || a->high - a->low < (b->high - b->low) / 2;
}
