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

struct numbers {
    const struct predict_model *model;
    struct predict_table support, query; /* support is empty for a model of whole sets */
    int64_t *task;                       /* owned: of each task of the query, that of the support */
    int n_tasks;                         /* whole sets: pieces of ROWS rows */
    double *y; /* owned, (rows of the query x outputs): in the targets' units */
    atomic_int taken;
};

struct row_range { /* of a table, or of a task */
    const struct data *data;
    int64_t task; /* -1: of the whole table */
    uint32_t at;  /* the first of them */
    int n;
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

/* ---- tasks ---- */

/* Of the tasks from `from` on, then of those before it: tables mostly agree in their order. */
static int64_t find_task(const struct data *d, const char *name, int64_t from)
{
    char other[NAME];

    for (uint32_t i = 0; i < d->n_classes; i++) {
        int64_t k = (from + i) % d->n_classes;

        data_class_name(d, (uint32_t)k, other, sizeof other);
        if (strcmp(name, other) == 0)
            return k;
    }
    return -1;
}

/* Each task of the query needs rows of the support. */
static int match_tasks(struct numbers *n, const char *support, const char *query)
{
    const struct data *d = &n->query.data;
    char name[NAME];

    n->n_tasks = (int)d->n_classes;
    n->task = calloc((size_t)n->n_tasks + 1, sizeof *n->task);
    if (!n->task)
        return err(ERR_MEMORY, "no memory for %d tasks", n->n_tasks);
    for (uint32_t k = 0; k < d->n_classes; k++) {
        data_class_name(d, k, name, sizeof name);
        n->task[k] = find_task(&n->support.data, name, k ? n->task[k - 1] + 1 : 0);
        if (n->task[k] < 0)
            return err(ERR_DATA, "task '%s' of '%s' has no row in the support '%s'", name, query,
                       support);
    }
    return 0;
}

/* ---- one task ---- */

static void free_buffers(struct number_worker *w)
{
    free(w->x);
    free(w->support);
    free(w->target);
    free(w->weight);
}

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
    free_buffers(w);
    w->x = calloc((size_t)rows * inputs + 1, sizeof *w->x);
    w->support = calloc((size_t)spec.n_support * inputs + 1, sizeof *w->support);
    w->target = calloc((size_t)spec.n_support * targets + 1, sizeof *w->target);
    w->weight = calloc((size_t)spec.n_support + 1, sizeof *w->weight);
    return w->x && w->support && w->target && w->weight
               ? 0
               : err(ERR_MEMORY, "no memory for %d rows", rows);
}

static uint32_t row_index(const struct row_range *r, int i)
{
    uint32_t row = r->at + (uint32_t)i;

    return r->task < 0 ? row : data_index_flat(r->data, (uint32_t)r->task, row);
}

static int read_rows(const struct row_range *r, real *x)
{
    size_t inputs = shape_size(r->data->shape);

    for (int i = 0; i < r->n; i++)
        TRY(data_read_flat(r->data, row_index(r, i), x + (size_t)i * inputs));
    return 0;
}

/* Rows of the support and their targets, normalised as in training. */
static int read_support(struct number_worker *w, const struct row_range *r)
{
    const struct data *d = r->data;
    const struct predict_model *p = w->numbers->model;

    TRY(read_rows(r, w->support));
    for (int i = 0; i < r->n; i++) {
        w->weight[i] = data_weight_flat(d, row_index(r, i));
        TRY(data_target_flat(d, row_index(r, i), w->target + i * d->n_target));
    }
    TRY(loss_check_targets(&p->solo.stage->net.loss,
                           &(struct batch){.n = r->n, .target = w->target}, d->n_target));
    scale_apply(scale_targets(p->solo.stage, p->own), r->n, w->target);
    return 0;
}

/* Outputs of some rows, in the targets' units. */
static void keep(struct numbers *n, const struct row_range *r, int n_out, const real *y)
{
    const struct loss *l = &n->model->solo.stage->net.loss;
    struct target_scale s = scale_targets(n->model->solo.stage, n->model->own);

    for (int i = 0; i < r->n; i++)
        for (int j = 0; j < n_out; j++) {
            double out = y[i * n_out + j];
            int target = j / l->per_target;

            if (l->ops->expects)
                out = l->ops->expects(out);
            else if (s.n > 0)
                out = out * s.deviation[target] + s.mean[target];
            n->y[(size_t)row_index(r, i) * (size_t)n_out + (size_t)j] = out;
        }
}

static int adapt(struct number_worker *w, int k, int piece, struct adapted *a)
{
    struct numbers *n = w->numbers;
    const struct predict_model *p = n->model;
    const struct data *d = &n->support.data;
    struct row_range all = {d, n->task[k], 0, (int)data_class_size(d, (uint32_t)n->task[k])};
    struct episode ep = {.seed = (uint64_t)p->solo.config.run.seed};

    TRY(make_room(w, (struct method_spec){.evaluate = true,
                                          .steps = p->steps,
                                          .n_support = all.n,
                                          .n_query = piece,
                                          .memory = (size_t)p->solo.config.cluster.memory << 20}));
    TRY(read_support(w, &all));
    ep.support = (struct batch){
        .n = all.n, .x = w->support, .target = w->target, .weight = d->weighted ? w->weight : NULL};
    TRY(method_adapt(&w->method, &ep, p->own, a));
    if (!p->inductive)
        a->statistics = NULL;
    return 0;
}

static int task_answer(struct number_worker *w, int k)
{
    struct numbers *n = w->numbers;
    const struct data *d = &n->query.data;
    uint32_t all = data_class_size(d, (uint32_t)k);
    int piece = n->model->coupled || all < ROWS ? (int)all : ROWS;
    struct adapted a;

    piece = n->model->inductive ? 1 : piece;
    TRY(adapt(w, k, piece, &a));
    for (uint32_t at = 0; at < all; at += (uint32_t)piece) {
        struct row_range r = {d, k, at, all - at < (uint32_t)piece ? (int)(all - at) : piece};
        struct episode ep = {.query = {.n = r.n, .x = w->x}};

        TRY(read_rows(&r, w->x));
        keep(n, &r, a.n_out, method_answer(&w->method, &ep, &a));
    }
    return 0;
}

/* Piece k of a table that no task divides. */
static int piece_answer(struct number_worker *w, int k)
{
    struct numbers *n = w->numbers;
    const struct predict_model *p = n->model;
    const struct data *d = &n->query.data;
    uint32_t at = (uint32_t)k * ROWS;
    struct row_range r = {d, -1, at, d->n_samples - at < ROWS ? (int)(d->n_samples - at) : ROWS};
    struct episode ep;
    const real *y;
    int n_out;

    TRY(make_room(w, (struct method_spec){.evaluate = true, .n_measure = r.n}));
    TRY(read_rows(&r, w->x));
    ep = (struct episode){.source = {.n = r.n, .x = w->x}};
    y = method_label(&w->method, &ep, p->data, p->own, &n_out);
    keep(n, &r, n_out, y);
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
        free_buffers(&each[i]);
    }
    free(each);
    return code;
}

static int answer_table(struct numbers *n, const char *support, const char *path, int n_threads,
                        struct number_printer *printer)
{
    const struct data *d = &n->query.data;
    size_t n_out = (size_t)n->model->solo.stage->net.n_out;

    TRY(predict_table_open(&n->query, n->model, path, false));
    if (n->model->few_shot)
        TRY(match_tasks(n, support, path));
    else
        n->n_tasks = (int)((d->n_samples + ROWS - 1) / ROWS);
    n->y = calloc(d->n_samples * n_out + 1, sizeof *n->y);
    if (!n->y)
        return err(ERR_MEMORY, "no memory for the predictions of %u rows", d->n_samples);
    n->taken = 0;
    TRY(work_together(n, n_threads));
    return print_numbers(printer, &n->query, path, n->y);
}

static void query_close(struct numbers *n)
{
    data_close(&n->query.data);
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
        code = predict_table_open(&n.support, model, support, true);
    for (int i = 0; i < paths->n && code >= 0; i++) {
        code = answer_table(&n, support, paths->each[i], n_threads, &printer);
        query_close(&n);
    }
    if (code >= 0)
        print_numbers_summary(&printer);
    data_close(&n.support.data);
    number_printer_close(&printer);
    return code;
}
