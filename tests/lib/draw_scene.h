/* draw_scene.h - a configuration on small sets, and what its last stage draws. */
#ifndef TESTS_LIB_DRAW_SCENE_H
#define TESTS_LIB_DRAW_SCENE_H

#include "tests/lib/class_images.h"

#include <math.h>

#include "core/math/rng.h"
#include "core/plan/sampler.h"
#include "worker/inner/episode.h"
#include "worker/method/table.h"

#define SET(name, more)                                                                            \
    "data " name " { format = \"npy\" path = \"" name ".npy\" labels = \"" name "-y.npy\" " more   \
    " }\n"
#define MODEL "model { type = \"mlp\" widths = {\"4\"} }\n"
#define FIRST "stage first { method = \"pretrain\" data = \"a\" batch = 4 tasks = 3 rounds = 99 }\n"

struct scene {
    struct config config;
    struct setup setup;
    const struct stage *stage; /* the last */
    struct sampler sampler;
    struct arena arena;
    struct task task;
};

static inline struct scene *scene_open(const char *text)
{
    struct scene *s = calloc(1, sizeof *s);

    assert_non_null(s);
    put_images("a", 21);
    put_images("b", 13);
    put_images("c", 21);
    if (config_parse(&s->config, text, "text", NULL, 0, stage_owner) ||
        setup_open(&s->setup, &s->config, root, method_traits_of) || arena_init(&s->arena, 1 << 24))
        fail_msg("%s", err_text());
    s->stage = &s->setup.stages[s->setup.n_stages - 1];
    task_init(&s->task, task_size_most(s->stage->train, s->stage->evaluate), &s->arena);
    s->sampler = (struct sampler){&s->setup, s->stage, s->stage->data, PURPOSE_TRAIN, 1};
    return s;
}

static inline void scene_close(struct scene *s)
{
    setup_close(&s->setup);
    config_release(&s->config);
    arena_release(&s->arena);
    free(s);
}

struct drawn {
    uint32_t n, ids[4096];
};

static inline void add(struct drawn *d, const uint32_t *ids, uint32_t n)
{
    assert_true(d->n + n <= 4096);
    memcpy(d->ids + d->n, ids, n * sizeof *ids);
    d->n += n;
}

/* What rounds 1 .. rounds draw in slots first .. last - 1, one behind the other. */
static inline void draw_rounds(struct scene *s, uint32_t rounds, uint32_t first, uint32_t last,
                               struct drawn *source, struct drawn *target)
{
    source->n = target->n = 0;
    for (uint32_t round = 1; round <= rounds; round++)
        for (uint32_t slot = first; slot < last; slot++) {
            s->sampler.round = round;
            sampler_draw(&s->sampler, slot, &s->task);
            add(source, s->task.source, s->task.n_source);
            add(target, s->task.targets, s->task.n_targets);
        }
}

#endif
