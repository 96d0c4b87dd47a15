/* stage_run.c - begins a stage, steps it, and keeps what later stages need. */
#include "coordinator/run/stage_run.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/err.h"
#include "core/math/vec.h"
#include "core/plan/hand_over.h"
#include "core/plan/stage_init.h"

static int n_state(const struct stage *stage)
{
    return optim_find(stage->optim.name)->n_state;
}

const real *stage_run_anchor(const struct stage_run *s)
{
    return s->stage->anchor >= 0 ? s->kept[s->stage->anchor] : NULL;
}

/* ---- results of earlier stages ---- */

/* True if stage i or a later one starts from stage j or is anchored to it. */
static bool is_needed(const struct setup *setup, int j, int i)
{
    for (; i < setup->n_stages; i++)
        if (setup->stages[i].start == j || setup->stages[i].anchor == j)
            return true;
    return false;
}

/* True if stage i needs the result of stage j while it runs, or a later one does. */
static bool is_kept(const struct setup *setup, int j, int i)
{
    return setup->stages[i].anchor == j || is_needed(setup, j, i + 1);
}

static int take_room(struct stage_run *s, int j)
{
    size_t n = s->setup->stages[j].layout.n;

    s->kept[j] = malloc(n * sizeof(real));
    return s->kept[j] ? 0 : err(ERR_MEMORY, "no memory to keep %zu parameters", n);
}

static int keep_result(struct stage_run *s)
{
    int j = s->stage->index;

    if (!is_needed(s->setup, j, j + 1))
        return 0;
    TRY(take_room(s, j));
    memcpy(s->kept[j], s->theta, s->stage->layout.n * sizeof(real));
    return 0;
}

/* Frees parameters that neither this stage nor a later one needs. */
static void forget(struct stage_run *s)
{
    for (int j = 0; j < s->stage->index; j++) {
        if (is_kept(s->setup, j, s->stage->index))
            continue;
        free(s->kept[j]);
        s->kept[j] = NULL;
    }
}

/* ---- its beginning ---- */

static void take_vectors(struct stage_run *s, const struct stage *stage, struct arena *arena)
{
    size_t n = stage->layout.n, vectors = (size_t)n_state(stage);

    s->theta = arena_reals(arena, n);
    s->grad = arena_reals(arena, stage->model.n);
    s->scratch = arena_reals(arena, n);
    s->state = arena_reals(arena, n * vectors);
    s->domains = (struct domain_models){0};
    if (task_state_size(stage) == 0)
        return;
    s->domains.theta = s->theta;
    s->domains.state = s->state;
    s->domains.next = arena_reals(arena, n * (1 + vectors));
    s->domains.arrived = arena_take(arena, (size_t)stage->n_models * sizeof(bool));
}

static size_t stage_size(const struct setup *setup, const struct stage *stage)
{
    struct arena measure = arena_measuring();
    struct stage_run stand_in;
    size_t n = 0;

    take_vectors(&stand_in, stage, &measure);
    for (int j = 0; j < stage->index; j++)
        if (is_needed(setup, j, stage->index))
            n += setup->stages[j].layout.n;
    if (guard_wanted(stage))
        n += stage->layout.n + stage->model.n;
    return measure.peak + n * sizeof(real);
}

size_t stage_run_size(const struct setup *setup)
{
    size_t most = 0;

    for (int i = 0; i < setup->n_stages; i++) {
        size_t size = stage_size(setup, &setup->stages[i]);

        most = size > most ? size : most;
    }
    return most;
}

/* Copies what the earlier stage hands over into every model; the rest keeps its initial values. */
static void take_over(struct stage_run *s, const struct stage *stage, const real *old)
{
    for (int i = 0; i < stage->model.n_segments * stage->n_models; i++) {
        const struct segment *to = &stage->model.segments[i % stage->model.n_segments];
        const struct segment *from = hand_over(s->setup, stage, to);
        size_t model = (size_t)(i / stage->model.n_segments) * stage->model.n;

        if (from)
            memcpy(s->theta + model + to->offset, old + from->offset, to->n * sizeof(real));
    }
}

static void forget_evaluations(struct stage_run *s)
{
    for (int i = 0; i < CONFIG_DATA_MAX; i++)
        evaluation_release(&s->last[i]);
}

/* Makes room for the stage; its parameters are undefined. */
static int prepare(struct stage_run *s, const struct stage *stage)
{
    struct arena measure = arena_measuring();

    if (s->stage)
        TRY(keep_result(s));
    guard_close(&s->guard);
    arena_release(&s->arena);
    take_vectors(s, stage, &measure);
    TRY(arena_init(&s->arena, measure.peak));
    take_vectors(s, stage, &s->arena);
    forget_evaluations(s);
    s->stage = stage;
    *s->note.text = '\0';
    s->round = 0;
    s->owes = false;
    s->failed = 0;
    return 0;
}

/* Takes over what the stage's file has. It must be the file that the run began with. */
static int take_from_file(struct stage_run *s, const struct stage *stage)
{
    uint64_t known = s->init_digest ? s->init_digest[stage->index] : 0;
    struct stage_init in;
    int code = 0;

    TRY(stage_init_open(&in, stage));
    if (known && in.dict.digest != known)
        code = err(ERR_DATA, "stage '%s': '%s' was modified after this run began",
                   stage->config->name, stage->config->init);
    if (code == 0)
        code = stage_init_take(&in, s->theta);
    stage_init_close(&in);
    return code;
}

int stage_run_begin(struct stage_run *s, const struct stage *stage)
{
    TRY(prepare(s, stage));
    layout_init(&stage->layout, (uint64_t)s->setup->config->run.seed, stage->index, s->theta);
    TRY(scale_fill(s->setup, stage, stage->n_models, false, s->theta, &s->note));
    if (stage->start >= 0 && s->kept[stage->start])
        take_over(s, stage, s->kept[stage->start]);
    if (*stage->config->init)
        TRY(take_from_file(s, stage));
    forget(s);
    return 0;
}

/* ---- checkpoints ---- */

static int read_kept(struct stage_run *s, const char *path)
{
    for (int j = 0; j < s->stage->index; j++) {
        char name[KEPT_NAME];

        if (!is_kept(s->setup, j, s->stage->index))
            continue;
        snprintf(name, sizeof name, "%02d", j);
        TRY(take_room(s, j));
        TRY(checkpoint_read_kept(path, name, &s->setup->stages[j].layout, s->kept[j]));
    }
    if (!guard_wanted(s->stage))
        return 0;
    TRY(guard_take(&s->guard, s->stage));
    return checkpoint_read_kept(path, "best", &s->stage->layout, s->guard.best);
}

int stage_run_read(struct stage_run *s, const char *path, struct checkpoint_info *info)
{
    const struct stage *stage;

    if (info->stage < 0 || info->stage >= s->setup->n_stages)
        return err(ERR_DATA, "'%s' belongs to stage %d, which this configuration does not have",
                   path, info->stage);
    stage = &s->setup->stages[info->stage];
    TRY(prepare(s, stage));
    TRY(checkpoint_read(path, &stage->layout, s->theta, optim_find(stage->optim.name), s->state,
                        info));
    TRY(read_kept(s, path));
    s->round = info->round;
    return 0;
}

static void add_kept(struct checkpoint_info *info, const struct stage *stage, const char *name,
                     const real *theta)
{
    struct kept *k = &info->kept[info->n_kept++];

    snprintf(k->name, sizeof k->name, "%s", name);
    k->layout = &stage->layout;
    k->theta = theta;
}

void stage_run_add_kept(const struct stage_run *s, struct checkpoint_info *info)
{
    for (int j = 0; j < s->stage->index; j++) {
        char name[KEPT_NAME];

        snprintf(name, sizeof name, "%02d", j);
        if (s->kept[j])
            add_kept(info, &s->setup->stages[j], name, s->kept[j]);
    }
    if (s->guard.active)
        add_kept(info, s->stage, "best", s->guard.best);
}

size_t stage_run_room(const struct setup *setup)
{
    size_t room = 0;

    for (int i = 0; i < setup->n_stages; i++) {
        const struct stage *stage = &setup->stages[i];
        size_t n = stage->layout.n * (size_t)(1 + n_state(stage) + guard_wanted(stage));

        for (int j = 0; j < i; j++)
            n += setup->stages[j].layout.n;
        room = n > room ? n : room;
    }
    return room;
}

/* ---- a round ---- */

struct round stage_run_round(const struct stage_run *s)
{
    return (struct round){
        .stage = s->stage,
        .purpose = PURPOSE_TRAIN,
        .data = s->stage->data,
        .round = stage_run_reached(s) + 1,
        .n_tasks = s->stage->n_tasks,
        .theta = s->theta,
        .anchor = stage_run_anchor(s),
        .domains = task_state_size(s->stage) > 0 ? &s->domains : NULL,
    };
}

/* Copies the models that came back; the others stay unchanged. */
static void take_models(struct stage_run *s)
{
    const struct stage *stage = s->stage;
    size_t n = stage->model.n, vectors = (size_t)n_state(stage);

    for (int b = 0; b < stage->n_models; b++) {
        const real *next = s->domains.next + (size_t)b * n * (1 + vectors);

        if (!s->domains.arrived[b])
            continue;
        memcpy(s->theta + (size_t)b * n, next, n * sizeof(real));
        for (size_t i = 0; i < vectors; i++)
            memcpy(s->state + i * stage->layout.n + (size_t)b * n, next + (1 + i) * n,
                   n * sizeof(real));
    }
}

/* The norm must be known before the first parameter steps. */
static bool clips(const struct stage_run *s)
{
    return s->stage->optim.clip > 0;
}

void stage_run_owe(struct stage_run *s, const struct round_sum *total)
{
    const struct stage *stage = s->stage;
    double measured = round_sum_measured(total, METRIC_DONE);

    s->owes = true;
    s->total = *total;
    s->settled = 0;
    s->norm = NAN;
    if (task_state_size(stage) > 0) {
        take_models(s);
        s->settled = stage->layout.n;
    } else if (clips(s)) {
        round_sum_mean_gradient(total, s->grad);
        s->norm = optim_norm(&stage->optim, &stage->layout, s->round + 1, s->grad);
    }
    s->loss = round_sum_read(total, METRIC_LOSS) / measured;
    s->accuracy = loss_has_accuracy(&stage->net.loss) && !stage->traits->inherits
                      ? round_sum_read(total, METRIC_ACCURACY) / measured
                      : -1;
}

void stage_run_settle(struct stage_run *s, size_t end)
{
    const struct stage *stage = s->stage;
    size_t from = s->settled;

    if (!s->owes || end <= from)
        return;
    if (!clips(s))
        round_sum_mean_part(&s->total, from, end - from, s->grad);
    optim_step(&stage->optim, &stage->layout, s->round + 1, s->norm, from, end - from, s->grad,
               s->theta, s->state);
    s->settled = end;
}

double stage_run_finish(struct stage_run *s)
{
    const struct stage *stage = s->stage;

    stage_run_settle(s, stage->layout.n);
    if (task_state_size(stage) == 0 && !clips(s))
        s->norm = optim_norm(&stage->optim, &stage->layout, s->round + 1, s->grad);
    s->owes = false;
    s->round++;
    stage_run_rehash(s);
    return s->norm;
}

void stage_run_rehash(struct stage_run *s)
{
    s->hash = layout_hash(&s->stage->layout, s->theta, s->scratch);
}

const char *stage_run_not_finite(const struct stage_run *s)
{
    const struct layout *l = &s->stage->layout;
    int vectors = n_state(s->stage);

    if (vec_finite(l->n, s->theta) && vec_finite((size_t)vectors * l->n, s->state))
        return NULL;
    for (int i = 0; i < l->n_segments; i++) {
        const struct segment *segment = &l->segments[i];
        bool finite = vec_finite(segment->n, s->theta + segment->offset);

        for (int k = 0; k < vectors; k++)
            finite &= vec_finite(segment->n, s->state + (size_t)k * l->n + segment->offset);
        if (!finite)
            return segment->name;
    }
    return NULL;
}

uint64_t stage_run_reached(const struct stage_run *s)
{
    return s->round + s->owes;
}

bool stage_run_is_done(const struct stage_run *s)
{
    return stage_run_reached(s) >= (uint64_t)s->stage->config->rounds;
}

void stage_run_release(struct stage_run *s)
{
    arena_release(&s->arena);
    guard_close(&s->guard);
    forget_evaluations(s);
    for (int i = 0; i < CONFIG_STAGE_MAX; i++)
        free(s->kept[i]);
}
