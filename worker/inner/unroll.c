/* unroll.c - inner steps up, Hessian-vector products down. */
#include "worker/inner/unroll.h"

#include <math.h>

#include "core/base/err.h"
#include "core/math/vec.h"

real *unroll_rates(const struct net *net, double rate, struct arena *arena)
{
    const struct layout *l = &net->layout;
    real *rates = arena_reals(arena, l->n);

    for (int i = 0; i < l->n_segments && rates; i++)
        for (size_t k = 0; k < l->segments[i].n; k++)
            rates[l->segments[i].offset + k] = l->segments[i].role == ROLE_STAT ? 0 : (real)rate;
    return rates;
}

/* theta_1 .. theta_K: all of them for an adjoint, else two that alternate. */
static void take_thetas(struct unroll *u, struct arena *arena)
{
    for (int k = 1; k <= u->spec.steps; k++)
        u->room[k] =
            u->spec.second || k <= 2 ? arena_reals(arena, u->net->layout.n) : u->room[k - 2];
}

static size_t tape_bytes(const struct unroll *u)
{
    struct arena measure = arena_measuring();
    struct tape t;

    tape_init(&t, u->net, u->spec.n_support, TAPE_SECOND, NULL, &measure);
    return measure.peak;
}

static void take_tapes(struct unroll *u, real *scratch, struct arena *arena)
{
    const struct unroll_spec *s = &u->spec;
    enum tape_use use = s->second ? TAPE_SECOND : TAPE_GRADIENT;
    bool keep = s->second && (size_t)s->steps * tape_bytes(u) <= s->memory;

    u->n_tapes = s->steps == 0 ? 0 : keep ? s->steps : 1;
    for (int k = 0; k < u->n_tapes; k++) {
        tape_init(&u->support[k], u->net, s->n_support, use, scratch, arena);
        u->support[k].evaluate = s->evaluate;
    }
}

void unroll_init(struct unroll *u, const struct net *net, const struct unroll_spec *spec,
                 struct arena *arena)
{
    int n_most = spec->n_support > spec->n_query ? spec->n_support : spec->n_query;
    real *scratch = tape_scratch(net, n_most, arena);
    size_t mark;

    *u = (struct unroll){.net = net, .spec = *spec, .rate = spec->rate};
    take_thetas(u, arena);
    u->gradient = arena_reals(arena, net->layout.n);
    u->adjoint = arena_reals(arena, net->layout.n);
    u->direction = spec->second ? arena_reals(arena, net->layout.n) : NULL;
    take_tapes(u, scratch, arena);
    mark = arena_mark(arena); /* the query's pass is over when the adjoint begins */
    tape_init(&u->query, net, spec->n_query, TAPE_GRADIENT, scratch, arena);
    u->query.evaluate = spec->evaluate;
    if (!spec->second)
        return;
    arena_reset(arena, mark);
    tape_init_tangents(&u->tangents, net, spec->n_support, arena);
}

static struct tape *tape_of(struct unroll *u, int k)
{
    return &u->support[k < u->n_tapes ? k : 0];
}

void unroll_noise(struct unroll *u, struct noise noise)
{
    for (int k = 0; k < u->n_tapes; k++)
        u->support[k].noise = noise;
    u->query.noise = noise;
}

/* The support gradient at theta_k into u->gradient, on step k's tape; returns the loss. accuracy may be NULL. */
static double step_gradient(struct unroll *u, int k, const struct batch *support, double *accuracy)
{
    const struct net *net = u->net;
    struct tape *t = tape_of(u, k);
    const real *y;
    double loss;

    t->noise.pass = (uint32_t)k;
    y = net_forward(net, u->theta[k], support, t);
    loss = net->loss->value(support, net->n_out, y);
    if (accuracy)
        *accuracy = net->loss->accuracy ? net->loss->accuracy(support, net->n_out, y) : 0;
    vec_zero(net->layout.n, u->gradient);
    net_backward(net, u->theta[k], support, t, u->gradient);
    return loss;
}

double unroll_step(struct unroll *u, int k, const struct batch *support, double *accuracy)
{
    double loss = step_gradient(u, k, support, accuracy);

    vec_step(u->net->layout.n, u->theta[k], u->rate, u->gradient, u->room[k + 1]);
    u->theta[k + 1] = u->room[k + 1];
    return loss;
}

int unroll_forward(struct unroll *u, const real *theta, const struct batch *support,
                   struct tally *tally)
{
    u->theta[0] = theta;
    for (int k = 0; k < u->spec.steps; k++) {
        double accuracy, loss = unroll_step(u, k, support, &accuracy);

        if (!isfinite(loss))
            return err(ERR_NONFINITE, "the support loss at inner step %d is not finite", k);
        if (k == 0)
            tally->v[TALLY_SUPPORT_LOSS] += loss;
        tally->v[tally_curve(k, CURVE_LOSS)] += fmin(loss, CURVE_LOSS_MAX);
        tally->v[tally_curve(k, CURVE_ACCURACY)] += accuracy;
    }
    return 0;
}

int unroll_query(struct unroll *u, const struct batch *query, struct tally *tally)
{
    const struct net *net = u->net;
    const real *theta = u->theta[u->spec.steps], *y;
    double loss;

    u->query.noise.pass = (uint32_t)u->spec.steps;
    y = net_forward(net, theta, query, &u->query);
    loss = net->loss->value(query, net->n_out, y);
    if (!isfinite(loss))
        return err(ERR_NONFINITE, "the query loss is not finite");
    tally->v[TALLY_LOSS] += loss;
    if (net->loss->accuracy)
        tally->v[TALLY_ACCURACY] += net->loss->accuracy(query, net->n_out, y);
    vec_zero(net->layout.n, u->adjoint);
    net_backward(net, theta, query, &u->query, u->adjoint);
    return 0;
}

void unroll_adjoint(struct unroll *u, const struct batch *support)
{
    size_t n = u->net->layout.n;

    for (int k = u->spec.steps - 1; k >= 0; k--) {
        if (u->n_tapes < u->spec.steps && k < u->spec.steps - 1)
            step_gradient(u, k, support, NULL);
        vec_mul(n, u->rate, u->adjoint, u->direction);
        vec_zero(n, u->gradient);
        net_hvp(u->net, u->theta[k], u->direction, support, tape_of(u, k), &u->tangents,
                u->gradient);
        vec_sub(n, u->gradient, u->adjoint);
    }
}
