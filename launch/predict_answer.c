/* predict_answer.c - each thread has a work space and takes the next batch that is left. */
#include "launch/predict_answer.h"

#include <math.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "core/base/err.h"

struct answerer {
    struct crowd *crowd;
    struct arena arena;
    struct method method;
    pthread_t thread;
    struct query_batch *batches; /* borrowed */
    int n;
    atomic_int *taken; /* of the batches */
};

static struct method_spec spec_of(const struct predict_model *p, int n_most)
{
    return (struct method_spec){.evaluate = true,
                                .n_support = p->few_shot ? (int)p->n_classes : 0,
                                .n_query = n_most,
                                .n_measure = n_most};
}

static int answerer_open(struct answerer *a, struct crowd *c, int n_most)
{
    const struct predict_model *p = c->model;
    struct method_spec spec = spec_of(p, n_most);
    struct arena measure = arena_measuring();

    a->crowd = c;
    method_init(&a->method, &p->solo.setup, p->solo.stage, &spec, &measure);
    TRY(arena_init(&a->arena, measure.peak));
    method_init(&a->method, &p->solo.setup, p->solo.stage, &spec, &a->arena);
    return 0;
}

int crowd_open(struct crowd *c, const struct predict_model *model, int n_threads, int n_most)
{
    *c = (struct crowd){.model = model};
    c->each = calloc((size_t)n_threads, sizeof *c->each);
    if (!c->each)
        return err(ERR_MEMORY, "no memory for %d threads", n_threads);
    for (; c->n_threads < n_threads; c->n_threads++)
        TRY(answerer_open(&c->each[c->n_threads], c, n_most));
    return 0;
}

void crowd_close(struct crowd *c)
{
    for (int i = 0; i < c->n_threads; i++)
        arena_release(&c->each[i].arena);
    free(c->each);
    *c = (struct crowd){0};
}

/* softmax over the outputs that stand for a class, the first n, in double */
static void probabilities(int n, const real *y, double *p)
{
    double most = y[0], sum = 0;

    for (int i = 1; i < n; i++)
        most = fmax(most, y[i]);
    for (int i = 0; i < n; i++)
        sum += p[i] = exp(y[i] - most);
    for (int i = 0; i < n; i++)
        p[i] /= sum;
}

static const real *outputs(struct answerer *a, const struct query_batch *b, int *n_out)
{
    const struct predict_model *p = a->crowd->model;
    struct batch samples = {.n = b->n, .x = b->x};
    struct episode ep = {.query = samples, .source = samples};

    if (!p->few_shot)
        return method_label(&a->method, &ep, p->data, p->own, n_out);
    *n_out = p->answer.n_out;
    return method_answer(&a->method, &ep, &p->answer);
}

static void *answer_some(void *argument)
{
    struct answerer *a = argument;
    int i, n_out, classes = (int)a->crowd->model->n_classes;

    while ((i = atomic_fetch_add(a->taken, 1)) < a->n) {
        const real *y = outputs(a, &a->batches[i], &n_out);

        for (int k = 0; k < a->batches[i].n; k++)
            probabilities(classes, y + (size_t)k * (size_t)n_out,
                          a->batches[i].p + (size_t)k * (size_t)classes);
    }
    return NULL;
}

/* This thread takes part; threads that cannot be started are done without. */
void crowd_answer(struct crowd *c, struct query_batch *batches, int n)
{
    atomic_int taken = 0;
    int started = 1;

    for (int i = 0; i < c->n_threads; i++)
        c->each[i].batches = batches, c->each[i].n = n, c->each[i].taken = &taken;
    while (started < c->n_threads && started < n &&
           pthread_create(&c->each[started].thread, NULL, answer_some, &c->each[started]) == 0)
        started++;
    answer_some(&c->each[0]);
    for (int i = 1; i < started; i++)
        pthread_join(c->each[i].thread, NULL);
}

int crowd_threads(const struct predict_model *model, int64_t threads)
{
    int64_t configured = model->solo.config.cluster.threads;
    cpu_set_t set;

    if (threads || configured)
        return (int)(threads ? threads : configured);
    return sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : 1;
}
