/* predict_numbers.c - tasks side by side: each thread takes the next one, adapts, and answers its
 * rows. */
#include "launch/predict_numbers.h"

#include <math.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/err.h"
#include "core/plan/scale.h"
#include "launch/predict_numbers_print.h"
#include "launch/predict_table.h"

enum { NAME = 4096, ROWS = 1024 }; /* rows that are answered together at most */

struct grouped { /* a table whose rows are in the order of their tasks */
    struct predict_table table;
    uint32_t *order; /* owned, (n) */
    uint32_t *first; /* owned, (n_classes + 1): task k has the rows order[first[k]] ... */
};

struct numbers {
    const struct predict_model *model;
    struct grouped support, query; /* support is empty for a model of whole sets */
    int64_t *task;                 /* owned: of each task of the query, that of the support */
    int n_tasks;                   /* whole sets: pieces of ROWS rows */
    double *y;                     /* owned, (rows of the query x outputs): in the targets' units */
    atomic_int taken;
};

struct number_worker {
    struct numbers *numbers;
    pthread_t thread;
    struct arena arena;
    struct method method;
    real *x, *support, *target, *weight; /* owned: of a piece, of a task's support */
    int code;
    char error[ERR_SENTENCE];
};

/* ---- tables ---- */

static void grouped_close(struct grouped *g)
{
    if (g->table.data.ops)
        data_close(&g->table.data);
    free(g->order);
    free(g->first);
    *g = (struct grouped){0};
}

static int sort_rows(struct grouped *g)
{
    const struct data *d = &g->table.data;
    uint32_t k;

    g->order = calloc((size_t)d->n_samples + 1, sizeof *g->order);
    g->first = calloc((size_t)d->n_classes + 2, sizeof *g->first);
    if (!g->order || !g->first)
        return err(ERR_MEMORY, "no memory for %u rows", d->n_samples);
    for (uint32_t i = 0; i < d->n_samples; i++) {
        TRY(data_label_flat(d, i, &k));
        g->first[k + 2]++;
    }
    for (k = 2; k <= d->n_classes + 1; k++)
        g->first[k] += g->first[k - 1];
    for (uint32_t i = 0; i < d->n_samples; i++) {
        TRY(data_label_flat(d, i, &k));
        g->order[g->first[k + 1]++] = i;
    }
    return 0;
}

static int grouped_open(struct grouped *g, const struct predict_model *p, const char *path,
                        bool wanted)
{
    TRY(predict_table_open(&g->table, p, path, wanted));
    return sort_rows(g);
}

static uint32_t rows_of(const struct grouped *g, int64_t k)
{
    return g->first[k + 1] - g->first[k];
}

/* ---- tasks ---- */

static int64_t find_task(const struct data *d, const char *name)
{
    char other[NAME];

    for (uint32_t k = 0; k < d->n_classes; k++) {
        data_class_name(d, k, other, sizeof other);
        if (strcmp(name, other) == 0)
            return k;
    }
    return -1;
}

/* Each task of the query needs rows of the support. */
static int match_tasks(struct numbers *n, const char *support, const char *query)
{
    const struct data *d = &n->query.table.data;
    char name[NAME];

    n->n_tasks = (int)d->n_classes;
    n->task = calloc((size_t)n->n_tasks + 1, sizeof *n->task);
    if (!n->task)
        return err(ERR_MEMORY, "no memory for %d tasks", n->n_tasks);
    for (uint32_t k = 0; k < d->n_classes; k++) {
        data_class_name(d, k, name, sizeof name);
        n->task[k] = find_task(&n->support.table.data, name);
        if (n->task[k] < 0)
            return err(ERR_DATA, "task '%s' of '%s' has no row in the support '%s'", name, query,
                       support);
    }
    return 0;
}

/* ---- one task ---- */

/* Room for a task, of exactly its size: work space and buffers. */
static int make_room(struct number_worker *w, struct method_spec spec)
{
    const struct predict_model *p = w->numbers->model;
    size_t inputs = shape_size(p->solo.stage->net.in);
    size_t targets = (size_t)p->solo.setup.data[p->data].n_target;
    struct arena measure = arena_measuring();
    int rows = spec.n_query > spec.n_measure ? spec.n_query : spec.n_measure;

    method_init(&w->method, &p->solo.setup, p->solo.stage, &spec, &measure);
    if (measure.peak > w->arena.size) {
        arena_release(&w->arena);
        TRY(arena_init(&w->arena, measure.peak));
    }
    arena_clear(&w->arena);
    method_init(&w->method, &p->solo.setup, p->solo.stage, &spec, &w->arena);
    free(w->x);
    free(w->support);
    free(w->target);
    free(w->weight);
    w->x = calloc((size_t)rows * inputs + 1, sizeof *w->x);
    w->support = calloc((size_t)spec.n_support * inputs + 1, sizeof *w->support);
    w->target = calloc((size_t)spec.n_support * targets + 1, sizeof *w->target);
    w->weight = calloc((size_t)spec.n_support + 1, sizeof *w->weight);
    return w->x && w->support && w->target && w->weight
               ? 0
               : err(ERR_MEMORY, "no memory for %d rows", rows);
}

static int read_rows(const struct grouped *g, uint32_t at, int n, real *x)
{
    const struct data *d = &g->table.data;

    for (int i = 0; i < n; i++)
        TRY(data_read_flat(d, g->order[at + (uint32_t)i], x + (size_t)i * shape_size(d->shape)));
    return 0;
}

/* Rows of the support and their targets, normalised as in training. */
static int read_support(struct number_worker *w, const struct grouped *g, uint32_t at, int n)
{
    const struct data *d = &g->table.data;
    const struct predict_model *p = w->numbers->model;

    TRY(read_rows(g, at, n, w->support));
    for (int i = 0; i < n; i++) {
        w->weight[i] = data_weight_flat(d, g->order[at + (uint32_t)i]);
        TRY(data_target_flat(d, g->order[at + (uint32_t)i], w->target + i * d->n_target));
    }
    TRY(loss_check_targets(&p->solo.stage->net.loss, &(struct batch){.n = n, .target = w->target},
                           d->n_target));
    scale_apply(scale_targets(p->solo.stage, p->own), n, w->target);
    return 0;
}

/* Outputs of some rows, in the targets' units. */
static void keep(struct numbers *n, uint32_t at, int rows, int n_out, const real *y)
{
    const struct loss *l = &n->model->solo.stage->net.loss;
    struct target_scale s = scale_targets(n->model->solo.stage, n->model->own);

    for (int i = 0; i < rows; i++)
        for (int j = 0; j < n_out; j++) {
            double out = y[i * n_out + j];
            int target = j / l->per_target;

            if (l->ops->expects)
                out = l->ops->expects(out);
            else if (s.n > 0)
                out = out * s.deviation[target] + s.mean[target];
            n->y[(size_t)n->query.order[at + (uint32_t)i] * (size_t)n_out + (size_t)j] = out;
        }
}

static int adapt(struct number_worker *w, int k, int piece, struct adapted *a)
{
    struct numbers *n = w->numbers;
    const struct predict_model *p = n->model;
    const struct grouped *g = &n->support;
    int rows = (int)rows_of(g, n->task[k]);
    struct episode ep = {.seed = (uint64_t)p->solo.config.run.seed};

    TRY(make_room(w, (struct method_spec){.evaluate = true,
                                          .steps = p->steps,
                                          .n_support = rows,
                                          .n_query = piece,
                                          .memory = (size_t)p->solo.config.cluster.memory << 20}));
    TRY(read_support(w, g, g->first[n->task[k]], rows));
    ep.support = (struct batch){.n = rows,
                                .x = w->support,
                                .target = w->target,
                                .weight = g->table.data.weighted ? w->weight : NULL};
    TRY(method_adapt(&w->method, &ep, p->own, a));
    if (!p->inductive)
        a->statistics = NULL;
    return 0;
}

static int task_answer(struct number_worker *w, int k)
{
    struct numbers *n = w->numbers;
    uint32_t at = n->query.first[k], end = n->query.first[k + 1];
    int piece = n->model->coupled || end - at < ROWS ? (int)(end - at) : ROWS;
    struct adapted a;

    piece = n->model->inductive ? 1 : piece;
    TRY(adapt(w, k, piece, &a));
    for (; at < end; at += (uint32_t)piece) {
        int rows = end - at < (uint32_t)piece ? (int)(end - at) : piece;
        struct episode ep = {.query = {.n = rows, .x = w->x}};

        TRY(read_rows(&n->query, at, rows, w->x));
        keep(n, at, rows, a.n_out, method_answer(&w->method, &ep, &a));
    }
    return 0;
}

/* Piece k of a table that no task divides. */
static int piece_answer(struct number_worker *w, int k)
{
    struct numbers *n = w->numbers;
    const struct predict_model *p = n->model;
    uint32_t at = (uint32_t)k * ROWS, all = n->query.table.data.n_samples;
    int rows = all - at < ROWS ? (int)(all - at) : ROWS, n_out;
    struct episode ep;
    const real *y;

    TRY(make_room(w, (struct method_spec){.evaluate = true, .n_measure = rows}));
    TRY(read_rows(&n->query, at, rows, w->x));
    ep = (struct episode){.source = {.n = rows, .x = w->x}};
    y = method_label(&w->method, &ep, p->data, p->own, &n_out);
    keep(n, at, rows, n_out, y);
    return 0;
}

static void *work(void *argument)
{
    struct number_worker *w = argument;
    int k;

    while (w->code >= 0 && (k = atomic_fetch_add(&w->numbers->taken, 1)) < w->numbers->n_tasks)
        w->code = w->numbers->model->few_shot ? task_answer(w, k) : piece_answer(w, k);
    if (w->code < 0)
        snprintf(w->error, sizeof w->error, "%s", err_text());
    return NULL;
}

/* ---- all tasks ---- */

static int work_together(struct numbers *n, int n_threads)
{
    struct number_worker *each = calloc((size_t)n_threads, sizeof *each);
    int started = 1, code = 0;

    if (!each)
        return err(ERR_MEMORY, "no memory for %d threads", n_threads);
    for (int i = 0; i < n_threads; i++)
        each[i].numbers = n;
    while (started < n_threads && started < n->n_tasks &&
           pthread_create(&each[started].thread, NULL, work, &each[started]) == 0)
        started++;
    work(&each[0]);
    for (int i = 1; i < started; i++)
        pthread_join(each[i].thread, NULL);
    for (int i = 0; i < n_threads; i++) {
        if (each[i].code < 0 && code == 0)
            code = err(each[i].code, "%s", each[i].error);
        arena_release(&each[i].arena);
        free(each[i].x);
        free(each[i].support);
        free(each[i].target);
        free(each[i].weight);
    }
    free(each);
    return code;
}

static int answer_table(struct numbers *n, const char *support, const char *path, int n_threads,
                        struct number_printer *printer)
{
    const struct data *d = &n->query.table.data;
    size_t n_out = (size_t)n->model->solo.stage->net.n_out;

    TRY(grouped_open(&n->query, n->model, path, false));
    if (n->model->few_shot)
        TRY(match_tasks(n, support, path));
    else
        n->n_tasks = (int)((d->n_samples + ROWS - 1) / ROWS);
    for (uint32_t i = 0; i < d->n_samples && !n->model->few_shot; i++)
        n->query.order[i] = i;
    n->y = calloc(d->n_samples * n_out + 1, sizeof *n->y);
    if (!n->y)
        return err(ERR_MEMORY, "no memory for the predictions of %u rows", d->n_samples);
    n->taken = 0;
    TRY(work_together(n, n_threads));
    return print_numbers(printer, &n->query.table, path, n->y);
}

static void query_close(struct numbers *n)
{
    grouped_close(&n->query);
    free(n->task);
    free(n->y);
    n->task = NULL, n->y = NULL;
}

int predict_numbers(const struct predict_model *model, const char *support,
                    const struct predict_paths *paths, int n_threads, FILE *to,
                    enum print_style style)
{
    struct numbers n = {.model = model};
    struct number_printer printer;
    int code = number_printer_open(&printer, model, to, style);

    if (code >= 0 && support)
        code = grouped_open(&n.support, model, support, true);
    for (int i = 0; i < paths->n && code >= 0; i++) {
        code = answer_table(&n, support, paths->each[i], n_threads, &printer);
        query_close(&n);
    }
    if (code >= 0)
        print_numbers_summary(&printer);
    grouped_close(&n.support);
    number_printer_close(&printer);
    return code;
}
