/* guard.c - looks, alarms, the best safe encoder. */
#include "coordinator/run/guard.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "coordinator/run/train_internal.h"
#include "core/base/err.h"

enum { BATCHES = 8, INPUTS = 256 };

#define COLLAPSED 0.5   /* of the source's spread of classes */
#define SWAP_SHARE 0.02 /* of the sure samples, for a class to be judged by */
#define WINS 0.98       /* share of the discriminator's right answers */
#define RANGE_APART 0.4 /* of the domains' mean input, which is within 0..1 */

/* ---- inputs ---- */

struct inputs {
    double low, high, mean;
};

static int inputs_of(const struct data *d, struct inputs *in)
{
    size_t size = shape_size(d->shape);
    uint32_t n = d->n_samples < INPUTS ? d->n_samples : INPUTS;
    real *x = malloc(size * sizeof *x);
    int code = x ? 0 : err(ERR_MEMORY, "no memory for a sample");

    *in = (struct inputs){INFINITY, -INFINITY, 0};
    for (uint32_t i = 0; i < n && code >= 0; i++) {
        code = data_read_flat(d, i, x);
        for (size_t k = 0; k < size && code >= 0; k++) {
            in->low = fmin(in->low, (double)x[k]);
            in->high = fmax(in->high, (double)x[k]);
            in->mean += (double)x[k] / ((double)size * n);
        }
    }
    free(x);
    return code;
}

static int compare_inputs(struct train *t, int target)
{
    const struct data *s = &t->setup->data[t->stage->data], *d = &t->setup->data[target];
    struct inputs a, b;

    TRY(inputs_of(s, &a));
    TRY(inputs_of(d, &b));
    report_inputs(t, target, a.low, a.high, a.mean, b.low, b.high, b.mean);
    if (fabs(a.mean - b.mean) > RANGE_APART || b.high - b.low < (a.high - a.low) / 2 ||
        a.high - a.low < (b.high - b.low) / 2)
        progress_warn(
            t->progress,
            "warning: stage '%s': inputs of '%s' are %.2f .. %.2f, %.2f on average, those "
            "of '%s' %.2f .. %.2f, %.2f: is one inverted, or scaled otherwise?",
            t->stage->config->name, s->name, a.low, a.high, a.mean, d->name, b.low, b.high, b.mean);
    return 0;
}

/* ---- a look ---- */

static double entropy_of(int c, const double *p)
{
    double sum = 0;

    for (int k = 0; k < c; k++)
        sum -= p[k] > 0 ? p[k] * log(p[k]) : 0;
    return sum;
}

static double divergence(int c, const double *p, const double *q)
{
    double sum = 0;

    for (int k = 0; k < c; k++)
        sum += p[k] > 0 ? p[k] * log(p[k] / fmax(q[k], 1e-6)) : 0;
    return sum;
}

/* Whether the sure samples of some class have gone to another as one. */
static bool is_swapped(int c, const double *moved, double sure)
{
    for (int a = 0; a < c; a++) {
        const double *to = moved + a * c;
        double n = 0, most = 0;

        for (int b = 0; b < c; b++)
            n += to[b], most = fmax(most, to[b]);
        if (n > SWAP_SHARE * sure && to[a] < most)
            return true;
    }
    return false;
}

static void look_at_classes(const double *w, int c, struct look *l)
{
    double n = w[WATCH_SAMPLES], ours[WATCH_CLASSES_MAX] = {0}, source[WATCH_CLASSES_MAX] = {0};

    for (int k = 0; k < c; k++)
        ours[k] = w[WATCH_CLASSES + k] / n, source[k] = w[WATCH_CLASSES + c + k] / n;
    l->spread = entropy_of(c, ours);
    l->prior = divergence(c, ours, source);
    l->score = l->spread - l->entropy - l->prior;
    if (l->spread < COLLAPSED * entropy_of(c, source))
        l->alarms |= ALARM_COLLAPSE;
    if (c <= WATCH_MOVES_MAX && is_swapped(c, w + WATCH_CLASSES + 2 * c, w[WATCH_SURE]))
        l->alarms |= ALARM_SWAP;
}

void guard_judge(const struct stage *s, const double *w, double batches, struct look *l)
{
    double n = w[WATCH_SAMPLES];

    *l = (struct look){
        .entropy = w[WATCH_ENTROPY] / n,
        .agreement = w[WATCH_AGREE] / n,
        .discrepancy = w[WATCH_DISCREPANCY] / batches,
        .right_source = w[WATCH_DISCRIMINATOR_SOURCE] / n,
        .right_target = w[WATCH_DISCRIMINATOR_TARGET] / n,
    };
    l->score = -l->discrepancy;
    if (!s->few_shot && s->net.n_out <= WATCH_CLASSES_MAX)
        look_at_classes(w, s->net.n_out, l);
    if ((l->right_source > WINS && l->right_target > WINS) ||
        l->right_source + l->right_target < 2 * (1 - WINS))
        l->alarms |= ALARM_DISCRIMINATOR;
}

/* At one block's parameters. */
static int look_at(struct train *t, int block, const real *theta, struct look *l)
{
    struct round r = {
        .stage = t->stage,
        .purpose = PURPOSE_WATCH,
        .data = t->stage->target[block],
        .round = t->round,
        .n_tasks = BATCHES,
        .theta = theta,
        .anchor = train_anchor(t),
    };
    struct total total;
    double w[TALLY_N - TALLY_CURVE];

    TRY(crew_round(t->crew, &r, &total));
    if (total_sum(&total, TALLY_DONE) == 0) {
        *l = (struct look){.score = -INFINITY, .alarms = ALARM_COLLAPSE};
        return 0;
    }
    for (int i = 0; i < TALLY_N - TALLY_CURVE; i++)
        w[i] = total_sum(&total, TALLY_CURVE + i);
    guard_judge(t->stage, w, total_sum(&total, TALLY_DONE), l);
    return 0;
}

/* ---- the best ---- */

static bool is_safe(const struct look *l)
{
    return !(l->alarms & (ALARM_COLLAPSE | ALARM_SWAP));
}

static const real *block_of(const struct train *t, const real *theta, int b)
{
    return theta + (size_t)b * t->stage->block.n;
}

static void keep_block(struct guard *g, size_t n, int b, const real *theta, double score)
{
    memcpy(g->best + (size_t)b * n, theta, n * sizeof(real));
    g->best_score[b] = score;
}

void guard_note(struct guard *g, size_t n, int b, const real *theta, const struct look *l)
{
    if (is_safe(l) && l->score > g->best_score[b])
        keep_block(g, n, b, theta, l->score);
}

bool guard_accepts(const struct guard *g, int b, const struct look *last, bool best)
{
    double least = g->source_only[b].score;

    if (best)
        least = fmax(least, g->best_score[b]);
    return is_safe(last) && last->score >= least;
}

/* The block at hand with the source encoder in its place. */
static const real *source_encoder(struct train *t, int b)
{
    real *block = t->guard.block;

    memcpy(block, block_of(t, t->theta, b), t->stage->block.n * sizeof *block);
    memcpy(block, train_anchor(t), t->stage->net.layout.n * sizeof *block);
    return block;
}

static void tell_alarms(struct train *t, int b, const struct look *l)
{
    static const char *const texts[] = {
        "predictions of the target have collapsed onto few classes",
        "a class that the source encoder was sure of has become another",
        "the discriminator is never wrong, or always: the encoder learns nothing from it",
    };

    for (int i = 0; i < 3; i++) {
        unsigned alarm = 1u << i;

        if (!(l->alarms & alarm) || (t->guard.told & alarm))
            continue;
        t->guard.told |= alarm;
        progress_warn(t->progress, "warning: stage '%s', round %" PRIu64 ", target '%s': %s",
                      t->stage->config->name, t->round, t->setup->data[t->stage->target[b]].name,
                      texts[i]);
    }
}

int guard_take(struct train *t)
{
    struct guard *g = &t->guard;
    const struct stage *s = t->stage;

    *g = (struct guard){.active = true};
    g->best = malloc(s->layout.n * sizeof(real));
    g->block = malloc(s->block.n * sizeof(real));
    return g->best && g->block ? 0 : err(ERR_MEMORY, "no memory for %zu parameters", s->layout.n);
}

/* The source encoder is the first best of every block, before anything that a signal may interrupt. */
static void begin_blocks(struct train *t)
{
    for (int b = 0; b < t->stage->n_blocks; b++)
        keep_block(&t->guard, t->stage->block.n, b, source_encoder(t, b), -INFINITY);
}

/* Scores follow from parameters alone, so what a checkpoint kept is scored again. */
static int open_block(struct train *t, int b, bool restored)
{
    struct guard *g = &t->guard;
    struct look l;

    TRY(look_at(t, b, source_encoder(t, b), &g->source_only[b]));
    if (!restored)
        TRY(compare_inputs(t, t->stage->target[b]));
    TRY(look_at(t, b, block_of(t, g->best, b), &l));
    g->best_score[b] = l.score;
    return 0;
}

bool guard_wanted(const struct stage *s)
{
    return s->form->adapts && s->anchor >= 0 && strcmp(s->config->guard, "off") != 0;
}

int guard_open(struct train *t)
{
    bool restored = t->guard.active;

    if (!guard_wanted(t->stage))
        return 0;
    if (!restored) {
        TRY(guard_take(t));
        begin_blocks(t);
    }
    for (int b = 0; b < t->stage->n_blocks; b++)
        TRY(open_block(t, b, restored));
    return 0;
}

int guard_look(struct train *t)
{
    for (int b = 0; t->guard.active && b < t->stage->n_blocks; b++) {
        const real *theta = block_of(t, t->theta, b);
        struct look l;

        TRY(look_at(t, b, theta, &l));
        guard_note(&t->guard, t->stage->block.n, b, theta, &l);
        report_look(t, b, &l);
        tell_alarms(t, b, &l);
    }
    return 0;
}

/* Whether the block's last encoder may stand. */
static int finish_block(struct train *t, int b)
{
    struct guard *g = &t->guard;
    bool best = strcmp(t->stage->config->guard, "best") == 0;
    real *theta = t->theta + (size_t)b * t->stage->block.n;
    struct look l;

    TRY(look_at(t, b, theta, &l));
    guard_note(g, t->stage->block.n, b, theta, &l);
    report_look(t, b, &l);
    tell_alarms(t, b, &l);
    if (guard_accepts(g, b, &l, best))
        return 0;
    memcpy(theta, block_of(t, g->best, b), t->stage->block.n * sizeof(real));
    progress_say(t->progress,
                 "%s  target '%s': ends with its best encoder, score %.4f (last %.4f, source "
                 "encoder %.4f)",
                 t->stage->config->name, t->setup->data[t->stage->target[b]].name, g->best_score[b],
                 l.score, g->source_only[b].score);
    return 0;
}

int guard_finish(struct train *t)
{
    if (!t->guard.active || !t->stage->form->keeps_best)
        return guard_look(t);
    for (int b = 0; b < t->stage->n_blocks; b++)
        TRY(finish_block(t, b));
    t->hash = layout_hash(&t->stage->layout, t->theta, t->scratch);
    return 0;
}

void guard_close(struct guard *g)
{
    free(g->best);
    free(g->block);
    *g = (struct guard){0};
}
