/* plan.c - weights with an optional bias, numbers of channels. */
#include "core/math/layer/plan.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "core/base/err.h"
#include "core/math/vec.h"

static int plan_segment(struct layout *layout, const char *layer, const char *what,
                        struct segment s)
{
    char name[96];

    snprintf(name, sizeof name, "%s.%s", layer, what);
    s.name = name;
    return layout_add(layout, s);
}

int plan_weights(struct layer *l, struct layout *layout, const char *name, int n_dims,
                 const size_t *dims, size_t fan_in, size_t fan_out)
{
    size_t before = layout->n;
    struct segment weight = {.n_dims = n_dims,
                             .role = l->spec.head ? ROLE_HEAD : ROLE_BODY,
                             .init = INIT_UNIFORM,
                             .scale = sqrt(6.0 / (double)(fan_in + fan_out))};
    struct segment bias = {.n_dims = 1, .dims = {dims[0]}, .role = weight.role};

    memcpy(weight.dims, dims, (size_t)n_dims * sizeof *dims);
    TRY(plan_segment(layout, name, "weight", weight));
    if (l->spec.bias)
        TRY(plan_segment(layout, name, "bias", bias));
    l->n_w = layout->n - before;
    return 0;
}

int plan_channels(struct layer *l, struct layout *layout, const char *name, const char *what,
                  enum role role, double value)
{
    struct segment s = {.n_dims = 1,
                        .dims = {(size_t)l->in.c},
                        .role = role,
                        .init = INIT_CONSTANT,
                        .scale = value};

    l->n_w += (size_t)l->in.c;
    return plan_segment(layout, name, what, s);
}

void plan_add_bias(const struct layer *l, int n, const real *w, real *y)
{
    size_t c = (size_t)l->out.c, rows = (size_t)n * shape_size(l->out) / c;

    if (l->spec.bias)
        for (size_t r = 0; r < rows; r++)
            vec_add(c, w + l->n_w - c, y + r * c);
}

void plan_sum_bias(const struct layer *l, int n, const real *gy, real *gw)
{
    size_t c = (size_t)l->out.c, rows = (size_t)n * shape_size(l->out) / c;

    if (l->spec.bias)
        for (size_t r = 0; r < rows; r++)
            vec_add(c, gy + r * c, gw + l->n_w - c);
}

int plan_plain(struct layer *l, struct shape in, struct shape out)
{
    l->in = in;
    l->out = out;
    l->n_w = l->statistics = l->save = l->save_each = l->scratch = l->scratch_each = 0;
    l->multiply_adds = l->input_adds = 0;
    return 0;
}
