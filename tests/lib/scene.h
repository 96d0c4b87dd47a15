/* scene.h - a coordinator's crew and its workers, which may fail, in one process: for tests of
 * rounds. Nobody waits for a lease to run out: of a rank that has fallen silent the last word is
 * made older than it, so that no other is missed however busy the machine is. */
#ifndef TESTS_LIB_SCENE_H
#define TESTS_LIB_SCENE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <xxhash.h>

#include "coordinator/crew/crew.h"
#include "core/base/err.h"
#include "core/math/blas.h"
#include "tests/lib/faulty.h"
#include "worker/method/table.h"

enum {
    RANKS = 5,
    ROUNDS = 3,
    PATIENCE = 100000
}; /* rounds of a millisecond or more, against hanging */

#define TEXT                                                                                       \
    "cluster { threads = 1 lease = 10 start_limit = 100 schedule = \"dynamic\" }\n"                \
    "data sine { format = \"sinusoid\" }\n"                                                        \
    "model { type = \"mlp\" widths = {\"8\"} }\n"                                                  \
    "stage meta { method = \"maml\" data = \"sine\" way = 1 shot = 5 query = 5 tasks = 24\n"       \
    "             inner_steps = 1 inner_rate = 0.01 rounds = 3 }\n"

#define GLYPHS(style)                                                                              \
    "data " style " { format = \"glyphs\" size = 12 first = 2 style = \"" style "\" }\n"

/* Tasks step a block each: adda with several targets. */
#define BLOCKS                                                                                     \
    "cluster { threads = 1 lease = 10 "                                                            \
    "start_limit = 100 schedule = \"dynamic\" }\n" GLYPHS("ink") GLYPHS("chalk") GLYPHS("outline") \
        GLYPHS("thick") GLYPHS("dotted") GLYPHS(                                                   \
            "slanted") "model { type = \"mlp\" widths = {\"4\"} }\n"                               \
                       "stage source { method = \"pretrain\" data = \"ink\" batch = 4 }\n"         \
                       "stage domains { method = \"adda\" data = \"ink\" batch = 4 steps = 3\n"    \
                       "  target = {\"chalk\", \"outline\", \"thick\", \"dotted\", \"slanted\"}\n" \
                       "  discriminator = {\"4\"} rounds = 3 }\n"

/* Parameters and sums of several pieces. */
#define WIDE                                                                                       \
    "cluster { threads = 1 lease = 10 start_limit = 100 schedule = \"dynamic\" }\n"                \
    "data sine { format = \"sinusoid\" }\n"                                                        \
    "model { type = \"mlp\" widths = {\"32\", \"16\"} }\n"                                         \
    "stage meta { method = \"maml\" data = \"sine\" way = 1 shot = 5 query = 5 tasks = 24\n"       \
    "             inner_steps = 1 inner_rate = 0.01 rounds = 3 }\n"

static const char *const texts[] = {TEXT, BLOCKS, WIDE};

struct scene {
    struct comm *ends;      /* (n) owned, as what the threads of a failed test go on using */
    struct faulty *workers; /* (n) owned; [0] unused */
    int n, n_failed;        /* ranks; those whose worker_serve returned an error */
    struct config config;
    struct setup setup;
    struct crew crew;
    const struct stage *stage; /* the one that is played */
    real *theta, *anchor;      /* (P), (P of a network) owned */
    real *state, *next;        /* owned: of blocks */
    bool *arrived;             /* owned */
    struct domain_models domains;
};

static bool wide;         /* the text of that name */
static const char *audit; /* cluster.audit; NULL: as it stands in the text */

/* Of a scene; owned by the caller. */
static char *scene_text(void)
{
    static const char head[] = "cluster { ";
    const char *text = texts[wide ? 2 : blocks];
    size_t n = strlen(text) + 64;
    char *out = malloc(n);

    assert_non_null(out);
    assert_int_equal(strncmp(text, head, sizeof head - 1), 0);
    snprintf(out, n, "%saudit = %s %s", head, audit ? audit : "0", text + sizeof head - 1);
    return out;
}

static real *take(size_t n)
{
    real *x = calloc(n, sizeof *x);

    assert_non_null(x);
    return x;
}

static void scene_parameters(struct scene *s)
{
    const struct stage *stage = s->stage = &s->setup.stages[s->setup.n_stages - 1];
    size_t n = stage->layout.n, n_state = (size_t)optim_find(stage->optim.name)->n_state;

    for (int i = 1; i < s->n; i++)
        s->workers[i].n_words = round_sum_words(stage->model.n, stage->n_metrics);
    s->theta = take(n);
    s->anchor = take(n);
    s->state = take(n * n_state);
    s->next = take(n * (1 + n_state));
    s->arrived = calloc((size_t)stage->n_models, sizeof *s->arrived);
    assert_non_null(s->arrived);
    layout_init(&stage->layout, 1, 0, s->theta);
    layout_init(&s->setup.stages[0].layout, 2, 0, s->anchor);
    for (size_t i = 0; i < n * n_state; i++)
        s->state[i] = (real)(i % 7) / 64;
    s->domains = (struct domain_models){s->theta, s->state, s->next, s->arrived};
}

static bool is_silent(const struct faulty *f)
{
    return f->left < 0 && (f->fault == DIE || (f->fault == STALL && !f->missed));
}

/* Asked every few milliseconds of a round. */
static bool let_time_pass(void *context, const struct task_kind *kind)
{
    struct scene *s = context;

    (void)kind;
    cut_off.epoch = s->crew.epoch;
    for (int i = 1; i < s->n; i++)
        if (is_silent(&s->workers[i]))
            s->crew.workers[i].heard -= 2 * s->config.cluster.lease;
    return false;
}

static void on_loss(void *context, const struct notice *n)
{
    struct scene *s = context;

    if (strcmp(n->kind, "lost") == 0)
        s->workers[n->rank].missed = true;
}

/* Lets a stalled rank go on. */
static void wake(struct scene *s)
{
    for (int i = 1; i < s->n; i++)
        s->workers[i].missed = true;
}

static struct { /* dies as well */
    int rank, at;
} second;

static void scene_open(struct scene *s, int n, int rank, enum fault fault, int at)
{
    char *text = scene_text();

    *s = (struct scene){.n = n};
    s->crew.interrupt = let_time_pass;
    s->crew.notify = on_loss;
    s->crew.context = s;
    s->ends = calloc((size_t)n, sizeof *s->ends);
    s->workers = calloc((size_t)n, sizeof *s->workers);
    assert_int_equal(comm_open("local", s->ends, n), 0);
    for (int i = 1; i < n; i++) {
        struct faulty *f = &s->workers[i];

        f->inner = s->ends[i];
        f->comm = (struct comm){&faulty_ops, i, n, f};
        f->fault = i == rank ? fault : NONE;
        f->left = i == rank ? at : NEVER;
        if (i == second.rank)
            f->fault = DIE, f->left = second.at;
        pthread_create(&f->thread, NULL, worker, f);
    }
    if (config_parse(&s->config, text, "text", NULL, 0, stage_owner) < 0)
        fail_msg("%s", err_text());
    assert_int_equal(crew_invite(&s->crew, &s->ends[0], text, ""), 0);
    if (setup_open(&s->setup, &s->config, "", method_traits_of) < 0)
        fail_msg("%s", err_text());
    scene_parameters(s);
    free(text);
}

static void scene_close(struct scene *s)
{
    wake(s);
    for (int i = 1; i < s->n; i++)
        if (s->workers[i].fault == DIE) /* it may not answer, or die of the question */
            s->config.cluster.lease = 0.05;
    crew_dismiss(&s->crew, 0, "done");
    for (int i = 1; i < s->n; i++)
        pthread_join(s->workers[i].thread, NULL), s->n_failed += s->workers[i].code != 0;
    for (int i = 0; i < s->n; i++)
        comm_close(&s->ends[i]);
    crew_release(&s->crew);
    setup_close(&s->setup);
    config_release(&s->config);
    free(s->theta);
    free(s->anchor);
    free(s->state);
    free(s->next);
    free(s->arrived);
    free(s->workers);
    free(s->ends);
}

/* Round k of the scene: training of n tasks, and one evaluation or look of 24. */
static int play_some(struct scene *s, int k, uint32_t n, struct round_sum *total)
{
    const struct stage *stage = s->stage;
    struct round r = {
        .stage = stage,
        .purpose = k != 1   ? PURPOSE_TRAIN
                   : blocks ? PURPOSE_WATCH
                            : PURPOSE_EVALUATE,
        .data = blocks && k == 1 ? stage->target[1] : stage->data,
        .round = (uint64_t)k + 1,
        .n_tasks = k == 1 ? 24 : n,
        .amount = k == 1 ? 24 : 0,
        .theta = s->theta,
        .anchor = blocks ? s->anchor : NULL,
        .domains = blocks && k != 1 ? &s->domains : NULL,
    };

    return crew_round(&s->crew, &r, total);
}

static int play(struct scene *s, int k, struct round_sum *total)
{
    return play_some(s, k, s->stage->n_tasks, total);
}

/* Of round k's total and, where its tasks step them, its blocks, all of which must have come. */
static uint64_t checksum(const struct scene *s, int k, const struct round_sum *total)
{
    uint64_t words = round_sum_checksum(total->words, 0, total->n_words);
    size_t n = s->stage->layout.n * 3;

    if (!blocks || k == 1)
        return words;
    for (int b = 0; b < s->stage->n_models; b++)
        assert_true(s->arrived[b]);
    return words ^ XXH64(s->next, n * sizeof(real), 0);
}

#endif
