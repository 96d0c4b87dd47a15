/* files.c - --jsonl and --csv: what is seen, kept for other programs. */
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/err.h"
#include "core/outfile.h"
#include "observer/view.h"

/* Lines as metrics.jsonl has them; with several runs each begins with "run". */
static int jsonl_event(struct view *v, const struct source *s, const struct event *e)
{
    struct sink *sink = v->state;
    struct field fields[EVENT_FIELDS + 2] = {TEXT("run", s->run.name)};
    int at = v->runs->n > 1;

    if (strcmp(e->kind, "heartbeat") == 0)
        return 0;
    memcpy(fields + at, e->fields, (size_t)(e->n + 1) * sizeof *fields);
    sink_emit(sink, e->kind, fields);
    return sink->gap ? err(ERR_IO, "%s", sink->error) : 0;
}

static int jsonl_close(struct view *v)
{
    sink_close(v->state);
    free(v->state);
    return 0;
}

static const struct view_ops jsonl = {.name = "jsonl", .event = jsonl_event, .close = jsonl_close};

int view_jsonl(struct view *v, const char *path)
{
    struct sink *sink = calloc(1, sizeof *sink);
    int fd = outfile_stream(path), code;

    if (!sink && fd >= 0) {
        close(fd);
        return err(ERR_MEMORY, "no memory to write '%s'", path);
    }
    code = fd < 0 ? fd : sink_jsonl_of(sink, fd, path);
    if (code < 0) {
        free(sink);
        return code;
    }
    v->ops = &jsonl;
    v->state = sink;
    return 0;
}

struct csv {
    FILE *file; /* owned */
    char path[];
};

static void csv_text(FILE *f, const char *text)
{
    if (!strpbrk(text, ",\"\r\n")) {
        fprintf(f, "%s,", text);
        return;
    }
    fputc('"', f);
    for (; *text; text++)
        fprintf(f, *text == '"' ? "\"\"" : "%c", *text);
    fputs("\",", f);
}

/* The stage by name, where the event tells its index only. */
static const char *stage_name(const struct source *s, const struct event *e)
{
    int64_t i = event_integer(e, "stage_index", -1);

    if (*event_text(e, "stage"))
        return event_text(e, "stage");
    return i >= 0 && i < s->run.n_stages ? s->run.stages[i].name : "";
}

static int csv_check(const struct csv *c)
{
    return ferror(c->file) ? err(ERR_IO, "cannot write '%s'", c->path) : 0;
}

static void csv_row(FILE *f, const struct source *s, const struct event *e, const struct value *v)
{
    const char *data = event_text(e, "data");
    int64_t step = v->step >= 0 ? v->step : event_integer(e, "step", -1);

    csv_text(f, s->run.name);
    csv_text(f, e->kind);
    csv_text(f, stage_name(s, e));
    if (event_find(e, "round"))
        fprintf(f, "%lld", (long long)event_integer(e, "round", 0));
    fputc(',', f);
    csv_text(f, *data ? data : event_text(e, "target"));
    if (v->step >= 0 || event_find(e, "step"))
        fprintf(f, "%lld", (long long)step);
    fputc(',', f);
    csv_text(f, v->field->key);
    if (v->field->type == FIELD_INTEGER)
        fprintf(f, "%lld\n", (long long)v->field->integer);
    else
        fprintf(f, "%.9g\n", v->number);
}

/* A row per number. */
static int csv_event(struct view *v, const struct source *s, const struct event *e)
{
    const struct csv *c = v->state;

    if (strcmp(e->kind, "heartbeat") == 0)
        return 0;
    for (struct value one = {0}; event_next(e, &one);)
        csv_row(c->file, s, e, &one);
    return csv_check(c);
}

static int csv_tick(struct view *v, double now)
{
    const struct csv *c = v->state;

    (void)now;
    fflush(c->file);
    return csv_check(c);
}

static int csv_close(struct view *v)
{
    struct csv *c = v->state;
    int code =
        fflush(c->file) != 0 ? err(ERR_IO, "cannot write '%s': %s", c->path, strerror(errno)) : 0;

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
    fputs("run,kind,stage,round,of,step,name,value\n", c->file);
    v->ops = &csv;
    v->state = c;
    return 0;
}
