/* residual.c - y = act(body(x) + shortcut(x)), the block of ResNet-12 (Oreshkin et al. 2018, Lee et
 * al. 2019).                                                                 math.md (2.11)
 *
 *     body      conv 3x3, batchnorm, act; conv 3x3, batchnorm, act; conv 3x3, batchnorm
 *     shortcut  conv 1x1, batchnorm
 *
 * act = leaky relu, slope 0.1; no convolution has a bias. The parts are layers of the table, wired
 * by `parts` below. A block is a function of its spec and input alone, so each pass plans it anew
 * (a few microseconds) instead of keeping it somewhere.
 *
 * With `groups`, groupnorm stands in the place of batchnorm, under the same names.
 *
 * save holds what the parts save, then the six maps that they read again. The activations work in
 * place: no batchnorm reads its own y, no leaky relu its x. The gradients between parts live in
 * scratch; backward_tangent computes them again (both inner convolutions' backward), so that the
 * tape of a first-order method carries nothing for it. */
#include <assert.h>
#include <stdio.h>

#include "core/base/err.h"
#include "core/math/layer.h"
#include "core/math/layer/plan.h"
#include "core/math/layer/torch.h"
#include "core/math/vec.h"

extern const struct layer_ops layer_batchnorm, layer_conv2d, layer_groupnorm, layer_leaky_relu;

/* Places of activations: the block's x and y, maps in save, a map in scratch. */
enum place { IN, C1, A1, C2, A2, C3, C0, OUT, SUM, SAVED = OUT - C1 };

/* Places of gradients: the block's gy and gx, maps in scratch. */
enum gradient { GY, G, H, K, GX, MAPS = GX - G };

static const struct branch {
    const struct layer_ops *ops;
    const char *name;
    int kernel;
    enum place x, y;
    enum gradient gy, gx;
} parts[] = {
    {&layer_conv2d, "conv1", 3, IN, C1, H, GX},
    {&layer_batchnorm, "bn1", 0, C1, A1, K, H},
    {&layer_leaky_relu, "", 0, A1, A1, K, K},
    {&layer_conv2d, "conv2", 3, A1, C2, H, K},
    {&layer_batchnorm, "bn2", 0, C2, A2, K, H},
    {&layer_leaky_relu, "", 0, A2, A2, K, K},
    {&layer_conv2d, "conv3", 3, A2, C3, H, K},
    {&layer_batchnorm, "bn3", 0, C3, OUT, G, H},
    {&layer_conv2d, "shortcut.conv", 1, IN, C0, H, K},
    {&layer_batchnorm, "shortcut.bn", 0, C0, SUM, G, H},
    {&layer_leaky_relu, "", 0, OUT, OUT, GY, G},
};
enum { PARTS = sizeof parts / sizeof *parts, CONV1 = 0, SHORTCUT = 8, LAST = PARTS - 1 };

struct block {
    struct layer layer[PARTS];
    size_t w[PARTS];                 /* where each part's begin in the block's       */
    size_t save[PARTS], each[PARTS]; /* in save: fixed, and for each sample         */
    size_t statistics[PARTS];        /* where each part's begin in the block's       */
    size_t maps, maps_each;          /* where the maps begin in save                 */
    size_t unused, gradients;        /* in scratch: a gw that is not used, gradient maps */
    size_t n_w, n_statistics;
};

static size_t round_up(size_t n)
{
    return (n + 15) / 16 * 16; /* 64 bytes of float */
}

static int part_plan(const struct layer *l, int i, const char *name, struct layout *layout,
                     struct layer *part)
{
    struct shape inner = {l->in.h, l->in.w, l->spec.filters};
    bool grouped = l->spec.groups && parts[i].ops == &layer_batchnorm;
    int k = parts[i].kernel;
    char full[48];

    *part = (struct layer){.ops = grouped ? &layer_groupnorm : parts[i].ops,
                           .spec = {.filters = l->spec.filters,
                                    .kernel = k,
                                    .pad = k / 2,
                                    .groups = l->spec.groups,
                                    .running = l->spec.running,
                                    .follows_target = l->spec.follows_target}};
    snprintf(full, sizeof full, "%s.%s", name, parts[i].name);
    TRY(part->ops->plan(part, parts[i].x == IN ? l->in : inner, full, layout));
    assert(part->scratch_each == 0);
    return 0;
}

static int block_plan(const struct layer *l, const char *name, struct layout *layout,
                      struct block *b)
{
    size_t first = layout->n, most_w = 0;

    b->maps = b->maps_each = b->unused = b->n_statistics = 0;
    for (int i = 0; i < PARTS; i++) {
        struct layer *part = &b->layer[i];

        b->w[i] = layout->n - first;
        b->save[i] = b->maps, b->each[i] = b->maps_each;
        b->statistics[i] = b->n_statistics;
        TRY(part_plan(l, i, name, layout, part));
        b->maps += part->save, b->maps_each += part->save_each;
        b->n_statistics += part->statistics;
        b->unused = part->scratch > b->unused ? part->scratch : b->unused;
        most_w = part->n_w > most_w ? part->n_w : most_w;
    }
    b->maps = round_up(b->maps);
    b->unused = round_up(b->unused);
    b->gradients = b->unused + round_up(most_w);
    b->n_w = layout->n - first;
    return 0;
}

static size_t map_size(const struct layer *l)
{
    size_t in = shape_size(l->in), out = shape_size(l->out);

    return in > out ? in : out;
}

static int residual_plan(struct layer *l, struct shape in, const char *name, struct layout *layout)
{
    struct block b;

    plan_plain(l, in, (struct shape){in.h, in.w, l->spec.filters});
    TRY(block_plan(l, name, layout, &b));
    l->n_w = b.n_w;
    l->save = b.maps;
    l->save_each = b.maps_each + SAVED * shape_size(l->out);
    l->scratch = b.gradients;
    l->scratch_each = 2 * MAPS * map_size(l);
    l->coupled = !l->spec.running && !l->spec.groups;
    l->statistics = b.n_statistics;
    for (int i = 0; i < PARTS; i++) {
        l->multiply_adds += b.layer[i].multiply_adds;
        l->input_adds += parts[i].x == IN ? b.layer[i].multiply_adds : 0;
    }
    return 0;
}

/* The block as planned before. */
static void block_of(const struct layer *l, struct block *b)
{
    struct layout layout = layout_measuring();
    int code = block_plan(l, "", &layout, b);

    assert(code == 0);
    (void)code;
}

static struct pair pair_at(struct pair p, size_t offset)
{
    return (struct pair){p.v ? p.v + offset : NULL, p.t ? p.t + offset : NULL};
}

static struct pair gradient_at(const struct layer *l, const struct block *b, const struct io *io,
                               enum gradient which)
{
    size_t map = (size_t)io->n * map_size(l);
    real *maps = io->scratch + b->gradients;

    if (which == GY || which == GX)
        return which == GY ? io->gy : io->gx;
    return (struct pair){maps + (which - G) * map, maps + (which - G + MAPS) * map};
}

static struct pair place_at(const struct layer *l, const struct block *b, const struct io *io,
                            enum place which)
{
    if (which == IN || which == OUT)
        return which == IN ? io->x : io->y;
    if (which == SUM)
        return gradient_at(l, b, io, G);
    return pair_at(io->save,
                   b->maps + (size_t)io->n * (b->maps_each + (which - C1) * shape_size(l->out)));
}

static struct io part_io(const struct layer *l, const struct block *b, const struct io *io, int i)
{
    struct io p = {.n = io->n,
                   .evaluate = io->evaluate,
                   .fixed = io->fixed,
                   .source = io->source,
                   .statistics = io->statistics ? io->statistics + b->statistics[i] : NULL,
                   .given = io->given && b->layer[i].statistics > 0,
                   .noise = io->noise,
                   .index = io->index,
                   .scratch = io->scratch};

    p.w = pair_at(io->w, b->w[i]);
    p.gw = pair_at(io->gw, b->w[i]);
    p.save = pair_at(io->save, b->save[i] + (size_t)io->n * b->each[i]);
    p.x = place_at(l, b, io, parts[i].x);
    p.y = place_at(l, b, io, parts[i].y);
    p.gy = gradient_at(l, b, io, parts[i].gy);
    p.gx = gradient_at(l, b, io, parts[i].gx);
    return p;
}

static void residual_up(const struct layer *l, const struct io *io, bool tangent)
{
    size_t n = (size_t)io->n * shape_size(l->out);
    struct block b;
    struct pair sum;

    block_of(l, &b);
    sum = place_at(l, &b, io, SUM);
    for (int i = 0; i < PARTS; i++) {
        struct io p = part_io(l, &b, io, i);

        if (i == LAST)
            vec_add(n, tangent ? sum.t : sum.v, tangent ? io->y.t : io->y.v);
        if (tangent)
            b.layer[i].ops->forward_tangent(&b.layer[i], &p);
        else
            b.layer[i].ops->forward(&b.layer[i], &p);
    }
}

static void residual_forward(const struct layer *l, const struct io *io)
{
    residual_up(l, io, false);
}

static void residual_forward_tangent(const struct layer *l, const struct io *io)
{
    residual_up(l, io, true);
}

/* Runs one part's backward, or its backward_tangent after the gradient pass that it needs. The
 * shortcut's part of gx has its own map. Without a gx neither is computed. */
static void part_down(const struct layer *l, const struct block *b, const struct io *io, int i,
                      bool tangent)
{
    struct io p = part_io(l, b, io, i);

    if (i == SHORTCUT)
        p.gx = (struct pair){io->gx.v ? p.gx.v : NULL, io->gx.t ? p.gx.t : NULL};
    if (!tangent) {
        b->layer[i].ops->backward(&b->layer[i], &p);
        return;
    }
    if (i != CONV1 && i != SHORTCUT) {
        struct io values = p;

        values.gw.v = io->scratch + b->unused;
        vec_zero(b->layer[i].n_w, values.gw.v);
        b->layer[i].ops->backward(&b->layer[i], &values);
    }
    b->layer[i].ops->backward_tangent(&b->layer[i], &p);
}

/* From the sum down the body to gx, then down the shortcut, added to it. */
static void residual_down(const struct layer *l, const struct io *io, bool tangent)
{
    real *gx = tangent ? io->gx.t : io->gx.v;
    struct block b;
    struct pair shortcut;

    block_of(l, &b);
    part_down(l, &b, io, LAST, tangent);
    for (int i = SHORTCUT - 1; i >= CONV1; i--)
        part_down(l, &b, io, i, tangent);
    part_down(l, &b, io, SHORTCUT + 1, tangent);
    part_down(l, &b, io, SHORTCUT, tangent);
    shortcut = gradient_at(l, &b, io, parts[SHORTCUT].gx);
    if (gx)
        vec_add((size_t)io->n * shape_size(l->in), tangent ? shortcut.t : shortcut.v, gx);
}

static void residual_backward(const struct layer *l, const struct io *io)
{
    residual_down(l, io, false);
}

static void residual_backward_tangent(const struct layer *l, const struct io *io)
{
    residual_down(l, io, true);
}

static void residual_torch(const struct layer *l, const char *name, struct torch_text *t)
{
    const char *x = torch_map(t);

    torch_function(t, "self.%s(%s)", name, x);
    snprintf(t->module, sizeof t->module, "Residual(%d, %d, running=%s, groups=%d)", l->in.c,
             l->out.c, l->spec.running ? "True" : "False", l->spec.groups);
}

static const char residual_class[] =
    "class Residual(nn.Module):\n"
    "    def __init__(self, inputs, outputs, running, groups):\n"
    "        super().__init__()\n"
    "        def conv(n, kernel):\n"
    "            return nn.Conv2d(n, outputs, kernel, padding=kernel // 2, bias=False)\n"
    "        def norm():\n"
    "            if groups:\n"
    "                return nn.GroupNorm(groups, outputs)\n"
    "            return nn.BatchNorm2d(outputs, track_running_stats=running)\n"
    "        self.conv1, self.bn1 = conv(inputs, 3), norm()\n"
    "        self.conv2, self.bn2 = conv(outputs, 3), norm()\n"
    "        self.conv3, self.bn3 = conv(outputs, 3), norm()\n"
    "        self.shortcut = nn.Sequential()\n"
    "        self.shortcut.add_module('conv', conv(inputs, 1))\n"
    "        self.shortcut.add_module('bn', norm())\n"
    "\n"
    "    def forward(self, x):\n"
    "        y = F.leaky_relu(self.bn1(self.conv1(x)), 0.1)\n"
    "        y = F.leaky_relu(self.bn2(self.conv2(y)), 0.1)\n"
    "        return F.leaky_relu(self.bn3(self.conv3(y)) + self.shortcut(x), 0.1)\n";

const struct layer_ops layer_residual = {
    .name = "residual",
    .prefix = "block",
    .kind = LAYER_NORM,
    .summary = "residual block of ResNet-12: filters, groups (0: batchnorm), running (default: as "
               "model.statistics says)",
    .plan = residual_plan,
    .forward = residual_forward,
    .backward = residual_backward,
    .forward_tangent = residual_forward_tangent,
    .backward_tangent = residual_backward_tangent,
    .torch = residual_torch,
    .torch_class = residual_class,
};
