/* files.c - --jsonl and --csv: events for other programs. */
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/base/err.h"
#include "core/base/outfile.h"
#include "observer/view/view.h"

struct jsonl_view {
    struct sink sink;
    int fd; /* the sink's */
};

/* Lines as in metrics.jsonl; with several runs each line begins with "run" and "run_id". */
static int jsonl_event(struct view *v, const struct source *s, const struct event *e)
{
    struct jsonl_view *j = v->state;
    char key[KEY];
    struct field fields[EVENT_FIELDS + 3] = {TEXT("run", s->run.name), TEXT("run_id", key)};
    int at = v->runs->n > 1 ? 2 : 0;

    if (strcmp(e->kind, "heartbeat") == 0 || v->gone)
        return 0;
    run_key(v->runs, &s->run, key, sizeof key);
    memcpy(fields + at, e->fields, (size_t)(e->n + 1) * sizeof *fields);
    sink_emit(&j->sink, e->kind, fields);
    v->gone = j->sink.gap && reader_is_gone(j->fd);
    return j->sink.gap && !v->gone ? err(ERR_IO, "%s", j->sink.error) : 0;
}

static int jsonl_tick(struct view *v, double now)
{
    const struct jsonl_view *j = v->state;

    (void)now;
    v->gone |= reader_is_gone(j->fd);
    return 0;
}

static int jsonl_close(struct view *v)
{
    struct jsonl_view *j = v->state;

    sink_close(&j->sink);
    free(j);
    return 0;
}

static const struct view_ops jsonl = {
    .name = "jsonl", .event = jsonl_event, .tick = jsonl_tick, .close = jsonl_close};

int view_jsonl(struct view *v, const char *path)
{
    struct jsonl_view *j = calloc(1, sizeof *j);
    int code;

    if (!j)
        return err(ERR_MEMORY, "no memory to write '%s'", path);
    j->fd = outfile_stream(path);
    code = j->fd < 0 ? j->fd : sink_jsonl_of(&j->sink, j->fd, path);
    if (code < 0) {
        free(j);
        return code;
    }
    v->ops = &jsonl;
    v->state = j;
    return 0;
}

struct csv {
    FILE *file; /* owned */
    char path[];
};

/* By RFC 4180; a text that a spreadsheet would take for a formula gets a ' in front. */
static void csv_text(FILE *f, const char *text, char end)
{
    const char *guard = *text && strchr("=+-@", *text) ? "'" : "";

    if (!strpbrk(text, ",\"\r\n")) {
        fprintf(f, "%s%s%c", guard, text, end);
        return;
    }
    fprintf(f, "\"%s", guard);
    for (; *text; text++)
        fprintf(f, *text == '"' ? "\"\"" : "%c", *text);
    fprintf(f, "\"%c", end);
}

/* The stage's name, if the event has only its index. */
static const char *stage_name(const struct source *s, const struct event *e)
{
    int64_t i = event_integer(e, "stage_index", -1);

    if (*event_text(e, "stage"))
        return event_text(e, "stage");
    return i >= 0 && i < s->run.n_stages ? s->run.stages[i].name : "";
}

static int csv_check(struct view *v)
{
    const struct csv *c = v->state;

    v->gone |= reader_is_gone(fileno(c->file));
    return ferror(c->file) && !v->gone ? err(ERR_IO, "cannot write '%s'", c->path) : 0;
}

static void csv_row(const struct view *v, const struct source *s, const struct event *e,
                    const struct value *one)
{
    const struct csv *c = v->state;
    FILE *f = c->file;
    const char *data = event_text(e, "data");
    int64_t step = one->step >= 0 ? one->step : event_integer(e, "step", -1);
    char key[KEY];

    run_key(v->runs, &s->run, key, sizeof key);
    csv_text(f, key, ',');
    csv_text(f, s->run.name, ',');
    csv_text(f, e->kind, ',');
    csv_text(f, stage_name(s, e), ',');
    if (event_find(e, "round"))
        fprintf(f, "%lld", (long long)event_integer(e, "round", 0));
    fputc(',', f);
    csv_text(f, *data ? data : event_text(e, "target"), ',');
    if (one->step >= 0 || event_find(e, "step"))
        fprintf(f, "%lld", (long long)step);
    fputc(',', f);
    csv_text(f, one->field->key, ',');
    if (one->field->type == FIELD_INTEGER)
        fprintf(f, "%lld\n", (long long)one->field->integer);
    else
        fprintf(f, "%.9g\n", one->number);
}

/* A row per number. */
static int csv_event(struct view *v, const struct source *s, const struct event *e)
{
    if (strcmp(e->kind, "heartbeat") == 0 || v->gone)
        return 0;
    for (struct value one = {0}; event_next(e, &one);)
        csv_row(v, s, e, &one);
    return ferror(((const struct csv *)v->state)->file) ? csv_check(v) : 0;
}

static int csv_tick(struct view *v, double now)
{
    const struct csv *c = v->state;

    (void)now;
    fflush(c->file);
    return csv_check(v);
}

static int csv_close(struct view *v)
{
    struct csv *c = v->state;
    int code = 0;

    if (fflush(c->file) != 0 && !v->gone && !reader_is_gone(fileno(c->file)))
        code = err(ERR_IO, "cannot write '%s': %s", c->path, strerror(errno));
    fclose(c->file);
    free(c);
    return code;
}

static const struct view_ops csv = {
    .name = "csv", .event = csv_event, .tick = csv_tick, .close = csv_close};

int view_csv(struct view *v, const char *path)
{
    struct csv *c = calloc(1, sizeof *c + strlen(path) + 1);
    int fd = outfile_stream(path);

    if (c)
        strcpy(c->path, path);
    if (c && fd >= 0)
        c->file = fdopen(fd, "w");
    if (fd < 0 || !c || !c->file) {
        int code = fd < 0 ? fd : err(ERR_MEMORY, "no memory to write '%s'", path);

        if (fd >= 0)
            close(fd);
        free(c);
        return code;
    }
    fputs("run_id,run,kind,stage,round,of,step,name,value\n", c->file);
    v->ops = &csv;
    v->state = c;
    return 0;
}
