/* sheet_csv.c - a .csv file: fields by libcsv (RFC 4180), columns by name, numbers by row. */
#include <csv.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/err.h"
#include "core/base/plural.h"
#include "core/data/class_index.h"
#include "core/data/csv_columns.h"
#include "core/data/csv_number.h"
#include "core/data/sheet.h"

enum { SHOWN = 40 }; /* bytes of a wrong field */

struct csv_reading {
    const char *path;
    const struct sheet_wanted *wanted;
    struct sheet *sheet;
    struct csv_parser parser;
    struct csv_columns columns; /* owned */
    struct class_index classes; /* owned */
    bool headed;                /* the header is complete */
    uint32_t field;             /* of this row */
    size_t room;                /* rows that there is memory for */
    uint64_t line, row_line;    /* at hand; where the row begins */
    enum field_kind time_kind;  /* of the first time; FIELD_OTHER: none yet */
    int code;                   /* of the first error; nothing is done after it */
};

/* ---- memory ---- */

/* libcsv's buffer of one field */
static void *field_grow(void *p, size_t n)
{
    return n > SHEET_FIELD_MAX ? NULL : realloc(p, n);
}

/* An array of `rows` elements, or the one there was if there is no memory; each 0: none is
 * wanted. */
static void *grown(void *array, size_t rows, size_t each, bool *failed)
{
    void *more = each > 0 ? realloc(array, rows * each) : array;

    *failed |= each > 0 && !more;
    return more ? more : array;
}

/* Room for one more row. */
static int row_room(struct csv_reading *r)
{
    struct sheet *s = r->sheet;
    size_t inputs = (size_t)r->columns.n_inputs * sizeof(float), room = r->room ? 2 * r->room : 256;
    bool failed = false;

    if (s->n + 1 >= UINT32_C(0x80000000) || (s->n + 1) * inputs > DATA_BYTES_MAX)
        return err(ERR_DATA, "'%s' has more rows than a set may have", r->path);
    if (s->n < r->room)
        return 0;
    s->inputs.bytes = grown(s->inputs.bytes, room, inputs, &failed);
    s->targets = grown(s->targets, room, (size_t)s->n_target * sizeof(float), &failed);
    s->classes = grown(s->classes, room, *r->wanted->classes ? sizeof *s->classes : 0, &failed);
    s->time = grown(s->time, room, *r->wanted->time ? sizeof *s->time : 0, &failed);
    if (failed)
        return err(ERR_MEMORY, "out of memory for %zu rows of '%s'", room, r->path);
    r->room = room;
    return 0;
}

/* ---- fields ---- */

/* Puts "'x.csv' line 7, column 'a'" in front of what is said of a field. */
static int refuse(const struct csv_reading *r, const struct csv_column *k, const char *text,
                  size_t n, const char *says)
{
    char shown[SHOWN + 1];

    snprintf(shown, sizeof shown, "%.*s", (int)(n < SHOWN ? n : SHOWN), text);
    return err(ERR_DATA, "'%s' line %ju, column '%s': '%s' %s", r->path, (uintmax_t)r->row_line,
               k->name, shown, says);
}

static int refuse_kind(const struct csv_reading *r, const struct csv_column *k, const char *text,
                       size_t n, enum field_kind kind)
{
    if (kind == FIELD_COMMA)
        return refuse(r, k, text, n, "has a decimal comma: write a point");
    if (kind == FIELD_LARGE)
        return refuse(r, k, text, n, "is larger than any 32-bit float");
    return refuse(r, k, text, n, "is not a number");
}

static int take_number(struct csv_reading *r, const struct csv_column *k, const char *text,
                       size_t n, bool holes, float *to)
{
    double x = NAN;
    enum field_kind kind = csv_number(text, n, &x);

    *to = (float)x;
    if (kind == FIELD_NUMBER || (kind == FIELD_MISSING && holes))
        return 0;
    if (kind != FIELD_MISSING)
        return refuse_kind(r, k, text, n, kind);
    return err(ERR_DATA,
               "'%s' line %ju, column '%s': an input is missing: set missing = \"mean\", or leave "
               "the row out",
               r->path, (uintmax_t)r->row_line, k->name);
}

static int take_class(struct csv_reading *r, const struct csv_column *k, const char *text, size_t n)
{
    if (n == 0)
        return err(ERR_DATA, "'%s' line %ju, column '%s' is empty: each row has a task or a label",
                   r->path, (uintmax_t)r->row_line, k->name);
    if (memchr(text, '\0', n))
        return refuse(r, k, text, n, "holds a zero byte");
    return class_index_take(&r->classes, text, n, &r->sheet->classes[r->sheet->n]);
}

static int take_time(struct csv_reading *r, const struct csv_column *k, const char *text, size_t n)
{
    enum field_kind kind = csv_time(text, n, &r->sheet->time[r->sheet->n]);

    if (kind != FIELD_NUMBER && kind != FIELD_DATE)
        return refuse(r, k, text, n, "is no time: a number, or 2026-11-27T18:30:00");
    if (r->time_kind != FIELD_OTHER && kind != r->time_kind)
        return refuse(r, k, text, n, "and earlier times mix dates and numbers");
    r->time_kind = kind;
    return 0;
}

static int take_weight(struct csv_reading *r, const struct csv_column *k, const char *text,
                       size_t n, float *to)
{
    TRY(take_number(r, k, text, n, true, to));
    return *to >= 0 ? 0 : refuse(r, k, text, n, "is no weight: 0 or more");
}

static int take_field(struct csv_reading *r, const struct csv_column *k, const char *text, size_t n)
{
    struct sheet *s = r->sheet;
    float *x = (float *)(void *)s->inputs.bytes + (size_t)s->n * (size_t)r->columns.n_inputs;
    float *target =
        k->target < 0 ? NULL : s->targets + (size_t)s->n * (size_t)s->n_target + k->target;

    if (k->input >= 0 && !k->time)
        TRY(take_number(r, k, text, n, r->wanted->missing, x + k->input));
    if (k->target >= 0 && !k->weight)
        TRY(take_number(r, k, text, n, true, target));
    if (k->weight)
        TRY(take_weight(r, k, text, n, target));
    if (k->classes)
        TRY(take_class(r, k, text, n));
    if (k->time)
        TRY(take_time(r, k, text, n));
    if (k->time && k->input >= 0)
        x[k->input] = (float)s->time[s->n];
    return 0;
}

static int next_field(struct csv_reading *r, const char *text, size_t n)
{
    if (!r->headed)
        return csv_columns_add(&r->columns, text, n, r->path);
    if (r->field == 0)
        TRY(row_room(r));
    return r->field < r->columns.n ? take_field(r, &r->columns.each[r->field], text, n) : 0;
}

/* ---- rows ---- */

static void note_unnamed(struct csv_reading *r)
{
    for (uint32_t i = 0; i < r->columns.n && !*r->sheet->note; i++)
        if (!*r->columns.each[i].name)
            snprintf(r->sheet->note, sizeof r->sheet->note, "column %u has no name and is not read",
                     i + 1);
}

static int end_header(struct csv_reading *r)
{
    TRY(csv_columns_choose(&r->columns, r->wanted, r->path));
    r->headed = true;
    r->sheet->shape = (struct shape){1, 1, r->columns.n_inputs};
    r->sheet->n_target = r->columns.n_targets;
    r->sheet->weighted = *r->wanted->weight;
    r->sheet->columns = csv_columns_digest(&r->columns);
    TRY(csv_columns_targets(&r->columns, &r->sheet->goals));
    note_unnamed(r);
    return 0;
}

static int end_row(struct csv_reading *r)
{
    if (!r->headed)
        return end_header(r);
    if (r->field != r->columns.n)
        return err(ERR_DATA, "'%s' line %ju has %u field%s, the header has %u", r->path,
                   (uintmax_t)r->row_line, r->field, plural(r->field), r->columns.n);
    r->sheet->n++;
    return 0;
}

static void on_field(void *text, size_t n, void *context)
{
    struct csv_reading *r = context;

    if (r->code >= 0)
        r->code = next_field(r, text ? text : "", n);
    r->field++;
}

static void on_row(int end, void *context)
{
    struct csv_reading *r = context;

    (void)end;
    if (r->code >= 0)
        r->code = end_row(r);
    r->field = 0;
    r->row_line = r->line + 1;
}

/* ---- the file ---- */

static int parser_error(const struct csv_reading *r, uint64_t line)
{
    if (csv_error((struct csv_parser *)&r->parser) == CSV_EPARSE)
        return err(ERR_DATA, "'%s' line %ju: a quote that does not enclose a whole field", r->path,
                   (uintmax_t)line);
    return err(ERR_DATA, "'%s' line %ju: a field of more than %d bytes", r->path, (uintmax_t)line,
               SHEET_FIELD_MAX);
}

/* Line by line, so that each error can name its line. */
static int parse_all(struct csv_reading *r, const char *text, size_t n)
{
    while (n > 0 && r->code >= 0) {
        const char *newline = memchr(text, '\n', n);
        size_t length = newline ? (size_t)(newline - text) + 1 : n;

        r->line++;
        if (csv_parse(&r->parser, text, length, on_field, on_row, r) != length)
            return parser_error(r, r->line);
        text += length;
        n -= length;
        if (r->parser.pstate == 0 && r->field == 0) /* between rows: a blank line, too */
            r->row_line = r->line + 1;
    }
    if (r->code >= 0 && csv_fini(&r->parser, on_field, on_row, r) != 0)
        return parser_error(r, r->row_line);
    return r->code;
}

/* Of tab, semicolon and comma the one that is most often in the first line. */
static char separator_of(const char *text, size_t n)
{
    static const char candidates[] = {',', ';', '\t'};
    const char *end = memchr(text, '\n', n);
    size_t most = 0, length = end ? (size_t)(end - text) : n;
    char best = ',';

    for (size_t i = 0; i < sizeof candidates; i++) {
        size_t count = 0;

        for (size_t k = 0; k < length; k++)
            count += text[k] == candidates[i];
        best = count > most ? candidates[i] : best;
        most = count > most ? count : most;
    }
    return best;
}

static int check_text(const struct blob *b, const char *path)
{
    const uint8_t *p = b->bytes;

    if (b->n == 0)
        return err(ERR_DATA, "'%s' is empty", path);
    if (b->n >= 2 && ((p[0] == 0xff && p[1] == 0xfe) || (p[0] == 0xfe && p[1] == 0xff)))
        return err(ERR_DATA, "'%s' is UTF-16 text: save it as UTF-8", path);
    return 0;
}

static int check_rows(const struct csv_reading *r)
{
    if (!r->headed || r->sheet->n == 0)
        return err(ERR_DATA, "'%s' has no rows below its header", r->path);
    return 0;
}

static int finish(struct csv_reading *r, char separator)
{
    struct sheet *s = r->sheet;

    TRY(check_rows(r));
    s->inputs.n = s->n * (size_t)r->columns.n_inputs * sizeof(float);
    s->x = (const float *)(void *)s->inputs.bytes;
    if (separator != ',' && !*s->note)
        snprintf(s->note, sizeof s->note, "its columns are separated by %s",
                 separator == ';' ? "semicolons" : "tabs");
    s->n_classes = 1;
    if (!s->classes)
        return 0;
    s->n_classes = r->classes.n;
    return class_index_sort(&r->classes, &s->names, s->classes, s->n);
}

int sheet_read_csv(struct sheet *s, const struct sheet_wanted *w, const struct blob *b,
                   const char *path)
{
    const char *text = (const char *)b->bytes;
    size_t n = b->n;
    char separator;
    struct csv_reading r = {
        .path = path, .wanted = w, .sheet = s, .row_line = 1, .time_kind = FIELD_OTHER};
    int code;

    TRY(check_text(b, path));
    if (n >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0) /* a byte-order mark */
        text += 3, n -= 3;
    separator = separator_of(text, n);
    if (csv_init(&r.parser, CSV_STRICT | CSV_STRICT_FINI | CSV_APPEND_NULL) != 0)
        return err(ERR_MEMORY, "out of memory for '%s'", path);
    csv_set_realloc_func(&r.parser, field_grow);
    csv_set_delim(&r.parser, (unsigned char)separator);
    code = parse_all(&r, text, n);
    if (code >= 0)
        code = finish(&r, separator);
    csv_free(&r.parser);
    csv_columns_release(&r.columns);
    class_index_release(&r.classes);
    return code;
}
