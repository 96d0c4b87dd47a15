/* sink_jsonl.c - {"kind": "round", "round": 17, "loss": 0.31, ...} a line. */
#include <errno.h>
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "core/err.h"
#include "proto/sink.h"

static json_t *field_value(const struct field *f)
{
    if (f->type == FIELD_INTEGER)
        return json_integer(f->integer);
    if (f->type == FIELD_TEXT)
        return json_string(f->text);
    return isfinite(f->number) ? json_real(f->number) : json_null();
}

static int jsonl_emit(struct sink *s, const char *kind, const struct field *fields)
{
    json_t *line = json_object();
    int failed;

    json_object_set_new(line, "kind", json_string(kind));
    for (; fields->type != FIELD_END; fields++)
        json_object_set_new(line, fields->key, field_value(fields));
    failed = json_dumpf(line, s->state, JSON_COMPACT | JSON_REAL_PRECISION(9)) != 0 ||
             fputc('\n', s->state) == EOF || fflush(s->state) != 0;
    json_decref(line);
    return failed ? err(ERR_IO, "cannot write metrics: %s", strerror(errno)) : 0;
}

static int jsonl_flush(struct sink *s)
{
    if (fflush(s->state) != 0 || fsync(fileno(s->state)) != 0)
        return err(ERR_IO, "cannot write metrics: %s", strerror(errno));
    return 0;
}

static void jsonl_close(struct sink *s)
{
    fclose(s->state);
}

static const struct sink_ops jsonl = {
    .name = "jsonl", .emit = jsonl_emit, .flush = jsonl_flush, .close = jsonl_close};

int sink_open_jsonl(struct sink *s, const char *path)
{
    FILE *f = fopen(path, "a");

    if (!f)
        return err(ERR_CANTCREAT, "cannot create '%s': %s", path, strerror(errno));
    *s = (struct sink){.ops = &jsonl, .state = f};
    return 0;
}
