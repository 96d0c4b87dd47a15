/* episode.c - from ids to samples. */
#include "worker/episode.h"

#include "core/err.h"

void episode_init(struct episode *e, const struct data *d, struct task_size size, struct arena *a)
{
    size_t n[2] = {(size_t)size.way * size.shot, (size_t)size.way * size.query};

    *e = (struct episode){0};
    for (int i = 0; i < 2; i++) {
        e->x[i] = arena_reals(a, n[i] * shape_size(d->shape));
        if (d->n_target)
            e->target[i] = arena_reals(a, n[i] * (size_t)d->n_target);
        else
            e->label[i] = arena_take(a, n[i] * sizeof(int));
    }
}

/* Part 0: support, part 1: queries; `each` samples of each class. */
static int episode_part(struct episode *e, const struct data *d, const struct task *t, int part,
                        const uint32_t *ids, uint32_t each, struct batch *b)
{
    *b = (struct batch){(int)(t->way * each), e->x[part], e->label[part], e->target[part]};
    for (uint32_t i = 0; i < t->way * each; i++) {
        uint32_t k = i / each;
        real *target = d->n_target ? e->target[part] + i * (size_t)d->n_target : NULL;

        TRY(data_read(d, t->classes[k], ids[i], (int)t->turns[k],
                      e->x[part] + i * shape_size(d->shape), target));
        if (!d->n_target)
            e->label[part][i] = (int)k;
    }
    return 0;
}

int episode_read(struct episode *e, const struct data *d, const struct task *t)
{
    TRY(episode_part(e, d, t, 0, t->support, t->shot, &e->support));
    return episode_part(e, d, t, 1, t->queries, t->query, &e->query);
}
