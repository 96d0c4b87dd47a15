/* flatten.c - a map becomes a vector in PyTorch's order: [h][w][c] -> [c][h][w].  math.md (2.8) */
#include "core/math/layer.h"
#include "core/math/layer/plan.h"
#include "core/math/layer/torch.h"
#include "core/math/vec.h"

static int flatten_plan(struct layer *l, struct shape in, const char *name, struct layout *layout)
{
    (void)name, (void)layout;
    return plan_plain(l, in, (struct shape){1, 1, in.h * in.w * in.c});
}

/* to[n][j][i] = from[n][i][j], i < rows, j < columns */
static void transpose(int n, int rows, int columns, const real *from, real *to)
{
    size_t size = (size_t)rows * (size_t)columns;

    for (; n-- > 0; from += size, to += size)
        for (int i = 0; i < rows; i++)
            for (int j = 0; j < columns; j++)
                to[j * rows + i] = from[i * columns + j];
}

static void flatten_forward(const struct layer *l, const struct io *io)
{
    transpose(io->n, l->in.h * l->in.w, l->in.c, io->x.v, io->y.v);
}

static void flatten_backward(const struct layer *l, const struct io *io)
{
    if (io->gx.v)
        transpose(io->n, l->in.c, l->in.h * l->in.w, io->gy.v, io->gx.v);
}

static void flatten_forward_tangent(const struct layer *l, const struct io *io)
{
    if (io->x.t)
        transpose(io->n, l->in.h * l->in.w, l->in.c, io->x.t, io->y.t);
    else
        vec_zero((size_t)io->n * shape_size(l->in), io->y.t);
}

static void flatten_backward_tangent(const struct layer *l, const struct io *io)
{
    if (io->gx.t)
        transpose(io->n, l->in.c, l->in.h * l->in.w, io->gy.t, io->gx.t);
}

static void flatten_torch(const struct layer *l, const char *name, struct torch_text *t)
{
    (void)l, (void)name;
    torch_function(t, "%s", torch_vector(t));
}

const struct layer_ops layer_flatten = {
    .name = "flatten",
    .summary = "turns a map into a vector, in the order channel, row, column",
    .plan = flatten_plan,
    .forward = flatten_forward,
    .backward = flatten_backward,
    .forward_tangent = flatten_forward_tangent,
    .backward_tangent = flatten_backward_tangent,
    .torch = flatten_torch,
};
