/* predict_numbers_print.c - rows of predicted targets, beside the known ones. */
#include "launch/predict_numbers_print.h"

#include <inttypes.h>
#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/err.h"
#include "core/base/plural.h"

enum { NAME = 4096, WIDE = 12 };

struct number_row {
    const char *file, *task; /* task NULL: the table has none */
    const double *y;         /* (n_out) */
    const real *known;       /* (targets); NULL: not known */
};

int number_printer_open(struct number_printer *p, const struct predict_model *model, FILE *to,
                        enum print_style style)
{
    char name[NAME];

    *p = (struct number_printer){.model = model, .to = to, .style = style};
    p->names = calloc((size_t)model->solo.stage->net.n_out, sizeof *p->names);
    p->squares = calloc((size_t)model->solo.stage->net.n_out, sizeof *p->squares);
    p->counts = calloc((size_t)model->solo.stage->net.n_out, sizeof *p->counts);
    if (!p->names || !p->squares || !p->counts)
        return err(ERR_MEMORY, "no memory for the names of targets");
    for (; p->n_out < model->solo.stage->net.n_out; p->n_out++) {
        predict_output_name(model, p->n_out, name, sizeof name);
        p->names[p->n_out] = strdup(name);
        if (!p->names[p->n_out])
            return err(ERR_MEMORY, "no memory for the names of targets");
    }
    return 0;
}

void number_printer_close(struct number_printer *p)
{
    for (int i = 0; i < p->n_out; i++)
        free(p->names[i]);
    free(p->names);
    free(p->squares);
    free(p->counts);
    *p = (struct number_printer){0};
}

static bool has_tasks(const struct number_printer *p)
{
    const char *task = p->model->section.task;

    return task && *task;
}

/* ---- the styles ---- */

static void print_head(struct number_printer *p)
{
    bool csv = p->style == PRINT_CSV;

    if (p->told_head || p->style == PRINT_JSON)
        return;
    p->told_head = true;
    if (csv)
        fputs(has_tasks(p) ? "file,task" : "file", p->to);
    else
        fprintf(p->to, has_tasks(p) ? "%-24s %-12s" : "%-24s", "file", "task");
    for (int i = 0; i < p->n_out; i++) {
        if (csv) {
            fputc(',', p->to);
            print_field(p->to, p->names[i]);
        } else {
            fprintf(p->to, " %*s", WIDE, p->names[i]);
        }
    }
    fputc('\n', p->to);
}

static void print_text_row(struct number_printer *p, const struct number_row *r)
{
    fprintf(p->to, "%-24s", r->file);
    if (r->task)
        fprintf(p->to, " %-12s", r->task);
    for (int i = 0; i < p->n_out; i++)
        fprintf(p->to, " %*.6g", WIDE, r->y[i]);
    fputc('\n', p->to);
}

static void print_csv_row(struct number_printer *p, const struct number_row *r)
{
    print_field(p->to, r->file);
    if (r->task) {
        fputc(',', p->to);
        print_field(p->to, r->task);
    }
    for (int i = 0; i < p->n_out; i++)
        fprintf(p->to, ",%.9g", r->y[i]);
    fputc('\n', p->to);
}

static json_t *known_json(const struct number_printer *p, const struct number_row *r)
{
    const struct loss *l = &p->model->solo.stage->net.loss;
    json_t *o = json_object();

    for (int i = 0; i < p->n_out; i += l->per_target) {
        real known = r->known[i / l->per_target];
        const char *end = l->per_target > 1 ? strrchr(p->names[i], ' ') : NULL;
        size_t n = end ? (size_t)(end - p->names[i]) : strlen(p->names[i]);
        char name[NAME];

        snprintf(name, sizeof name, "%.*s", (int)n, p->names[i]);
        json_object_set_new(o, name, isnan(known) ? json_null() : json_real(known));
    }
    return o;
}

static void print_json_row(struct number_printer *p, const struct number_row *r)
{
    json_t *o = json_object(), *y = json_object();

    json_object_set_new(o, "file", print_text_json(r->file));
    if (r->task)
        json_object_set_new(o, "task", print_text_json(r->task));
    for (int i = 0; i < p->n_out; i++)
        json_object_set_new(y, p->names[i], json_real(r->y[i]));
    json_object_set_new(o, "predictions", y);
    if (r->known)
        json_object_set_new(o, "targets", known_json(p, r));
    print_object(p->to, o);
}

/* ---- rows ---- */

static void count(struct number_printer *p, const struct number_row *r)
{
    int each = p->model->solo.stage->net.loss.per_target;

    p->n++;
    for (int i = 0; r->known && each == 1 && i < p->n_out; i++)
        if (!isnan(r->known[i])) {
            p->squares[i] += (r->y[i] - r->known[i]) * (r->y[i] - r->known[i]);
            p->counts[i]++;
        }
}

static int print_row(struct number_printer *p, const struct number_row *r)
{
    static void (*const each[])(struct number_printer * p, const struct number_row *r) = {
        [PRINT_TABLE] = print_text_row, [PRINT_CSV] = print_csv_row, [PRINT_JSON] = print_json_row};

    for (int i = 0; i < p->n_out; i++)
        if (!isfinite(r->y[i]))
            return err(ERR_NONFINITE, "the prediction for '%s' is not finite", r->file);
    each[p->style](p, r);
    count(p, r);
    return 0;
}

int print_numbers(struct number_printer *p, const struct predict_table *t, const char *path,
                  const double *y)
{
    const struct data *d = &t->data;
    real *known = t->known ? calloc((size_t)d->n_target, sizeof *known) : NULL;
    char file[NAME], task[NAME];
    uint32_t k = 0;
    int code = t->known && !known ? err(ERR_MEMORY, "no memory for a row") : 0;

    print_head(p);
    p->n_tasks += d->n_classes;
    for (uint32_t i = 0; i < d->n_samples && code >= 0; i++) {
        snprintf(file, sizeof file, "%s:%u", path, i + 1);
        code = data_label_flat(d, i, &k);
        data_class_name(d, k, task, sizeof task);
        if (code >= 0 && known)
            code = data_target_flat(d, i, known);
        if (code >= 0)
            code = print_row(p, &(struct number_row){file, has_tasks(p) ? task : NULL,
                                                     y + (size_t)i * (size_t)p->n_out, known});
    }
    free(known);
    return code;
}

/* ---- the end ---- */

static bool is_known(const struct number_printer *p)
{
    double n = 0;

    for (int i = 0; i < p->n_out; i++)
        n += p->counts[i];
    return n > 0;
}

static double rmse(const struct number_printer *p, int i)
{
    return p->counts[i] > 0 ? sqrt(p->squares[i] / p->counts[i]) : NAN;
}

static void summary_object(struct number_printer *p, const char *protocol)
{
    json_t *each = json_object(),
           *o = json_pack("{s:I, s:s}", "queries", (json_int_t)p->n, "protocol", protocol);

    for (int i = 0; i < p->n_out; i++)
        if (p->counts[i] > 0)
            json_object_set_new(each, p->names[i], json_real(rmse(p, i)));
    if (is_known(p))
        json_object_set(o, "rmse", each);
    if (has_tasks(p))
        json_object_set_new(o, "tasks", json_integer((json_int_t)p->n_tasks));
    json_decref(each);
    print_object(p->to, o);
}

void print_numbers_summary(struct number_printer *p)
{
    const char *protocol = p->model->coupled ? "transductive" : "inductive";

    if (p->style == PRINT_JSON)
        summary_object(p, protocol);
    if (p->style != PRINT_TABLE)
        return;
    fprintf(p->to, "%" PRIu64 " row%s", p->n, plural((double)p->n));
    if (has_tasks(p))
        fprintf(p->to, " of %" PRIu64 " task%s", p->n_tasks, plural((double)p->n_tasks));
    fprintf(p->to, ", %s", protocol);
    if (is_known(p))
        fputs("; root mean squared error", p->to);
    for (int i = 0; i < p->n_out; i++)
        if (p->counts[i] > 0)
            fprintf(p->to, "%s %s %.6g", i ? "," : "", p->names[i], rmse(p, i));
    fputc('\n', p->to);
}
