/* replay.c - reads a run directory: metrics.jsonl and the files beside it. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/types.h>

#include "core/base/err.h"
#include "observer/source/line.h"
#include "observer/source/name.h"
#include "observer/source/source.h"

enum {
    LINE_BYTES = 1 << 20,
    TOLD = 5
}; /* a longer line is refused; so many refusals are told one by one */

struct replay_file {
    FILE *file; /* owned */
    char *line; /* owned, LINE_BYTES + 1 */
    uint64_t number;
    char path[1024];
};

/* Explains why a path is not a run directory. */
static int fail_open(const char *directory, int error)
{
    const char *slash = strrchr(directory, '/');
    struct stat st;

    if (stat(directory, &st) != 0)
        return err(ERR_NOINPUT, "no run directory '%s': %s", directory, strerror(errno));
    if (!S_ISDIR(st.st_mode))
        return err(ERR_NOINPUT,
                   "'%s' is not a directory; --replay takes the run directory, here '%.*s'",
                   directory, slash ? (int)(slash - directory) : 1, slash ? directory : ".");
    if (error == ENOENT)
        return err(ERR_NOINPUT, "'%s' is not a run directory: it has no metrics.jsonl", directory);
    return err(ERR_NOINPUT, "cannot open '%s/metrics.jsonl': %s", directory, strerror(error));
}

static FILE *open_in(const char *directory, const char *name)
{
    char path[1024];

    snprintf(path, sizeof path, "%s/%s", directory, name);
    return fopen(path, "re");
}

/* The content of a file, cut if it is too long; NULL if there is none. */
static char *read_in(const char *directory, const char *name, size_t *n)
{
    FILE *f = open_in(directory, name);
    char *text = f ? malloc(CONFIGURATION_MAX + 1) : NULL;

    *n = text ? fread(text, 1, CONFIGURATION_MAX, f) : 0;
    if (text)
        text[*n] = '\0';
    if (f)
        fclose(f);
    return text;
}

static void configuration_read(struct run *r, const char *directory)
{
    size_t n;
    char *text = read_in(directory, "configuration.conf", &n), name[4 * NAME];

    if (!text)
        return;
    if (name_read(text, name, sizeof name))
        text_clean(r->name, sizeof r->name, name);
    model_configuration(r, text, n);
    free(text);
}

static void workers_read(struct run *r, const json_t *workers)
{
    size_t i;
    json_t *one;

    json_array_foreach(workers, i, one)
    {
        const char *host = json_string_value(json_object_get(one, "host"));
        json_t *rank = json_object_get(one, "rank");
        struct worker_seen *w =
            json_is_integer(rank) ? model_worker(r, json_integer_value(rank)) : NULL;

        if (w)
            text_clean(w->host, sizeof w->host, host ? host : "");
        if (w)
            strcpy(w->state, "working");
    }
}

/* A run without an id is identified by its directory. */
static void identity_find(struct run *r, const char *directory, const json_t *manifest)
{
    const char *id = json_string_value(json_object_get(manifest, "run_id"));
    char *place = id && *id ? NULL : realpath(directory, NULL);

    model_identity(r, id && *id ? id : place ? place : directory);
    free(place);
}

/* Fields that are missing, or a manifest that cannot be read, are not shown. */
static void manifest_read(struct run *r, const char *directory)
{
    size_t n;
    char *text = read_in(directory, "manifest.json", &n);
    json_t *all = text ? json_loadb(text, n, 0, NULL) : NULL, *value;
    const char *key, *name = json_string_value(json_object_get(all, "name"));

    identity_find(r, directory, all);
    if (name && *name)
        text_clean(r->name, sizeof r->name, name);
    json_object_foreach(all, key, value)
    {
        char number[32];

        snprintf(number, sizeof number, "%" JSON_INTEGER_FORMAT, json_integer_value(value));
        if (json_is_string(value) || json_is_integer(value))
            model_fact(r, key, json_is_string(value) ? json_string_value(value) : number);
    }
    workers_read(r, json_object_get(all, "workers"));
    json_decref(all);
    free(text);
}

static void refuse(struct source *s)
{
    const struct replay_file *p = s->state;
    char why[SENTENCE]; /* may quote the line */

    text_clean(why, sizeof why, err_text());
    if (++s->refused > TOLD)
        return;
    if (s->silent)
        model_note(&s->run, NOTE_FAULT, 0, "line %llu: %s; ignored", (unsigned long long)p->number,
                   why);
    else
        fprintf(stderr, "metaloop-observe: '%s' line %llu: %s; ignored\n", p->path,
                (unsigned long long)p->number, why);
}

/* Reads the next line; returns its bytes without the line end. -1: there is none; LINE_BYTES: it
 * was too long and skipped. */
static ssize_t line_next(struct replay_file *p)
{
    size_t n = 0;
    int c;

    while ((c = getc_unlocked(p->file)) != EOF && c != '\n')
        if (n < LINE_BYTES)
            p->line[n++] = (char)c;
    p->number++;
    return c == EOF ? -1 : (ssize_t)n;
}

static int line_take(struct source *s, size_t n, const struct listener *to)
{
    struct replay_file *p = s->state;
    struct event e;
    json_t *holder = NULL;
    int code = n < LINE_BYTES ? line_read(p->line, n, &e, &holder)
                              : err(ERR_DATA, "longer than %d bytes", LINE_BYTES);

    if (code < 0) {
        refuse(s);
        return 0;
    }
    code = source_event(s, &e, to);
    json_decref(holder);
    return code;
}

static int replay_end(struct source *s)
{
    const struct replay_file *p = s->state;

    s->finished = true;
    if (s->run.state != RUN_ENDED)
        s->run.state = RUN_WHOLE;
    if (s->refused > TOLD && !s->silent)
        fprintf(stderr, "metaloop-observe: '%s': %llu more lines ignored\n", p->path,
                (unsigned long long)(s->refused - TOLD));
    if (ferror(p->file))
        return err(ERR_NOINPUT, "cannot read '%s'", p->path);
    return 0;
}

static int replay_step(struct source *s, double now, const struct listener *to)
{
    (void)now;
    for (int i = 0; i < SOURCE_STEP && !s->finished; i++) {
        ssize_t n = line_next(s->state);

        TRY(n < 0 ? replay_end(s) : line_take(s, (size_t)n, to));
    }
    return !s->finished;
}

static int replay_wait(struct source *s, zmq_pollitem_t *items)
{
    (void)s;
    (void)items;
    return 0;
}

static void replay_close(struct source *s)
{
    struct replay_file *p = s->state;

    fclose(p->file);
    free(p->line);
    free(p);
}

static const struct source_ops replay = {
    .name = "replay", .wait = replay_wait, .step = replay_step, .close = replay_close};

int source_replay(struct source *s, const char *directory)
{
    struct replay_file *p = calloc(1, sizeof *p);

    *s = (struct source){0};
    TRY(model_init(&s->run, directory));
    if (p)
        p->line = malloc(LINE_BYTES + 1);
    if (!p || !p->line) {
        free(p);
        return err(ERR_MEMORY, "no memory to read '%s'", directory);
    }
    snprintf(p->path, sizeof p->path, "%s/metrics.jsonl", directory);
    p->file = open_in(directory, "metrics.jsonl");
    if (!p->file) {
        int code = fail_open(directory, errno);

        free(p->line);
        free(p);
        return code;
    }
    s->ops = &replay;
    s->state = p;
    configuration_read(&s->run, directory);
    manifest_read(&s->run, directory);
    s->run.state = RUN_LIVE;
    return 0;
}
