/* episode.c - few-shot tasks: classes, each with support and query samples. Training draws new ones
 * in every round. Evaluation has the same ones every time, with evaluate.query queries, or with the
 * fixed points of a regression set. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "core/base/err.h"
#include "core/base/plural.h"
#include "core/math/rng.h"
#include "core/plan/kind/kinds.h"
#include "core/plan/metric.h"
#include "core/plan/mix.h"

/* ---- planning ---- */

static uint32_t episode_count(const struct stage *s, uint32_t amount)
{
    (void)amount;
    return s->traits->draws & DRAW_EPISODES ? (uint32_t)s->config->tasks : 0;
}

static uint32_t evaluation_count(const struct stage *s, uint32_t amount)
{
    return s->measured == &kind_evaluation_episode ? amount : 0;
}

static uint32_t evaluation_amount(const struct setup *setup, const struct stage *s, int data,
                                  int64_t episodes)
{
    (void)setup, (void)s, (void)data;
    return (uint32_t)episodes;
}

/* Regression: one function is a task. */
static void plan_way(const struct stage_config *c, const struct data *d, struct task_size *least,
                     struct task_size *most)
{
    least->way = most->way = d->n_target ? 1 : (uint32_t)c->way;
    if (!d->n_target && c->way_max > 0)
        most->way = (uint32_t)c->way_max;
}

static void plan_shot(const struct stage_config *c, struct task_size *least, struct task_size *most)
{
    least->shot = most->shot = (uint32_t)c->shot;
    if (c->shot_max > 0)
        most->shot = (uint32_t)c->shot_max;
}

/* Whether tasks take fewer samples of classes that are small. */
static bool is_capped(const struct stage *s)
{
    return s->shape->shot_max > 0;
}

static uint32_t least_of(uint32_t a, uint32_t b)
{
    return a < b ? a : b;
}

/* Samples that a class must have; with a cap, half of them, rounded up, are for the support. */
static uint32_t class_needs(const struct stage *s, uint32_t query)
{
    uint32_t shot = (uint32_t)s->shape->shot;

    return is_capped(s) ? least_of(shot + query, shot > 1 ? 2 * shot - 1 : 2) : shot + query;
}

static int too_few(const struct stage *s, const struct data *d, uint32_t n, uint32_t first,
                   uint32_t need)
{
    char name[128], others[64] = "";

    data_class_name(d, first, name, sizeof name);
    if (n > 1)
        snprintf(others, sizeof others, ", and %u more %s too few", n - 1, n == 2 ? "has" : "have");
    return err(ERR_CONFIG,
               "stage '%s': %s '%s' of data '%s' has %u samples, %s needs %u%s: data.%s."
               "least = %u leaves out such",
               s->config->name, d->n_target ? "task" : "class", name, d->name,
               data_class_size(d, first),
               is_capped(s) ? "shot, with a cap on queries," : "shot + query", need, others,
               d->name, need);
}

/* Every class must have enough samples; generators have no limit. */
static int check_classes(const struct stage *s, const struct data *d, uint32_t way, uint32_t query)
{
    uint32_t n = d->n_classes == DATA_ENDLESS ? 0 : d->n_classes, few = 0, first = 0;
    uint32_t need = class_needs(s, query);

    if (way > d->n_classes)
        return err(ERR_CONFIG, "stage '%s': way is %u, but data '%s' has %u classes",
                   s->config->name, way, d->name, d->n_classes);
    for (uint32_t i = 0; i < n; i++) {
        if (data_class_size(d, i) >= need)
            continue;
        first = few++ ? first : i;
    }
    return few > 0 ? too_few(s, d, few, first, need) : 0;
}

static int check_range(const struct stage_config *c, const char *key, int64_t least, int64_t most)
{
    if (most == 0 || most >= least)
        return 0;
    return err(ERR_CONFIG, "stage '%s': %s_max is %jd, less than %s, which is %jd", c->name, key,
               (intmax_t)most, key, (intmax_t)least);
}

static int check_ranges(const struct stage_config *c, const struct data *d)
{
    TRY(check_range(c, "way", c->way, c->way_max));
    TRY(check_range(c, "shot", c->shot, c->shot_max));
    if (d->n_target && c->way_max > 0)
        return err(ERR_CONFIG, "stage '%s': way_max is for classes, data '%s' has targets", c->name,
                   d->name);
    if (!d->n_target && c->way < 2)
        return err(ERR_CONFIG,
                   "stage '%s': way is %jd: one class leaves nothing to distinguish, way must be 2 "
                   "or more",
                   c->name, (intmax_t)c->way);
    return 0;
}

static int episode_plan(const struct setup *setup, struct stage *s)
{
    const struct stage_config *c = s->config;
    const struct data *d = &setup->data[s->data];

    TRY(check_ranges(c, d));
    plan_way(c, d, &s->train_least, &s->train);
    plan_shot(c, &s->train_least, &s->train);
    s->train.query = (uint32_t)c->query;
    s->train_least.query = is_capped(s) ? 1 : s->train.query;
    return 0;
}

static int episode_fits(const struct setup *setup, struct stage *s, int data)
{
    return check_classes(s, &setup->data[data], s->train_least.way, s->train.query);
}

static int evaluation_plan(const struct setup *setup, struct stage *s)
{
    s->evaluate = s->evaluate_least = (struct task_size){0};
    plan_way(s->shape, &setup->data[s->data], &s->evaluate_least, &s->evaluate);
    plan_shot(s->shape, &s->evaluate_least, &s->evaluate);
    if (s->evaluate_way)
        s->evaluate.way = s->evaluate_least.way = s->evaluate_way;
    return 0;
}

static int evaluation_fits(const struct setup *setup, struct stage *s, int data)
{
    uint32_t query = stage_query(setup, s, data);

    TRY(check_classes(s, &setup->data[data], s->evaluate_least.way, query));
    s->evaluate.query = query > s->evaluate.query ? query : s->evaluate.query;
    return 0;
}

/* ---- drawing ---- */

static struct task_size few_shot_part(struct task_size size)
{
    return (struct task_size){.way = size.way, .shot = size.shot, .query = size.query};
}

static struct task_size episode_size(const struct sampler *s)
{
    return few_shot_part(s->stage->train);
}

static struct task_size evaluation_size(const struct sampler *s)
{
    struct task_size size = few_shot_part(s->stage->evaluate);

    size.query = stage_query(s->setup, s->stage, s->data);
    return size;
}

/* The past and what follows it: a moment is drawn, and the support is before it. */
static void draw_moment(const struct data *d, uint32_t k, struct rng *r, struct task *t)
{
    uint32_t n = data_class_size(d, t->classes[k]);
    uint32_t moment = t->shot + rng_below(r, n - t->shot - t->query + 1);

    for (uint32_t i = 0; i < t->shot; i++)
        t->support[k * t->shot + i] = moment - t->shot + i;
    for (uint32_t i = 0; i < t->query; i++)
        t->queries[k * t->query + i] = moment + i;
}

/* Support and query ids of the task's k-th class. */
static void draw_samples(const struct data *d, bool grid, uint32_t k, struct rng *r, struct task *t)
{
    uint32_t n = data_class_size(d, t->classes[k]), drawn = grid ? t->shot : t->shot + t->query;
    uint32_t ids[drawn];

    rng_choose(r, n, drawn, ids);
    for (uint32_t i = 0; i < t->shot; i++)
        t->support[k * t->shot + i] = ids[i];
    for (uint32_t i = 0; i < t->query; i++)
        t->queries[k * t->query + i] = grid ? DATA_GRID + i : ids[t->shot + i];
}

static uint32_t draw_between(struct rng *r, uint32_t least, uint32_t most)
{
    return least + rng_below(r, most - least + 1);
}

/* Triantafillou et al. (2020): half of the smallest class's samples are for queries at most, and
 * what is left is for the support. */
static void draw_shot(const struct stage *s, const struct data *d, bool grid,
                      struct task_size least, struct task_size most, struct rng *sizes,
                      struct task *t)
{
    uint32_t smallest = UINT32_MAX;

    for (uint32_t k = 0; k < t->way; k++)
        smallest = least_of(smallest, data_class_size(d, t->classes[k]));
    t->query = most.query;
    if (is_capped(s) && !grid)
        t->query = least_of(most.query, smallest / 2);
    if (is_capped(s))
        most.shot = least_of(most.shot, smallest - (grid ? 0 : t->query));
    t->shot = draw_between(sizes, least.shot, most.shot);
}

static bool is_chosen(const struct task *t, uint32_t n, uint32_t class_id)
{
    for (uint32_t k = 0; k < n; k++)
        if (t->classes[k] == class_id)
            return true;
    return false;
}

/* Distinct classes, each drawn with a chance in proportion to its samples among those that are
 * left. */
static void choose_by_size(const struct data *d, struct rng *r, struct task *t)
{
    uint32_t left = 0;

    for (uint32_t i = 0; i < d->n_classes; i++)
        left += data_class_size(d, i);
    for (uint32_t k = 0; k < t->way; k++) {
        uint32_t drawn = rng_below(r, left), i = 0;

        for (;; i++) {
            uint32_t size = is_chosen(t, k, i) ? 0 : data_class_size(d, i);

            if (drawn < size)
                break;
            drawn -= size;
        }
        t->classes[k] = i;
        left -= data_class_size(d, i);
    }
}

/* Classes of generators are all alike. */
static bool is_natural(const struct stage *s, const struct data *d)
{
    return strcmp(s->config->draw, "natural") == 0 && d->n_samples > 0 &&
           d->n_samples != DATA_ENDLESS;
}

/* Distinct classes, for each distinct samples, and quarter turns if the set draws them; how many,
 * from numbers of their own. */
static void draw(const struct sampler *s, enum rng_stream stream, bool grid, struct task_size least,
                 struct task_size most, struct task *t)
{
    const struct data *d;
    struct rng r, sizes;

    rng_init(&r, t->seed, stream, s->round, t->slot);
    rng_init(&sizes, t->seed, RNG_SIZES, s->round, t->slot);
    if (stream == RNG_TASK)
        t->data = mix_draw(s->stage, &sizes);
    d = &s->setup->data[t->data];
    t->way = draw_between(&sizes, least.way, least_of(most.way, d->n_classes));
    if (stream == RNG_TASK && is_natural(s->stage, d))
        choose_by_size(d, &r, t);
    else
        rng_choose(&r, d->n_classes, t->way, t->classes);
    draw_shot(s->stage, d, grid, least, most, &sizes, t);
    for (uint32_t k = 0; k < t->way; k++) {
        t->turns[k] = d->n_turns > 1 && !d->turned_classes ? rng_below(&r, 4) : 0;
        if (d->timed)
            draw_moment(d, k, &r, t);
        else
            draw_samples(d, grid, k, &r, t);
    }
}

static void episode_draw(const struct sampler *s, uint32_t nth, struct task *t)
{
    (void)nth; /* the slot tells them apart */
    draw(s, RNG_TASK, false, s->stage->train_least, episode_size(s), t);
}

static void evaluation_draw(const struct sampler *s, uint32_t nth, struct task *t)
{
    (void)nth;
    draw(s, RNG_EVALUATE, s->setup->data[s->data].n_grid > 0, s->stage->evaluate_least,
         evaluation_size(s), t);
}

/* ---- checking ---- */

static int check_samples(const struct data *d, const struct task *t, uint32_t k)
{
    for (uint32_t i = 0; i < t->shot; i++)
        TRY(data_check(d, t->classes[k], t->support[k * t->shot + i], (int)t->turns[k]));
    for (uint32_t i = 0; i < t->query; i++)
        TRY(data_check(d, t->classes[k], t->queries[k * t->query + i], (int)t->turns[k]));
    return 0;
}

static bool is_between(uint32_t n, uint32_t least, uint32_t most)
{
    return n >= least && n <= most;
}

static int check(const struct data *d, const struct stage *s, const struct task *t,
                 struct task_size least, struct task_size most)
{
    if (!is_between(t->way, least.way, most.way) || !is_between(t->shot, least.shot, most.shot) ||
        !is_between(t->query, least.query, most.query))
        return err(ERR_DATA,
                   "task %u of round %u has way %u, shot %u, query %u; stage '%s' has %u to %u, "
                   "%u to %u, %u to %u",
                   t->slot, t->round, t->way, t->shot, t->query, s->config->name, least.way,
                   most.way, least.shot, most.shot, least.query, most.query);
    if (t->n_source > 0 || t->n_targets > 0)
        return err(ERR_DATA, "task %u of round %u has both classes and batches", t->slot, t->round);
    for (uint32_t k = 0; k < t->way; k++)
        TRY(check_samples(d, t, k));
    return 0;
}

static int episode_check(const struct setup *setup, const struct stage *s, const struct task *t)
{
    if (!mix_has(s, t->data))
        return kind_err_section(t);
    return check(&setup->data[t->data], s, t, s->train_least, s->train);
}

static int evaluation_check(const struct setup *setup, const struct stage *s, const struct task *t)
{
    struct task_size least = s->evaluate_least, most = s->evaluate;

    if (!kind_among(t->data, s->evaluate_data, s->n_evaluate))
        return kind_err_section(t);
    most.query = stage_query(setup, s, (int)t->data);
    least.query = is_capped(s) && !setup->data[t->data].n_grid ? 1 : most.query;
    return check(&setup->data[t->data], s, t, least, most);
}

/* ---- words ---- */

/* "5", or "5 to 20" */
static const char *range_text(uint32_t least, uint32_t most, char text[24])
{
    snprintf(text, 24, least == most ? "%u" : "%u to %u", least, most);
    return text;
}

static void episode_describe(const struct setup *setup, const struct stage *s, char *text, size_t n)
{
    uint32_t tasks = episode_count(s, 0);
    char way[24], shot[24];

    (void)setup;
    snprintf(text, n, ", %s-way %s-shot, %s%u quer%s per class, %u task%s",
             range_text(s->train_least.way, s->train.way, way),
             range_text(s->train_least.shot, s->train.shot, shot), is_capped(s) ? "at most " : "",
             s->train.query, s->train.query == 1 ? "y" : "ies", tasks, plural(tasks));
}

static void evaluation_describe(const struct setup *setup, const struct stage *s, char *text,
                                size_t n)
{
    (void)setup;
    snprintf(text, n, ", %d inner step%s%s", s->evaluate_steps, plural(s->evaluate_steps),
             stage_is_transductive(s)
                 ? ", transductive: a query's prediction depends on the other queries of its task"
                 : "");
}

/* Numbers of a task's rows, from 0; of many the first. */
static void describe_rows(const char *what, const uint32_t *ids, uint32_t n, FILE *to)
{
    fputs(what, to);
    for (uint32_t i = 0; i < n && i < 8; i++)
        fprintf(to, " %u", ids[i]);
    if (n > 8)
        fputs(" ...", to);
}

/* Whether tasks of the stage differ in more than their classes. */
static bool is_ranged(const struct stage *s)
{
    return s->train_least.way < s->train.way || is_capped(s) || s->n_mixed > 1;
}

static void describe_classes(const struct setup *setup, const struct task *t, FILE *to)
{
    if (is_ranged(&setup->stages[t->stage]))
        fprintf(to, " %u-way %u-shot, %u quer%s per class, of '%s':", t->way, t->shot, t->query,
                t->query == 1 ? "y" : "ies", setup->data[t->data].name);
    for (uint32_t k = 0; k < t->way; k++) {
        char name[128];

        data_class_name(&setup->data[t->data], t->classes[k], name, sizeof name);
        fprintf(to, "%s %s", k ? "," : "", name);
        if (t->turns[k])
            fprintf(to, " rotated by %u", 90 * t->turns[k]);
        if (setup->data[t->data].n_target && setup->data[t->data].n_samples) {
            describe_rows(" rows", t->support + k * t->shot, t->shot, to);
            describe_rows(" ->", t->queries + k * t->query, t->query, to);
        }
    }
}

const struct task_kind kind_episode = {
    .name = "episode",
    .purpose = PURPOSE_TRAIN,
    .gives = GIVES_GRADIENT,
    .anchor = true,
    .few_shot = true,
    .tasks = "tasks",
    .file = "task",
    .count = episode_count,
    .plan = episode_plan,
    .fits = episode_fits,
    .size = episode_size,
    .draw = episode_draw,
    .check = episode_check,
    .describe = episode_describe,
    .describe_task = describe_classes,
};

const struct task_kind kind_evaluation_episode = {
    .name = "evaluation episode",
    .purpose = PURPOSE_EVALUATE,
    .gives = GIVES_METRICS,
    .evaluates = true,
    .few_shot = true,
    .tasks = "episodes",
    .file = "episode",
    .unit = "episode",
    .units = "episodes",
    .counted = METRIC_DONE,
    .count = evaluation_count,
    .amount = evaluation_amount,
    .plan = evaluation_plan,
    .fits = evaluation_fits,
    .size = evaluation_size,
    .draw = evaluation_draw,
    .check = evaluation_check,
    .describe = evaluation_describe,
    .describe_task = describe_classes,
};
