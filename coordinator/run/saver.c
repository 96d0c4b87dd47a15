/* saver.c - copies the state, writes it and prunes old files, in a thread. A failed write is tried
 * again. */
#include "coordinator/run/saver.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "core/base/clock.h"
#include "core/base/err.h"
#include "core/base/plural.h"
#include "core/file/checkpoint_files.h"

#define DELAY_FIRST 1.0 /* seconds */
#define DELAY_MOST 60.0

/* Borrows nothing: the thread may outlive a coordinator that could not wait. */
struct writer {
    pthread_t thread;
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    bool busy, fresh, ending, left; /* fresh: a result that has not been read yet */
    double started;                 /* clock of the write in progress */
    char directory[1024];
    int keep;
    struct checkpoint_key first; /* the first that this run has written; stage < 0: none */
    struct layout layout, kept_layouts[KEPT_MAX]; /* owned copies */
    const struct optim_ops *ops;
    size_t room;
    real *theta, *state; /* owned: the snapshot, state behind theta, what is kept behind that */
    char *configuration, *data; /* owned */
    struct saved attempt;       /* in progress while busy, else the last */
};

static void writer_free(struct writer *w)
{
    pthread_cond_destroy(&w->changed);
    pthread_mutex_destroy(&w->mutex);
    free(w->theta);
    layout_release(&w->layout);
    for (int i = 0; i < KEPT_MAX; i++)
        layout_release(&w->kept_layouts[i]);
    free(w->configuration);
    free(w->data);
    free(w);
}

static void prune(struct writer *w)
{
    struct saved *a = &w->attempt;
    struct checkpoint_key last = {a->info.stage, a->info.round};

    if (w->first.stage < 0)
        w->first = last;
    if (checkpoint_prune(w->directory, &a->info.run, w->keep, &w->first, &last) < 0)
        snprintf(a->unpruned, sizeof a->unpruned, "%s", err_text());
}

static void attempt(struct writer *w)
{
    struct saved *a = &w->attempt;

    a->unpruned[0] = a->error[0] = '\0';
    a->code = checkpoint_write(a->path, &w->layout, w->theta, w->ops, w->state, &a->info);
    if (a->code < 0)
        snprintf(a->error, sizeof a->error, "%s", err_text());
    else
        prune(w);
    a->seconds = clock_seconds() - w->started;
}

static void *writer_thread(void *argument)
{
    struct writer *w = argument;
    bool left;

    pthread_mutex_lock(&w->mutex);
    for (;;) {
        while (!w->busy && !w->ending)
            pthread_cond_wait(&w->changed, &w->mutex);
        if (!w->busy)
            break;
        pthread_mutex_unlock(&w->mutex);
        attempt(w);
        pthread_mutex_lock(&w->mutex);
        w->busy = false;
        w->fresh = true;
        pthread_cond_broadcast(&w->changed);
    }
    left = w->left;
    pthread_mutex_unlock(&w->mutex);
    if (left)
        writer_free(w);
    return NULL;
}

static void writer_init(struct writer *w)
{
    pthread_condattr_t monotonic;

    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_mutex_init(&w->mutex, NULL);
    pthread_cond_init(&w->changed, &monotonic);
    pthread_condattr_destroy(&monotonic);
}

/* The thread blocks the program's signals. */
static int writer_start(struct writer *w)
{
    sigset_t all, before;
    int error;

    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, &before);
    error = pthread_create(&w->thread, NULL, writer_thread, w);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return error ? err(ERR_FAILED, "cannot start the thread that writes checkpoints: %s",
                       strerror(error))
                 : 0;
}

int saver_open(struct saver *s, const char *directory, int keep, size_t room)
{
    struct writer *w = calloc(1, sizeof *w);
    int code;

    *s = (struct saver){.patience = SAVER_PATIENCE};
    if (!w)
        return err(ERR_MEMORY, "no memory to save checkpoints");
    writer_init(w);
    snprintf(w->directory, sizeof w->directory, "%s", directory);
    w->keep = keep;
    w->room = room;
    w->first.stage = -1;
    w->theta = malloc(room * sizeof *w->theta);
    code = w->theta ? writer_start(w)
                    : err(ERR_MEMORY, "no memory for a copy of %zu parameters", room);
    if (code < 0)
        writer_free(w);
    else
        s->writer = w;
    return code;
}

/* Called with the mutex held. */
static bool wait_idle(struct writer *w, double seconds)
{
    double limit = clock_seconds() + seconds;
    struct timespec until = {(time_t)limit, (long)(1e9 * (limit - (double)(time_t)limit))};

    while (w->busy)
        if (pthread_cond_timedwait(&w->changed, &w->mutex, &until) == ETIMEDOUT)
            break;
    return !w->busy;
}

void saver_close(struct saver *s)
{
    struct writer *w = s->writer;

    if (!w)
        return;
    pthread_mutex_lock(&w->mutex);
    w->left = !wait_idle(w, s->patience - (clock_seconds() - w->started));
    w->ending = true;
    pthread_cond_broadcast(&w->changed);
    if (w->left) {
        pthread_detach(w->thread);
        pthread_mutex_unlock(&w->mutex);
    } else {
        pthread_mutex_unlock(&w->mutex);
        pthread_join(w->thread, NULL);
        writer_free(w);
    }
    *s = (struct saver){0};
}

/* Also waits for saver_poll to report the last result. */
static bool is_busy(struct writer *w)
{
    bool busy;

    pthread_mutex_lock(&w->mutex);
    busy = w->busy || w->fresh;
    pthread_mutex_unlock(&w->mutex);
    return busy;
}

bool saver_ready(struct saver *s, bool due)
{
    s->owed |= due;
    return s->owed && clock_seconds() >= s->again && !is_busy(s->writer);
}

/* The texts do not change during a run, so each is copied once. */
static int keep_text(char **kept, const char *text)
{
    if (!text || (*kept && strcmp(*kept, text) == 0))
        return 0;
    free(*kept);
    *kept = strdup(text);
    return *kept ? 0 : err(ERR_MEMORY, "no memory for a text of the checkpoint");
}

static int copy_layout(struct layout *to, const struct layout *from)
{
    layout_release(to);
    return layout_append(to, "", from);
}

/* Copies the parameters of other stages that the checkpoint keeps, behind the state. */
static int snapshot_kept(struct writer *w, real *room)
{
    struct checkpoint_info *info = &w->attempt.info;

    for (int i = 0; i < info->n_kept; i++) {
        struct kept *k = &info->kept[i];

        assert(room + k->layout->n <= w->theta + w->room);
        memcpy(room, k->theta, k->layout->n * sizeof *room);
        TRY(copy_layout(&w->kept_layouts[i], k->layout));
        k->layout = &w->kept_layouts[i];
        k->theta = room;
        room += k->layout->n;
    }
    return 0;
}

static int snapshot(struct writer *w, const struct layout *l, const real *theta,
                    const struct optim_ops *ops, const real *state,
                    const struct checkpoint_info *info)
{
    size_t n_state = (size_t)ops->n_state * l->n;
    struct saved *a = &w->attempt;

    assert(l->n + n_state <= w->room);
    TRY(keep_text(&w->configuration, info->configuration));
    TRY(keep_text(&w->data, info->data));
    memcpy(w->theta, theta, l->n * sizeof *theta);
    w->state = w->theta + l->n;
    if (n_state)
        memcpy(w->state, state, n_state * sizeof *state);
    TRY(copy_layout(&w->layout, l));
    w->ops = ops;
    a->info = *info;
    a->info.configuration = w->configuration;
    a->info.data = w->data;
    TRY(snapshot_kept(w, w->state + n_state));
    checkpoint_path(w->directory, info->stage, info->round, a->path, sizeof a->path);
    return 0;
}

int saver_save(struct saver *s, const struct layout *l, const real *theta,
               const struct optim_ops *ops, const real *state, const struct checkpoint_info *info)
{
    struct writer *w = s->writer;

    s->owed = true;
    if (is_busy(w))
        return 0;
    TRY(snapshot(w, l, theta, ops, state, info));
    pthread_mutex_lock(&w->mutex);
    w->started = clock_seconds();
    w->busy = true;
    pthread_cond_broadcast(&w->changed);
    pthread_mutex_unlock(&w->mutex);
    s->owed = false;
    return 0;
}

/* Evaluates s->last for the next attempt and for the user. */
static void conclude(struct saver *s)
{
    const struct saved *a = &s->last;

    s->recent[s->n_recent++ % SAVER_RECENT] = a->seconds;
    if (a->code < 0) {
        s->owed = true;
        s->delay = s->n_failed == 0 ? DELAY_FIRST : 2 * s->delay;
        if (s->delay > DELAY_MOST)
            s->delay = DELAY_MOST;
        s->again = clock_seconds() + s->delay;
        if (s->n_failed++ == 0)
            snprintf(s->say, sizeof s->say,
                     "warning: %s; training goes on, and the checkpoint is tried again", a->error);
        return;
    }
    if (s->n_failed > 0 || s->stalled)
        snprintf(s->say, sizeof s->say,
                 "checkpoints are written again: '%s' took %.1f s, after %d failure%s", a->path,
                 a->seconds, s->n_failed, plural(s->n_failed));
    else if (a->unpruned[0] && !s->unpruned)
        snprintf(s->say, sizeof s->say, "warning: %s", a->unpruned);
    s->n_failed = 0;
    s->again = 0;
    s->unpruned = a->unpruned[0] != '\0';
}

bool saver_poll(struct saver *s)
{
    struct writer *w = s->writer;
    double busy_for = 0;
    bool ended;

    s->say[0] = '\0';
    pthread_mutex_lock(&w->mutex);
    ended = w->fresh;
    w->fresh = false;
    if (ended)
        s->last = w->attempt;
    if (w->busy)
        busy_for = clock_seconds() - w->started;
    pthread_mutex_unlock(&w->mutex);
    if (ended) {
        conclude(s);
        s->stalled = false;
    } else if (busy_for > SAVER_STALLED && !s->stalled) {
        s->stalled = true;
        snprintf(s->say, sizeof s->say,
                 "warning: writing '%s' has taken %.0f s so far; training goes on meanwhile",
                 w->attempt.path, busy_for);
    }
    return ended;
}

int saver_wait(struct saver *s, double seconds)
{
    struct writer *w = s->writer;
    bool idle;

    pthread_mutex_lock(&w->mutex);
    idle = wait_idle(w, seconds);
    pthread_mutex_unlock(&w->mutex);
    if (idle)
        return 0;
    return err(ERR_IO, "cannot write '%s': the disk did not finish within %.0f s", w->attempt.path,
               clock_seconds() - w->started);
}

void saver_move(struct saver *s, const char *directory)
{
    struct writer *w = s->writer;

    saver_wait(s, s->patience);
    pthread_mutex_lock(&w->mutex);
    if (!w->busy)
        snprintf(w->directory, sizeof w->directory, "%s", directory);
    pthread_mutex_unlock(&w->mutex);
}

double saver_cost(const struct saver *s)
{
    struct writer *w = s->writer;
    double most = 0;

    pthread_mutex_lock(&w->mutex);
    if (w->busy)
        most = clock_seconds() - w->started;
    pthread_mutex_unlock(&w->mutex);
    for (int i = 0; i < SAVER_RECENT; i++)
        if (s->recent[i] > most)
            most = s->recent[i];
    return most;
}
