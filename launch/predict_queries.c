/* predict_queries.c - windows of batches: filled by a flow of images, answered, printed. */
#include "launch/predict_queries.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/err.h"
#include "core/base/plural.h"
#include "core/data/flow.h"
#include "core/data/recall.h"
#include "core/math/rng.h"
#include "core/math/vec.h"
#include "launch/predict_answer.h"
#include "launch/predict_looks.h"
#include "launch/predict_table.h"

enum {
    ORDER = 124,          /* of rng_permute: of no stage, and not of evaluation */
    ROOM = 8 << 20,       /* bytes of a window, if one pass is enough anyway */
    ROOM_MIXED = 64 << 20 /* if each window is a pass */
};

struct query {
    char *file; /* owned */
    int is;     /* the class that its folder says; -1: none */
    int batch, place;
};

struct queries {
    const struct predict_model *model;
    const struct predict_paths *paths;
    struct predict_printer *printer;
    struct crowd crowd;
    struct flow flow;
    int most;                    /* images of a batch, */
    int window;                  /* batches of a window, at most */
    int n;                       /* images in the window */
    struct query *each;          /* owned, (window x most) */
    struct query_batch *batches; /* owned, (window), and their buffers in: */
    real *x;
    double *p;
    struct prediction *told;   /* owned, (window x most) */
    uint64_t total, n_batches; /* if they are mixed: of all passes */
    uint64_t first;            /* batch of this pass */
    bool warned;
};

/* ---- what is asked ---- */

/* Whether the folder is that of the class: "cat", "animals/cat". */
static bool is_folder_of(const char *folder, const char *name)
{
    size_t n = strlen(folder), m = strlen(name);

    return m > 0 && n >= m && strcmp(folder + n - m, name) == 0 &&
           (n == m || folder[n - m - 1] == '/');
}

/* The class whose name is the longest that fits; -1: none. */
static int class_of(const struct predict_model *p, const char *folder)
{
    int found = -1;

    for (uint32_t i = 0; i < p->n_classes; i++)
        if (is_folder_of(folder, p->classes[i]) &&
            (found < 0 || strlen(p->classes[i]) > strlen(p->classes[found])))
            found = (int)i;
    return found;
}

/* Place of an image in the order of all passes. */
static uint64_t position(const struct queries *q, uint64_t index)
{
    if (q->n_batches == 1)
        return index;
    return rng_permute((uint64_t)q->model->solo.config.run.seed, RNG_BATCH, ORDER,
                       (uint32_t)q->total, (uint32_t)index);
}

/* The batch of a position: they are of nearly equal size. */
static uint64_t batch_at(const struct queries *q, uint64_t position)
{
    return ((position + 1) * q->n_batches - 1) / q->total;
}

static bool is_of_this_pass(void *context, uint64_t index)
{
    const struct queries *q = context;
    uint64_t batch;

    if (index >= q->total)
        return false;
    batch = batch_at(q, position(q, index));
    return batch >= q->first && batch < q->first + (uint64_t)q->window;
}

static bool none(void *context, uint64_t index)
{
    (void)context, (void)index;
    return false;
}

/* ---- a window ---- */

static int check_finite(const struct queries *q)
{
    for (int i = 0; i < q->n; i++)
        for (uint32_t k = 0; k < q->model->n_classes; k++)
            if (!isfinite(q->told[i].p[k]))
                return err(ERR_NONFINITE, "the outputs for '%s' are not finite", q->told[i].file);
    return 0;
}

static void warn_once(struct queries *q)
{
    struct looks looks = q->flow.looks;

    if (q->warned)
        return;
    q->warned = true;
    looks_close(&looks);
    predict_warn(q->model, q->paths->each[0], &looks);
}

/* Answers the window and empties it. */
static int answer(struct queries *q)
{
    int used = 0, code;

    for (int i = 0; i < q->window; i++)
        used = q->batches[i].n > 0 ? i + 1 : used;
    warn_once(q);
    crowd_answer(&q->crowd, q->batches, used);
    for (int i = 0; i < q->n; i++) {
        const struct query *x = &q->each[i];

        q->told[i] = (struct prediction){
            x->file, x->is, q->batches[x->batch].p + (size_t)x->place * q->model->n_classes};
    }
    code = check_finite(q);
    if (code >= 0)
        print_predictions(q->printer, q->told, q->n);
    for (int i = 0; i < q->n; i++)
        free(q->each[i].file);
    for (int i = 0; i < q->window; i++)
        q->batches[i].n = 0;
    q->n = 0;
    return code;
}

static int take(void *context, const struct flow_image *image)
{
    struct queries *q = context;
    size_t size = shape_size(q->flow.shape);
    int k = q->total ? (int)(batch_at(q, position(q, image->index)) - q->first) : q->n / q->most;
    struct query_batch *b = &q->batches[k];
    char *file = strdup(image->file);

    if (!file)
        return err(ERR_MEMORY, "no memory for the name of an image");
    vec_copy(size, image->x, b->x + (size_t)b->n * size);
    q->each[q->n++] = (struct query){file, class_of(q->model, image->folder), k, b->n++};
    return !q->total && q->n == q->window * q->most ? answer(q) : 0;
}

/* ---- passes ---- */

static int read_all(struct queries *q, const struct flow_taker *taker)
{
    struct data_config section = predict_section(q->model, NULL);
    int code;

    flow_close(&q->flow);
    TRY(flow_open(&q->flow, &section, q->model->solo.stage->net.in, taker));
    for (int i = 0; i < q->paths->n; i++) {
        uint64_t before = q->flow.n;

        code = q->model->tabular ? predict_table_flow(&q->flow, q->model, q->paths->each[i])
                                 : flow_read(&q->flow, q->paths->each[i]);
        TRY(code);
        if (q->flow.n == before)
            return err(ERR_DATA, "'%s' holds no image", q->paths->each[i]);
    }
    return 0;
}

static int answer_in_order(struct queries *q)
{
    TRY(read_all(q, &(struct flow_taker){NULL, take, q}));
    return q->n > 0 ? answer(q) : 0;
}

/* Counts, then reads the images of some batches in each pass. */
static int answer_mixed(struct queries *q)
{
    TRY(read_all(q, &(struct flow_taker){none, NULL, q}));
    if (q->flow.n > 1u << 31)
        return err(ERR_DATA, "%" PRIu64 " images are more than can be mixed", q->flow.n);
    q->total = q->flow.n;
    q->n_batches = (q->total + (uint64_t)q->most - 1) / (uint64_t)q->most;
    for (; q->first < q->n_batches; q->first += (uint64_t)q->window) {
        TRY(read_all(q, &(struct flow_taker){is_of_this_pass, take, q}));
        if (q->flow.n != q->total)
            return err(ERR_DATA, "'%s' has changed while it was read", q->paths->each[0]);
        TRY(answer(q));
    }
    return 0;
}

static int queries_open(struct queries *q, int n_threads)
{
    size_t inputs = shape_size(q->model->solo.stage->net.in), classes = q->model->n_classes;
    size_t bytes = (size_t)q->most * (inputs * sizeof(real) + classes * sizeof(double));
    size_t n = (q->model->coupled ? ROOM_MIXED : ROOM) / bytes;

    q->window = (int)(n < (size_t)n_threads ? (size_t)n_threads : n > 1024 ? 1024 : n);
    n = (size_t)q->window * (size_t)q->most;
    q->each = calloc(n, sizeof *q->each);
    q->told = calloc(n, sizeof *q->told);
    q->batches = calloc((size_t)q->window, sizeof *q->batches);
    q->x = malloc(n * inputs * sizeof *q->x);
    q->p = malloc(n * classes * sizeof *q->p);
    if (!q->each || !q->told || !q->batches || !q->x || !q->p)
        return err(ERR_MEMORY, "no memory for %zu images at a time", n);
    for (int i = 0; i < q->window; i++)
        q->batches[i] = (struct query_batch){0, q->x + (size_t)i * (size_t)q->most * inputs,
                                             q->p + (size_t)i * (size_t)q->most * classes};
    return crowd_open(&q->crowd, q->model, n_threads, q->most);
}

static void queries_close(struct queries *q)
{
    for (int i = 0; i < q->n; i++)
        free(q->each[i].file);
    free(q->each);
    free(q->told);
    free(q->batches);
    free(q->x);
    free(q->p);
    crowd_close(&q->crowd);
    flow_close(&q->flow);
}

int predict_batch(const struct predict_model *p)
{
    const struct stage *stage = p->solo.stage;

    if (p->inductive) /* each alone: a product's shape moves its last bits */
        return 1;
    if (!p->few_shot)
        return (int)stage->evaluate.source;
    return (int)(p->n_classes * stage_query(&p->solo.setup, stage, p->data));
}

static void note_passed(const struct flow *f)
{
    if (f->n_passed > 0)
        fprintf(stderr, "warning: %" PRIu64 " file%s not read, the first is '%s': %s\n",
                f->n_passed, f->n_passed == 1 ? " is" : "s are", f->passed,
                f->n_passed == 1 ? "it is no image" : "they are no images");
}

int predict_queries(const struct predict_model *model, const struct predict_paths *paths,
                    int n_threads, struct predict_printer *printer)
{
    struct queries q = {
        .model = model, .paths = paths, .printer = printer, .most = predict_batch(model)};
    int code = queries_open(&q, n_threads);

    if (code >= 0)
        code = model->coupled ? answer_mixed(&q) : answer_in_order(&q);
    if (code >= 0)
        note_passed(&q.flow);
    queries_close(&q);
    return code;
}

static void say(const char *sentence)
{
    fprintf(stderr, "warning: %s\n", sentence);
}

void predict_warn(const struct predict_model *p, const char *path, const struct looks *seen)
{
    const struct survey *trained = data_recalled(&p->solo.setup.data[p->data]);

    if (trained && !p->tabular)
        looks_compare(path, seen, p->solo.config.data[p->data].name, &trained->looks, say);
}
