/* verb_predict.c - `metaloop predict`: adapts a checkpoint to a few labelled samples, and answers
 * for others. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/base/err.h"
#include "core/base/outfile.h"
#include "launch/predict_adapt.h"
#include "launch/predict_answer.h"
#include "launch/predict_numbers.h"
#include "launch/predict_queries.h"
#include "launch/solo.h"
#include "launch/verbs.h"

/* ---- what is asked for ---- */

static int check_usage(const struct options *o)
{
    if (!o->checkpoint)
        return err(ERR_USAGE, "'predict' needs --checkpoint FILE, or a run's directory");
    if (!o->query && o->n_places == 0 && !o->save)
        return err(ERR_USAGE, "'predict' needs --query DIR or FILES, or --save FILE");
    if (o->csv && o->json)
        return err(ERR_USAGE, "'--csv' and '--json' are two ways to print: give one of them");
    if (o->protocol && strcmp(o->protocol, "inductive") != 0 &&
        strcmp(o->protocol, "transductive") != 0)
        return err(ERR_USAGE, "'--protocol' is inductive or transductive, not '%s'", o->protocol);
    return 0;
}

/* A regression: no classes. */
static bool gives_numbers(const struct predict_model *p)
{
    return p->solo.setup.data[p->data].n_target > 0;
}

static int check_support(const struct predict_model *p, const struct options *o)
{
    const char *stage = p->solo.stage->config->name;

    if (gives_numbers(p) && !p->tabular)
        return err(ERR_USAGE,
                   "stage '%s' predicts numbers of a generator: 'predict' reads images and tables",
                   stage);
    if (gives_numbers(p) && o->save)
        return err(ERR_USAGE,
                   "'--save' writes what was adapted, and in stage '%s' each task adapts "
                   "by itself",
                   stage);
    if (predict_waits(p) && !o->support)
        return err(ERR_USAGE,
                   "stage '%s' adapts to a few samples of each %s: give them with --support %s",
                   stage, gives_numbers(p) ? "task" : "class",
                   p->tabular ? "FILE, a table" : "DIR, a folder for each class");
    if (o->support && !p->few_shot)
        return err(ERR_USAGE,
                   "stage '%s' was trained on whole data sets and knows what it answers: it takes "
                   "no --support",
                   stage);
    if (o->support && !predict_waits(p))
        return err(ERR_USAGE, "'%s' is adapted to its classes already: it takes no --support",
                   p->path);
    if (o->save && !predict_waits(p))
        return err(ERR_USAGE,
                   "'--save' writes what was adapted, and here nothing is: '%s' can be "
                   "used as it is",
                   p->path);
    return 0;
}

/* ---- output ---- */

struct predict_output {
    const char *path; /* NULL: standard output */
    struct outfile out;
    FILE *file;
};

static int output_open(struct predict_output *o, const char *path)
{
    int fd;

    *o = (struct predict_output){.path = path, .file = stdout};
    if (!path)
        return 0;
    TRY(outfile_open(&o->out, path));
    fd = fcntl(o->out.fd, F_DUPFD_CLOEXEC, 3);
    o->file = fd < 0 ? NULL : fdopen(fd, "w");
    if (o->file)
        return 0;
    if (fd >= 0)
        close(fd);
    outfile_abandon(&o->out);
    return err(ERR_MEMORY, "no memory for '%s'", path);
}

/* Standard output is flushed at the end of the program, which reports a failure. */
static int output_close(struct predict_output *o, int code)
{
    if (!o->path)
        return code;
    if (fclose(o->file) != 0 && code >= 0)
        code = err(outfile_code(errno), "cannot write '%s': %s", o->path, strerror(errno));
    if (code >= 0)
        return outfile_commit(&o->out);
    outfile_abandon(&o->out);
    return code;
}

/* ---- the work ---- */

static void note_protocol(const struct predict_model *p)
{
    if (p->coupled && gives_numbers(p))
        fprintf(stderr, "note: the rows of a task are normalised by their own statistics, so an "
                        "answer depends on the rows beside it (transductive)\n");
    else if (p->coupled)
        fprintf(stderr,
                "note: batches of up to %d samples are normalised by their own statistics, so an "
                "answer depends on those beside it (transductive, as evaluation measures)\n",
                predict_batch(p));
}

static enum print_style style_of(const struct options *o)
{
    return o->csv ? PRINT_CSV : o->json ? PRINT_JSON : PRINT_TABLE;
}

static int label_queries(const struct predict_model *p, const struct options *o,
                         const struct predict_paths *paths, FILE *to)
{
    struct predict_printer printer = {
        .to = to,
        .style = style_of(o),
        .classes = p->classes,
        .n_classes = (int)p->n_classes,
    };

    TRY(predict_queries(p, paths, crowd_threads(p, o->threads), &printer));
    print_summary(&printer, p->coupled ? "transductive" : "inductive");
    return 0;
}

static int answer_queries(const struct predict_model *p, const struct options *o,
                          const struct predict_paths *paths)
{
    struct predict_output out;
    int code;

    TRY(output_open(&out, o->out));
    note_protocol(p);
    code = gives_numbers(p) ? predict_numbers(p, o->support, paths, crowd_threads(p, o->threads),
                                              out.file, style_of(o))
                            : label_queries(p, o, paths, out.file);
    return output_close(&out, code);
}

/* --query and what follows the options: all are queries. */
static int predict_paths_of(const struct options *o, const char **each)
{
    int n = 0;

    if (o->query)
        each[n++] = o->query;
    for (int i = 0; i < o->n_places; i++)
        each[n++] = o->places[i];
    return n;
}

static int predict_with(struct predict_model *p, const struct options *o)
{
    const char **each;
    struct predict_paths paths;
    int code;

    TRY(check_support(p, o));
    if (o->protocol)
        TRY(predict_protocol(p, strcmp(o->protocol, "inductive") == 0));
    if (o->support && !gives_numbers(p)) {
        TRY(predict_adapt(p, o->support));
        predict_warn(p, o->support, &p->support);
    }
    if (o->save)
        TRY(predict_save(p, o->save));
    each = calloc((size_t)o->n_places + 1, sizeof *each);
    if (!each)
        return err(ERR_MEMORY, "no memory for %d paths", o->n_places + 1);
    paths = (struct predict_paths){each, predict_paths_of(o, each)};
    code = paths.n > 0 ? answer_queries(p, o, &paths) : 0;
    free(each);
    return code;
}

static int predict(const struct options *o)
{
    struct predict_model *p;
    char path[4096];
    int code = check_usage(o);

    TRY(code);
    TRY(solo_find_checkpoint(o->checkpoint, path, sizeof path));
    p = calloc(1, sizeof *p);
    if (!p)
        return err(ERR_MEMORY, "no memory to start");
    code = predict_open(p, o, path);
    if (code >= 0)
        code = predict_with(p, o);
    predict_close(p);
    free(p);
    return code;
}

const struct verb verb_predict = {
    .name = "predict",
    .places = "[QUERY]...",
    .min_places = 0,
    .max_places = INT_MAX,
    .options = "checkpoint support query save stage domain steps protocol threads csv json out set "
               "data-root",
    .summary = "adapt a checkpoint to a few labelled images or rows, and answer for others",
    .text = "--support has a folder for each class: a directory, a .zip or a .tar; a checkpoint\n"
            "that was trained on whole data sets knows its classes and takes none. Queries are\n"
            "directories, archives and image files; folders named like a class in them tell what\n"
            "they are, and then the accuracy is printed. A checkpoint that was trained on a table\n"
            "takes tables; each task adapts to its rows of the support. The configuration comes\n"
            "from the checkpoint, and samples are read as it says (docs/predict.md).",
    .run = predict,
};
