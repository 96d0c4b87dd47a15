/* kernels.c - families of gaussians, equal weights that sum to one.                math.md (3.5) */
#include "core/math/discrepancy/kernels.h"

#include <math.h>

const char *const mmd_family_names[] = {"five", "paper", NULL};

/* u = first, first + 1 / per_octave, ... */
static const struct {
    int n, first, per_octave;
} families[] = {
    [MMD_FIVE] = {5, -2, 1},
    [MMD_PAPER] = {33, -8, 2},
};

/* Of this many kernels an octave apart the widest has its own exp, the others are squares: the last
 * has 2^4 times the relative error of the first. */
enum { SQUARES = 5 };

void kernels_init(struct kernels *k, enum mmd_family family, double sigma)
{
    double base = sigma < 1e-200 ? 1e-200 : sigma; /* NaN stays */

    *k = (struct kernels){.n = families[family].n, .per_octave = families[family].per_octave};
    k->flat = sigma < 1e-200;
    for (int i = 0; i < k->n; i++)
        k->over[i] = exp2(-families[family].first - (double)i / k->per_octave) / base;
}

double kernels_at(const struct kernels *k, double d, double *slope)
{
    double e[KERNELS_MAX], value = 0, sum = 0;

    for (int i = k->n - 1; i >= 0; i--) {
        int wider = i + k->per_octave, octave = (k->n - 1 - i) / k->per_octave;

        e[i] = octave % SQUARES ? e[wider] * e[wider] : exp(-d * k->over[i]);
        value += e[i];
        sum += e[i] * k->over[i];
    }
    *slope = k->flat ? 0 : -sum / k->n;
    return value / k->n;
}
