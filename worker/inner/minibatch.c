/* minibatch.c - a shuffle for each pass, samples copied together. */
#include "worker/inner/minibatch.h"

#include <string.h>

#include "core/math/rng.h"
#include "core/math/vec.h"

void minibatch_init(struct minibatch *m, int size, int n, struct shape in, int targets,
                    struct arena *arena)
{
    *m = (struct minibatch){.inputs = shape_size(in), .targets = targets};
    if (size == 0 || size >= n)
        return;
    m->size = size;
    m->order = arena_take(arena, (size_t)n * sizeof *m->order);
    m->x = arena_reals(arena, (size_t)size * m->inputs);
    m->target = arena_reals(arena, (size_t)(size * targets));
    m->weight = arena_reals(arena, (size_t)size);
    m->label = arena_take(arena, (size_t)size * sizeof *m->label);
}

/* Fisher and Yates; passes have streams of their own, as dropout's passes have. */
static void draw_order(struct minibatch *m, const struct episode *ep, uint32_t pass)
{
    uint32_t n = (uint32_t)ep->support.n;
    struct rng r;

    rng_init(&r, ep->seed, RNG_INNER + 256 * pass, ep->round, ep->slot);
    for (uint32_t i = 0; i < n; i++)
        m->order[i] = i;
    for (uint32_t i = n - 1; i > 0; i--) {
        uint32_t j = rng_below(&r, i + 1), at_i = m->order[i];

        m->order[i] = m->order[j];
        m->order[j] = at_i;
    }
    m->pass = pass;
}

static void copy_sample(struct minibatch *m, const struct batch *from, uint32_t i, int to)
{
    vec_copy(m->inputs, from->x + i * m->inputs, m->x + (size_t)to * m->inputs);
    if (from->label)
        m->label[to] = from->label[i];
    if (from->weight)
        m->weight[to] = from->weight[i];
    if (from->target)
        vec_copy((size_t)m->targets, from->target + i * (size_t)m->targets,
                 m->target + to * m->targets);
}

const struct batch *minibatch_take(struct minibatch *m, const struct episode *ep, int k)
{
    const struct batch *all = &ep->support;

    if (m->size == 0)
        return all;
    m->pass = k == 0 ? 0 : m->pass;
    for (int i = 0; i < m->size; i++) {
        uint32_t place = (uint32_t)(k * m->size + i), n = (uint32_t)all->n;

        if (m->pass != 1 + place / n)
            draw_order(m, ep, 1 + place / n);
        copy_sample(m, all, m->order[place % n], i);
    }
    m->taken = (struct batch){.n = m->size,
                              .x = m->x,
                              .label = all->label ? m->label : NULL,
                              .target = all->target ? m->target : NULL,
                              .weight = all->weight ? m->weight : NULL,
                              .classes = all->classes};
    return &m->taken;
}
