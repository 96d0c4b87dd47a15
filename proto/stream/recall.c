/* recall.c - turns lines of metrics.jsonl, all or a sample, into events without a time. */
#include "proto/stream/recall.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/base/err.h"

/* ---- a line becomes an event ---- */

struct line_fields { /* of one line; owned */
    int n;
    struct field *each;
    double *numbers; /* of all its lists */
    size_t n_numbers;
    const char **names; /* of its metrics, ... */
    double *metrics;    /* ... and they */
    size_t n_metrics;
};

/* Kinds that are in the file for people and scripts; observers get these from the run itself. */
static bool is_for_the_file_only(const char *kind)
{
    return strcmp(kind, "run") == 0;
}

static void refuse(struct recall *r, const char *why)
{
    if (r->refused++ == 0)
        snprintf(r->why, sizeof r->why, "%s", why);
}

static int fields_make(struct line_fields *l, json_t *o)
{
    size_t numbers = 0;
    const char *key;
    json_t *value;

    json_object_foreach(o, key, value) numbers += json_array_size(value);
    *l = (struct line_fields){
        .each = calloc(json_object_size(o) + 1, sizeof *l->each),
        .numbers = malloc((numbers + 1) * sizeof *l->numbers),
        .names = calloc(json_object_size(o) + 1, sizeof *l->names),
        .metrics = calloc(json_object_size(o) + 1, sizeof *l->metrics),
    };
    return l->each && l->numbers && l->names && l->metrics ? 0 : ERR_MEMORY;
}

static void fields_release(struct line_fields *l)
{
    free(l->each);
    free(l->numbers);
    free(l->names);
    free(l->metrics);
}

static double number_of(const json_t *value)
{
    return json_is_number(value) ? json_number_value(value) : NAN;
}

static struct field numbers_of(struct line_fields *l, const char *key, const json_t *list)
{
    const double *first = l->numbers + l->n_numbers;
    const json_t *value;
    size_t i;

    json_array_foreach(list, i, value) l->numbers[l->n_numbers++] = number_of(value);
    return (struct field)NUMBERS(key, first, l->numbers + l->n_numbers - first);
}

static struct field field_of(struct line_fields *l, const char *key, const json_t *value)
{
    if (json_is_array(value))
        return numbers_of(l, key, value);
    if (json_is_string(value))
        return (struct field)TEXT(key, json_string_value(value));
    if (json_is_integer(value))
        return (struct field)INTEGER(key, json_integer_value(value));
    return (struct field)NUMBER(key, number_of(value));
}

/* A number that is no field of an event with metrics is one of them. */
static bool metric_take(struct line_fields *l, const char *kind, const char *key,
                        const json_t *value)
{
    if (!stream_event_has(kind, "metrics") || !(json_is_number(value) || json_is_null(value)))
        return false;
    l->names[l->n_metrics] = key;
    l->metrics[l->n_metrics++] = number_of(value);
    return true;
}

/* Takes the fields that Event has. A field that it does not have is of another version, and is
 * reported. */
static void fields_fill(struct recall *r, struct line_fields *l, const char *kind, json_t *o)
{
    const char *key;
    json_t *value;
    char text[128];

    json_object_foreach(o, key, value)
    {
        if (strcmp(key, "kind") == 0)
            continue;
        if (stream_event_has(kind, key)) {
            l->each[l->n++] = field_of(l, key, value);
            continue;
        }
        if (metric_take(l, kind, key, value))
            continue;
        snprintf(text, sizeof text, "'%.40s' has no '%.40s'", kind, key);
        refuse(r, text);
    }
    if (l->n_metrics > 0)
        l->each[l->n++] = (struct field)METRICS("metrics", l->names, l->metrics, l->n_metrics);
}

static void object_recall(struct recall *r, struct history *h, const struct stream_source *source,
                          const char *kind, json_t *o)
{
    struct line_fields l;
    struct stream_event *e = NULL;

    if (fields_make(&l, o) == 0) {
        fields_fill(r, &l, kind, o);
        e = stream_pack(source, r->seq + 1, 0, kind, l.each);
    }
    if (e) {
        r->seq++;
        history_put(h, e);
    } else {
        refuse(r, err_text());
    }
    fields_release(&l);
}

static void line_recall(struct recall *r, struct history *h, const struct stream_source *source,
                        const char *line)
{
    json_t *o = json_loads(line, 0, NULL);
    const char *kind = json_string_value(json_object_get(o, "kind"));
    char text[128];

    snprintf(text, sizeof text, "unknown event '%.40s'", kind ? kind : "");
    if (!kind)
        refuse(r, "it is not an object of JSON with a kind");
    else if (!stream_event_has(kind, NULL))
        refuse(r, text);
    else if (!is_for_the_file_only(kind))
        object_recall(r, h, source, kind, o);
    json_decref(o);
}

/* ---- frequent kinds ---- */

static const char *const frequent[RECALL_FREQUENT] = {"round", "adaptation"};

/* The line's kind, if it is a frequent one, without parsing. NULL: another kind. */
static struct recall_kind *frequent_of(struct recall *r, const char *line)
{
    static const char begin[] = "{\"kind\":\"";
    size_t head = sizeof begin - 1;

    for (int i = 0; i < RECALL_FREQUENT && strncmp(line, begin, head) == 0; i++) {
        size_t n = strlen(frequent[i]);

        if (strncmp(line + head, frequent[i], n) == 0 && line[head + n] == '"')
            return &r->frequent[i];
    }
    return NULL;
}

/* True if this line is recalled; otherwise it may still be the last one of its kind. */
static bool is_wanted(struct recall *r, const char *line, int64_t offset)
{
    struct recall_kind *k = r->spacing > 0 ? frequent_of(r, line) : NULL;

    if (!k)
        return true;
    k->seen++;
    free(k->last);
    k->last = offset < k->next ? strdup(line) : NULL;
    if (k->last)
        return false;
    k->kept++;
    k->next = offset + r->spacing;
    return true;
}

/* ---- reading ---- */

/* Reads bytes into the buffer; 0: the end. */
static ssize_t read_at(struct recall *r, size_t most)
{
    ssize_t n;

    if ((int64_t)most > r->limit - r->at)
        most = (size_t)(r->limit - r->at);
    do
        n = pread(r->file, r->buffer, most, r->at);
    while (n < 0 && errno == EINTR);
    if (n < 0)
        return err(ERR_IO, "cannot read '%s': %s", r->path, strerror(errno));
    r->buffer[n] = '\0';
    return n;
}

/* Takes the whole lines among n bytes of the buffer, after `from`; returns the bytes up to the end
 * of the last one. */
static int64_t lines_recall(struct recall *r, struct history *h, const struct stream_source *source,
                            size_t from, size_t n)
{
    char *line = r->buffer + from, *end;

    while ((end = memchr(line, '\n', (size_t)(r->buffer + n - line)))) {
        *end = '\0';
        if (is_wanted(r, line, r->at + (line - r->buffer)))
            line_recall(r, h, source, line);
        line = end + 1;
    }
    return line - r->buffer;
}

/* The place after the line that contains byte `at`. */
static size_t after_line(const char *buffer, size_t n)
{
    const char *end = memchr(buffer, '\n', n);

    return end ? (size_t)(end - buffer) + 1 : n;
}

/* Takes every line from the current place. 1: there is more. */
static int step_whole(struct recall *r, struct history *h, const struct stream_source *source)
{
    ssize_t n = read_at(r, RECALL_STEP);
    int64_t taken;

    TRY((int)n);
    if (n == RECALL_STEP && !memchr(r->buffer, '\n', (size_t)n))
        n = read_at(r, RECALL_LINE);
    TRY((int)n);
    taken = n > 0 ? lines_recall(r, h, source, 0, (size_t)n) : 0;
    if (taken == 0 && n == RECALL_LINE) {
        refuse(r, "a line is longer than a mebibyte");
        taken = n;
    }
    r->at += taken;
    r->read += taken;
    return taken > 0 && r->at < r->limit;
}

/* Takes the whole lines of one block; lines that only begin or end in it are skipped. */
static int step_block(struct recall *r, struct history *h, const struct stream_source *source,
                      int64_t tail)
{
    int64_t most = r->spacing / 2 < RECALL_BLOCK ? r->spacing / 2 : RECALL_BLOCK;
    ssize_t n = read_at(r, (size_t)(most < tail - r->at ? most : tail - r->at));

    TRY((int)n);
    lines_recall(r, h, source, r->at > 0 ? after_line(r->buffer, (size_t)n) : 0, (size_t)n);
    r->read += n;
    r->at += r->spacing;
    return n > 0;
}

/* Moves to the first line that begins in the file's tail. */
static int step_to_tail(struct recall *r, int64_t tail)
{
    ssize_t n;

    r->at = tail;
    r->in_tail = true;
    n = read_at(r, RECALL_LINE);
    TRY((int)n);
    r->at += (int64_t)after_line(r->buffer, (size_t)n);
    return n > 0;
}

/* Takes the newest line of each frequent kind, and computes how many lines a point stands for. */
static void finish(struct recall *r, struct history *h, const struct stream_source *source)
{
    static const char *const others[] = {"evaluation", "watch"};
    double share = (double)r->limit / (double)(r->read > 0 ? r->read : 1);

    for (int i = 0; i < RECALL_FREQUENT; i++) {
        struct recall_kind *k = &r->frequent[i];

        if (k->last)
            line_recall(r, h, source, k->last);
        if (k->kept > 0)
            history_spread(h, frequent[i], (uint64_t)(share * (double)k->seen / (double)k->kept));
    }
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        history_spread(h, others[i], (uint64_t)share);
}

int recall_step(struct recall *r, struct history *h, const struct stream_source *source)
{
    int64_t tail = r->spacing > 0 ? r->limit - RECALL_TAIL : 0;
    int more;

    if (r->limit == 0)
        return 0;
    if (r->spacing > 0 && r->at < tail)
        more = step_block(r, h, source, tail);
    else if (r->spacing > 0 && !r->in_tail)
        more = step_to_tail(r, tail);
    else
        more = step_whole(r, h, source);
    if (more == 0 && r->spacing > 0)
        finish(r, h, source);
    return more;
}

/* ---- open and close ---- */

int recall_open(struct recall *r, const char *path, int64_t limit)
{
    *r = (struct recall){.path = path, .file = -1, .limit = limit};
    r->spacing = limit > RECALL_WHOLE ? (limit - RECALL_TAIL) / RECALL_BLOCKS : 0;
    r->buffer = malloc(RECALL_LINE + 1);
    if (!r->buffer)
        return err(ERR_MEMORY, "no memory to read '%s'", path);
    if (limit == 0)
        return 0;
    r->file = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (r->file < 0)
        return err(ERR_NOINPUT, "cannot open '%s': %s", path, strerror(errno));
    return 0;
}

bool recall_trouble(const struct recall *r, char *text, size_t n)
{
    if (r->refused > 0)
        snprintf(text, n, "observers do not get all of '%s': %" PRIu64 " times %s", r->path,
                 r->refused, r->why);
    return r->refused > 0;
}

void recall_close(struct recall *r)
{
    for (int i = 0; i < RECALL_FREQUENT; i++)
        free(r->frequent[i].last);
    free(r->buffer);
    if (r->file >= 0)
        close(r->file);
    *r = (struct recall){.file = -1};
}
