/* verb_gradient.c - `metaloop gradient`: one task's outer gradient, for comparison with any other program. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/checkpoint.h"
#include "core/err.h"
#include "core/safetensors.h"
#include "core/vec.h"
#include "launch/solo.h"
#include "launch/verbs.h"
#include "worker/method.h"

struct gradient_run {
    struct solo solo;
    struct arena arena;
    struct method method;
    struct batch part[2]; /* support, query: in the arena */
    real *theta, *grad, *bulk, *outputs;
    struct tally tally, curve;
};

/* x [n, C, H, W] or [n, F] to channels last. */
static void read_x(const struct tensor *t, struct shape s, int n, real *x)
{
    for (int i = 0; i < n; i++)
        for (int c = 0; c < s.c; c++)
            for (int p = 0; p < s.h * s.w; p++)
                x[((size_t)i * (size_t)(s.h * s.w) + (size_t)p) * (size_t)s.c + (size_t)c] =
                    (real)tensor_get(
                        t, ((size_t)i * (size_t)s.c + (size_t)c) * (size_t)(s.h * s.w) + (size_t)p);
}

static int find(const struct safetensors *f, const char *path, const char *part, const char *what,
                const struct tensor **t)
{
    char name[32];

    snprintf(name, sizeof name, "%s.%s", part, what);
    *t = safetensors_find(f, name);
    return *t ? 0 : err(ERR_DATA, "'%s' has no tensor '%s'", path, name);
}

static int read_y(const struct tensor *t, const struct net *net, const char *path, int n,
                  int *label, real *target)
{
    size_t each = target ? (size_t)net->n_out : 1;

    if (t->n != (size_t)n * each)
        return err(ERR_DATA, "'%s': tensor '%s' has %zu elements, expected %zu", path, t->name,
                   t->n, (size_t)n * each);
    for (size_t i = 0; i < t->n; i++) {
        double y = tensor_get(t, i);

        if (target) {
            target[i] = (real)y;
            continue;
        }
        if (!(y >= 0 && y < net->n_out) || y != (int)y)
            return err(ERR_DATA, "'%s': tensor '%s' has label %g, the stage has %d classes", path,
                       t->name, y, net->n_out);
        label[i] = (int)y;
    }
    return 0;
}

/* Fills one batch from the file; the arena may be measuring, then only sizes are taken. */
static int read_part(const struct safetensors *f, const char *path, const struct stage *stage,
                     const char *part, struct arena *a, struct batch *b)
{
    const struct net *net = &stage->net;
    bool regression = net->loss->accuracy == NULL;
    const struct tensor *x, *y;
    real *reals, *target = NULL;
    int *label = NULL;

    TRY(find(f, path, part, "x", &x));
    TRY(find(f, path, part, "y", &y));
    if (x->n_dims < 2 || x->dims[0] == 0 || x->dims[0] > 1 << 20 ||
        x->n != x->dims[0] * shape_size(net->in))
        return err(ERR_DATA, "'%s': tensor '%s' does not hold samples of %d x %d x %d", path,
                   x->name, net->in.c, net->in.h, net->in.w);
    b->n = (int)x->dims[0];
    reals = arena_reals(a, x->n);
    if (regression)
        target = arena_reals(a, (size_t)b->n * (size_t)net->n_out);
    else
        label = arena_take(a, (size_t)b->n * sizeof *label);
    b->x = reals, b->label = label, b->target = target;
    if (!a->base)
        return 0;
    read_x(x, net->in, b->n, reals);
    return read_y(y, net, path, b->n, label, target);
}

static int lay_out(struct gradient_run *g, const struct safetensors *f, const char *path,
                   struct arena *a)
{
    const struct stage *s = g->solo.stage;
    struct method_spec spec = {
        .inner_steps = (int)s->config->inner_steps,
        .inner_rate = s->config->inner_rate,
        .evaluate_steps = (int)s->config->inner_steps,
        .memory = (size_t)g->solo.config.cluster.memory << 20,
    };

    TRY(read_part(f, path, s, "support", a, &g->part[0]));
    TRY(read_part(f, path, s, "query", a, &g->part[1]));
    g->theta = arena_reals(a, s->layout.n);
    g->grad = arena_reals(a, s->layout.n);
    g->bulk = arena_reals(a, s->layout.n);
    g->outputs = arena_reals(a, (size_t)(spec.inner_steps + 1) * (size_t)g->part[1].n *
                                    (size_t)s->net.n_out);
    spec.n_support = g->part[0].n;
    spec.n_query = spec.n_evaluate = g->part[1].n;
    method_init(&g->method, method_find(s->config->method), &s->net, &spec, a);
    return 0;
}

static int read_task(struct gradient_run *g, const char *path)
{
    struct arena measure = arena_measuring();
    struct safetensors f;
    int code = safetensors_open(&f, path);

    TRY(code);
    code = lay_out(g, &f, path, &measure);
    if (code >= 0)
        code = arena_init(&g->arena, measure.peak);
    if (code >= 0)
        code = lay_out(g, &f, path, &g->arena);
    safetensors_close(&f);
    return code;
}

static int compute(struct gradient_run *g)
{
    struct episode ep = {.support = g->part[0], .query = g->part[1]};
    struct method *m = &g->method;

    TRY(method_evaluate(m, &ep, g->theta, &g->curve, g->outputs));
    vec_zero(m->n, g->grad);
    return m->ops->grad(m, &ep, g->theta, g->grad, &g->tally);
}

static struct tensor reals_tensor(const char *name, const real *data, int n_dims, size_t a,
                                  size_t b)
{
    struct tensor t = {.dtype = sizeof(real) == 8 ? DTYPE_F64 : DTYPE_F32,
                       .n_dims = n_dims,
                       .dims = {a, b},
                       .n = n_dims ? a * b : 1,
                       .data = data};

    snprintf(t.name, sizeof t.name, "%s", name);
    return t;
}

static struct tensor double_tensor(const char *name, const double *data)
{
    struct tensor t = {.dtype = DTYPE_F64, .n = 1, .data = data};

    snprintf(t.name, sizeof t.name, "%s", name);
    return t;
}

static int write_result(struct gradient_run *g, const char *path)
{
    const struct layout *l = &g->method.net->layout;
    size_t rows = (size_t)g->part[1].n, c = (size_t)g->method.net->n_out;
    struct tensor tensors[LAYOUT_MAX + 6];
    int n = 0;

    for (int i = 0; i < l->n_segments; i++) {
        const struct segment *s = &l->segments[i];

        layout_export(s, g->grad, g->bulk + s->offset);
        tensors[n] = reals_tensor(s->name, g->bulk + s->offset, s->n_dims, 0, 0);
        memcpy(tensors[n].dims, s->dims, sizeof s->dims);
        tensors[n++].n = s->n;
    }
    tensors[n++] = double_tensor("loss", &g->tally.v[TALLY_LOSS]);
    tensors[n++] = double_tensor("loss_before", &g->curve.v[TALLY_CURVE]);
    tensors[n++] = double_tensor("accuracy", &g->tally.v[TALLY_ACCURACY]);
    tensors[n++] = double_tensor("accuracy_before", &g->curve.v[TALLY_CURVE + 2]);
    tensors[n++] = reals_tensor("logits_before", g->outputs, 2, rows, c);
    tensors[n++] = reals_tensor(
        "logits", g->outputs + (size_t)g->method.evaluate.spec.steps * rows * c, 2, rows, c);
    return safetensors_write(path, tensors, n, NULL, 0);
}

static int gradient_work(struct gradient_run *g, const struct options *o)
{
    struct checkpoint_info info;

    TRY(read_task(g, o->task));
    TRY(checkpoint_read(o->params, &g->method.net->layout, g->theta, NULL, NULL, &info));
    TRY(compute(g));
    TRY(write_result(g, o->out));
    printf("loss %.9g before, %.9g after %d inner steps  gradient '%s'\n", g->curve.v[TALLY_CURVE],
           g->tally.v[TALLY_LOSS], (int)g->solo.stage->config->inner_steps, o->out);
    return 0;
}

static int gradient(const struct options *o)
{
    struct gradient_run *g;
    int code;

    if (!o->params || !o->task || !o->out)
        return err(ERR_USAGE, "'gradient' needs --params FILE, --task FILE and --out FILE");
    g = calloc(1, sizeof *g);
    if (!g)
        return err(ERR_MEMORY, "no memory to start");
    code = solo_open(&g->solo, o);
    if (code >= 0) {
        code = gradient_work(g, o);
        arena_release(&g->arena);
        solo_close(&g->solo);
    }
    free(g);
    return code;
}

const struct verb verb_gradient = {
    .name = "gradient",
    .places = "CONFIGURATION",
    .min_places = 1,
    .max_places = 1,
    .options = "stage params task out set data-root",
    .summary = "one task's outer gradient from and to safetensors files",
    .text = "The result holds the gradient under the parameters' names; loss and accuracy of the "
            "query\n"
            "set, before and after adaptation; and its outputs, logits_before and logits.",
    .run = gradient,
};
