/* drawn.c - [ way, shot | share, loss, accuracy of each section ], each part if tasks differ. */
#include "core/plan/drawn.h"

#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "core/base/err.h"

enum { SIZES = 2 };
enum of_section { SHARE, LOSS, ACCURACY, OF_SECTION };

static const char *const size_names[SIZES] = {"way", "shot"};
static const char *const section_names[OF_SECTION] = {"share", "loss", "accuracy"};

static bool differ(struct task_size least, struct task_size most)
{
    return least.way < most.way || least.shot < most.shot;
}

static int n_sections(const struct stage *s)
{
    return s->n_mixed > 1 ? s->n_mixed : 0;
}

/* "loss_omniglot": letters, digits and _ alone. */
static void name_section(const struct setup *s, const struct stage *stage, int i, char *name)
{
    snprintf(name, DRAWN_NAME, "%s_%s", section_names[i % OF_SECTION],
             s->data[stage->mixed[i / OF_SECTION].data].name);
    for (; *name; name++)
        if (!isalnum((unsigned char)*name))
            *name = '_';
}

int drawn_plan(const struct setup *s, struct stage *stage)
{
    struct drawn_metrics *d = &stage->drawn;
    bool few_shot = stage->traits->draws & DRAW_EPISODES || stage->measured->few_shot;
    bool ranged = few_shot && (differ(stage->train_least, stage->train) ||
                               differ(stage->evaluate_least, stage->evaluate));

    d->first = stage->n_metrics;
    d->n_sizes = ranged ? SIZES : 0;
    d->n = d->n_sizes + OF_SECTION * n_sections(stage);
    d->names = calloc((size_t)d->n + 1, sizeof *d->names);
    if (!d->names)
        return err(ERR_MEMORY, "no memory for the names of %d metrics", d->n);
    for (int i = 0; i < d->n_sizes; i++)
        snprintf(d->names[i], DRAWN_NAME, "%s", size_names[i]);
    for (int i = d->n_sizes; i < d->n; i++)
        name_section(s, stage, i - d->n_sizes, d->names[i]);
    stage->n_metrics += d->n;
    return 0;
}

void drawn_release(struct drawn_metrics *d)
{
    free(d->names);
    *d = (struct drawn_metrics){0};
}

static void add_section(const struct stage *stage, const struct task *t, double share,
                        const struct task_metrics *metrics, double *v)
{
    for (int i = 0; i < n_sections(stage); i++, v += OF_SECTION) {
        if (stage->mixed[i].data != (int)t->data)
            continue;
        v[SHARE] += share;
        v[LOSS] += metrics->v[METRIC_LOSS];
        v[ACCURACY] += metrics->v[METRIC_ACCURACY];
    }
}

/* If a round has tasks of another kind, too, one counts by the inverse share of its kind. */
void drawn_add(const struct stage *stage, const struct task_kind *kind, const struct task *t,
               struct task_metrics *metrics)
{
    double *v = metrics->v + stage->drawn.first;
    double share = kind->evaluates ? 1 : (double)stage->n_tasks / kind->count(stage, 0);

    if (metrics->v[METRIC_EMPTY] > 0)
        return;
    if (stage->drawn.n_sizes) {
        v[0] += share * t->way;
        v[1] += share * t->shot;
    }
    if (!kind->evaluates)
        add_section(stage, t, share, metrics, v + stage->drawn.n_sizes);
}

double drawn_read(const struct stage *stage, const struct round_sum *total, int i)
{
    const struct drawn_metrics *d = &stage->drawn;
    int of = i < d->n_sizes ? SHARE : (i - d->n_sizes) % OF_SECTION;
    double among = round_sum_measured(total, METRIC_DONE);

    if (of == ACCURACY && !loss_has_accuracy(&stage->net.loss))
        return NAN;
    if (of != SHARE)
        among = round_sum_read(total, d->first + i - of);
    return among > 0 ? round_sum_read(total, d->first + i) / among : NAN;
}
