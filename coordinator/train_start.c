/* train_start.c - where a stage begins: fresh, from the stage before, or from a checkpoint. */
#include "coordinator/train_internal.h"

#include <inttypes.h>
#include <string.h>

#include "core/blas.h"
#include "core/checkpoint_files.h"
#include "core/err.h"

const struct optim_ops *train_optim(const struct stage *s)
{
    return optim_find(s->optim.name);
}

#define STUCK 10.0  /* seconds that the disk may hold up the beginning of a stage */
#define MOMENT 0.02 /* seconds between two looks at the disk at the end */

enum { LAST_ATTEMPTS = 5 };

static void take_vectors(struct train *t, const struct stage *s, struct arena *arena)
{
    size_t n = s->net.layout.n;

    t->theta = arena_reals(arena, n);
    t->grad = arena_reals(arena, n);
    t->scratch = arena_reals(arena, n);
    t->state = arena_reals(arena, n * (size_t)train_optim(s)->n_state);
}

/* Parameters of the stage before go on under the same name and shape; the rest starts afresh. */
static void hand_over(const struct layout *from, const real *old, const struct layout *to,
                      real *theta)
{
    for (int i = 0; i < to->n_segments; i++) {
        const struct segment *s = &to->segments[i], *o = layout_find(from, s->name);

        if (o && o->n == s->n && memcmp(o->dims, s->dims, sizeof s->dims) == 0)
            memcpy(theta + s->offset, old + o->offset, s->n * sizeof(real));
    }
}

int train_stage(struct train *t, const struct stage *s)
{
    struct arena measure = arena_measuring(), before = t->arena;
    const real *old = t->theta;

    take_vectors(t, s, &measure);
    TRY(arena_init(&t->arena, measure.peak));
    take_vectors(t, s, &t->arena);
    layout_init(&s->net.layout, (uint64_t)t->setup->config->run.seed, t->theta);
    if (t->stage)
        hand_over(&t->stage->net.layout, old, &s->net.layout, t->theta);
    arena_release(&before);
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
        TRY(checkpoint_set_aside(t->directory, NULL));
        TRY(rundir_rewind(t->directory, 0, 0));
        progress_warn(t->progress, "no checkpoint to resume from in '%s': starting at round 0",
                      t->directory);
    }
    return train_stage(t, &t->setup->stages[0]);
}

/* The stage and round to go on from, with its parameters; stage 0, round 0 where nothing is there. */
int train_resume(struct train *t, int *first)
{
    char path[1280];
    struct checkpoint_info info;
    const struct stage *s;

    int found = t->resume ? checkpoint_newest(t->directory, path, sizeof path, complain, t) : 0;

    *first = 0;
    TRY(found);
    if (!found)
        return begin(t);
    TRY(checkpoint_peek(path, &info));
    if (info.stage < 0 || info.stage >= t->setup->n_stages)
        return err(ERR_DATA, "'%s' is of stage %d, which this configuration does not have", path,
                   info.stage);
    s = &t->setup->stages[info.stage];
    TRY(train_stage(t, s));
    TRY(checkpoint_read(path, &s->net.layout, t->theta, train_optim(s), t->state, &info));
    if (info.seed != (uint64_t)t->setup->config->run.seed)
        return err(ERR_CONFIG,
                   "'%s' was trained with seed %" PRIu64 ", the configuration says %" PRId64, path,
                   info.seed, t->setup->config->run.seed);
    if (strcmp(info.blas, blas_kernel()) != 0)
        progress_warn(t->progress,
                      "warning: '%s' was computed with OpenBLAS kernel '%s', here it is '%s': the "
                      "result will differ in its last bits",
                      path, info.blas, blas_kernel());
    TRY(checkpoint_set_aside(t->directory, &(struct checkpoint_key){info.stage, info.round}));
    TRY(rundir_rewind(t->directory, info.stage, info.round));
    progress_say(t->progress, "resuming %s at round %" PRIu64 " from '%s'", s->config->name,
                 info.round, path);
    snprintf(t->checkpoint, sizeof t->checkpoint, "%s", path);
    t->round = info.round;
    *first = info.stage;
    return 0;
}
