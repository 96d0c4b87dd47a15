/* kd.c - distillation (Hinton, Vinyals, Dean 2015): a student learns the labels and a teacher's
 * softened outputs. With stage.squared = false and a weight that falls, it is the second stage of
 * FitNets (Romero et al. 2015, eq. (2)).                                         math.md (7.7)
 *     loss = label_weight * L_labels
 *            + weight * T^2 * H(softmax(teacher / T), softmax(student / T)) */
#include <math.h>
#include <stddef.h>

#include "core/base/err.h"
#include "core/math/loss/distill.h"
#include "worker/transfer/batch.h"

struct kd_keys {
    double label_weight;
    bool squared;
};

/* clang-format off */
#define KEY(f) offsetof(struct kd_keys, f)
static const struct config_key kd_keys[] = {
{"stage", "label_weight", CONFIG_REAL, "1", 0, 1e6, NULL, KEY(label_weight),
 "weight of the labels' cross-entropy"},
{"stage", "squared", CONFIG_BOOL, "true", 0, 0, NULL, KEY(squared),
 "multiply the teacher's term by the square of the temperature"},
{0}};
/* clang-format on */
enum { DISCREPANCY }; /* the teacher's term, before its weight */
static const char *const kd_metrics[] = {"discrepancy", NULL};

static int kd_plan(struct stage *s, const struct setup *setup)
{
    const struct stage *teacher = &setup->stages[s->anchor];

    if (teacher->net.n_out != s->net.n_out)
        return err(ERR_CONFIG, "stage '%s' has %d outputs, its teacher '%s' %d", s->config->name,
                   s->net.n_out, teacher->config->name, teacher->net.n_out);
    return 0;
}

static void kd_init(struct method *m, const struct method_spec *spec, struct arena *arena)
{
    batch_init(m, spec, arena);
    batch_init_anchor(m, spec->n_source, arena);
    m->passes->g_aux = arena_reals(arena, (size_t)spec->n_source * (size_t)m->net->n_out);
}

/* g_outputs from the labels' gradient to the whole loss's; returns the teacher's term. */
static double add_teacher(struct method *m, int n, const real *y, const real *taught, double weight)
{
    const struct stage_config *c = m->stage->config;
    const struct kd_keys *own = m->stage->own;
    int n_out = m->net->n_out;

    distill_grad(n, n_out, c->temperature, y, taught, m->passes->g_aux);
    for (int i = 0; i < n * n_out; i++)
        m->passes->g_outputs[i] =
            (real)(own->label_weight * m->passes->g_outputs[i] + weight * m->passes->g_aux[i]);
    return distill_value(n, n_out, c->temperature, y, taught);
}

static int kd_outer(struct method *m, const struct episode *ep, const real *theta, real *grad,
                    struct task_metrics *metrics)
{
    const struct stage_config *c = m->stage->config;
    const struct kd_keys *own = m->stage->own;
    double square = own->squared ? c->temperature * c->temperature : 1;
    double weight = square * stage_weight(m->stage, ep->round), labels, taught;
    const real *teacher = batch_anchor(m, &ep->source);
    const real *y = batch_forward(m, ep, &ep->source, theta, &m->passes->source);

    labels = batch_supervise(m, &ep->source, y, metrics);
    taught = add_teacher(m, ep->source.n, y, teacher, weight);
    if (!isfinite(labels) || !isfinite(taught))
        return err(ERR_NONFINITE, "the loss is not finite");
    metrics->v[METRIC_LOSS] += (own->label_weight - 1) * labels + weight * taught;
    metrics->own[DISCREPANCY] += taught;
    batch_backward(m, &ep->source, &m->passes->source, theta, grad);
    return 0;
}

static const char *const kd_takes[] = {TAKES_WEIGHT, "anchor", "temperature", NULL};

const struct method_ops method_kd = {
    .name = "kd",
    .summary = "distillation: labels and a teacher's softened outputs (Hinton 2015)",
    .traits = {.draws = DRAW_SOURCE,
               .needs_classes = true,
               .anchor = true,
               .same_outputs = true,
               .plan = kd_plan,
               .metrics = kd_metrics},
    .takes = kd_takes,
    .keys = kd_keys,
    .keys_size = sizeof(struct kd_keys),
    .size = sizeof(struct passes),
    .init = kd_init,
    .outer = kd_outer,
};
