/* verb_gradient.c - `metaloop gradient`: one task's outer gradient, to compare with other
 * programs. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/err.h"
#include "core/file/checkpoint.h"
#include "core/file/safetensors.h"
#include "core/math/vec.h"
#include "core/plan/task_kind.h"
#include "launch/solo.h"
#include "launch/verbs.h"
#include "worker/method_work.h"

struct gradient_run {
    struct solo solo;
    struct arena arena;
    struct method method, measuring; /* measuring: before and after adaptation */
    struct episode episode;          /* batches in the arena */
    const struct task_kind *kind;    /* of the file's task */
    real *theta, *grad, *bulk, *outputs, *anchor;
    struct task_metrics metrics, curve;
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
    size_t each = target ? (size_t)loss_targets(&net->loss, net->n_out) : 1;

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

/* Fills one batch's samples. While the arena measures, it only takes sizes. */
static int read_samples(const struct safetensors *f, const char *path, const struct net *net,
                        const char *part, struct arena *a, struct batch *b)
{
    const struct tensor *x;
    real *reals;

    TRY(find(f, path, part, "x", &x));
    if (x->n_dims < 2 || x->dims[0] == 0 || x->dims[0] > 1 << 20 ||
        x->n != x->dims[0] * shape_size(net->in))
        return err(ERR_DATA, "'%s': tensor '%s' does not hold samples of %d x %d x %d", path,
                   x->name, net->in.c, net->in.h, net->in.w);
    *b = (struct batch){.n = (int)x->dims[0]};
    b->x = reals = arena_reals(a, x->n);
    if (a->base)
        read_x(x, net->in, b->n, reals);
    return 0;
}

/* Fills its labels or regression targets. */
static int read_part(const struct safetensors *f, const char *path, const struct net *net,
                     const char *part, struct arena *a, struct batch *b, real **target)
{
    const struct tensor *y;
    int *label = NULL;

    *target = NULL;

    TRY(read_samples(f, path, net, part, a, b));
    TRY(find(f, path, part, "y", &y));
    if (loss_is_regression(&net->loss))
        *target = arena_reals(a, (size_t)b->n * (size_t)loss_targets(&net->loss, net->n_out));
    else
        label = arena_take(a, (size_t)b->n * sizeof *label);
    b->label = label, b->target = *target;
    return a->base ? read_y(y, net, path, b->n, label, *target) : 0;
}

/* If the stage draws few-shot tasks and batches, the tensors of the file decide. */
static const struct task_kind *kind_of_file(const struct stage *s, const struct safetensors *f)
{
    bool both = s->traits->draws & DRAW_EPISODES && s->traits->draws & DRAW_SOURCE;
    bool few_shot = s->traits->draws & DRAW_EPISODES;

    if (both)
        few_shot = safetensors_find(f, "support.x") != NULL;
    return few_shot ? &kind_episode : &kind_batch;
}

static int read_parts(struct gradient_run *g, const struct safetensors *f, const char *path,
                      struct arena *a)
{
    const struct stage *s = g->solo.stage;
    struct episode *ep = &g->episode;

    g->kind = kind_of_file(s, f);
    ep->slot = task_kind_first(s, g->kind);
    if (g->kind->few_shot) {
        TRY(read_part(f, path, &s->net, "support", a, &ep->support, &ep->goal[0]));
        return read_part(f, path, &s->net, "query", a, &ep->query, &ep->goal[1]);
    }
    TRY(read_part(f, path, &s->net, "source", a, &ep->source, &ep->goal[2]));
    return s->traits->draws & DRAW_TARGET ? read_samples(f, path, &s->net, "target", a, &ep->target)
                                          : 0;
}

/* If tasks differ in their way, the labels of the support tell that of this one. */
static int count_classes(struct gradient_run *g, const char *path)
{
    struct batch *support = &g->episode.support, *query = &g->episode.query;
    int way = 0;

    if (g->solo.stage->train_least.way == g->solo.stage->train.way)
        return 0;
    for (int i = 0; i < support->n; i++)
        way = support->label[i] >= way ? support->label[i] + 1 : way;
    for (int i = 0; i < query->n; i++)
        if (query->label[i] >= way)
            return err(ERR_DATA, "'%s': tensor 'query.y' has label %d, the support has %d classes",
                       path, query->label[i], way);
    support->classes = query->classes = way;
    return 0;
}

/* The task's round: 1 unless a tensor `round` says otherwise. */
static int read_round(struct gradient_run *g, const struct safetensors *f, const char *path)
{
    const struct tensor *t = safetensors_find(f, "round");
    double round = t && t->n == 1 ? tensor_get(t, 0) : 1;

    if (!(round >= 1 && round <= (double)g->solo.stage->config->rounds) || round != (int)round)
        return err(ERR_DATA, "'%s': round %g is not a whole number of 1 to %ld", path, round,
                   (long)g->solo.stage->config->rounds);
    g->episode.round = (uint32_t)round;
    g->episode.seed = (uint64_t)g->solo.config.run.seed;
    return 0;
}

static int lay_out(struct gradient_run *g, const struct safetensors *f, const char *path,
                   struct arena *a)
{
    const struct stage *s = g->solo.stage;
    struct method_spec spec = {
        .steps = s->inner_steps,
        .memory = (size_t)g->solo.config.cluster.memory << 20,
    };

    TRY(read_round(g, f, path));
    TRY(read_parts(g, f, path, a));
    if (a->base)
        TRY(count_classes(g, path));
    spec.n_support = g->episode.support.n;
    spec.n_query = g->episode.query.n;
    spec.n_source = spec.n_measure = g->episode.source.n;
    spec.n_target = g->episode.target.n;
    g->metrics = stage_metrics(s, a);
    g->curve = stage_metrics(s, a);
    g->theta = arena_reals(a, s->model.n);
    g->grad = arena_reals(a, s->model.n);
    g->bulk = arena_reals(a, s->model.n);
    g->outputs =
        arena_reals(a, (size_t)(spec.steps + 1) * (size_t)spec.n_query * (size_t)s->net.n_out);
    if (s->anchor >= 0)
        g->anchor = arena_reals(a, g->solo.setup.stages[s->anchor].layout.n);
    method_init(&g->method, &g->solo.setup, s, &spec, a);
    spec.evaluate = true;
    if (g->kind->few_shot)
        method_init(&g->measuring, &g->solo.setup, s, &spec, a);
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

static int read_anchor(struct gradient_run *g, const struct options *o)
{
    const struct stage *s = g->solo.stage;
    struct checkpoint_info info;

    if (s->anchor < 0)
        return o->anchor ? err(ERR_USAGE, "method '%s' has no anchor", s->config->method) : 0;
    if (!o->anchor)
        return err(
            ERR_USAGE,
            "stage '%s' is anchored to '%s': give that stage's parameters with --anchor FILE",
            s->config->name, g->solo.setup.stages[s->anchor].config->name);
    TRY(checkpoint_read(o->anchor, &g->solo.setup.stages[s->anchor].layout, g->anchor, NULL, NULL,
                        &info));
    g->method.anchor = g->anchor;
    return 0;
}

static int compute(struct gradient_run *g)
{
    struct method *m = &g->method;

    if (g->kind->few_shot)
        TRY(method_evaluate(&g->measuring, &g->episode, g->theta, &g->curve, g->outputs));
    vec_zero(m->n, g->grad);
    return m->ops->outer(m, &g->episode, g->theta, g->grad, &g->metrics);
}

static struct tensor reals_tensor(const char *name, const real *data, int n_dims, size_t a,
                                  size_t b)
{
    return (struct tensor){.name = name,
                           .dtype = sizeof(real) == 8 ? DTYPE_F64 : DTYPE_F32,
                           .n_dims = n_dims,
                           .dims = {a, b},
                           .n = n_dims ? a * b : 1,
                           .data = data};
}

static struct tensor double_tensor(const char *name, const double *data)
{
    return (struct tensor){.name = name, .dtype = DTYPE_F64, .n = 1, .data = data};
}

/* The method's metric of that name; 0 if it has none. */
static struct tensor own_tensor(const struct gradient_run *g, const char *name)
{
    static const double none = 0;
    int slot = stage_metric(g->solo.stage, name);

    return double_tensor(name, slot < 0 ? &none : &g->metrics.v[slot]);
}

static int gradient_tensors(struct gradient_run *g, struct tensor *tensors)
{
    const struct layout *l = &g->solo.stage->model;

    for (int i = 0; i < l->n_segments; i++) {
        const struct segment *s = &l->segments[i];

        layout_export(s, g->grad, g->bulk + s->offset);
        tensors[i] = reals_tensor(s->name, g->bulk + s->offset, s->n_dims, 0, 0);
        memcpy(tensors[i].dims, s->dims, sizeof s->dims);
        tensors[i].n = s->n;
    }
    return l->n_segments;
}

static int curve_tensors(struct gradient_run *g, struct tensor *tensors)
{
    size_t rows = (size_t)g->episode.query.n, c = (size_t)g->method.net->n_out;
    size_t last = (size_t)g->solo.stage->inner_steps * rows * c;
    int inductive = g->solo.stage->inductive_metrics;

    tensors[0] = double_tensor("loss_before", &g->curve.v[metric_curve(0, CURVE_LOSS)]);
    tensors[1] = double_tensor("accuracy_before", &g->curve.v[metric_curve(0, CURVE_ACCURACY)]);
    tensors[2] = reals_tensor("logits_before", g->outputs, 2, rows, c);
    tensors[3] = reals_tensor("logits", g->outputs + last, 2, rows, c);
    if (!inductive)
        return 4;
    tensors[4] = double_tensor("inductive_loss", &g->curve.v[inductive + CURVE_LOSS]);
    tensors[5] = double_tensor("inductive_accuracy", &g->curve.v[inductive + CURVE_ACCURACY]);
    return 6;
}

enum { SCALARS = 10 }; /* tensors beside the gradient's, at most */

static int result_tensors(struct gradient_run *g, struct tensor *tensors)
{
    int n = gradient_tensors(g, tensors);

    tensors[n++] = double_tensor("loss", &g->metrics.v[METRIC_LOSS]);
    tensors[n++] = double_tensor("accuracy", &g->metrics.v[METRIC_ACCURACY]);
    if (g->kind->few_shot)
        n += curve_tensors(g, tensors + n);
    else
        tensors[n++] = own_tensor(g, "discrepancy");
    if (stage_aux(g->solo.stage, "discriminator"))
        tensors[n++] = own_tensor(g, "discriminator_loss");
    return n;
}

static int write_result(struct gradient_run *g, const char *path)
{
    struct tensor *tensors =
        calloc((size_t)g->solo.stage->model.n_segments + SCALARS, sizeof *tensors);
    int code = tensors ? safetensors_write(path, tensors, result_tensors(g, tensors), NULL, 0)
                       : err(ERR_MEMORY, "no memory to write '%s'", path);

    free(tensors);
    return code;
}

static int gradient_work(struct gradient_run *g, const struct options *o)
{
    struct checkpoint_info info;

    TRY(read_task(g, o->task));
    TRY(checkpoint_read(o->params, &g->solo.stage->model, g->theta, NULL, NULL, &info));
    TRY(read_anchor(g, o));
    TRY(episode_check(&g->episode, &g->solo.stage->net));
    episode_scale(&g->episode, scale_targets(g->solo.stage, g->theta));
    TRY(compute(g));
    TRY(write_result(g, o->out));
    if (g->kind->few_shot)
        printf("loss %.9g before, ", g->curve.v[metric_curve(0, CURVE_LOSS)]);
    printf("loss %.9g%s  gradient '%s'\n", g->metrics.v[METRIC_LOSS],
           g->kind->few_shot ? " after adaptation" : "", o->out);
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
    .options = "stage params anchor task out set data-root",
    .summary = "compute one task's outer gradient, from and to safetensors files",
    .text = "The task holds support.x, support.y, query.x and query.y, or for methods on\n"
            "batches source.x, source.y and target.x, and the round (default 1). The result\n"
            "holds the gradient under the parameters' names, and the loss. For a few-shot\n"
            "task it also holds loss and accuracy on the query set before and after\n"
            "adaptation, and the outputs.",
    .run = gradient,
};
