/* net.c - four loops over the layers. */
#include "core/math/net.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/err.h"
#include "core/math/vec.h"

void net_layer_name(const struct net *net, int i, char *name, size_t n)
{
    const struct layer *l = &net->layers[i];
    int count = 1;

    for (int k = 0; k < i; k++) {
        const char *prefix = net->layers[k].ops->prefix;

        if (prefix && l->ops->prefix && strcmp(prefix, l->ops->prefix) == 0)
            count += !net->layers[k].spec.head;
    }
    if (l->spec.head)
        snprintf(name, n, "head");
    else if (l->ops->prefix)
        snprintf(name, n, "%s%d", l->ops->prefix, count);
    else
        snprintf(name, n, "%s", l->ops->name);
}

/* The layer's work, and its follower's too if they fuse. NULL: there is no such layer. */
static const struct layer_ops *ops_of(const struct layer_spec *spec,
                                      const struct layer_spec *follower)
{
    const struct layer_ops *ops = layer_find(spec->type);

    if (ops && ops->fuses_with && follower && strcmp(follower->type, ops->fuses_with) == 0)
        return ops->fused;
    return ops;
}

static int net_add(struct net *net, const struct layer_spec *spec, const struct layer_ops *ops)
{
    struct layer *l = &net->layers[net->n_layers];
    struct shape in = net->n_layers ? l[-1].out : net->in;
    char name[32];

    if (!ops)
        return err(ERR_CONFIG, "unknown layer '%s'", spec->type);
    *l = (struct layer){
        .ops = ops, .spec = *spec, .offset = net->layout.n, .statistics_at = net_statistics(net)};
    if (spec->head)
        l->spec.filters = net->n_out;
    net_layer_name(net, net->n_layers, name, sizeof name);
    TRY(ops->plan(l, in, name, &net->layout));
    net->n_layers++;
    return 0;
}

static bool learns(const struct layer *l)
{
    return l->n_w > 0 && l->ops->kind != LAYER_INPUT;
}

static int net_fill(struct net *net, const struct layer_spec *specs, int n_specs)
{
    net->layers = calloc((size_t)n_specs + 1, sizeof *net->layers);
    if (!net->layers)
        return err(ERR_MEMORY, "no memory for %d layers", n_specs);
    for (int i = 0; i < n_specs; i++) {
        const struct layer_ops *ops = ops_of(&specs[i], i + 1 < n_specs ? &specs[i + 1] : NULL);

        TRY(net_add(net, &specs[i], ops));
        i += ops != layer_find(specs[i].type); /* the follower is done with it */
    }
    while (net->first < net->n_layers && !learns(&net->layers[net->first]))
        net->first++;
    if (net->first == net->n_layers)
        return err(ERR_CONFIG, "the model has no layer with parameters");
    if (shape_size(net->layers[net->n_layers - 1].out) != (size_t)net->n_out)
        return err(ERR_CONFIG, "the model's last layer has %zu outputs, the task needs %d",
                   shape_size(net->layers[net->n_layers - 1].out), net->n_out);
    return 0;
}

int net_plan(struct net *net, const struct layer_spec *specs, int n_specs, struct shape in,
             int n_out, const struct loss *loss)
{
    int code;

    *net = (struct net){.in = in, .n_out = n_out, .loss = *loss};
    code = net_fill(net, specs, n_specs);
    if (code < 0)
        net_release(net);
    return code;
}

void net_release(struct net *net)
{
    free(net->layers);
    layout_release(&net->layout);
    *net = (struct net){0};
}

bool net_is_coupled(const struct net *net)
{
    for (int i = 0; i < net->n_layers; i++)
        if (net->layers[i].coupled)
            return true;
    return false;
}

size_t net_statistics(const struct net *net)
{
    size_t n = 0;

    for (int i = 0; i < net->n_layers; i++)
        n += net->layers[i].statistics;
    return n;
}

double net_flops_forward(const struct net *net, int n)
{
    double sum = 0;

    for (int i = 0; i < net->n_layers; i++)
        sum += net->layers[i].multiply_adds;
    return 2 * n * sum;
}

double net_flops_gradient(const struct net *net, int n)
{
    return 3 * net_flops_forward(net, n) - 2 * n * net->layers[net->first].input_adds;
}

size_t net_act_size(const struct net *net, int act)
{
    return shape_size(act ? net->layers[act - 1].out : net->in);
}

int net_features(const struct net *net)
{
    return net->n_layers - 1;
}

static bool is_activation(const struct layer *l)
{
    return l->ops->kind == LAYER_ACTIVATION;
}

int net_tap(const struct net *net, const char *wanted)
{
    for (int i = 0; i < net->n_layers; i++) {
        char name[48];

        net_layer_name(net, i, name, sizeof name);
        if (strcmp(name, wanted) == 0)
            return i + 1 < net->n_layers && is_activation(&net->layers[i + 1]) ? i + 2 : i + 1;
    }
    return 0;
}

struct net net_above(const struct net *net, int above)
{
    struct net view = *net;

    view.n_layers -= above;
    view.layers += above;
    view.in = above ? net->layers[above - 1].out : net->in;
    view.first = net->first > above ? net->first - above : 0;
    while (view.first < view.n_layers - 1 && !learns(&view.layers[view.first]))
        view.first++;
    return view;
}

static size_t act_largest(const struct net *net)
{
    size_t most = 0;

    for (int i = 1; i <= net->n_layers; i++)
        most = net_act_size(net, i) > most ? net_act_size(net, i) : most;
    return most;
}

real *tape_scratch(const struct net *net, int n, struct arena *arena)
{
    size_t most = 0;

    for (int i = 0; i < net->n_layers; i++) {
        const struct layer *l = &net->layers[i];
        size_t need = l->scratch + (size_t)n * l->scratch_each;

        most = need > most ? need : most;
    }
    return arena_reals(arena, most);
}

enum side { VALUE, TANGENT }; /* of a pair */

/* Entry i of a list gets its buffer; while the arena measures there is no list. */
static void lend(struct pair *list, int i, enum side side, real *buffer)
{
    if (list)
        *(side == VALUE ? &list[i].v : &list[i].t) = buffer;
}

/* Buffers for list[from .. n_layers], as large as the activations: one each, or two that
 * alternate. */
static void take_series(const struct net *net, int n, int from, bool each, enum side side,
                        struct arena *arena, struct pair *list)
{
    size_t largest = (size_t)n * act_largest(net);
    real *two[2] = {NULL};

    for (int i = 0; i < 2 && !each; i++)
        two[i] = arena_reals(arena, largest);
    for (int i = from; i <= net->n_layers; i++)
        lend(list, i, side,
             each ? arena_reals(arena, (size_t)n * net_act_size(net, i)) : two[i % 2]);
}

static void take_saves(const struct net *net, int n, enum side side, struct arena *arena,
                       struct pair *list)
{
    for (int i = 0; i < net->n_layers; i++) {
        const struct layer *l = &net->layers[i];

        lend(list, i, side, arena_reals(arena, l->save + (size_t)n * l->save_each));
    }
}

/* n pairs of NULL */
static struct pair *take_list(int n, struct arena *arena)
{
    struct pair *list = arena_keep(arena, (size_t)n * sizeof *list);

    for (int i = 0; list && i < n; i++)
        list[i] = (struct pair){NULL, NULL};
    return list;
}

static struct tape take_tape(const struct net *net, int n, real *scratch, struct arena *arena)
{
    return (struct tape){.n = n,
                         .act = take_list(net->n_layers + 1, arena),
                         .save = take_list(net->n_layers, arena),
                         .grad = take_list(net->n_layers + 1, arena),
                         .scratch = scratch};
}

void tape_init(struct tape *t, const struct net *net, int n, enum tape_use use, real *scratch,
               struct arena *arena)
{
    *t = take_tape(net, n, scratch, arena);
    take_series(net, n, 1, use != TAPE_VALUES, VALUE, arena, t->act);
    if (use != TAPE_VALUES)
        take_series(net, n, net->first + 1, use == TAPE_SECOND, VALUE, arena, t->grad);
    take_saves(net, n, VALUE, arena, t->save);
}

void tape_init_tangents(struct tape *t, const struct net *net, int n, struct arena *arena)
{
    *t = take_tape(net, n, NULL, arena);
    take_series(net, n, net->first + 1, true, TANGENT, arena, t->act);
    take_series(net, n, net->first + 1, false, TANGENT, arena, t->grad);
    take_saves(net, n, TANGENT, arena, t->save);
}

/* Layer i's operands: values from t, tangents from d if there is one. */
static struct io io_at(const struct net *net, int i, const real *theta, int n, const struct tape *t,
                       const struct tape *d)
{
    struct io io = {.n = n,
                    .evaluate = t->evaluate,
                    .fixed = t->fixed,
                    .source = t->source,
                    .given = t->given && net->layers[i].statistics > 0,
                    .noise = t->noise,
                    .index = (uint32_t)i,
                    .scratch = t->scratch};

    io.w.v = (real *)theta + net->layers[i].offset;
    io.statistics = t->statistics ? t->statistics + net->layers[i].statistics_at : NULL;
    io.x.v = t->act[i].v, io.y.v = t->act[i + 1].v, io.save.v = t->save[i].v;
    io.gy.v = t->grad[i + 1].v, io.gx.v = i > net->first ? t->grad[i].v : NULL;
    if (!d)
        return io;
    io.x.t = i > net->first ? d->act[i].t : NULL, io.y.t = d->act[i + 1].t;
    io.save.t = d->save[i].t;
    io.gy.t = d->grad[i + 1].t, io.gx.t = i > net->first ? d->grad[i].t : NULL;
    return io;
}

const real *net_forward(const struct net *net, const real *theta, const struct batch *b,
                        struct tape *t)
{
    t->act[0].v = (real *)b->x;
    for (int i = 0; i < net->n_layers; i++) {
        struct io io = io_at(net, i, theta, b->n, t, NULL);

        net->layers[i].ops->forward(&net->layers[i], &io);
    }
    return net_outputs(net, t);
}

void net_observe(const struct net *net, const real *theta, const struct batch *b, struct tape *t,
                 real *statistics)
{
    t->statistics = statistics;
    net_forward(net, theta, b, t);
    t->statistics = NULL;
}

const real *net_forward_by(const struct net *net, const real *theta, const struct batch *b,
                           struct tape *t, const real *statistics)
{
    const real *y;

    t->statistics = (real *)statistics, t->given = statistics != NULL;
    y = net_forward(net, theta, b, t);
    t->statistics = NULL, t->given = false;
    return y;
}

void net_backward(const struct net *net, const real *theta, const struct batch *b, struct tape *t,
                  real *gw)
{
    int last = net->n_layers;

    loss_grad(&net->loss, b, net->n_out, t->act[last].v, t->grad[last].v);
    for (int i = last - 1; i >= net->first; i--) {
        struct io io = io_at(net, i, theta, b->n, t, NULL);

        io.gw.v = gw + net->layers[i].offset;
        net->layers[i].ops->backward(&net->layers[i], &io);
    }
}

/* The part of the gradient that enters at this activation. */
static void enter(const struct net *net, const struct inlet *inlets, int n_inlets, int act, int n,
                  bool first, real *g)
{
    size_t size = (size_t)n * net_act_size(net, act);

    for (int i = 0; i < n_inlets; i++) {
        if (inlets[i].act != act)
            continue;
        if (first)
            vec_copy(size, inlets[i].g, g);
        else
            vec_add(size, inlets[i].g, g);
        first = false;
    }
}

void net_backward_from(const struct net *net, const real *theta, int n, struct tape *t,
                       const struct inlet *inlets, int n_inlets, real *gw, real *gx)
{
    int top = inlets[0].act;

    assert(!gx || net->first == 0);
    enter(net, inlets, n_inlets, top, n, true, t->grad[top].v);
    for (int i = top - 1; i >= net->first; i--) {
        struct io io = io_at(net, i, theta, n, t, NULL);

        io.gx.v = i > net->first ? io.gx.v : gx;
        io.gw.v = gw + net->layers[i].offset;
        net->layers[i].ops->backward(&net->layers[i], &io);
        if (i > net->first)
            enter(net, inlets, n_inlets, i, n, false, t->grad[i].v);
    }
}

void net_hvp(const struct net *net, const real *theta, const real *v, const struct batch *b,
             const struct tape *t, struct tape *tangents, real *hv, real *gx)
{
    int last = net->n_layers;

    assert(!gx || net->first == 0);
    for (int i = net->first; i < last; i++) {
        struct io io = io_at(net, i, theta, b->n, t, tangents);

        io.w.t = (real *)v + net->layers[i].offset;
        net->layers[i].ops->forward_tangent(&net->layers[i], &io);
    }
    net->loss.ops->grad_tangent(&net->loss, b, net->n_out, t->act[last].v, tangents->act[last].t,
                                tangents->grad[last].t);
    for (int i = last - 1; i >= net->first; i--) {
        struct io io = io_at(net, i, theta, b->n, t, tangents);

        io.w.t = (real *)v + net->layers[i].offset;
        io.gw.t = hv + net->layers[i].offset;
        io.gx.t = i > net->first ? io.gx.t : gx;
        net->layers[i].ops->backward_tangent(&net->layers[i], &io);
    }
}

const real *net_outputs(const struct net *net, const struct tape *t)
{
    return t->act[net->n_layers].v;
}
