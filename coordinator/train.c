/* train.c - rounds, steps, checkpoints, evaluations. */
#include "coordinator/train.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "core/blas.h"
#include "core/checkpoint_files.h"
#include "core/clock.h"
#include "core/err.h"
#include "core/machine.h"

static const struct optim_ops *optim_of(const struct stage *s)
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
    t->state = arena_reals(arena, n * (size_t)optim_of(s)->n_state);
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

static int stage_vectors(struct train *t, const struct stage *s)
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

    progress_say(t->progress, "warning: %s; it is set aside, and the one before it is used",
                 sentence);
}

/* From the very beginning, where no checkpoint is left to go on from. */
static int begin(struct train *t)
{
    if (t->resume) {
        TRY(checkpoint_set_aside(t->directory, NULL));
        TRY(rundir_rewind(t->directory, 0, 0));
        progress_say(t->progress, "no checkpoint to resume from in '%s': starting at round 0",
                     t->directory);
    }
    return stage_vectors(t, &t->setup->stages[0]);
}

/* The stage and round to go on from, with its parameters; stage 0, round 0 where nothing is there. */
static int resume(struct train *t, int *first)
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
    TRY(stage_vectors(t, s));
    TRY(checkpoint_read(path, &s->net.layout, t->theta, optim_of(s), t->state, &info));
    if (info.seed != (uint64_t)t->setup->config->run.seed)
        return err(ERR_CONFIG,
                   "'%s' was trained with seed %" PRIu64 ", the configuration says %" PRId64, path,
                   info.seed, t->setup->config->run.seed);
    if (strcmp(info.blas, blas_kernel()) != 0)
        progress_say(t->progress,
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

static void note_saved(struct train *t)
{
    const struct saved *last = &t->saver.last;
    bool ended = saver_poll(&t->saver);
    char sentence[1024];

    if (ended) {
        struct field fields[] = {
            TEXT("path", last->path),
            INTEGER("stage_index", last->info.stage),
            INTEGER("at_round", last->info.round),
            NUMBER("seconds", last->seconds),
            TEXT("error", last->error),
            {0},
        };

        sink_emit(&t->rundir.metrics, "checkpoint", fields);
        if (last->code >= 0)
            snprintf(t->checkpoint, sizeof t->checkpoint, "%s", last->path);
    }
    if (t->saver.say[0])
        progress_say(t->progress, "%s", t->saver.say);
    if (rundir_news(&t->rundir, sentence, sizeof sentence))
        progress_say(t->progress, "%s", sentence);
}

static int save(struct train *t)
{
    struct checkpoint_info info = {
        .stage = t->stage->index,
        .round = t->round,
        .seed = (uint64_t)t->setup->config->run.seed,
        .hash = t->hash,
        .configuration = t->configuration,
    };

    snprintf(info.stage_name, sizeof info.stage_name, "%s", t->stage->config->name);
    snprintf(info.version, sizeof info.version, "%s", t->version);
    snprintf(info.blas, sizeof info.blas, "%s", blas_kernel());
    machine_cpu(info.cpu, sizeof info.cpu);
    return saver_save(&t->saver, &t->stage->net.layout, t->theta, optim_of(t->stage), t->state,
                      &info);
}

/* Until nothing is being written, or for so long; the workers hear meanwhile that we are here. */
static int wait_disk(struct train *t, double seconds)
{
    double limit = clock_seconds() + seconds;
    int code;

    while ((code = saver_wait(&t->saver, MOMENT)) < 0 && clock_seconds() < limit)
        crew_reassure(t->crew);
    return code;
}

static void let_pass(struct train *t, double seconds)
{
    double limit = clock_seconds() + seconds;

    while (clock_seconds() < limit) {
        crew_reassure(t->crew);
        nanosleep(&(struct timespec){.tv_nsec = (long)(1e9 * MOMENT)}, NULL);
    }
}

static int save_once(struct train *t)
{
    TRY(wait_disk(t, SAVER_PATIENCE));
    note_saved(t);
    TRY(save(t));
    TRY(wait_disk(t, SAVER_PATIENCE));
    note_saved(t);
    return 0;
}

/* The run's last save: tried five times, over five seconds. */
static int save_and_wait(struct train *t)
{
    const struct saved *last = &t->saver.last;

    TRY(save_once(t));
    for (int i = 1; last->code < 0 && i < LAST_ATTEMPTS; i++) {
        let_pass(t, 0.5 * i);
        TRY(save_once(t));
    }
    if (sink_flush(&t->rundir.metrics) < 0)
        progress_say(t->progress, "warning: %s", err_text());
    if (last->code < 0)
        return err(ERR_IO, "%s; tried %d times%s%s%s", last->error, LAST_ATTEMPTS,
                   t->checkpoint[0] ? "; the last checkpoint is '" : "", t->checkpoint,
                   t->checkpoint[0] ? "'" : "");
    return 0;
}

/* A stage's result, while the next one begins: a disk that is stuck holds it up for a moment at most. */
static int save_between(struct train *t)
{
    if (wait_disk(t, STUCK) < 0)
        progress_say(t->progress, "warning: %s; training goes on", err_text());
    note_saved(t);
    return saver_ready(&t->saver, true) ? save(t) : 0;
}

static void emit_round(struct train *t, const struct total *total, double norm, double seconds)
{
    double done = total_sum(total, TALLY_DONE);
    char hash[20];
    struct field fields[] = {
        TEXT("stage", t->stage->config->name),
        INTEGER("stage_index", t->stage->index),
        INTEGER("round", t->round),
        NUMBER("support_loss", total_sum(total, TALLY_SUPPORT_LOSS) / done),
        NUMBER("loss", t->loss),
        NUMBER("accuracy", t->accuracy >= 0 ? t->accuracy : NAN),
        NUMBER("gradient_norm", norm),
        NUMBER("rate", optim_rate(&t->stage->optim, t->round)),
        INTEGER("tasks", done),
        INTEGER("failed", total_sum(total, TALLY_FAILED)),
        NUMBER("seconds", seconds),
        TEXT("digest", hash),
        {0},
    };

    snprintf(hash, sizeof hash, "%016" PRIx64, t->hash);
    sink_emit(&t->rundir.metrics, "round", fields);
}

static void show(struct train *t)
{
    const struct stage_config *c = t->stage->config;
    struct glance g = {c->name,     t->round, (uint64_t)c->rounds, (uint64_t)c->tasks, t->loss,
                       t->accuracy, t->failed};

    progress_show(t->progress, &g);
}

/* The run cannot or shall not go on: the rounds that are done are kept. */
static int give_up(struct train *t, int code)
{
    char why[1024];

    snprintf(why, sizeof why, "%s", err_text());
    if (save_and_wait(t) < 0)
        return err_within(code == ERR_STOPPED ? ERR_IO : code, "%s, but not saved", why);
    return err(code, "%s; round %" PRIu64 " of stage '%s' is saved as '%s', --resume goes on", why,
               t->round, t->stage->config->name, t->checkpoint);
}

/* Keeps what failed, and stops before the step where that is too much. */
static int set_aside(struct train *t, const struct round *r, const struct total *total)
{
    uint64_t failed = (uint64_t)total_sum(total, TALLY_FAILED);
    int code;

    t->failed += (double)failed;
    aside_record(&t->aside, t->crew, r, failed, t->hash);
    code = aside_judge(&t->aside, t->crew, r, failed);
    return code < 0 ? give_up(t, code) : 0;
}

/* The outer step from the round's total. */
static void step(struct train *t, const struct total *total, double *norm)
{
    double done = total_sum(total, TALLY_DONE);

    total_mean_gradient(total, t->grad);
    *norm = optim_apply(&t->stage->optim, &t->stage->net.layout, t->round + 1, t->grad, t->theta,
                        t->state);
    t->round++;
    t->loss = total_sum(total, TALLY_LOSS) / done;
    t->accuracy = t->stage->net.loss->accuracy ? total_sum(total, TALLY_ACCURACY) / done : -1;
    t->hash = layout_hash(&t->stage->net.layout, t->theta, t->scratch);
}

/* What happened to a rank: told, and kept. */
static void on_notice(void *context, const struct notice *n)
{
    struct train *t = context;
    struct field fields[] = {
        TEXT("what", n->kind), INTEGER("rank", n->rank),      TEXT("host", n->host),
        TEXT("text", n->text), INTEGER("in_round", n->round), {0},
    };

    sink_emit(&t->rundir.metrics, "rank", fields);
    progress_say(t->progress, "warning: %s", n->text);
}

/* A round of training is finished after a signal; an evaluation is not, and neither may outlast the time limit. */
static bool is_interrupted(void *context, enum purpose purpose)
{
    const struct train *t = context;

    return (purpose == PURPOSE_EVALUATE && *t->stop) ||
           deadline_before_save(&t->deadline, saver_cost(&t->saver));
}

static int one_round(struct train *t)
{
    const struct stage_config *c = t->stage->config;
    struct round r = {t->stage,     PURPOSE_TRAIN,      t->stage->data,
                      t->round + 1, (uint32_t)c->tasks, t->theta};
    double start = clock_seconds(), norm = 0;
    struct total total;

    TRY(crew_round(t->crew, &r, &total));
    TRY(set_aside(t, &r, &total));
    step(t, &total, &norm);
    deadline_note_round(&t->deadline, clock_seconds() - start);
    emit_round(t, &total, norm, clock_seconds() - start);
    show(t);
    return 0;
}

static void emit_evaluation(struct train *t, const struct evaluation *e, int data)
{
    for (int k = 0; k <= e->steps; k++) {
        struct field fields[] = {
            TEXT("stage", t->stage->config->name),
            INTEGER("stage_index", t->stage->index),
            INTEGER("round", t->round),
            TEXT("data", t->setup->data[data].name),
            INTEGER("step", k),
            INTEGER("episodes", e->episodes),
            INTEGER("failed", e->failed),
            NUMBER("loss", e->loss[k].mean),
            NUMBER("loss_ci95", e->loss[k].ci95),
            NUMBER("accuracy", e->has_accuracy ? e->accuracy[k].mean : NAN),
            NUMBER("accuracy_ci95", e->has_accuracy ? e->accuracy[k].ci95 : NAN),
            {0},
        };

        sink_emit(&t->rundir.metrics, "evaluation", fields);
    }
}

static void say_evaluation(struct train *t, const struct evaluation *e, int data)
{
    const struct estimate *loss = &e->loss[e->steps], *accuracy = &e->accuracy[e->steps];
    char figure[64] = "";

    if (e->has_accuracy)
        snprintf(figure, sizeof figure, "accuracy %.2f +- %.2f %%  ", 100 * accuracy->mean,
                 100 * accuracy->ci95);
    progress_say(t->progress,
                 "%s  round %" PRIu64 "  data '%s'  %sloss %.4f +- %.4f  (%" PRIu64
                 " episodes, %d inner steps)",
                 t->stage->config->name, t->round, t->setup->data[data].name, figure, loss->mean,
                 loss->ci95, e->episodes, e->steps);
}

/* Measures on every data section of evaluate.data, or on the stage's own. t->last is the first one's. */
static int measure(struct train *t)
{
    const struct setup *s = t->setup;
    int own = t->stage->data, n = s->n_evaluate ? s->n_evaluate : 1;

    for (int i = 0; i < n; i++) {
        struct round r = {t->stage,
                          PURPOSE_EVALUATE,
                          s->n_evaluate ? s->evaluate[i] : own,
                          t->round,
                          (uint32_t)s->config->evaluate.episodes,
                          t->theta};
        struct evaluation e = {0};
        int data = r.data, code;

        code = evaluate(t->crew, t->stage, data, t->round, r.n_tasks, t->theta, &e);
        aside_record(&t->aside, t->crew, &r, e.failed, t->hash);
        if (code < 0)
            return code == ERR_NONFINITE ? give_up(t, code) : code;
        emit_evaluation(t, &e, data);
        say_evaluation(t, &e, data);
        if (i == 0)
            t->last = e;
    }
    return 0;
}

static bool due(int64_t every, uint64_t round)
{
    return every > 0 && round % (uint64_t)every == 0;
}

static int check_stop(const struct train *t)
{
    return *t->stop || deadline_before_round(&t->deadline, saver_cost(&t->saver)) ? ERR_STOPPED : 0;
}

static int stage_rounds(struct train *t)
{
    const struct config *c = t->setup->config;
    uint64_t rounds = (uint64_t)t->stage->config->rounds;

    progress_stage(t->progress, t->round);
    while (t->round < rounds) {
        TRY(check_stop(t));
        TRY(one_round(t));
        note_saved(t);
        if (t->round < rounds && saver_ready(&t->saver, due(c->checkpoint.every, t->round)))
            TRY(save(t));
        TRY(check_stop(t));
        if (due(c->evaluate.every, t->round) && t->round < rounds)
            TRY(measure(t));
    }
    return 0;
}

static void emit_start(struct train *t)
{
    const struct net *net = &t->stage->net;
    struct field fields[] = {
        TEXT("stage", t->stage->config->name),    INTEGER("stage_index", t->stage->index),
        INTEGER("from_round", t->round),          INTEGER("rounds", t->stage->config->rounds),
        TEXT("method", t->stage->config->method), INTEGER("parameters", net->layout.n),
        INTEGER("ranks", t->crew->comm->size),    {0},
    };

    sink_emit(&t->rundir.metrics, "stage", fields);
}

static int run_stage(struct train *t)
{
    int code;

    t->hash = layout_hash(&t->stage->net.layout, t->theta, t->scratch);
    emit_start(t);
    code = stage_rounds(t);
    if (code >= 0)
        code = measure(t);
    if (code == ERR_STOPPED)
        err(code, *t->stop ? "stopped by a signal" : "stopped before the time limit");
    if (code == ERR_STOPPED || code == ERR_LOST)
        return give_up(t, code);
    TRY(code);
    return t->stage->index + 1 < t->setup->n_stages ? save_between(t) : save_and_wait(t);
}

static void emit_end(struct train *t)
{
    char hash[20];
    struct field fields[] = {
        TEXT("digest", hash), NUMBER("loss", t->loss), NUMBER("peak_mib", machine_peak_mib()), {0}};

    snprintf(hash, sizeof hash, "%016" PRIx64, t->hash);
    sink_emit(&t->rundir.metrics, "end", fields);
}

/* The reals of the largest stage's theta and optimizer state. */
static size_t snapshot_room(const struct setup *s)
{
    size_t room = 0;

    for (int i = 0; i < s->n_stages; i++) {
        size_t n = s->stages[i].net.layout.n * (size_t)(1 + optim_of(&s->stages[i])->n_state);

        room = n > room ? n : room;
    }
    return room;
}

int train_run(struct train *t)
{
    int first = 0;

    TRY(deadline_open(&t->deadline, t->time_limit));
    t->crew->notify = on_notice;
    t->crew->interrupt = is_interrupted;
    t->crew->context = t;
    TRY(saver_open(&t->saver, t->directory, (int)t->setup->config->checkpoint.keep,
                   snapshot_room(t->setup)));
    t->aside = (struct aside){
        .directory = t->directory,
        .configuration = t->configuration,
        .version = t->version,
        .metrics = &t->rundir.metrics,
        .progress = t->progress,
    };
    aside_open(&t->aside);
    TRY(resume(t, &first));
    for (int i = first; i < t->setup->n_stages; i++) {
        if (i > first)
            TRY(stage_vectors(t, &t->setup->stages[i]));
        TRY(run_stage(t));
    }
    progress_clear(t->progress);
    emit_end(t);
    return sink_flush(&t->rundir.metrics);
}

void train_release(struct train *t)
{
    saver_close(&t->saver);
    aside_release(&t->aside);
    rundir_close(&t->rundir);
    arena_release(&t->arena);
}
