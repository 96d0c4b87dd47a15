/* save.c - checkpoints on the way, between stages and at the end. */
#include "coordinator/run/train_internal.h"

#include <inttypes.h>
#include <stdio.h>
#include <time.h>

#include "core/base/clock.h"
#include "core/base/err.h"
#include "core/base/machine.h"
#include "core/math/blas.h"
#include "core/math/vec.h"

#define STUCK 10.0  /* seconds that the disk may hold up the beginning of a stage */
#define MOMENT 0.02 /* seconds between two looks at the disk at the end */

enum { LAST_ATTEMPTS = 5 };

/* The reals of the largest stage's theta, optimizer state and what it keeps of those before. */
size_t train_snapshot_room(const struct setup *s)
{
    size_t room = 0;

    for (int i = 0; i < s->n_stages; i++) {
        size_t n = s->stages[i].layout.n * (size_t)(1 + train_optim(&s->stages[i])->n_state);

        for (int j = 0; j < i; j++)
            n += s->stages[j].layout.n;
        if (guard_wanted(&s->stages[i]))
            n += s->stages[i].layout.n;
        room = n > room ? n : room;
    }
    return room;
}

void train_note_saved(struct train *t)
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

        sinks_emit(&t->sinks, "checkpoint", fields);
        if (last->code >= 0)
            snprintf(t->checkpoint, sizeof t->checkpoint, "%s", last->path);
    }
    if (t->saver.say[0])
        progress_warn(t->progress, "%s", t->saver.say);
    if (rundir_news(&t->rundir, sentence, sizeof sentence))
        progress_warn(t->progress, "%s", sentence);
}

static void add_kept(struct checkpoint_info *info, const struct stage *s, const char *name,
                     const real *theta)
{
    struct kept *k = &info->kept[info->n_kept++];

    snprintf(k->name, sizeof k->name, "%s", name);
    k->layout = &s->layout;
    k->theta = theta;
}

/* The first segment whose parameters or optimizer state are not finite; NULL: all are. */
static const char *not_finite(const struct train *t)
{
    const struct layout *l = &t->stage->layout;
    int n_state = train_optim(t->stage)->n_state;

    if (vec_finite(l->n, t->theta) && vec_finite((size_t)n_state * l->n, t->state))
        return NULL;
    for (int i = 0; i < l->n_segments; i++) {
        const struct segment *s = &l->segments[i];
        bool finite = vec_finite(s->n, t->theta + s->offset);

        for (int k = 0; k < n_state; k++)
            finite &= vec_finite(s->n, t->state + (size_t)k * l->n + s->offset);
        if (!finite)
            return s->name;
    }
    return NULL;
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

int train_check_finite(struct train *t)
{
    const char *name = not_finite(t);

    if (!name)
        return 0;
    wait_disk(t, SAVER_PATIENCE); /* what is being written is still good: it is the last */
    train_note_saved(t);
    return err(
        ERR_NONFINITE,
        "after round %" PRIu64
        " of stage '%s' '%s' is not finite: nothing of it is saved; %s%s%s; try a lower rate",
        t->round, t->stage->config->name, name,
        t->checkpoint[0] ? "the last checkpoint is '" : "there is no checkpoint", t->checkpoint,
        t->checkpoint[0] ? "'" : "");
}

int train_save(struct train *t)
{
    struct checkpoint_info info = {
        .run = t->rundir.run,
        .stage = t->stage->index,
        .round = t->round,
        .seed = (uint64_t)t->setup->config->run.seed,
        .hash = t->hash,
        .configuration = t->configuration,
    };

    TRY(train_check_finite(t));
    snprintf(info.stage_name, sizeof info.stage_name, "%s", t->stage->config->name);
    snprintf(info.version, sizeof info.version, "%s", t->version);
    snprintf(info.blas, sizeof info.blas, "%s", blas_kernel());
    machine_cpu(info.cpu, sizeof info.cpu);
    for (int j = 0; j < t->stage->index; j++) {
        char name[KEPT_NAME];

        snprintf(name, sizeof name, "%02d", j);
        if (t->kept[j])
            add_kept(&info, &t->setup->stages[j], name, t->kept[j]);
    }
    if (t->guard.active)
        add_kept(&info, t->stage, "best", t->guard.best);
    return saver_save(&t->saver, &t->stage->layout, t->theta, train_optim(t->stage), t->state,
                      &info);
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
    train_note_saved(t);
    TRY(train_save(t));
    TRY(wait_disk(t, SAVER_PATIENCE));
    train_note_saved(t);
    return 0;
}

/* The run's last save: tried five times, over five seconds. */
int train_save_and_wait(struct train *t)
{
    const struct saved *last = &t->saver.last;

    TRY(save_once(t));
    for (int i = 1; last->code < 0 && i < LAST_ATTEMPTS; i++) {
        let_pass(t, 0.5 * i);
        TRY(save_once(t));
    }
    if (sink_flush(&t->rundir.metrics) < 0)
        progress_warn(t->progress, "warning: %s", err_text());
    if (last->code < 0)
        return err(ERR_IO, "%s; tried %d times%s%s%s", last->error, LAST_ATTEMPTS,
                   t->checkpoint[0] ? "; the last checkpoint is '" : "", t->checkpoint,
                   t->checkpoint[0] ? "'" : "");
    return 0;
}

/* A stage's result, while the next one begins: a disk that is stuck holds it up for a moment at most. */
int train_save_between(struct train *t)
{
    if (wait_disk(t, STUCK) < 0)
        progress_warn(t->progress, "warning: %s; training goes on", err_text());
    train_note_saved(t);
    return saver_ready(&t->saver, true) ? train_save(t) : 0;
}

/* The run cannot or shall not go on: the rounds that are done are kept. */
int train_give_up(struct train *t, int code)
{
    char why[1024];

    snprintf(why, sizeof why, "%s", err_text());
    if (t->homeless)
        return code;
    if (train_save_and_wait(t) < 0)
        return err_within(code == ERR_STOPPED ? ERR_IO : code, "%s, but not saved", why);
    return err(code, "%s; round %" PRIu64 " of stage '%s' is saved as '%s', --resume goes on", why,
               t->round, t->stage->config->name, t->checkpoint);
}
