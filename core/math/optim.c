/* optim.c - one outer step: schedule, clip, and each segment by its role.    math.md, section 4 */
#include "core/math/optim.h"

#include <math.h>
#include <stdbool.h>
#include <string.h>

#define STAT_RATE 0.1 /* PyTorch's batch-norm momentum */

/* Round t of 1 .. rounds; cosine (Loshchilov and Hutter 2017) goes from rate at the first round to
 * rate_end at the last. */
static double scheduled(const struct optim_spec *o, double rate, double rate_end, uint64_t t)
{
    double done = o->rounds > 1 ? (double)(t - 1) / (double)(o->rounds - 1) : 0;

    if (strcmp(o->schedule, "cosine") == 0)
        return rate_end + (rate - rate_end) * (1 + cos(M_PI * done)) / 2;
    if (strcmp(o->schedule, "step") == 0)
        return rate * pow(o->step_factor, (double)((t - 1) / (uint64_t)o->step_every));
    return rate;
}

double optim_rate(const struct optim_spec *o, uint64_t t)
{
    return scheduled(o, o->rate, o->rate_end, t);
}

static double sum_squares(const real *g, size_t n)
{
    double sum = 0;

    for (size_t i = 0; i < n; i++)
        sum += (double)g[i] * g[i];
    return sum;
}

static void clip_to(real *g, size_t n, double norm, double clip)
{
    if (clip > 0 && norm > clip)
        for (size_t i = 0; i < n; i++)
            g[i] = (real)(g[i] * (clip / norm));
}

double optim_clip(real *g, size_t n, double clip)
{
    double norm = sqrt(sum_squares(g, n));

    clip_to(g, n, norm, clip);
    return norm;
}

/* The factor of the rate for a role in round t. */
static double share(const struct optim_spec *o, enum role role, uint64_t t)
{
    if (role == ROLE_STAT)
        return t <= o->still ? 0 : 1;
    if (role == ROLE_SCALE)
        return 0;
    return t <= (uint64_t)o->warm_up && role != ROLE_HEAD ? 0 : o->factor[role];
}

/* The number of steps that a role has made in round t, this one included. */
static uint64_t steps_of(const struct optim_spec *o, enum role role, uint64_t t)
{
    return role == ROLE_HEAD ? t : t - (uint64_t)o->warm_up;
}

static bool is_still(const struct optim_spec *o, const struct segment *s, uint64_t t)
{
    return s->idle || share(o, s->role, t) == 0;
}

double optim_norm(const struct optim_spec *o, const struct layout *l, uint64_t t, const real *g)
{
    double sum = 0;

    for (int i = 0; i < l->n_segments; i++)
        if (l->segments[i].role != ROLE_STAT && !is_still(o, &l->segments[i], t))
            sum += sum_squares(g + l->segments[i].offset, l->segments[i].n);
    return sqrt(sum);
}

static void stat_step(size_t n, const real *g, real *w)
{
    for (size_t i = 0; i < n; i++)
        w[i] = (real)(w[i] - STAT_RATE * g[i]);
}

struct step { /* what all segments of a round's step have in common */
    const struct optim_spec *o;
    const struct layout *l;
    uint64_t t;
    double norm, rate;
};

/* Parameters from .. from + n - 1, all of segment s. */
static void segment_step(const struct step *k, const struct segment *s, size_t from, size_t n,
                         real *g, real *theta, real *state)
{
    const struct optim_spec *o = k->o;
    double own = o->own[s->role];
    double rate = own > 0 ? scheduled(o, own, 0, k->t) : share(o, s->role, k->t) * k->rate;

    if (is_still(o, s, k->t))
        return;
    if (s->role == ROLE_STAT) {
        stat_step(n, g + from, theta + from);
        return;
    }
    clip_to(g + from, n, k->norm, o->clip);
    optim_find(o->name)->step(o, rate, steps_of(o, s->role, k->t), n, g + from, theta + from,
                              state + from, k->l->n);
}

void optim_step(const struct optim_spec *o, const struct layout *l, uint64_t t, double norm,
                size_t from, size_t n, real *g, real *theta, real *state)
{
    struct step k = {o, l, t, norm, optim_rate(o, t)};

    for (int i = 0; i < l->n_segments; i++) {
        const struct segment *s = &l->segments[i];
        size_t begin = s->offset > from ? s->offset : from;
        size_t end = s->offset + s->n < from + n ? s->offset + s->n : from + n;

        if (begin < end)
            segment_step(&k, s, begin, end - begin, g, theta, state);
    }
}

double optim_apply(const struct optim_spec *o, const struct layout *l, uint64_t t, real *g,
                   real *theta, real *state)
{
    double norm = optim_norm(o, l, t, g);

    optim_step(o, l, t, norm, 0, l->n, g, theta, state);
    return norm;
}
