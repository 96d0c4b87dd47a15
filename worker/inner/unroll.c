/* unroll.c - inner steps forward, Hessian-vector products backward. */
#include "worker/inner/unroll.h"

#include <math.h>

#include "core/base/err.h"
#include "core/math/net_trace.h"
#include "core/math/optim.h"
#include "core/math/vec.h"

/* ---- work space ---- */

static void take_thetas(struct unroll *u, size_t n, struct arena *arena)
{
    int steps = u->spec.steps;

    u->n_rooms = u->spec.second == SECOND_THROUGH || steps < 2 ? steps : 2;
    u->room = arena_take(arena, (size_t)u->n_rooms * sizeof *u->room);
    for (int i = 0; i < u->n_rooms; i++) {
        real *room = arena_reals(arena, n);

        if (u->room)
            u->room[i] = room;
    }
}

static void take_tape(struct unroll *u, struct tape *t, const struct net *net, int n, real *scratch,
                      struct arena *arena)
{
    bool all = u->spec.traced || (net == &u->moved && u->spec.second != SECOND_NONE);

    tape_init(t, net, n, all ? TAPE_SECOND : TAPE_GRADIENT, scratch, arena);
    t->evaluate = u->spec.evaluate;
}

static int step_samples(const struct unroll_spec *s)
{
    return s->minibatch && s->minibatch < s->n_support ? s->minibatch : s->n_support;
}

static size_t tape_bytes(struct unroll *u)
{
    struct arena measure = arena_measuring();
    struct tape t;

    take_tape(u, &t, &u->moved, step_samples(&u->spec), NULL, &measure);
    return measure.peak;
}

static void take_tapes(struct unroll *u, real *scratch, struct arena *arena)
{
    const struct unroll_spec *s = &u->spec;
    bool keep = s->second == SECOND_THROUGH && (size_t)s->steps * tape_bytes(u) <= s->memory;
    struct tape measured;

    u->n_tapes = s->steps == 0 && s->second != SECOND_LAST ? 0 : keep ? s->steps : 1;
    u->support = arena_take(arena, (size_t)u->n_tapes * sizeof *u->support);
    for (int k = 0; k < u->n_tapes; k++)
        take_tape(u, u->support ? &u->support[k] : &measured, &u->moved, step_samples(s), scratch,
                  arena);
}

/* Work space for layers below those that the inner loop moves: their pass over the support, and
 * gradients on the way down to them. */
static void take_below(struct unroll *u, real *scratch, struct arena *arena)
{
    size_t inputs = (size_t)u->spec.n_support * shape_size(u->moved.in);

    take_tape(u, &u->below, u->net, u->spec.n_support, scratch, arena);
    u->g_inputs = arena_reals(arena, inputs);
    u->g_input_tangent = arena_reals(arena, inputs);
}

static void take_vectors(struct unroll *u, size_t n, struct arena *arena)
{
    const struct unroll_spec *s = &u->spec;

    u->rate = arena_reals(arena, n);
    u->gradient = arena_reals(arena, n);
    u->adjoint = arena_reals(arena, n);
    u->direction = s->second != SECOND_NONE ? arena_reals(arena, n) : NULL;
    u->adam = s->adam ? arena_reals(arena, 2 * n) : NULL;
    if (!s->rate_gradient)
        return;
    u->g_rate = arena_reals(arena, n);
    u->kept = arena_take(arena, (size_t)s->steps * sizeof *u->kept);
    for (int k = 0; k < s->steps; k++) {
        real *kept = arena_reals(arena, n);

        if (u->kept)
            u->kept[k] = kept;
    }
}

static void fill_rates(struct unroll *u)
{
    const struct layout *l = &u->net->layout;

    for (int i = 0; i < l->n_segments && u->rate; i++)
        for (size_t k = 0; k < l->segments[i].n; k++)
            u->rate[l->segments[i].offset + k] =
                role_learns(l->segments[i].role) ? (real)u->spec.rate : 0;
}

/* The query's pass is over when the products begin, so their work space overlays it. */
static void take_second(struct unroll *u, size_t mark, struct arena *arena)
{
    size_t end = arena_mark(arena);

    arena_reset(arena, mark);
    if (u->spec.traced)
        net_trace_tangents(&u->tangents, &u->moved, u->spec.n_support, arena);
    else
        tape_init_tangents(&u->tangents, &u->moved, u->spec.n_support, arena);
    if (arena_mark(arena) < end)
        arena_take(arena, end - arena_mark(arena));
}

/* Whether the support's statistics may be asked for. */
static bool observes(const struct unroll *u)
{
    return u->spec.evaluate && net_is_coupled(u->net);
}

void unroll_init(struct unroll *u, const struct net *net, const struct unroll_spec *spec,
                 struct arena *arena)
{
    int n_most = spec->n_support > spec->n_query ? spec->n_support : spec->n_query;
    real *scratch = tape_scratch(net, n_most, arena);
    size_t n = net->layout.n, mark;

    *u = (struct unroll){.net = net, .moved = net_above(net, spec->above), .spec = *spec};
    take_thetas(u, n, arena);
    take_vectors(u, n, arena);
    fill_rates(u);
    minibatch_init(&u->minibatch, spec->minibatch, spec->n_support, net->in,
                   loss_targets(&net->loss, net->n_out), arena);
    take_tapes(u, scratch, arena);
    if (spec->above)
        take_below(u, scratch, arena);
    u->statistics = observes(u) ? arena_reals(arena, net_statistics(net)) : NULL;
    mark = arena_mark(arena);
    /* in evaluation the support goes over it too: unroll_observe */
    take_tape(u, &u->query, net, observes(u) ? n_most : spec->n_query, scratch, arena);
    if (spec->second != SECOND_NONE)
        take_second(u, mark, arena);
}

/* ---- the loop ---- */

const real *unroll_theta(const struct unroll *u, int k)
{
    return k == 0 ? u->start : u->room[(k - 1) % u->n_rooms];
}

static struct tape *tape_of(struct unroll *u, int k)
{
    return &u->support[k < u->n_tapes ? k : 0];
}

static struct noise noise_of(const struct episode *ep, int pass)
{
    return (struct noise){ep->seed, ep->round, ep->slot, (uint32_t)pass};
}

/* Forward over b on t; returns the loss. */
static double values(struct unroll *u, int k, const struct net *net, const struct episode *ep,
                     const struct batch *b, struct tape *t)
{
    const char *set = t == &u->query ? "query" : "support";
    double loss;

    t->noise = noise_of(ep, k);
    loss = loss_value(&net->loss, b, net->n_out, net_forward(net, unroll_theta(u, k), b, t));
    pass_done(u->hook, (struct pass){PASS_FORWARD, k, set, b->n, net, t, .loss = loss});
    return loss;
}

/* The gradient of the last forward pass's loss, into gw (P, overwritten). */
static void gradient(struct unroll *u, int k, const struct net *net, const struct batch *b,
                     struct tape *t, real *gw)
{
    const char *set = t == &u->query ? "query" : "support";

    vec_zero(net->layout.n, gw);
    net_backward(net, unroll_theta(u, k), b, t, gw);
    pass_done(u->hook, (struct pass){PASS_BACKWARD, k, set, b->n, net, t, .vector = gw});
}

void unroll_begin(struct unroll *u, const real *theta, const struct episode *ep)
{
    u->start = theta;
    u->inputs = ep->support;
    if (u->spec.rates)
        u->spec.rates(u->spec.context, theta, u->rate);
    if (u->adam)
        vec_zero(2 * u->net->layout.n, u->adam);
    if (!u->spec.above)
        return;
    values(u, 0, u->net, ep, &ep->support, &u->below);
    u->inputs.x = u->below.act[u->spec.above].v;
}

static const struct batch *step_batch(struct unroll *u, int k, const struct episode *ep)
{
    return u->minibatch.size ? minibatch_take(&u->minibatch, ep, k) : &u->inputs;
}

/* The support gradient at theta_k into u->gradient, on step k's tape; returns the loss. accuracy
 * may be NULL. */
static double step_gradient(struct unroll *u, int k, const struct episode *ep, double *accuracy)
{
    const struct net *net = &u->moved;
    const struct batch *b = step_batch(u, k, ep);
    struct tape *t = tape_of(u, k);
    double loss = values(u, k, net, ep, b, t);

    if (accuracy)
        *accuracy = loss_accuracy(&net->loss, b, net->n_out, net_outputs(net, t));
    gradient(u, k, net, b, t, u->gradient);
    return loss;
}

/* u->gradient += proximal (theta_k - theta_0), for segments that move. */
static void add_proximal(struct unroll *u, const real *theta)
{
    real *g = u->gradient;

    for (size_t i = 0; i < u->net->layout.n; i++)
        g[i] = (real)(g[i] + u->spec.proximal * ((double)theta[i] - u->start[i]));
}

/* Step k + 1 of Adam without momentum; statistics do not move. */
static void adam_step(struct unroll *u, int k, real *theta)
{
    const struct optim_spec o = {.beta1 = 0, .beta2 = 0.999, .epsilon = 1e-8};
    const struct layout *l = &u->net->layout;

    for (int i = 0; i < l->n_segments; i++) {
        size_t at = l->segments[i].offset;

        if (role_learns(l->segments[i].role))
            optim_find("adam")->step(&o, u->spec.rate, (uint64_t)k + 1, l->segments[i].n,
                                     u->gradient + at, theta + at, u->adam + at, l->n);
    }
}

double unroll_step(struct unroll *u, int k, const struct episode *ep, double *accuracy)
{
    size_t n = u->net->layout.n;
    const real *theta = unroll_theta(u, k);
    real *next = u->room[k % u->n_rooms];
    double loss = step_gradient(u, k, ep, accuracy);

    if (u->kept)
        vec_copy(n, u->gradient, u->kept[k]);
    if (u->spec.proximal > 0)
        add_proximal(u, theta);
    if (u->adam) {
        vec_copy(n, theta, next);
        adam_step(u, k, next);
    } else {
        vec_step(n, theta, u->rate, u->gradient, next);
    }
    pass_done(u->hook, (struct pass){PASS_STEP, k, "support", 0, u->net, .vector = next});
    return loss;
}

int unroll_forward(struct unroll *u, const real *theta, const struct episode *ep,
                   struct task_metrics *metrics)
{
    unroll_begin(u, theta, ep);
    for (int k = 0; k < u->spec.steps; k++) {
        double accuracy, loss = unroll_step(u, k, ep, &accuracy);

        if (!isfinite(loss))
            return err(ERR_NONFINITE, "the support loss at inner step %d is not finite", k);
        if (k == 0)
            metrics->v[METRIC_SUPPORT_LOSS] += loss;
        metrics->v[metric_curve(k, CURVE_LOSS)] += fmin(loss, CURVE_LOSS_MAX);
        metrics->v[metric_curve(k, CURVE_ACCURACY)] += accuracy;
    }
    return 0;
}

const real *unroll_outputs(struct unroll *u, int k, const struct episode *ep)
{
    values(u, k, u->net, ep, &ep->query, &u->query);
    return net_outputs(u->net, &u->query);
}

const real *unroll_outputs_at(struct unroll *u, const real *theta, const struct episode *ep,
                              const real *statistics)
{
    u->query.noise = noise_of(ep, 0);
    return net_forward_by(u->net, theta, &ep->query, &u->query, statistics);
}

const real *unroll_observe(struct unroll *u, const real *theta, const struct episode *ep)
{
    if (!observes(u))
        return NULL;
    u->query.noise = noise_of(ep, 0);
    net_observe(u->net, theta, &ep->support, &u->query, u->statistics);
    return u->statistics;
}

int unroll_query(struct unroll *u, const struct episode *ep, struct task_metrics *metrics)
{
    const struct net *net = u->net;
    int k = u->spec.steps;
    double loss = values(u, k, net, ep, &ep->query, &u->query);

    if (!isfinite(loss))
        return err(ERR_NONFINITE, "the query loss is not finite");
    metrics->v[METRIC_LOSS] += loss;
    metrics->v[METRIC_ACCURACY] +=
        loss_accuracy(&net->loss, &ep->query, net->n_out, net_outputs(net, &u->query));
    gradient(u, k, net, &ep->query, &u->query, u->adjoint);
    return 0;
}

/* ---- the adjoint ---- */

/* hv (P, overwritten) = H(theta_k) v on step k's tape; the tangent of its inputs' gradient, if
 * wanted. */
static void product(struct unroll *u, int k, const struct batch *b, const real *v, real *hv)
{
    const struct net *net = &u->moved;

    vec_zero(net->layout.n, hv);
    net_hvp(net, unroll_theta(u, k), v, b, tape_of(u, k), &u->tangents, hv, u->g_input_tangent);
    pass_done(u->hook,
              (struct pass){PASS_HVP, k, "support", b->n, net, &u->tangents, .vector = hv});
}

/* d loss / d rate -= adjoint_{k+1} gradient_k, element by element. */
static void add_rate_gradient(struct unroll *u, int k)
{
    vec_mul(u->net->layout.n, u->kept[k], u->adjoint, u->direction);
    vec_sub(u->net->layout.n, u->direction, u->g_rate);
}

/* Adds to the adjoint the gradient that the moved layers' inputs pass to the layers below. These
 * saw the support once, so its statistics are not observed here. */
static void go_below(struct unroll *u)
{
    const struct layout *l = &u->net->layout;
    struct inlet in = {u->spec.above, u->g_inputs};

    vec_zero(l->n, u->gradient);
    net_backward_from(u->net, u->start, u->inputs.n, &u->below, &in, 1, u->gradient, NULL);
    layout_add_learnable(l, u->gradient, u->adjoint);
}

void unroll_adjoint(struct unroll *u, const struct episode *ep)
{
    size_t n = u->net->layout.n, inputs = (size_t)u->inputs.n * shape_size(u->moved.in);

    if (u->g_rate)
        vec_zero(n, u->g_rate);
    if (u->g_inputs)
        vec_zero(inputs, u->g_inputs);
    for (int k = u->spec.steps - 1; k >= 0; k--) {
        if (u->n_tapes < u->spec.steps && k < u->spec.steps - 1)
            step_gradient(u, k, ep, NULL);
        if (u->g_rate)
            add_rate_gradient(u, k);
        vec_mul(n, u->rate, u->adjoint, u->direction);
        product(u, k, step_batch(u, k, ep), u->direction, u->gradient);
        vec_sub(n, u->gradient, u->adjoint);
        if (u->g_inputs)
            vec_sub(inputs, u->g_input_tangent, u->g_inputs);
        pass_done(u->hook,
                  (struct pass){PASS_ADJOINT, k, "support", 0, u->net, .vector = u->adjoint});
    }
    if (u->g_inputs)
        go_below(u);
}

void unroll_curvature(struct unroll *u, const struct episode *ep)
{
    values(u, u->spec.steps, &u->moved, ep, &u->inputs, tape_of(u, 0));
    gradient(u, u->spec.steps, &u->moved, &u->inputs, tape_of(u, 0), u->gradient);
}

void unroll_hvp(struct unroll *u, const real *v, real *hv)
{
    product(u, u->spec.steps, &u->inputs, v, hv);
}

double unroll_flops(const struct net *net, const struct unroll_spec *s)
{
    struct net moved = net_above(net, s->above);
    double step = net_flops_gradient(&moved, step_samples(s));
    double below = s->above ? net_flops_gradient(net, s->n_support) : 0;
    double products = s->products ? (1 + 2 * s->products) * step : 0;

    return s->steps * step * (s->second == SECOND_THROUGH ? 3 : 1) + below + products +
           net_flops_gradient(net, s->n_query);
}
