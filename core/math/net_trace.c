/* net_trace.c - the tape, layer by layer. */
#include "core/math/net_trace.h"

#include "core/math/vec.h"

static size_t act_size(const struct net *net, int i, int n)
{
    return (size_t)n * shape_size(i ? net->layers[i - 1].out : net->in);
}

static int up(const struct net *net, const struct pair *act, int from, int n, bool tangents)
{
    for (int i = from; i < net->n_layers; i++)
        if (!vec_finite(act_size(net, i + 1, n), tangents ? act[i + 1].t : act[i + 1].v))
            return i;
    return TRACE_CLEAN;
}

int net_trace_forward(const struct net *net, const struct tape *t, int n)
{
    return up(net, t->act, 0, n, false);
}

int net_trace_forward_tangent(const struct net *net, const struct tape *tangents, int n)
{
    return up(net, tangents->act, net->first, n, true);
}

static int down(const struct net *net, const struct pair *grad, int n, bool tangents,
                const real *gw)
{
    for (int i = net->n_layers; i >= net->first; i--) {
        const real *g = tangents ? grad[i].t : grad[i].v;

        if (i < net->n_layers && !vec_finite(net->layers[i].n_w, gw + net->layers[i].offset))
            return i;
        if (i > net->first && !vec_finite(act_size(net, i, n), g))
            return i;
    }
    return TRACE_CLEAN;
}

int net_trace_backward(const struct net *net, const struct tape *t, int n, const real *gw)
{
    return down(net, t->grad, n, false, gw);
}

int net_trace_backward_tangent(const struct net *net, const struct tape *tangents, int n,
                               const real *hv)
{
    return down(net, tangents->grad, n, true, hv);
}

/* While the arena measures there is no list. */
static void own_gradient(struct tape *tangents, int i, real *buffer)
{
    if (tangents->grad)
        tangents->grad[i].t = buffer;
}

void net_trace_tangents(struct tape *tangents, const struct net *net, int n, struct arena *arena)
{
    tape_init_tangents(tangents, net, n, arena);
    for (int i = net->first + 1; i <= net->n_layers; i++)
        own_gradient(tangents, i, arena_reals(arena, act_size(net, i, n)));
}
