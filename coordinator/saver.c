/* saver.c - snapshot, write, prune. */
#include "coordinator/saver.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/clock.h"
#include "core/err.h"

static void saver_write(struct saver *s)
{
    double start = clock_seconds();

    s->code = checkpoint_write(s->path, s->layout, s->theta, s->ops, s->state, &s->info);
    s->seconds = clock_seconds() - start;
    if (s->code < 0)
        snprintf(s->error, sizeof s->error, "%s", err_text());
    else
        checkpoint_prune(s->directory, s->keep);
}

static void *saver_thread(void *argument)
{
    struct saver *s = argument;

    pthread_mutex_lock(&s->mutex);
    for (;;) {
        while (!s->busy && !s->ending)
            pthread_cond_wait(&s->changed, &s->mutex);
        if (!s->busy)
            break;
        pthread_mutex_unlock(&s->mutex);
        saver_write(s);
        pthread_mutex_lock(&s->mutex);
        s->busy = false;
        s->fresh = true;
        pthread_cond_broadcast(&s->changed);
    }
    pthread_mutex_unlock(&s->mutex);
    return NULL;
}

int saver_open(struct saver *s, const char *directory, int keep)
{
    *s = (struct saver){.directory = directory, .keep = keep};
    pthread_mutex_init(&s->mutex, NULL);
    pthread_cond_init(&s->changed, NULL);
    s->running = pthread_create(&s->thread, NULL, saver_thread, s) == 0;
    return s->running ? 0 : err(ERR_FAILED, "cannot start the thread that writes checkpoints");
}

void saver_close(struct saver *s)
{
    if (!s->running)
        return;
    pthread_mutex_lock(&s->mutex);
    s->ending = true;
    pthread_cond_broadcast(&s->changed);
    pthread_mutex_unlock(&s->mutex);
    pthread_join(s->thread, NULL);
    pthread_cond_destroy(&s->changed);
    pthread_mutex_destroy(&s->mutex);
    free(s->theta);
    *s = (struct saver){0};
}

static void wait_idle(struct saver *s)
{
    while (s->busy)
        pthread_cond_wait(&s->changed, &s->mutex);
}

/* Room for theta and state behind it; called when nothing is being written. */
static int snapshot_reserve(struct saver *s, size_t n)
{
    real *room;

    if (n <= s->room)
        return 0;
    room = realloc(s->theta, n * sizeof *room);
    if (!room)
        return err(ERR_MEMORY, "no memory for a copy of %zu parameters", n);
    s->theta = room;
    s->room = n;
    return 0;
}

int saver_save(struct saver *s, const struct layout *l, const real *theta,
               const struct optim_ops *ops, const real *state, const struct checkpoint_info *info)
{
    size_t n_state = (size_t)ops->n_state * l->n;
    int code;

    pthread_mutex_lock(&s->mutex);
    wait_idle(s);
    code = snapshot_reserve(s, l->n + n_state);
    if (code == 0) {
        memcpy(s->theta, theta, l->n * sizeof *theta);
        s->state = memcpy(s->theta + l->n, state, n_state * sizeof *state);
        s->layout = l, s->ops = ops, s->info = *info;
        checkpoint_path(s->directory, info->stage, info->round, s->path, sizeof s->path);
        s->busy = true;
        pthread_cond_broadcast(&s->changed);
    }
    pthread_mutex_unlock(&s->mutex);
    return code;
}

int saver_poll(struct saver *s)
{
    int fresh;

    pthread_mutex_lock(&s->mutex);
    fresh = s->fresh && !s->busy;
    if (fresh)
        s->fresh = false;
    pthread_mutex_unlock(&s->mutex);
    return fresh;
}

int saver_wait(struct saver *s)
{
    int code;

    pthread_mutex_lock(&s->mutex);
    wait_idle(s);
    code = s->code;
    pthread_mutex_unlock(&s->mutex);
    return code < 0 ? err(code, "%s", s->error) : 0;
}
