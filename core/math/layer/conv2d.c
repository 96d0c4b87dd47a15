/* conv2d.c - convolution over a map, or over a series (conv1d: a map of width 1 whose window is
 * kernel x 1), as im2col and matrix products.                                 math.md (2.1)
 *
 * With K = kh kw C_in, a row of `col` (rows x K) holds the window under one output position:
 *
 *     y = col(x) W^T + b        gW += gy^T col(x)      gb += sum gy      gx = col^T(gy W)
 *
 * and by the product rule the tangents of the same. Channels last makes a window kh runs of
 * kw C_in reals. Rows are cut into pieces that stay in cache; the cut depends on the layer and the
 * batch alone. */
#include <stdio.h>
#include <string.h>

#include "core/base/err.h"
#include "core/math/blas.h"
#include "core/math/layer.h"
#include "core/math/layer/plan.h"
#include "core/math/layer/torch.h"
#include "core/math/vec.h"

enum { PIECE = 1 << 18 }; /* reals of col at a time, about one second-level cache */

/* What the window and its border are across the map. */
static int kernel_w(const struct layer *l)
{
    return l->spec.series ? 1 : l->spec.kernel;
}

static int pad_w(const struct layer *l)
{
    return l->spec.series ? 0 : l->spec.pad;
}

static size_t conv_depth(const struct layer *l)
{
    return (size_t)(l->spec.kernel * kernel_w(l) * l->in.c);
}

/* Rows of the largest piece. */
static size_t conv_piece(const struct layer *l)
{
    size_t rows = PIECE / conv_depth(l);

    return rows ? rows : 1;
}

static int conv_plan(struct layer *l, struct shape in, const char *name, struct layout *layout)
{
    struct layer_spec *s = &l->spec;
    int k = s->kernel = s->kernel ? s->kernel : 3, stride = s->stride = s->stride ? s->stride : 1;
    int kw = kernel_w(l), span_h = in.h + 2 * s->pad - k, span_w = in.w + 2 * pad_w(l) - kw;
    size_t fan_in = (size_t)(k * kw * in.c), fan_out = (size_t)(k * kw * s->filters);

    if (s->filters < 1 || k < 1 || stride < 1 || s->pad < 0)
        return err(ERR_CONFIG, "layer '%s' needs filters, kernel and stride of at least 1", name);
    if (span_h < 0 || span_w < 0)
        return err(ERR_CONFIG, "layer '%s': kernel %d does not fit an input of %d x %d", name, k,
                   in.h, in.w);
    plan_plain(l, in, (struct shape){span_h / stride + 1, span_w / stride + 1, s->filters});
    l->scratch = 2 * conv_piece(l) * (conv_depth(l) + (size_t)s->filters);
    l->multiply_adds = l->input_adds = (double)shape_size(l->out) * (double)fan_in;
    return plan_weights(l, layout, name, s->series ? 3 : 4,
                        (size_t[]){(size_t)s->filters, (size_t)in.c, (size_t)k, (size_t)k}, fan_in,
                        fan_out);
}

static int conv1d_plan(struct layer *l, struct shape in, const char *name, struct layout *layout)
{
    if (in.w != 1)
        return err(ERR_CONFIG, "layer '%s' is of a series, its input is %d wide", name, in.w);
    l->spec.series = true;
    return conv_plan(l, in, name, layout);
}

/* The window of row r of the column matrix: sample, and top left corner in x. */
struct window {
    size_t sample;
    int y, x;
};

static struct window window_at(const struct layer *l, size_t row)
{
    size_t map = (size_t)(l->out.h * l->out.w), at = row % map;
    int s = l->spec.stride;

    return (struct window){row / map, (int)(at / (size_t)l->out.w) * s - l->spec.pad,
                           (int)(at % (size_t)l->out.w) * s - pad_w(l)};
}

/* The window's columns that lie on the map: [*first, *last) of 0 .. its width. */
static void window_clip(const struct layer *l, int x, int *first, int *last)
{
    int k = kernel_w(l);

    *first = x < 0 ? -x : 0;
    *last = x + k > l->in.w ? l->in.w - x : k;
    if (*first > k)
        *first = k;
    if (*last < *first)
        *last = *first;
}

static void im2col_row(const struct layer *l, const real *x, size_t row, real *col)
{
    struct window at = window_at(l, row);
    int k = kernel_w(l), first, last;
    size_t c = (size_t)l->in.c;

    window_clip(l, at.x, &first, &last);
    x += at.sample * shape_size(l->in);
    for (int ky = 0; ky < l->spec.kernel; ky++, col += (size_t)k * c) {
        int y = at.y + ky;
        const real *from = x + ((ptrdiff_t)y * l->in.w + at.x + first) * (ptrdiff_t)c;
        size_t run = (size_t)(last - first) * c;

        if (y < 0 || y >= l->in.h || run == 0) {
            memset(col, 0, (size_t)k * c * sizeof *col);
            continue;
        }
        memset(col, 0, (size_t)first * c * sizeof *col);
        memcpy(col + (size_t)first * c, from, run * sizeof *col);
        memset(col + (size_t)last * c, 0, (size_t)(k - last) * c * sizeof *col);
    }
}

static void im2col(const struct layer *l, const real *x, size_t first, size_t rows, real *col)
{
    for (size_t r = 0; r < rows; r++)
        im2col_row(l, x, first + r, col + r * conv_depth(l));
}

/* The transpose of im2col: adds every window back where it came from. */
static void col2im_add(const struct layer *l, const real *col, size_t begin, size_t rows, real *gx)
{
    int k = kernel_w(l), first, last;
    size_t c = (size_t)l->in.c;

    for (size_t r = 0; r < rows; r++) {
        struct window at = window_at(l, begin + r);
        real *image = gx + at.sample * shape_size(l->in);

        window_clip(l, at.x, &first, &last);
        for (int ky = 0; ky < l->spec.kernel; ky++, col += (size_t)k * c) {
            int y = at.y + ky;

            if (y >= 0 && y < l->in.h)
                vec_add((size_t)(last - first) * c, col + (size_t)first * c,
                        image + ((ptrdiff_t)y * l->in.w + at.x + first) * (ptrdiff_t)c);
        }
    }
}

/* A walk over the pieces of n samples: `rows` rows from `first` on. */
struct piece {
    size_t first, rows, total, step;
};

static struct piece piece_first(const struct layer *l, int n)
{
    size_t total = (size_t)n * (size_t)(l->out.h * l->out.w), most = conv_piece(l);
    size_t pieces = (total + most - 1) / most, step = (total + pieces - 1) / pieces;

    return (struct piece){0, step < total ? step : total, total, step};
}

static bool piece_next(struct piece *p)
{
    p->first += p->rows;
    p->rows = p->total - p->first < p->step ? p->total - p->first : p->step;
    return p->rows > 0;
}

/* y = col W^T + beta y */
static void product_y(const struct layer *l, const struct piece *p, const real *col, const real *w,
                      real beta, real *y)
{
    int o = l->out.c, k = (int)conv_depth(l);

    gemm(false, true, (int)p->rows, o, k, col, k, w, k, beta, y + p->first * (size_t)o, o);
}

/* gw += g^T col over `rows` rows */
static void product_gw(const struct layer *l, size_t rows, const real *g, const real *col, real *gw)
{
    int o = l->out.c, k = (int)conv_depth(l);

    gemm(true, false, o, k, (int)rows, g, o, col, k, 1, gw, k);
}

/* col = g W + beta col */
static void product_gx(const struct layer *l, const struct piece *p, const real *g, const real *w,
                       real beta, real *col)
{
    int o = l->out.c, k = (int)conv_depth(l);

    gemm(false, false, (int)p->rows, k, o, g + p->first * (size_t)o, o, w, k, beta, col, k);
}

static void conv_forward(const struct layer *l, const struct io *io)
{
    struct piece p = piece_first(l, io->n);

    do {
        im2col(l, io->x.v, p.first, p.rows, io->scratch);
        product_y(l, &p, io->scratch, io->w.v, 0, io->y.v);
    } while (piece_next(&p));
    plan_add_bias(l, io->n, io->w.v, io->y.v);
}

static void conv_backward(const struct layer *l, const struct io *io)
{
    struct piece p = piece_first(l, io->n);

    if (io->gx.v)
        vec_zero((size_t)io->n * shape_size(l->in), io->gx.v);
    do {
        im2col(l, io->x.v, p.first, p.rows, io->scratch);
        product_gw(l, p.rows, io->gy.v + p.first * (size_t)l->out.c, io->scratch, io->gw.v);
        if (!io->gx.v)
            continue;
        product_gx(l, &p, io->gy.v, io->w.v, 0, io->scratch);
        col2im_add(l, io->scratch, p.first, p.rows, io->gx.v);
    } while (piece_next(&p));
    plan_sum_bias(l, io->n, io->gy.v, io->gw.v);
}

static void conv_forward_tangent(const struct layer *l, const struct io *io)
{
    struct piece p = piece_first(l, io->n);

    do {
        im2col(l, io->x.v, p.first, p.rows, io->scratch);
        product_y(l, &p, io->scratch, io->w.t, 0, io->y.t);
        if (!io->x.t)
            continue;
        im2col(l, io->x.t, p.first, p.rows, io->scratch);
        product_y(l, &p, io->scratch, io->w.v, 1, io->y.t);
    } while (piece_next(&p));
    plan_add_bias(l, io->n, io->w.t, io->y.t);
}

/* gw.t += gy.t^T col(x) + gy^T col(x.t), as one product of twice the depth: [gy.t; gy]^T [col;
 * col.t] */
static void conv_gw_tangent(const struct layer *l, const struct io *io, const struct piece *p)
{
    size_t o = (size_t)l->out.c, k = conv_depth(l), at = p->first * o, rows = p->rows;
    real *col = io->scratch, *g = io->scratch + 2 * conv_piece(l) * k;

    im2col(l, io->x.v, p->first, rows, col);
    if (!io->x.t) {
        product_gw(l, rows, io->gy.t + at, col, io->gw.t);
        return;
    }
    im2col(l, io->x.t, p->first, rows, col + rows * k);
    vec_copy(rows * o, io->gy.t + at, g);
    vec_copy(rows * o, io->gy.v + at, g + rows * o);
    product_gw(l, 2 * rows, g, col, io->gw.t);
}

static void conv_backward_tangent(const struct layer *l, const struct io *io)
{
    struct piece p = piece_first(l, io->n);

    if (io->gx.t)
        vec_zero((size_t)io->n * shape_size(l->in), io->gx.t);
    do {
        conv_gw_tangent(l, io, &p);
        if (!io->gx.t)
            continue;
        product_gx(l, &p, io->gy.t, io->w.v, 0, io->scratch);
        product_gx(l, &p, io->gy.v, io->w.t, 1, io->scratch);
        col2im_add(l, io->scratch, p.first, p.rows, io->gx.t);
    } while (piece_next(&p));
    plan_sum_bias(l, io->n, io->gy.t, io->gw.t);
}

static void torch_module(const struct layer *l, const char *type, struct torch_text *t)
{
    const struct layer_spec *s = &l->spec;

    snprintf(t->module, sizeof t->module, "nn.%s(%d, %d, %d, stride=%d, padding=%d%s)", type,
             l->in.c, l->out.c, s->kernel, s->stride, s->pad, s->bias ? "" : ", bias=False");
}

static void conv_torch(const struct layer *l, const char *name, struct torch_text *t)
{
    torch_function(t, "self.%s(%s)", name, torch_map(t));
    torch_module(l, "Conv2d", t);
}

static void conv1d_torch(const struct layer *l, const char *name, struct torch_text *t)
{
    torch_function(t, "self.%s(%s.squeeze(3)).unsqueeze(3)", name, torch_map(t));
    torch_module(l, "Conv1d", t);
}

const struct layer_ops layer_conv2d = {
    .name = "conv",
    .prefix = "conv",
    .summary = "convolution: filters, kernel (3), stride (1), pad (0), bias (true)",
    .plan = conv_plan,
    .forward = conv_forward,
    .backward = conv_backward,
    .forward_tangent = conv_forward_tangent,
    .backward_tangent = conv_backward_tangent,
    .torch = conv_torch,
};

const struct layer_ops layer_conv1d = {
    .name = "conv1d",
    .prefix = "conv",
    .summary = "convolution over a series, [time, channels]: as conv",
    .plan = conv1d_plan,
    .forward = conv_forward,
    .backward = conv_backward,
    .forward_tangent = conv_forward_tangent,
    .backward_tangent = conv_backward_tangent,
    .torch = conv1d_torch,
};
