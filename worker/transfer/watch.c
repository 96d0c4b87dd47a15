/* watch.c - measures an adaptation without labels: predictions, features, the discriminator's
 * balance. */
#include <math.h>

#include "core/base/err.h"
#include "core/math/discrepancy.h"
#include "worker/transfer/adversary.h"

static const struct discrepancy_spec spread = {.estimator = MMD_BIASED};

static int smaller(int a, int b)
{
    return a < b ? a : b;
}

static size_t features_size(const struct method *m)
{
    return net_act_size(m->net, m->passes->act);
}

static size_t mmd_bytes(const struct method *m, int n)
{
    return discrepancy_find("mmd")->scratch(&spread, n, n, (int)features_size(m)) * sizeof(double);
}

/* Doubles of the discrepancy, or of one sample's probabilities. */
static size_t doubles_bytes(const struct method *m, int n)
{
    size_t mmd = mmd_bytes(m, n), p = (size_t)m->net->n_out * sizeof(double);

    return mmd > p ? mmd : p;
}

/* Those doubles, then of each sample the anchor's class, or -1 - class if it is not sure. */
size_t adversary_watch_scratch(const struct method *m, const struct method_spec *spec)
{
    int n = smaller(spec->n_source, spec->n_target);

    return doubles_bytes(m, n) + (size_t)n * sizeof(int);
}

/* p = softmax of c outputs; returns the likeliest class. */
static int softmax(int c, const real *y, double *p)
{
    int best = 0;
    double sum = 0;

    for (int k = 1; k < c; k++)
        best = y[k] > y[best] ? k : best;
    for (int k = 0; k < c; k++)
        sum += p[k] = exp((double)y[k] - y[best]);
    for (int k = 0; k < c; k++)
        p[k] /= sum;
    return best;
}

static double entropy(int c, const double *p)
{
    double sum = 0;

    for (int k = 0; k < c; k++)
        sum -= p[k] > 0 ? p[k] * log(p[k]) : 0;
    return sum;
}

static void anchor_classes(struct method *m, const struct batch *b, int *classes)
{
    int c = m->net->n_out;
    const real *y = batch_anchor(m, b);
    double *p = m->passes->scratch;

    for (int i = 0; i < b->n; i++) {
        int best = softmax(c, y + i * c, p);

        classes[i] = p[best] >= WATCH_SURE_FROM ? best : -1 - best;
    }
}

static void add_probabilities(int c, const double *p, double *sums)
{
    for (int k = 0; k < c && c <= WATCH_CLASSES_MAX; k++)
        sums[k] += p[k];
}

/* Compares one prediction with the anchor's. */
static void compare(int c, int ours, int anchors, double *w)
{
    bool sure = anchors >= 0;
    int its = sure ? anchors : -1 - anchors;

    w[WATCH_AGREE] += ours == its;
    w[WATCH_SURE] += sure;
    if (sure && c <= WATCH_MOVES_MAX)
        w[WATCH_CLASSES + 2 * c + its * c + ours]++;
}

static void add_target(struct method *m, const struct batch *b, const real *theta,
                       const int *classes, double *w)
{
    int c = m->net->n_out;
    const real *y;
    double *p = m->passes->scratch;

    m->passes->target.evaluate = true;
    y = net_forward(m->net, theta, b, &m->passes->target);
    m->passes->target.evaluate = false;
    for (int i = 0; i < b->n; i++) {
        int best = softmax(c, y + i * c, p);

        w[WATCH_ENTROPY] += entropy(c, p);
        add_probabilities(c, p, w + WATCH_CLASSES);
        compare(c, best, classes[i], w);
    }
}

static void add_source(struct method *m, const struct batch *b, double *w)
{
    int c = m->net->n_out;
    const real *y = batch_anchor(m, b);
    double *p = m->passes->scratch;

    for (int i = 0; i < b->n; i++) {
        softmax(c, y + i * c, p);
        add_probabilities(c, p, w + WATCH_CLASSES + c);
    }
}

/* The number of n features that the discriminator takes for the source's. */
static double taken_for_source(struct method *m, const real *theta, int n, const real *features)
{
    const struct aux *d = stage_aux(m->stage, "discriminator");
    struct batch b = {.n = n, .x = features};
    const real *y = net_forward(&d->net, theta + d->offset, &b, &m->passes->aux);
    int sum = 0;

    for (int i = 0; i < n; i++)
        sum += y[2 * i + 1] > y[2 * i];
    return sum;
}

int adversary_watch(struct method *m, const struct episode *ep, const real *theta,
                    struct task_metrics *metrics)
{
    int n = smaller(ep->source.n, ep->target.n), act = m->passes->act;
    int *classes = (int *)(void *)((char *)m->passes->scratch + doubles_bytes(m, n));
    struct batch source = ep->source, target = ep->target;
    double *w = &metrics->v[METRIC_CURVE];
    const real *fs, *ft;

    source.n = target.n = n;
    anchor_classes(m, &target, classes);
    add_target(m, &target, theta, classes, w);
    add_source(m, &source, w);
    fs = m->passes->anchor.act[m->passes->anchor_act].v, ft = m->passes->target.act[act].v;
    w[WATCH_DISCREPANCY] += discrepancy_find("mmd")->value_grad(
        &spread, n, n, (int)features_size(m), fs, ft, NULL, NULL, m->passes->scratch);
    w[WATCH_DISCRIMINATOR_SOURCE] += taken_for_source(m, theta, n, fs);
    w[WATCH_DISCRIMINATOR_TARGET] += n - taken_for_source(m, theta, n, ft);
    w[WATCH_SAMPLES] += n;
    if (!isfinite(w[WATCH_DISCREPANCY]) || !isfinite(w[WATCH_ENTROPY]))
        return err(ERR_NONFINITE, "the features or predictions are not finite");
    return 0;
}
