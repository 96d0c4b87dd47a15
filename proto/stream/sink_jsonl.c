/* sink_jsonl.c - one line per event: {"kind": "round", "round": 17, "loss": 0.31, ...} */
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/base/err.h"
#include "core/base/outfile.h"
#include "proto/stream/sink.h"

static json_t *object_of(const struct field *fields);

static json_t *number_value(double x)
{
    return isfinite(x) ? json_real(x) : json_null();
}

static json_t *numbers_value(const double *numbers, size_t n)
{
    json_t *array = json_array();

    for (size_t i = 0; i < n; i++)
        json_array_append_new(array, number_value(numbers[i]));
    return array;
}

static json_t *list_value(const struct field *const *list)
{
    json_t *array = json_array();

    for (; *list; list++)
        json_array_append_new(array, object_of(*list));
    return array;
}

static json_t *field_value(const struct field *f)
{
    if (f->type == FIELD_INTEGER)
        return json_integer(f->integer);
    if (f->type == FIELD_TEXT)
        return json_string(f->text);
    if (f->type == FIELD_LIST)
        return list_value(f->list);
    if (f->type == FIELD_NUMBERS)
        return numbers_value(f->numbers, f->n);
    return number_value(f->number);
}

/* Each under its own name. */
static void metrics_fill(json_t *o, const struct field *f)
{
    for (size_t i = 0; i < f->n; i++)
        json_object_set_new(o, f->names[i], number_value(f->numbers[i]));
}

static void object_fill(json_t *o, const struct field *fields)
{
    for (; fields->type != FIELD_END; fields++)
        if (fields->type == FIELD_METRICS)
            metrics_fill(o, fields);
        else
            json_object_set_new(o, fields->key, field_value(fields));
}

static json_t *object_of(const struct field *fields)
{
    json_t *o = json_object();

    object_fill(o, fields);
    return o;
}

/* Of an open file. */
struct jsonl {
    int fd;
    bool grows;  /* a regular file: what was torn can be cut off */
    bool torn;   /* the file ends in part of a line ... */
    off_t whole; /* ... that begins here */
    char path[];
};

static int fail_write(const struct jsonl *f)
{
    return err(ERR_IO, "cannot write '%s': %s", f->path, strerror(errno));
}

static int torn_cut(struct jsonl *f)
{
    if (f->grows && f->torn && ftruncate(f->fd, f->whole) != 0)
        return fail_write(f);
    f->torn = false;
    return 0;
}

/* Appends all n bytes, or none of them. */
static int line_append(struct jsonl *f, const char *line, size_t n)
{
    TRY(torn_cut(f));
    f->whole = f->grows ? lseek(f->fd, 0, SEEK_END) : 0;
    if (f->whole < 0)
        return fail_write(f);
    while (n > 0) {
        ssize_t done = write(f->fd, line, n);

        if (done < 0 && errno == EINTR)
            continue;
        if (done <= 0) {
            int code = fail_write(f);

            torn_cut(f); /* otherwise the next line cuts: f->torn stays */
            return code;
        }
        f->torn = true;
        line += done;
        n -= (size_t)done;
    }
    f->torn = false;
    return 0;
}

static int jsonl_emit(struct sink *s, const char *kind, const struct field *fields)
{
    json_t *o = json_object();
    char *text;
    int code;

    json_object_set_new(o, "kind", json_string(kind));
    object_fill(o, fields);
    text = json_dumps(o, JSON_COMPACT | JSON_REAL_PRECISION(9));
    json_decref(o);
    if (!text)
        return err(ERR_MEMORY, "no memory for an event '%s'", kind);
    size_t n = strlen(text);
    text[n] = '\n'; /* in the place of the closing NUL */
    code = line_append(s->state, text, n + 1);
    free(text);
    return code;
}

static int jsonl_flush(struct sink *s)
{
    struct jsonl *f = s->state;

    TRY(torn_cut(f));
    return f->grows && fsync(f->fd) != 0 ? fail_write(f) : 0;
}

static void jsonl_close(struct sink *s)
{
    struct jsonl *f = s->state;

    close(f->fd);
    free(f);
}

static const struct sink_ops jsonl = {
    .name = "jsonl", .emit = jsonl_emit, .flush = jsonl_flush, .close = jsonl_close};

int sink_jsonl_of(struct sink *s, int fd, const char *path)
{
    struct jsonl *f = calloc(1, sizeof *f + strlen(path) + 1);
    struct stat st;

    if (!f) {
        close(fd);
        return err(ERR_MEMORY, "no memory to write '%s'", path);
    }
    strcpy(f->path, path);
    f->fd = fd;
    f->grows = fstat(fd, &st) == 0 && S_ISREG(st.st_mode);
    *s = (struct sink){.ops = &jsonl, .state = f};
    return 0;
}

int sink_open_jsonl(struct sink *s, const char *path)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);

    if (fd < 0)
        return err(outfile_code(errno), "cannot create '%s': %s", path, strerror(errno));
    return sink_jsonl_of(s, fd, path);
}
