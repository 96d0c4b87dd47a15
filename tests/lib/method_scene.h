/* method_scene.h - a stage of each method, on two small data sets. */
#ifndef TESTS_LIB_METHOD_SCENE_H
#define TESTS_LIB_METHOD_SCENE_H

#include "tests/lib/class_images.h"

#include "core/plan/sampler.h"
#include "worker/engine.h"
#include "worker/method/table.h"

enum { IMAGES = 30 };

/* ---- a stage of each method ---- */

/* Images whose classes differ in brightness, no two alike. */
static void put_bright(const char *name, uint32_t start)
{
    uint8_t x[IMAGES * PIXELS];

    for (uint32_t i = 0; i < IMAGES * PIXELS; i++)
        x[i] =
            (uint8_t)(start + i * 89 + i / PIXELS * 7 + i / 251 + i % (PIXELS * 3) / PIXELS * 40);
    put_classes(name, x, IMAGES);
}

static bool takes(const struct method_ops *m, const char *key)
{
    for (const char *const *name = m->takes; name && *name; name++)
        if (strcmp(*name, key) == 0)
            return true;
    for (const struct config_key *k = m->keys; k && k->name; k++)
        if (strcmp(k->name, key) == 0)
            return true;
    return false;
}

/* Keys with which its contribution is the gradient of its loss, where that depends on keys. */
static void method_text(const struct method_ops *m, char *text, size_t n)
{
    static const struct {
        const char *key, *text;
    } each[] = {{"target", "target = {b} target_batch = 5 "},
                {"inner_steps", "inner_steps = 3 inner_rate = 0.5 "},
                {"cg_steps", "cg_steps = 60 lambda = 20 "},
                {"discriminator", "discriminator = {4} "},
                {"sigma", "sigma = 2 "},
                {"old", "old = {a} "}};
    bool implicit = takes(m, "cg_steps");
    size_t used = (size_t)snprintf(
        text, n,
        "data a { format = npy path = a.npy labels = a-y.npy }\n"
        "data b { format = npy path = b.npy labels = b-y.npy }\n"
        "model { type = layers statistics = running layers = {\"flatten\", \"dense features=6\", "
        "\"batchnorm\", \"tanh\", \"dense features=5\", \"tanh\", \"head\"} }\n"
        "stage first { method = pretrain data = a batch = 6 tasks = 1 rounds = 1 }\n"
        "stage it { method = %s data = a batch = 6 tasks = 2 rounds = 9 way = 3 shot = 2 query = "
        "3 ",
        m->name);

    for (size_t i = 0; i < sizeof each / sizeof *each && used < n; i++)
        if (takes(m, each[i].key) && !(implicit && strcmp(each[i].key, "inner_steps") == 0))
            used += (size_t)snprintf(text + used, n - used, "%s", each[i].text);
    if (used < n)
        snprintf(text + used, n - used, "%s}\n",
                 implicit ? "inner_steps = 400 inner_rate = 0.03 " : "");
}

struct scene {
    struct config config;
    struct setup setup;
    const struct stage *stage;
    struct engine engine;
    struct method_ops ops; /* the one at hand, which may be a wrong one */
    struct arena arena;
    struct task task;
    size_t n;
    real *theta, *anchor, *grad, *other, *moved, *direction; /* owned */
};

static real *reals(size_t n)
{
    real *x = calloc(n + 1, sizeof *x);

    assert_non_null(x);
    return x;
}

/* Of the method, or of a wrong one made from it. */
static struct scene *scene_open(const struct method_ops *ops)
{
    struct scene *s = calloc(1, sizeof *s);
    char text[2048];

    assert_non_null(s);
    put_bright("a", 3);
    put_bright("b", 90);
    method_text(ops, text, sizeof text);
    if (config_parse(&s->config, text, "text", NULL, 0, stage_owner) ||
        setup_open(&s->setup, &s->config, root, method_traits_of) ||
        engine_open(&s->engine, &s->setup))
        fail_msg("method '%s': %s", ops->name, err_text());
    s->stage = &s->setup.stages[1];
    s->ops = *ops;
    s->n = s->stage->model.n;
    s->theta = reals(s->n), s->grad = reals(s->n), s->other = reals(s->n);
    s->moved = reals(s->n), s->direction = reals(s->n);
    layout_init(&s->stage->model, 4, 1, s->theta);
    s->anchor = reals(s->setup.stages[0].layout.n);
    layout_init(&s->setup.stages[0].layout, 5, 0, s->anchor);
    assert_int_equal(arena_init(&s->arena, 1 << 16), 0);
    task_init(&s->task, task_size_most(s->stage->train, s->stage->evaluate), &s->arena);
    return s;
}

static void scene_close(struct scene *s)
{
    free(s->theta), free(s->grad), free(s->other), free(s->moved), free(s->direction);
    free(s->anchor);
    arena_release(&s->arena);
    engine_close(&s->engine);
    setup_close(&s->setup);
    config_release(&s->config);
    free(s);
}

/* Fails with the first method that fault_of finds fault with. */
static void no_method_is_at_fault(const char *(*fault_of)(const struct method_ops *ops))
{
    for (const struct method_ops *const *ops = method_table; *ops; ops++) {
        const char *found = fault_of(*ops);

        if (found)
            fail_msg("method '%s' %s", (*ops)->name, found);
    }
}

#endif
