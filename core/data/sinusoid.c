/* sinusoid.c - y = A sin(x - phase), one wave per class (Finn et al. 2017, section 5.1). */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <xxhash.h>

#include "core/base/err.h"
#include "core/config/config.h"
#include "core/data/data.h"
#include "core/data/framing.h"
#include "core/data/shift.h"
#include "core/data/survey.h"
#include "core/math/rng.h"

enum { GRID_MAX = 1 << 20 };

struct sinusoid {
    uint64_t seed;
    double amplitude[2], phase[2], x[2];
    uint32_t n_grid;
};

static int range_set(double range[2], double low, double high, const char *name)
{
    range[0] = low;
    range[1] = high;
    if (isfinite(low) && isfinite(high) && low <= high)
        return 0;
    return err(ERR_CONFIG, "%s_min '%g' is above %s_max '%g'", name, low, name, high);
}

static int sinusoid_set(struct sinusoid *s, const struct data_config *c)
{
    s->seed = (uint64_t)c->seed;
    TRY(range_set(s->amplitude, c->amplitude_min, c->amplitude_max, "amplitude"));
    TRY(range_set(s->phase, c->phase_min, c->phase_max, "phase"));
    TRY(range_set(s->x, c->x_min, c->x_max, "x"));
    if (c->grid < 0 || c->grid > GRID_MAX)
        return err(ERR_CONFIG, "grid '%jd' is not within 0 and %d", (intmax_t)c->grid, GRID_MAX);
    s->n_grid = (uint32_t)c->grid;
    return 0;
}

static int sinusoid_open(struct data *d, const struct data_config *c, const char *root)
{
    struct sinusoid *s = d->state = calloc(1, sizeof *s);

    (void)root;
    if (!s)
        return err(ERR_MEMORY, "out of memory for a data set");
    TRY(framing_refuse(c));
    TRY(shift_refuse(c));
    TRY(sinusoid_set(s, c));
    d->shape = (struct shape){1, 1, 1};
    d->n_target = 1;
    d->n_classes = DATA_ENDLESS;
    d->n_grid = s->n_grid;
    return 0;
}

static uint32_t sinusoid_class_size(const struct data *d, uint32_t class_id)
{
    (void)d;
    (void)class_id;
    return DATA_ENDLESS;
}

static void sinusoid_class_name(const struct data *d, uint32_t class_id, char *name, size_t n)
{
    (void)d;
    snprintf(name, n, "wave%u", class_id);
}

/* Evenly from x_min to x_max, both included, exact at both ends (as torch.linspace). */
static double grid_point(const struct sinusoid *s, uint32_t j)
{
    double step = s->n_grid > 1 ? (s->x[1] - s->x[0]) / (s->n_grid - 1) : 0;

    return j < s->n_grid / 2 || s->n_grid == 1 ? s->x[0] + step * j
                                               : s->x[1] - step * (s->n_grid - 1 - j);
}

static int sinusoid_read(const struct data *d, uint32_t class_id, uint32_t sample, real *x,
                         real *target)
{
    const struct sinusoid *s = d->state;
    struct rng wave, point;
    double amplitude, phase;

    rng_init(&wave, s->seed, RNG_SINUSOID, class_id, DATA_GRID); /* a slot that is no sample's */
    amplitude = rng_uniform(&wave, s->amplitude[0], s->amplitude[1]);
    phase = rng_uniform(&wave, s->phase[0], s->phase[1]);
    rng_init(&point, s->seed, RNG_SINUSOID, class_id, sample);
    *x = (real)(sample >= DATA_GRID ? grid_point(s, sample - DATA_GRID)
                                    : rng_uniform(&point, s->x[0], s->x[1]));
    if (target)
        *target = (real)(amplitude * sin((double)*x - phase));
    return 0;
}

static int sinusoid_survey(const struct data *d, struct survey *s)
{
    const struct sinusoid *w = d->state;
    double ranges[] = {w->amplitude[0], w->amplitude[1], w->phase[0],
                       w->phase[1],     w->x[0],         w->x[1]};
    uint64_t words[] = {w->seed, w->n_grid};

    s->pixels = XXH3_64bits_withSeed(ranges, sizeof ranges, XXH3_64bits(words, sizeof words));
    return 0;
}

static void sinusoid_close(struct data *d)
{
    free(d->state);
}

const struct data_ops data_sinusoid = {
    .name = "sinusoid",
    .summary = "regression of sine waves; each class has an amplitude and a phase",
    .open = sinusoid_open,
    .class_size = sinusoid_class_size,
    .class_name = sinusoid_class_name,
    .read = sinusoid_read,
    .survey = sinusoid_survey,
    .close = sinusoid_close,
};
