/* begin.c - where a stage begins: fresh, from the stage before, or from a checkpoint. */
#include "coordinator/run/train_internal.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/err.h"
#include "core/file/checkpoint_files.h"
#include "core/math/blas.h"
#include "core/plan/hand_over.h"

const struct optim_ops *train_optim(const struct stage *s)
{
    return optim_find(s->optim.name);
}

static void take_vectors(struct train *t, const struct stage *s, struct arena *arena)
{
    size_t n = s->layout.n;

    t->theta = arena_reals(arena, n);
    t->grad = arena_reals(arena, s->model.n);
    t->scratch = arena_reals(arena, n);
    t->state = arena_reals(arena, n * (size_t)train_optim(s)->n_state);
    t->domains = (struct domain_models){0};
    if (!s->steps)
        return;
    t->domains.theta = t->theta;
    t->domains.state = t->state;
    t->domains.next = arena_reals(arena, n * (size_t)(1 + train_optim(s)->n_state));
    t->domains.arrived = arena_take(arena, (size_t)s->n_models * sizeof(bool));
}

/* What the stage that s starts from hands over goes on in every model; the rest stays as it was drawn. */
static void take_over(const struct setup *setup, const struct stage *s, const real *old,
                      real *theta)
{
    for (int i = 0; i < s->model.n_segments * s->n_models; i++) {
        const struct segment *to = &s->model.segments[i % s->model.n_segments];
        const struct segment *from = hand_over(setup, s, to);
        size_t model = (size_t)(i / s->model.n_segments) * s->model.n;

        if (from)
            memcpy(theta + model + to->offset, old + from->offset, to->n * sizeof(real));
    }
}

bool train_needs(const struct setup *s, int j, int i)
{
    for (; i < s->n_stages; i++)
        if (s->stages[i].start == j || s->stages[i].anchor == j)
            return true;
    return false;
}

const real *train_anchor(const struct train *t)
{
    return t->stage->anchor >= 0 ? t->kept[t->stage->anchor] : NULL;
}

/* The result of the stage at hand, where a later one needs it. */
static int keep_result(struct train *t)
{
    int j = t->stage->index;
    size_t n = t->stage->layout.n * sizeof(real);

    if (!train_needs(t->setup, j, j + 1))
        return 0;
    t->kept[j] = malloc(n);
    if (!t->kept[j])
        return err(ERR_MEMORY, "no memory to keep %zu parameters", t->stage->layout.n);
    memcpy(t->kept[j], t->theta, n);
    return 0;
}

/* What stages from i on do not need. */
static void forget(struct train *t, int i)
{
    for (int j = 0; j < i; j++) {
        bool needed = t->setup->stages[i].anchor == j || train_needs(t->setup, j, i + 1);

        if (needed)
            continue;
        free(t->kept[j]);
        t->kept[j] = NULL;
    }
}

int train_stage(struct train *t, const struct stage *s)
{
    struct arena measure = arena_measuring();

    if (t->stage)
        TRY(keep_result(t));
    guard_close(&t->guard);
    arena_release(&t->arena);
    take_vectors(t, s, &measure);
    TRY(arena_init(&t->arena, measure.peak));
    take_vectors(t, s, &t->arena);
    layout_init(&s->layout, (uint64_t)t->setup->config->run.seed, s->index, t->theta);
    if (s->start >= 0 && t->kept[s->start])
        take_over(t->setup, s, t->kept[s->start], t->theta);
    forget(t, s->index);
    t->stage = s;
    t->round = 0;
    t->failed = 0;
    return 0;
}

static void complain(void *context, const char *sentence)
{
    struct train *t = context;

    progress_warn(t->progress, "warning: %s; it is set aside, and the one before it is used",
                  sentence);
}

/* From the very beginning, where no checkpoint is left to go on from. */
static int begin(struct train *t)
{
    if (t->resume) {
        TRY(checkpoint_set_aside(t->directory, &t->rundir.run, NULL));
        TRY(rundir_rewind(t->directory, 0, 0));
        progress_warn(t->progress, "no checkpoint to resume from in '%s': starting at round 0",
                      t->directory);
    }
    return train_stage(t, &t->setup->stages[0]);
}

/* What the stages before have left for this one and later ones. */
static int read_kept(struct train *t, const char *path)
{
    int i = t->stage->index;

    for (int j = 0; j < i; j++) {
        const struct stage *s = &t->setup->stages[j];

        if (s->index != t->stage->anchor && !train_needs(t->setup, j, i + 1))
            continue;
        char name[KEPT_NAME];

        snprintf(name, sizeof name, "%02d", j);
        t->kept[j] = malloc(s->layout.n * sizeof(real));
        if (!t->kept[j])
            return err(ERR_MEMORY, "no memory to keep %zu parameters", s->layout.n);
        TRY(checkpoint_read_kept(path, name, &s->layout, t->kept[j]));
    }
    return 0;
}

int train_find(struct train *t)
{
    int found =
        checkpoint_newest(t->directory, &t->rundir.run, t->from, sizeof t->from, complain, t);

    TRY(found);
    if (!found)
        return 0;
    TRY(checkpoint_peek(t->from, &t->origin));
    return train_compare(t);
}

/* The stage and round to go on from, with its parameters; stage 0, round 0 where nothing is there. */
int train_resume(struct train *t, int *first)
{
    const char *path = t->from;
    struct checkpoint_info info = t->origin;
    const struct stage *s;

    *first = 0;
    if (!*path)
        return begin(t);
    if (info.stage < 0 || info.stage >= t->setup->n_stages)
        return err(ERR_DATA, "'%s' is of stage %d, which this configuration does not have", path,
                   info.stage);
    s = &t->setup->stages[info.stage];
    TRY(train_stage(t, s));
    TRY(checkpoint_read(path, &s->layout, t->theta, train_optim(s), t->state, &info));
    TRY(read_kept(t, path));
    if (guard_wanted(s)) {
        TRY(guard_take(t));
        TRY(checkpoint_read_kept(path, "best", &s->layout, t->guard.best));
    }
    if (info.seed != (uint64_t)t->setup->config->run.seed)
        return err(ERR_CONFIG,
                   "'%s' was trained with seed %" PRIu64 ", the configuration says %" PRId64, path,
                   info.seed, t->setup->config->run.seed);
    if (strcmp(info.blas, blas_kernel()) != 0)
        progress_warn(t->progress,
                      "warning: '%s' was computed with OpenBLAS kernel '%s', here it is '%s': the "
                      "result will differ in its last bits",
                      path, info.blas, blas_kernel());
    TRY(checkpoint_set_aside(t->directory, &t->rundir.run,
                             &(struct checkpoint_key){info.stage, info.round}));
    TRY(rundir_rewind(t->directory, info.stage, info.round));
    progress_say(t->progress, "resuming %s at round %" PRIu64 " from '%s'", s->config->name,
                 info.round, path);
    snprintf(t->checkpoint, sizeof t->checkpoint, "%s", path);
    t->round = info.round;
    *first = info.stage;
    return 0;
}
