/* net.c - four loops over the layers. */
#include "core/math/net.h"

#include <assert.h>
#include <stdio.h>
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

static int net_add(struct net *net, const struct layer_spec *spec, const char *type)
{
    struct layer *l = &net->layers[net->n_layers];
    struct shape in = net->n_layers ? l[-1].out : net->in;
    char name[32];

    if (net->n_layers == NET_MAX)
        return err(ERR_CONFIG, "the model has more than %d layers", NET_MAX);
    *l = (struct layer){.ops = layer_find(type), .spec = *spec};
    if (!l->ops)
        return err(ERR_CONFIG, "no layer is called '%s'", type);
    if (spec->head)
        l->spec.filters = net->n_out;
    net_layer_name(net, net->n_layers, name, sizeof name);
    net->offset[net->n_layers] = net->layout.n;
    TRY(l->ops->plan(l, in, name, &net->layout));
    net->n_layers++;
    return 0;
}

static bool is_type(const struct layer_spec *specs, int n, int i, const char *type)
{
    return i < n && strcmp(specs[i].type, type) == 0;
}

int net_plan(struct net *net, const struct layer_spec *specs, int n_specs, struct shape in,
             int n_out, const struct loss_ops *loss)
{
    *net = (struct net){.in = in, .n_out = n_out, .loss = loss};
    for (int i = 0; i < n_specs; i++) {
        bool fuse =
            is_type(specs, n_specs, i, "batchnorm") && is_type(specs, n_specs, i + 1, "relu");

        TRY(net_add(net, &specs[i], fuse ? "batchnorm_relu" : specs[i].type));
        i += fuse;
    }
    while (net->first < net->n_layers && net->layers[net->first].n_w == 0)
        net->first++;
    if (net->first == net->n_layers)
        return err(ERR_CONFIG, "the model has no layer with parameters");
    if (shape_size(net->layers[net->n_layers - 1].out) != (size_t)n_out)
        return err(ERR_CONFIG, "the model's last layer has %zu outputs, the task needs %d",
                   shape_size(net->layers[net->n_layers - 1].out), n_out);
    return 0;
}

bool net_is_coupled(const struct net *net)
{
    for (int i = 0; i < net->n_layers; i++)
        if (net->layers[i].coupled)
            return true;
    return false;
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
    return strcmp(l->ops->name, "relu") == 0 || strcmp(l->ops->name, "tanh") == 0 ||
           strcmp(l->ops->name, "leaky_relu") == 0;
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
    for (int i = 0; i < view.n_layers; i++)
        view.layers[i] = net->layers[above + i], view.offset[i] = net->offset[above + i];
    view.in = above ? net->layers[above - 1].out : net->in;
    view.first = net->first > above ? net->first - above : 0;
    while (view.first < view.n_layers - 1 && view.layers[view.first].n_w == 0)
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

/* Buffers for act[from..n_layers]-sized vectors: one each, or two that alternate. */
static void take_series(const struct net *net, int n, int from, bool each, struct arena *arena,
                        real **series)
{
    size_t largest = (size_t)n * act_largest(net);
    real *two[2];

    for (int i = 0; i < 2 && !each; i++)
        two[i] = arena_reals(arena, largest);
    for (int i = from; i <= net->n_layers; i++)
        series[i] = each ? arena_reals(arena, (size_t)n * net_act_size(net, i)) : two[i % 2];
}

static real *take_save(const struct layer *l, int n, struct arena *arena)
{
    return arena_reals(arena, l->save + (size_t)n * l->save_each);
}

void tape_init(struct tape *t, const struct net *net, int n, enum tape_use use, real *scratch,
               struct arena *arena)
{
    real *act[NET_MAX + 1] = {NULL}, *grad[NET_MAX + 1] = {NULL};

    *t = (struct tape){.n = n, .scratch = scratch};
    take_series(net, n, 1, use != TAPE_VALUES, arena, act);
    if (use != TAPE_VALUES)
        take_series(net, n, net->first + 1, use == TAPE_SECOND, arena, grad);
    for (int i = 0; i <= net->n_layers; i++) {
        t->act[i].v = act[i];
        t->grad[i].v = grad[i];
        if (i < net->n_layers)
            t->save[i].v = take_save(&net->layers[i], n, arena);
    }
}

void tape_init_tangents(struct tape *t, const struct net *net, int n, struct arena *arena)
{
    real *act[NET_MAX + 1] = {NULL}, *grad[NET_MAX + 1] = {NULL};

    *t = (struct tape){.n = n};
    take_series(net, n, net->first + 1, true, arena, act);
    take_series(net, n, net->first + 1, false, arena, grad);
    for (int i = 0; i <= net->n_layers; i++) {
        t->act[i].t = act[i];
        t->grad[i].t = grad[i];
        if (i < net->n_layers)
            t->save[i].t = take_save(&net->layers[i], n, arena);
    }
}

/* Layer i's operands: values from t, tangents from d where there is one. */
static struct io io_at(const struct net *net, int i, const real *theta, int n, const struct tape *t,
                       const struct tape *d)
{
    struct io io = {.n = n,
                    .evaluate = t->evaluate,
                    .fixed = t->fixed,
                    .source = t->source,
                    .noise = t->noise,
                    .index = (uint32_t)i,
                    .scratch = t->scratch};

    io.w.v = (real *)theta + net->offset[i];
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

void net_backward(const struct net *net, const real *theta, const struct batch *b, struct tape *t,
                  real *gw)
{
    int last = net->n_layers;

    net->loss->grad(b, net->n_out, t->act[last].v, t->grad[last].v);
    for (int i = last - 1; i >= net->first; i--) {
        struct io io = io_at(net, i, theta, b->n, t, NULL);

        io.gw.v = gw + net->offset[i];
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
        io.gw.v = gw + net->offset[i];
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

        io.w.t = (real *)v + net->offset[i];
        net->layers[i].ops->forward_tangent(&net->layers[i], &io);
    }
    net->loss->grad_tangent(b, net->n_out, t->act[last].v, tangents->act[last].t,
                            tangents->grad[last].t);
    for (int i = last - 1; i >= net->first; i--) {
        struct io io = io_at(net, i, theta, b->n, t, tangents);

        io.w.t = (real *)v + net->offset[i];
        io.gw.t = hv + net->offset[i];
        io.gx.t = i > net->first ? io.gx.t : gx;
        net->layers[i].ops->backward_tangent(&net->layers[i], &io);
    }
}

const real *net_outputs(const struct net *net, const struct tape *t)
{
    return t->act[net->n_layers].v;
}
