/* normalize.c - y = (x - mean) / deviation per channel, by constants that are kept with the
 * parameters and never step.                                                 math.md (1.1)  */
#include <math.h>
#include <stdio.h>

#include "core/base/err.h"
#include "core/math/layer.h"
#include "core/math/layer/plan.h"
#include "core/math/layer/torch.h"
#include "core/math/vec.h"

static int normalize_plan(struct layer *l, struct shape in, const char *name, struct layout *layout)
{
    plan_plain(l, in, in);
    TRY(plan_channels(l, layout, name, "mean", ROLE_SCALE, 0));
    return plan_channels(l, layout, name, "deviation", ROLE_SCALE, 1);
}

static size_t rows_of(const struct layer *l, const struct io *io)
{
    return (size_t)io->n * (size_t)(l->in.h * l->in.w);
}

/* A number that is missing has the mean. */
static void normalize_forward(const struct layer *l, const struct io *io)
{
    size_t c = (size_t)l->in.c;
    const real *mean = io->w.v, *deviation = io->w.v + c;

    for (size_t r = 0; r < rows_of(l, io); r++)
        for (size_t k = 0; k < c; k++) {
            real x = io->x.v[r * c + k];

            io->y.v[r * c + k] = l->spec.holes && isnan(x) ? 0 : (x - mean[k]) / deviation[k];
        }
}

/* to = from / deviation */
static void divide(const struct layer *l, const struct io *io, const real *from, real *to)
{
    size_t c = (size_t)l->in.c;

    for (size_t r = 0; r < rows_of(l, io); r++)
        for (size_t k = 0; k < c; k++)
            to[r * c + k] = from[r * c + k] / io->w.v[c + k];
}

static void normalize_backward(const struct layer *l, const struct io *io)
{
    if (io->gx.v)
        divide(l, io, io->gy.v, io->gx.v);
}

static void normalize_forward_tangent(const struct layer *l, const struct io *io)
{
    if (io->x.t)
        divide(l, io, io->x.t, io->y.t);
    else
        vec_zero((size_t)io->n * shape_size(l->in), io->y.t);
}

static void normalize_backward_tangent(const struct layer *l, const struct io *io)
{
    if (io->gx.t)
        divide(l, io, io->gy.t, io->gx.t);
}

static void normalize_torch(const struct layer *l, const char *name, struct torch_text *t)
{
    torch_function(t, "self.%s(x)", name);
    snprintf(t->module, sizeof t->module, "Normalize(%d, holes=%s)", l->in.c,
             l->spec.holes ? "True" : "False");
}

static const char normalize_class[] =
    "class Normalize(nn.Module):\n"
    "    def __init__(self, n, holes):\n"
    "        super().__init__()\n"
    "        self.register_buffer('mean', torch.zeros(n))\n"
    "        self.register_buffer('deviation', torch.ones(n))\n"
    "        self.holes = holes\n"
    "\n"
    "    def forward(self, x):\n"
    "        shape = (1, -1) + (1,) * (x.dim() - 2)\n"
    "        y = (x - self.mean.view(shape)) / self.deviation.view(shape)\n"
    "        return torch.where(x.isnan(), torch.zeros_like(y), y) if self.holes else y\n";

const struct layer_ops layer_normalize = {
    .name = "normalize",
    .prefix = "normalize",
    .summary = "subtracts a mean and divides by a deviation, both constant: put first by "
               "stage.normalize",
    .kind = LAYER_INPUT,
    .plan = normalize_plan,
    .forward = normalize_forward,
    .backward = normalize_backward,
    .forward_tangent = normalize_forward_tangent,
    .backward_tangent = normalize_backward_tangent,
    .torch = normalize_torch,
    .torch_class = normalize_class,
};
