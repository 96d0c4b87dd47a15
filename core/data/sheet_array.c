/* sheet_array.c - a table in .npy files, one beside the other, or in the members of a .npz file. */
#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/err.h"
#include "core/base/plural.h"
#include "core/data/archive.h"
#include "core/data/array.h"
#include "core/data/sheet.h"

struct sheet_part {
    struct blob blob; /* owned */
    struct array array;
    char what[1024]; /* for errors */
};

/* ---- where a part is ---- */

static int open_file(struct sheet_part *p, const char *root, const char *name)
{
    char *path = path_join(root, name);
    int code;

    if (!path)
        return err(ERR_MEMORY, "out of memory for a path");
    snprintf(p->what, sizeof p->what, "%s", path);
    code = blob_map(&p->blob, path);
    free(path);
    return code;
}

static int find_member(struct reader *r, struct sheet_part *p, const char *wanted)
{
    const char *name;
    size_t size, n = strlen(wanted);
    int more;

    while ((more = reader_next(r, &name, &size)) == 1) {
        if (strncmp(name, wanted, n) != 0 || strcmp(name + n, ".npy") != 0 || p->blob.bytes)
            continue;
        TRY(blob_alloc(&p->blob, size));
        TRY(reader_read(r, p->blob.bytes, size));
    }
    TRY(more);
    return p->blob.bytes ? 0 : err(ERR_CONFIG, "'%s' is not there", p->what);
}

static int open_member(struct sheet_part *p, const char *path, const char *name)
{
    struct reader *r;
    int code;

    snprintf(p->what, sizeof p->what, "%s:%s", path, name);
    TRY(reader_open(&r, path));
    code = find_member(r, p, name);
    reader_close(r);
    return code;
}

/* archive: the .npz file; NULL: `name` is a file. */
static int part_open(struct sheet_part *p, const struct sheet_wanted *w, const char *archive,
                     const char *name)
{
    *p = (struct sheet_part){0};
    if (archive)
        TRY(open_member(p, archive, name));
    else
        TRY(open_file(p, w->root, name));
    return array_from_npy(&p->array, &p->blob, p->what);
}

/* ---- numbers ---- */

/* The i-th number, whatever its type. */
static double number(const struct array *a, uint64_t i)
{
    uint8_t bytes[8] = {0};
    uint64_t v = 0;
    double wide;
    float narrow;

    for (int k = 0; k < a->width; k++)
        bytes[k] = a->data[i * (uint64_t)a->width + (uint64_t)(a->big ? a->width - 1 - k : k)];
    if (a->kind == 'f' && a->width == 4)
        return memcpy(&narrow, bytes, 4), (double)narrow;
    if (a->kind == 'f')
        return memcpy(&wide, bytes, 8), wide;
    memcpy(&v, bytes, 8);
    if (a->kind == 'i' && a->width < 8 && v >> (8 * a->width - 1))
        v |= ~UINT64_C(0) << 8 * a->width;
    return a->kind == 'i' ? (double)(int64_t)v : (double)v;
}

/* As a float; a NaN may stand for a hole. */
static int float_at(const struct sheet_part *p, uint64_t i, bool holes, float *to)
{
    double x = number(&p->array, i);

    *to = (float)x;
    if (fabs(x) <= (double)FLT_MAX || (isnan(x) && holes))
        return 0;
    return err(ERR_DATA, "'%s' has %g at row %ju%s", p->what, x,
               (uintmax_t)(i / (p->array.n / p->array.dims[0])),
               isnan(x) ? ": an input is missing: set missing = \"mean\", or leave the row out"
                        : ", which no 32-bit float holds");
}

static bool is_float32(const struct array *a)
{
    return a->kind == 'f' && a->width == 4 && !a->big;
}

/* All numbers as floats: the file's own, if they are, or copies. */
static int floats_take(struct sheet_part *p, bool holes, struct blob *to, const float **x)
{
    float checked, *copies = NULL;

    if (!is_float32(&p->array)) {
        TRY(blob_alloc(to, (size_t)p->array.n * sizeof(float)));
        copies = (float *)(void *)to->bytes;
    }
    for (uint64_t i = 0; i < p->array.n; i++)
        TRY(float_at(p, i, holes, copies ? copies + i : &checked));
    *x = copies ? copies : (const float *)(const void *)p->array.data;
    if (copies)
        return 0;
    *to = p->blob;
    p->blob = (struct blob){0};
    return 0;
}

/* ---- parts ---- */

/* [n]: one column; [n, d]: columns; [n, time, channels]: series. */
static int inputs_take(struct sheet *s, const struct sheet_wanted *w, struct sheet_part *p)
{
    const uint64_t *d = p->array.dims;
    int n_dims = p->array.n_dims;

    if (n_dims < 1 || n_dims > 3)
        return err(ERR_DATA,
                   "'%s' has %d dimensions, inputs are [n, columns] or [n, time, channels]",
                   p->what, n_dims);
    if (d[0] < 1 || d[0] >= UINT32_C(0x80000000))
        return err(ERR_DATA, "'%s' has %ju rows", p->what, (uintmax_t)d[0]);
    for (int k = 1; k < n_dims; k++)
        if (d[k] < 1 || d[k] > SHEET_COLUMNS_MAX)
            return err(ERR_DATA, "'%s' has rows of %ju numbers, the limit is %d", p->what,
                       (uintmax_t)d[k], SHEET_COLUMNS_MAX);
    s->n = (uint32_t)d[0];
    s->shape = (struct shape){n_dims == 3 ? (int)d[1] : 1, 1, n_dims == 1 ? 1 : (int)d[n_dims - 1]};
    return floats_take(p, w->missing, &s->inputs, &s->x);
}

static int check_rows(const struct sheet *s, const struct sheet_part *p, int most)
{
    if (p->array.n_dims < 1 || p->array.n_dims > most || p->array.dims[0] != s->n)
        return err(ERR_DATA, "'%s' has %d dimension%s and %ju rows, the inputs have %u rows",
                   p->what, p->array.n_dims, plural(p->array.n_dims),
                   (uintmax_t)(p->array.n_dims ? p->array.dims[0] : 0), s->n);
    return 0;
}

static int targets_take(struct sheet *s, struct sheet_part *p)
{
    uint64_t columns = p->array.n_dims == 2 ? p->array.dims[1] : 1;

    TRY(check_rows(s, p, 2));
    if (columns < 1 || columns > SHEET_COLUMNS_MAX)
        return err(ERR_DATA, "'%s' has rows of %ju numbers", p->what, (uintmax_t)columns);
    s->n_target = (int)columns;
    s->targets = calloc((size_t)p->array.n, sizeof *s->targets);
    if (!s->targets)
        return err(ERR_MEMORY, "out of memory for the targets of '%s'", p->what);
    for (uint64_t i = 0; i < p->array.n; i++)
        TRY(float_at(p, i, true, s->targets + i));
    return 0;
}

static int classes_take(struct sheet *s, struct sheet_part *p)
{
    TRY(check_rows(s, p, 1));
    s->classes = calloc(s->n, sizeof *s->classes);
    if (!s->classes)
        return err(ERR_MEMORY, "out of memory for the classes of '%s'", p->what);
    for (uint32_t i = 0; i < s->n; i++) {
        double x = number(&p->array, i);

        if (!(x >= 0 && x < LABEL_MAX) || x != floor(x))
            return err(ERR_DATA,
                       "'%s' has %g at row %u: tasks and labels are whole numbers, 0 to %d",
                       p->what, x, i, LABEL_MAX - 1);
        s->classes[i] = (uint32_t)x;
        s->n_classes = s->classes[i] >= s->n_classes ? s->classes[i] + 1 : s->n_classes;
    }
    return 0;
}

static int time_take(struct sheet *s, struct sheet_part *p)
{
    TRY(check_rows(s, p, 1));
    s->time = calloc(s->n, sizeof *s->time);
    if (!s->time)
        return err(ERR_MEMORY, "out of memory for the times of '%s'", p->what);
    for (uint32_t i = 0; i < s->n; i++) {
        s->time[i] = number(&p->array, i);
        if (!isfinite(s->time[i]))
            return err(ERR_DATA, "'%s' has no time at row %u", p->what, i);
    }
    return 0;
}

/* Puts the weight of each row behind its targets. */
static int weight_take(struct sheet *s, struct sheet_part *p)
{
    size_t k = (size_t)s->n_target;
    float *both;

    TRY(check_rows(s, p, 1));
    both = calloc(s->n, (k + 1) * sizeof *both);
    if (!both)
        return err(ERR_MEMORY, "out of memory for the weights of '%s'", p->what);
    for (uint32_t i = 0; i < s->n && k > 0; i++)
        memcpy(both + i * (k + 1), s->targets + i * k, k * sizeof *both);
    free(s->targets);
    s->targets = both;
    s->n_target++;
    s->weighted = true;
    for (uint32_t i = 0; i < s->n; i++) {
        TRY(float_at(p, i, true, both + i * (k + 1) + k));
        if (!(both[i * (k + 1) + k] >= 0))
            return err(ERR_DATA, "'%s' has %g at row %u: a weight is 0 or more", p->what,
                       number(&p->array, i), i);
    }
    return 0;
}

/* ---- the table ---- */

enum which { INPUTS, TARGETS, CLASSES, TIME, WEIGHT };

static int take(struct sheet *s, const struct sheet_wanted *w, struct sheet_part *p,
                enum which which)
{
    if (which == INPUTS)
        return inputs_take(s, w, p);
    if (which == TARGETS)
        return targets_take(s, p);
    if (which == WEIGHT)
        return weight_take(s, p);
    return which == CLASSES ? classes_take(s, p) : time_take(s, p);
}

static int read_part(struct sheet *s, const struct sheet_wanted *w, const char *archive,
                     const char *name, enum which which)
{
    struct sheet_part p;
    int code = part_open(&p, w, archive, name);

    if (code >= 0)
        code = take(s, w, &p, which);
    code = blob_whole(&p.blob) < 0 ? ERR_DATA : code;
    blob_release(&p.blob);
    return code;
}

static int read_parts(struct sheet *s, const struct sheet_wanted *w, const char *archive,
                      const char *inputs)
{
    if (w->targets->n > 1 || w->inputs->n > 1)
        return err(ERR_CONFIG, "'%s': inputs and targets name one array each",
                   archive ? archive : inputs);
    TRY(read_part(s, w, archive, inputs, INPUTS));
    if (w->targets->n)
        TRY(read_part(s, w, archive, w->targets->items[0], TARGETS));
    s->n_classes = 1;
    if (*w->classes)
        TRY(read_part(s, w, archive, w->classes, CLASSES));
    if (*w->weight)
        TRY(read_part(s, w, archive, w->weight, WEIGHT));
    return *w->time ? read_part(s, w, archive, w->time, TIME) : 0;
}

int sheet_read_npy(struct sheet *s, const struct sheet_wanted *w, const char *path)
{
    if (w->inputs->n > 0)
        return err(ERR_CONFIG, "'%s' has the inputs: the key 'inputs' is not used", path);
    return read_parts(s, w, NULL, path);
}

int sheet_read_npz(struct sheet *s, const struct sheet_wanted *w, const char *path)
{
    return read_parts(s, w, path, w->inputs->n ? w->inputs->items[0] : "inputs");
}
