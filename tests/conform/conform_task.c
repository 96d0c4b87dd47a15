/* conform_task.c - every kind of task keeps the contracts of core/plan/task_kind.h and
 * worker/task_work.h, and wrong ones are rejected: one that draws by a shared cursor, one whose
 * size is too small, one that accepts ids beyond the section, one that reads half of its
 * samples, one whose run leaves something behind, one that does not tell what it holds. */
#include "tests/lib/class_images.h"
#include "tests/lib/kinds_broken.h"

#include <xxhash.h>

#include "core/plan/sampler.h"
#include "proto/wire.h"
#include "worker/engine.h"
#include "worker/method/table.h"
#include "worker/task_work.h"

enum { ROOM = 512, GUARD = 0x5eed5eed, ASKED = 4 };

#define SET(name)                                                                                  \
    "data " name " { format = \"npy\" path = \"" name ".npy\" labels = \"" name "-y.npy\" }\n"
#define ADAPTS "batch = 4 target_batch = 3 discriminator = {\"4\"} rounds = 99 }\n"

/* Between them the stages have every kind; `both` has four. */
static const char text[] = SET("a") SET("b") SET(
    "c") "model { type = \"mlp\" widths = {\"4\"} }\n"
         "evaluate { batch = 4 query = 3 }\n"
         "stage first { method = \"pretrain\" data = \"a\" batch = 4 tasks = 2 }\n"
         "stage both { method = \"joint\" data = \"a\" target = {\"b\"} way = 3 shot = 1 query = 2 "
         "inner_steps = 2 tasks = 2 batches = 3 start = \"first\" anchor = \"first\" " ADAPTS
         "stage mixed { method = \"maml\" data = {\"a\", \"c\"} way = 2 way_max = 3 shot = 1 "
         "shot_max = 2 query = 2 tasks = 4 start = \"first\" }\n"
         "stage apart { method = \"adda\" data = \"a\" target = {\"b\", \"c\"} steps = 3 "
         "start = \"first\" anchor = \"first\" " ADAPTS;

struct list_room { /* a task's lists, each with a guard behind what `size` says */
    uint32_t ids[6][ROOM];
    size_t n[6];
};

struct scene {
    struct config config;
    struct setup setup;
    const struct stage *stage; /* at hand */
    int data;                  /* the section that its kind is drawn from */
    struct engine engine;
    real *theta, *anchor, *state; /* owned; the first is the start of a state */
    real *gradient;               /* owned (P of a model) */
    struct list_room one_room, two_room;
    struct task one, two;
};

static struct scene *scene_open(void)
{
    struct scene *s = calloc(1, sizeof *s);

    assert_non_null(s);
    put_images("a", 21);
    put_images("b", 13);
    put_images("c", 17);
    if (config_parse(&s->config, text, "text", NULL, 0, stage_owner) ||
        setup_open(&s->setup, &s->config, root, method_traits_of) ||
        engine_open(&s->engine, &s->setup))
        fail_msg("%s", err_text());
    return s;
}

static void scene_leave(struct scene *s)
{
    free(s->theta);
    free(s->state);
    free(s->anchor);
    free(s->gradient);
    s->theta = s->state = s->anchor = s->gradient = NULL;
}

static void scene_close(struct scene *s)
{
    scene_leave(s);
    engine_close(&s->engine);
    setup_close(&s->setup);
    config_release(&s->config);
    free(s);
}

/* The stage at hand is `stage`, with parameters, for tasks of that kind. */
static void scene_enter(struct scene *s, const struct stage *stage, const struct task_kind *kind)
{
    size_t n = task_state_size(stage) ? task_state_size(stage) : stage->model.n;

    scene_leave(s);
    s->stage = stage;
    s->data = kind->purpose == PURPOSE_WATCH ? stage->target[0] : stage->data;
    if (kind->amount)
        s->data = stage->evaluate_data[0];
    s->theta = calloc(n, sizeof(real));
    s->state = calloc(n, sizeof(real));
    s->gradient = calloc(stage->model.n, sizeof(real));
    assert_true(s->theta && s->state && s->gradient);
    layout_init(&stage->model, 1, (uint32_t)stage->index, s->theta);
    if (stage->anchor < 0)
        return;
    s->anchor = calloc(s->setup.stages[stage->anchor].layout.n, sizeof(real));
    assert_non_null(s->anchor);
    layout_init(&s->setup.stages[stage->anchor].layout, 1, 0, s->anchor);
}

static uint32_t amount_of(const struct scene *s, const struct task_kind *kind)
{
    return kind->amount ? kind->amount(&s->setup, s->stage, s->data, ASKED) : ASKED;
}

/* ---- drawing ---- */

/* A task that has room for exactly `size`, with guards behind. */
static void make_room(struct task *t, struct list_room *r, struct task_size size)
{
    size_t n[6] = {
        size.way,    size.way,    (size_t)size.way * size.shot, (size_t)size.way * size.query,
        size.source, size.targets};
    uint32_t **lists[6] = {&t->classes, &t->turns,  &t->support,
                           &t->queries, &t->source, &t->targets};

    *t = (struct task){0};
    for (int i = 0; i < 6; i++) {
        assert_true(n[i] < ROOM);
        r->n[i] = n[i];
        for (size_t k = 0; k < ROOM; k++)
            r->ids[i][k] = GUARD;
        *lists[i] = r->ids[i];
    }
}

static bool guards_stand(const struct list_room *r)
{
    for (int i = 0; i < 6; i++)
        for (size_t k = r->n[i]; k < ROOM; k++)
            if (r->ids[i][k] != GUARD)
                return false;
    return true;
}

/* The nth task of its kind in a round; false: it does not keep to `size`. */
static bool draw(struct scene *s, const struct task_kind *kind, uint32_t round, uint32_t nth,
                 struct task *t, struct list_room *r)
{
    struct sampler sampler = {&s->setup,     s->stage, s->data,
                              kind->purpose, round,    amount_of(s, kind)};
    uint32_t episodes = kind_episode.count(s->stage, 0); /* their slots come first */

    make_room(t, r, kind->size(&sampler));
    t->stage = (uint32_t)s->stage->index, t->data = (uint32_t)s->data, t->round = round;
    t->slot = nth + (kind->purpose == PURPOSE_TRAIN && !kind->few_shot ? episodes : 0);
    t->seed = (uint64_t)s->config.run.seed;
    kind->draw(&sampler, nth, t);
    return guards_stand(r);
}

static bool same_ids(const uint32_t *a, const uint32_t *b, size_t n)
{
    return n == 0 || memcmp(a, b, n * sizeof *a) == 0;
}

static bool same_task(const struct task *a, const struct task *b)
{
    return a->stage == b->stage && a->data == b->data && a->round == b->round &&
           a->slot == b->slot && a->seed == b->seed && a->way == b->way && a->shot == b->shot &&
           a->query == b->query && a->target == b->target && a->n_source == b->n_source &&
           a->n_targets == b->n_targets && same_ids(a->classes, b->classes, a->way) &&
           same_ids(a->turns, b->turns, a->way) &&
           same_ids(a->support, b->support, (size_t)a->way * a->shot) &&
           same_ids(a->queries, b->queries, (size_t)a->way * a->query) &&
           same_ids(a->source, b->source, a->n_source) &&
           same_ids(a->targets, b->targets, a->n_targets);
}

static bool same_lists(const struct task *a, const struct task *b)
{
    struct task c = *b;

    c.slot = a->slot, c.round = a->round, c.target = a->target;
    return same_task(a, &c);
}

static uint32_t first_round(const struct task_kind *kind)
{
    return kind->gives == GIVES_METRICS ? 0 : 1;
}

/* Drawn tasks keep to their size, pass the kind's own check, and follow from seed, round and
 * slot alone. */
static const char *draws_are_right(struct scene *s, const struct task_kind *kind)
{
    uint32_t n = kind->count(s->stage, amount_of(s, kind)), first = first_round(kind);

    for (uint32_t i = 0; i < n * (first ? 3 : 1); i++) {
        uint32_t round = first + i / n, nth = i % n;

        if (!draw(s, kind, round, nth, &s->one, &s->one_room))
            return "writes beyond its size";
        if (task_check(&s->setup, s->stage, kind, &s->one) < 0)
            return "does not pass its own check";
        draw(s, kind, round, (nth + 1) % n, &s->two, &s->two_room);
        if (n > 1 && same_lists(&s->one, &s->two))
            return "draws the same in two slots";
        draw(s, kind, round, nth, &s->two, &s->two_room);
        if (!same_task(&s->one, &s->two))
            return "depends on what was drawn before";
    }
    return NULL;
}

/* ---- checking ---- */

/* Whether the task is refused with *field at `value`; it is put back. */
static bool refuses(const struct scene *s, const struct task_kind *kind, uint32_t *field,
                    uint32_t value)
{
    uint32_t before = *field;
    int code;

    *field = value;
    code = task_check(&s->setup, s->stage, kind, &s->one);
    *field = before;
    return code == ERR_DATA;
}

static const char *check_is_strict(struct scene *s, const struct task_kind *kind)
{
    struct task *t = &s->one;
    uint32_t *lists[] = {t->support, t->queries, t->source, t->targets};
    uint32_t n[] = {t->way * t->shot, t->way * t->query, t->n_source, t->n_targets};

    for (int i = 0; i < 4; i++)
        for (uint32_t k = 0; k < n[i]; k += n[i] - 1 ? n[i] - 1 : 1)
            if (!refuses(s, kind, &lists[i][k], s->setup.data[0].n_samples))
                return "accepts a sample beyond the section";
    if (t->way > 0 && !refuses(s, kind, &t->classes[t->way - 1], 3))
        return "accepts a class beyond the section";
    if (!refuses(s, kind, &t->data, 99) || !refuses(s, kind, &t->stage, 99))
        return "accepts a section or stage that is not there";
    if (t->n_targets > 0 && !refuses(s, kind, &t->target, t->data))
        return "accepts a target that is none";
    if (!refuses(s, kind, &t->way, t->way + 1) || !refuses(s, kind, &t->n_source, ROOM))
        return "accepts another size";
    return NULL;
}

/* A task is accepted only by its own kind. */
static const char *others_refuse(struct scene *s, const struct task_kind *kind)
{
    for (int i = 0; task_kinds[i]; i++)
        if (strcmp(task_kinds[i]->name, kind->name) != 0 &&
            task_check(&s->setup, s->stage, task_kinds[i], &s->one) != ERR_DATA)
            return "is accepted by another kind";
    return NULL;
}

/* ---- the wire ---- */

static int compare(void *context, const struct task *t)
{
    return same_task(context, t) ? 1 : ERR_FAILED;
}

static const char *survives_the_wire(struct scene *s, const struct task_kind *kind)
{
    struct buffer out = {0};
    int code;

    (void)kind;
    assert_int_equal(wire_pack_task(&s->one, "any", &out), 0);
    code = wire_unpack_task(out.bytes, out.n, compare, &s->one);
    buffer_release(&out);
    return code < 0 ? "is another after the wire" : NULL;
}

/* ---- work ---- */

static const struct batch *batch_called(const struct episode *e, const char *name)
{
    return strcmp(name, "support") == 0   ? &e->support
           : strcmp(name, "queries") == 0 ? &e->query
           : strcmp(name, "source") == 0  ? &e->source
           : strcmp(name, "targets") == 0 ? &e->target
                                          : NULL;
}

/* Every list of samples is read, with labels but for the target's; of a state the first of its
 * steps. */
static const char *reads_its_lists(struct scene *s, const struct task_work *work)
{
    struct task_list lists[TASK_LISTS];
    int n = task_lists(&s->one, lists), steps = 1;
    struct episode *e = &s->engine.episode;

    if (work->kind->gives == GIVES_STATE)
        steps = (int)s->stage->steps;
    e->support.n = e->query.n = e->source.n = e->target.n = -1;
    if (work->read(&s->engine, &s->one) < 0)
        return "cannot be read";
    for (int i = 0; i < n; i++) {
        const struct batch *b = batch_called(e, lists[i].name);

        if (!b)
            continue;
        if (b->n != (int)lists[i].n / steps)
            return "reads another number of samples";
        if ((b->label != NULL) != (strcmp(lists[i].name, "targets") != 0))
            return "has labels where there are none, or none";
    }
    return NULL;
}

/* What a task leaves, as hashes: metrics, and the gradient or the state. */
struct result {
    uint64_t metrics, n_measured; /* how many metrics are not 0 */
    uint64_t hash;
};

static uint64_t measured(const struct task_metrics *m)
{
    uint64_t n = 0;

    for (int i = 0; i < m->n; i++)
        n += m->v[i] != 0;
    return n;
}

static int compute(struct scene *s, const struct task_work *work, const struct task *t,
                   struct result *out)
{
    bool state = work->kind->gives == GIVES_STATE;
    struct engine *e = &s->engine;
    size_t n = state ? task_state_size(s->stage) : s->stage->model.n;

    memcpy(s->state, s->theta, n * sizeof(real));
    task_metrics_clear(&e->metrics);
    TRY(work->read(e, t));
    TRY(work->run(e, t, state ? NULL : s->theta, state ? s->state : NULL));
    out->metrics = XXH64(e->metrics.v, (size_t)e->metrics.n * sizeof(double), 0);
    out->n_measured = measured(&e->metrics);
    out->hash = work->kind->gives == GIVES_METRICS
                    ? 0
                    : XXH64(state ? s->state : e->gradient, n * sizeof(real), 0);
    return 0;
}

static bool same_result(const struct result *a, const struct result *b)
{
    return memcmp(a, b, sizeof *a) == 0;
}

/* To the same bits again, alone and behind another task, and what it gives is not nothing. */
static const char *runs_are_equal(struct scene *s, const struct task_work *work)
{
    struct result first, again, between;
    uint64_t theta = XXH64(s->theta, s->stage->model.n * sizeof(real), 0);

    draw(s, work->kind, s->one.round, 1, &s->two, &s->two_room);
    if (compute(s, work, &s->one, &first) < 0 || compute(s, work, &s->one, &again) < 0 ||
        compute(s, work, &s->two, &between) < 0)
        return "cannot be run";
    if (!same_result(&first, &again))
        return "is another result when it runs again";
    if (same_result(&first, &between))
        return "has the result of another task";
    if (compute(s, work, &s->one, &again) < 0 || !same_result(&first, &again))
        return "is another result behind another task";
    if (first.n_measured == 0)
        return "measures nothing";
    return theta == XXH64(s->theta, s->stage->model.n * sizeof(real), 0) ? NULL
                                                                         : "changes the parameters";
}

/* ---- words ---- */

static const char *describes(struct scene *s, const struct task_kind *kind)
{
    char words[200], few[8];

    memset(few, 'x', sizeof few);
    kind->describe(&s->setup, s->stage, words, sizeof words);
    kind->describe(&s->setup, s->stage, few, sizeof few - 1);
    if (strncmp(words, ", ", 2) != 0 || strlen(words) < 8 || strlen(words) + 1 >= sizeof words)
        return "has no words";
    if (few[sizeof few - 2] != '\0' || few[sizeof few - 1] != 'x' || strncmp(few, words, 6) != 0)
        return "writes words beyond their room";
    if (!*kind->name || !*kind->tasks || !*kind->file ||
        (kind->amount && (!kind->unit || !kind->units)))
        return "has no name";
    return NULL;
}

/* What describe_task writes; the caller frees it. */
static char *words_of(struct scene *s, const struct task_kind *kind)
{
    char *words = NULL;
    size_t n;
    FILE *to = open_memstream(&words, &n);

    assert_non_null(to);
    kind->describe_task(&s->setup, &s->one, to);
    assert_int_equal(fclose(to), 0);
    return words;
}

/* Whether the words has this section's name and number of samples, the first of them behind it. */
static bool tells_samples(const char *words, const struct data *d, const uint32_t *ids, uint32_t n)
{
    char part[128];

    snprintf(part, sizeof part, " %u of '%s': %u", n, d->name, ids[0]);
    return n == 0 || strstr(words, part);
}

static bool tells_classes(const char *words, const struct data *d, const struct task *t)
{
    char name[128];

    for (uint32_t k = 0; k < t->way; k++) {
        data_class_name(d, t->classes[k], name, sizeof name);
        if (!strstr(words, name))
            return false;
    }
    return true;
}

static const char *describes_its_task(struct scene *s, const struct task_kind *kind)
{
    const struct data *data = s->setup.data;
    const struct task *t = &s->one;
    char *words = words_of(s, kind);
    bool told = tells_classes(words, &data[t->data], t) &&
                tells_samples(words, &data[t->data], t->source, t->n_source) &&
                tells_samples(words, &data[t->target], t->targets, t->n_targets);
    bool line = words[0] == ' ' && !strchr(words, '\n');

    free(words);
    return !told ? "does not tell what it holds" : !line ? "is not told in a line" : NULL;
}

/* ---- one suite ---- */

/* The first rule that the kind breaks on the stage at hand, or NULL. */
static const char *broken(struct scene *s, const struct task_kind *kind,
                          const struct task_work *work)
{
    const char *(*const of_kind[])(struct scene *, const struct task_kind *) = {
        draws_are_right,   check_is_strict, others_refuse,
        survives_the_wire, describes,       describes_its_task};
    const char *(*const of_work[])(struct scene *, const struct task_work *) = {reads_its_lists,
                                                                                runs_are_equal};
    const char *rule = NULL;

    for (size_t i = 0; i < sizeof of_kind / sizeof *of_kind && !rule; i++) {
        if (i > 0)
            draw(s, kind, first_round(kind), 0, &s->one, &s->one_room);
        rule = of_kind[i](s, kind);
    }
    engine_begin(&s->engine, s->stage, kind->purpose, s->anchor);
    for (size_t i = 0; i < sizeof of_work / sizeof *of_work && !rule; i++)
        rule = of_work[i](s, work);
    return rule;
}

/* Every kind, on every stage that has it; and some stage has it. */
static void every_kind(void **state)
{
    struct scene *s = scene_open();

    (void)state;
    for (int k = 0; task_kinds[k]; k++) {
        const struct task_kind *kind = task_kinds[k];
        int n = 0;

        for (int i = 0; i < s->setup.n_stages; i++) {
            const char *rule;

            if (kind->count(&s->setup.stages[i], ASKED) == 0)
                continue;
            scene_enter(s, &s->setup.stages[i], kind);
            rule = broken(s, kind, task_work_of(kind));
            if (rule)
                fail_msg("kind '%s', stage '%s': a task %s (%s)", kind->name,
                         s->stage->config->name, rule, err_text());
            n++;
        }
        if (n == 0)
            fail_msg("no stage of this test has tasks of kind '%s'", kind->name);
    }
    scene_close(s);
}

/* A slot is of one kind; slot 0 answers for its round; every kind has its work and a name of its
 * own. */
static void the_table(void **state)
{
    struct scene *s = scene_open();

    (void)state;
    for (int k = 0; task_kinds[k]; k++) {
        assert_non_null(task_work_of(task_kinds[k]));
        assert_ptr_equal(task_work_of(task_kinds[k])->kind, task_kinds[k]);
        for (int i = 0; i < k; i++)
            assert_string_not_equal(task_kinds[i]->name, task_kinds[k]->name);
    }
    for (int i = 0; i < s->setup.n_stages; i++) {
        const struct stage *stage = &s->setup.stages[i];
        const struct task_kind *round = task_kind_of_round(stage, PURPOSE_TRAIN);

        for (uint32_t slot = 0; slot < stage->n_tasks; slot++) {
            const struct task_kind *kind = task_kind_at(stage, PURPOSE_TRAIN, slot);

            assert_non_null(kind);
            assert_true(kind->gives == round->gives && kind->anchor == round->anchor);
            assert_string_equal(kind->file, round->file);
            assert_in_range(slot, task_kind_first(stage, kind),
                            task_kind_first(stage, kind) + kind->count(stage, 0) - 1);
        }
        assert_null(task_kind_at(stage, PURPOSE_TRAIN, stage->n_tasks));
        assert_ptr_equal(task_kind_of_round(stage, PURPOSE_EVALUATE), stage->measured);
    }
    scene_close(s);
}

/* Few-shot tasks and models of several targets cannot share a round: they give different things. */
static void one_target_beside_episodes(void **state)
{
    const char *one = strstr(text, "target = {\"b\"}") + strlen("target = {\"b\"");
    char two[sizeof text + 8];
    struct config config;
    struct setup setup;

    (void)state;
    snprintf(two, sizeof two, "%.*s, \"c\"%s", (int)(one - text), text, one);
    assert_int_equal(config_parse(&config, two, "text", NULL, 0, stage_owner), 0);
    assert_int_equal(setup_open(&setup, &config, root, method_traits_of), ERR_CONFIG);
    assert_non_null(strstr(err_text(), "adapts to one target, 2 are named"));
    config_release(&config);
}

/* ---- wrong ones ---- */

/* Nothing is wrong with the kind that they are made from; each is rejected for what is wrong
 * with it. */
static void wrong_ones(void **state)
{
    struct scene *s = scene_open();
    struct task_kind by_cursor = kind_batch, small = kind_batch, lenient = kind_batch;
    struct task_kind silent = kind_batch;
    struct task_work half = work_batch, untidy = work_batch;

    (void)state;
    by_cursor.draw = draws_by_a_cursor;
    small.size = size_too_small;
    lenient.check = accepts_any_id;
    silent.describe_task = tells_little;
    half.read = reads_half;
    untidy.run = leaves_something;
    scene_enter(s, &s->setup.stages[1], &kind_batch);
    assert_null(broken(s, &kind_batch, &work_batch));
    assert_string_equal(broken(s, &by_cursor, &work_batch), "depends on what was drawn before");
    assert_string_equal(broken(s, &small, &work_batch), "writes beyond its size");
    assert_string_equal(broken(s, &lenient, &work_batch), "accepts a sample beyond the section");
    assert_string_equal(broken(s, &silent, &work_batch), "does not tell what it holds");
    assert_string_equal(broken(s, &kind_batch, &half), "reads another number of samples");
    assert_string_equal(broken(s, &kind_batch, &untidy), "is another result when it runs again");
    scene_close(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_table),
        cmocka_unit_test(every_kind),
        cmocka_unit_test(one_target_beside_episodes),
        cmocka_unit_test(wrong_ones),
    };

    return cmocka_run_group_tests_name("task", tests, root_make, root_remove);
}
