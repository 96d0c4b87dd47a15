/* episode.c - reads the samples that a task's ids name. */
#include "worker/inner/episode.h"

#include "core/base/err.h"

enum episode_part { SUPPORT, QUERY, SOURCE, TARGET };

void episode_init(struct episode *e, const struct data *d, struct task_size size, bool augments,
                  struct arena *a)
{
    size_t n[4] = {(size_t)size.way * size.shot, (size_t)size.way * size.query, size.source,
                   size.targets};

    *e = (struct episode){0};
    for (int i = 0; i < 4; i++) {
        e->x[i] = arena_reals(a, n[i] * shape_size(d->shape));
        if (d->weighted && i < 3)
            e->weight[i] = arena_reals(a, n[i]);
        if (d->n_target && i < 3)
            e->goal[i] = arena_reals(a, n[i] * (size_t)d->n_target);
        else if (i < 3)
            e->label[i] = arena_take(a, n[i] * sizeof(int));
    }
    e->room = augments ? arena_reals(a, shape_size(d->shape)) : NULL;
}

/* Sample i of a part has been read. */
static void change(const struct episode *e, const struct data *d, enum episode_part part,
                   uint32_t i, real *x)
{
    struct rng batch;

    if (!e->augment)
        return;
    rng_init(&batch, e->seed, RNG_AUGMENT + 256 * (4 * e->pass + part), e->round, e->slot);
    augment_image(e->augment, d->shape, &batch, i, x, e->room);
}

/* Of support or queries, `each` samples of each class. */
static int read_classes(struct episode *e, const struct data *d, const struct task *t,
                        enum episode_part part, const uint32_t *ids, uint32_t each, struct batch *b)
{
    *b = (struct batch){.n = (int)(t->way * each),
                        .x = e->x[part],
                        .label = e->label[part],
                        .target = e->goal[part],
                        .weight = d->weighted ? e->weight[part] : NULL,
                        .classes = d->n_target ? 0 : (int)t->way};
    for (uint32_t i = 0; i < t->way * each; i++) {
        uint32_t k = i / each;
        real *x = e->x[part] + i * shape_size(d->shape);
        real *target = d->n_target ? e->goal[part] + i * (size_t)d->n_target : NULL;

        TRY(data_read(d, t->classes[k], ids[i], (int)t->turns[k], x, target));
        change(e, d, part, i, x);
        if (!d->n_target)
            e->label[part][i] = (int)k;
        if (b->weight)
            e->weight[part][i] = data_weight(d, t->classes[k], ids[i]);
    }
    return 0;
}

static void take_place(struct episode *e, const struct task *t, uint32_t pass)
{
    e->seed = t->seed, e->round = t->round, e->slot = t->slot, e->pass = pass;
}

int episode_read(struct episode *e, const struct data *d, const struct task *t)
{
    take_place(e, t, 0);
    TRY(read_classes(e, d, t, SUPPORT, t->support, t->shot, &e->support));
    return read_classes(e, d, t, QUERY, t->queries, t->query, &e->query);
}

static int read_flat(const struct episode *e, const struct data *d, enum episode_part part,
                     const uint32_t *ids, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        real *x = e->x[part] + i * shape_size(d->shape);

        TRY(data_read_flat(d, ids[i], x));
        change(e, d, part, i, x);
    }
    return 0;
}

static int read_targets(const struct data *d, const uint32_t *ids, uint32_t n, real *target)
{
    for (uint32_t i = 0; i < n; i++)
        TRY(data_target_flat(d, ids[i], target + i * (size_t)d->n_target));
    return 0;
}

static int read_labels(const struct data *d, const uint32_t *ids, uint32_t n, int *label)
{
    for (uint32_t i = 0; i < n; i++) {
        uint32_t class_id;

        TRY(data_label_flat(d, ids[i], &class_id));
        label[i] = (int)class_id;
    }
    return 0;
}

int episode_read_batch(struct episode *e, const struct data *data, const struct task *t,
                       uint32_t step, uint32_t n_source, uint32_t n_target)
{
    const uint32_t *source = t->source + (size_t)step * n_source;

    take_place(e, t, step);
    e->source = (struct batch){.n = (int)n_source,
                               .x = e->x[SOURCE],
                               .label = e->label[SOURCE],
                               .target = e->goal[SOURCE],
                               .weight = data[t->data].weighted ? e->weight[SOURCE] : NULL};
    e->target = (struct batch){.n = (int)n_target, .x = e->x[TARGET]};
    TRY(read_flat(e, &data[t->data], SOURCE, source, n_source));
    if (data[t->data].n_target)
        TRY(read_targets(&data[t->data], source, n_source, e->goal[SOURCE]));
    else
        TRY(read_labels(&data[t->data], source, n_source, e->label[SOURCE]));
    for (uint32_t i = 0; e->source.weight && i < n_source; i++)
        e->weight[SOURCE][i] = data_weight_flat(&data[t->data], source[i]);
    if (n_target == 0)
        return 0;
    return read_flat(e, &data[t->target], TARGET, t->targets + (size_t)step * n_target, n_target);
}

int episode_check(const struct episode *e, const struct net *net)
{
    int targets = loss_targets(&net->loss, net->n_out);

    TRY(loss_check_targets(&net->loss, &e->support, targets));
    TRY(loss_check_targets(&net->loss, &e->query, targets));
    return loss_check_targets(&net->loss, &e->source, targets);
}

void episode_scale(struct episode *e, struct target_scale scale)
{
    if (e->support.target)
        scale_apply(scale, e->support.n, e->goal[SUPPORT]);
    if (e->query.target)
        scale_apply(scale, e->query.n, e->goal[QUERY]);
    if (e->source.target)
        scale_apply(scale, e->source.n, e->goal[SOURCE]);
}
