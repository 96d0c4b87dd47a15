/* hollow.c - short vectors, and contributions without a computation. */
#include "launch/hollow.h"

#include "core/base/err.h"
#include "core/plan/task_kind.h"
#include "proto/comm/pieces.h"

enum { LEFT = 4096 }; /* parameters that are left of a stage, at least, if it has so many */

static int shorten(struct layout *l, size_t times, size_t divisor)
{
    struct segment all = {.name = "hollow", .n_dims = 1, .role = ROLE_BODY};
    size_t n = times * ((l->n / times + divisor - 1) / divisor);

    if (l->n == 0)
        return 0;
    layout_release(l);
    all.dims[0] = n;
    return layout_add(l, all);
}

int hollow_setup(struct setup *s, const struct stage *stage, double *scale)
{
    size_t before = stage->model.n, divisor = before > LEFT ? before / LEFT : 1;

    for (int i = 0; i < s->n_stages && divisor > 1; i++) {
        struct stage *each = &s->stages[i];

        TRY(shorten(&each->model, 1, divisor));
        TRY(shorten(&each->layout, (size_t)each->n_models, divisor));
        TRY(shorten(&each->net.layout, 1, divisor));
    }
    *scale = (double)before / (double)stage->model.n;
    piece_bytes = (size_t)((double)piece_bytes / *scale);
    return 0;
}

static void lay_out(struct engine *e, const struct stage *stage, struct arena *arena)
{
    e->words =
        arena_take(arena, round_sum_words(stage->model.n, stage->n_metrics) * sizeof(int64_t));
    e->metrics = stage_metrics(stage, arena);
    e->gradient = arena_reals(arena, stage->model.n);
}

int hollow_open(struct engine *e, const struct setup *s)
{
    size_t most = 0;

    *e = (struct engine){.setup = s};
    for (int i = 0; i < s->n_stages; i++) {
        struct arena measure = arena_measuring();

        lay_out(e, &s->stages[i], &measure);
        most = measure.peak > most ? measure.peak : most;
    }
    return arena_init(&e->arena, most);
}

void hollow_begin(struct engine *e, const struct stage *stage, enum purpose purpose,
                  const real *anchor)
{
    const struct task_kind *kind = task_kind_of_round(stage, purpose);

    (void)anchor;
    arena_clear(&e->arena);
    lay_out(e, stage, &e->arena);
    e->stage = stage;
    e->purpose = purpose;
    e->total = round_sum_over(e->words, kind->gives == GIVES_GRADIENT ? stage->model.n : 0,
                              stage->n_metrics);
    e->empty = true;
}

/* Numbers with all bits of a float's, below 2^-7. */
static void fill(uint64_t x, size_t n, real *gradient)
{
    for (size_t i = 0; i < n; i++) {
        x = x * 6364136223846793005u + 1442695040888963407u;
        gradient[i] = (real)((double)(int64_t)x * 0x1p-70);
    }
}

int hollow_run(struct engine *e, const struct task *t, const real *theta, real *state)
{
    (void)theta, (void)state;
    engine_clear(e);
    fill((uint64_t)t->round << 32 | t->slot, e->total.n, e->gradient);
    return engine_add(e, 0);
}
