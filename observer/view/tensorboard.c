/* tensorboard.c - a directory per run with one event file: scalars, and hyperparameters as text. */
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "core/base/clock.h"
#include "core/base/err.h"
#include "core/base/outfile.h"
#include "observer/view/record.h"
#include "observer/view/view.h"
#include "proto/tensorboard.pb-c.h"

enum { DT_STRING = 7, PATH_ROOM = 1200, TAG = 256 };

struct board {     /* of a run */
    FILE *file;    /* owned; NULL before its first event */
    char key[KEY]; /* id of its run */
    bool configured;
    double started; /* events without a time are dated in order from here */
};

struct tensorboard {
    char directory[1024];
    struct board *boards; /* owned, one per run */
};

static int write_event(FILE *f, Tensorboard__Event *e, const char *path)
{
    size_t n = tensorboard__event__get_packed_size(e);
    uint8_t *bytes = malloc(n + 1);

    if (!bytes)
        return err(ERR_MEMORY, "no memory for an event of %zu bytes", n);
    tensorboard__event__pack(e, bytes);
    record_write(f, bytes, n);
    free(bytes);
    return ferror(f) ? err(ERR_IO, "cannot write an event file in '%s'", path) : 0;
}

/* A name that can be a directory; TensorBoard shows it as the name of the run. */
static void safe_name(char *to, size_t n, const char *from)
{
    size_t i = 0;

    for (; from[i] && i < n - 1; i++)
        to[i] = (unsigned char)from[i] < ' ' || strchr("/\\:*?\"<>|", from[i]) ||
                        (i == 0 && from[i] == '.')
                    ? '_'
                    : from[i];
    to[i] = '\0';
}

static int directory_make(const char *path)
{
    if (mkdir(path, 0777) == 0 || errno == EEXIST)
        return 0;
    return err(outfile_code(errno), "cannot create '%s': %s", path, strerror(errno));
}

/* NAME-ID: runs with the same name have different directories, in whatever order they are
 * watched. */
static int file_open(const struct tensorboard *t, const struct source *s, int index, FILE **file)
{
    const char *key = t->boards[index].key;
    char path[PATH_ROOM], host[65] = "", name[NAME + KEY], safe[NAME + KEY];
    int n;

    snprintf(name, sizeof name, "%s%s%s", *s->run.name ? s->run.name : "run", *key ? "-" : "", key);
    safe_name(safe, sizeof safe, name);
    n = snprintf(path, sizeof path, "%s/%s", t->directory, safe);
    TRY(directory_make(path));
    gethostname(host, sizeof host - 1);
    snprintf(path + n, sizeof path - (size_t)n, "/events.out.tfevents.%010ld.%s.%d.%d.metaloop",
             (long)time(NULL), host, (int)getpid(), index);
    *file = fopen(path, "ae");
    if (!*file)
        return err(outfile_code(errno), "cannot create '%s': %s", path, strerror(errno));
    return 0;
}

static int board_shut(const struct tensorboard *t, struct board *b)
{
    FILE *f = b->file;

    *b = (struct board){0};
    if (f && (fflush(f) != 0) | (fclose(f) != 0))
        return err(ERR_IO, "cannot write an event file in '%s': %s", t->directory, strerror(errno));
    return 0;
}

/* The writer of the run that the source shows now. */
static int board_open(const struct tensorboard *t, const struct source *s, int index,
                      const char *key)
{
    struct board *b = &t->boards[index];
    Tensorboard__Event e = TENSORBOARD__EVENT__INIT;

    TRY(board_shut(t, b));
    strcpy(b->key, key);
    TRY(file_open(t, s, index, &b->file));
    b->started = clock_since_1970();
    e.wall_time = b->started;
    e.what_case = TENSORBOARD__EVENT__WHAT_FILE_VERSION;
    e.file_version = (char *)"brain.Event:2";
    return write_event(b->file, &e, t->directory);
}

static int write_value(const struct tensorboard *t, const struct board *b, double at, int64_t step,
                       Tensorboard__Summary__Value *value)
{
    Tensorboard__Event e = TENSORBOARD__EVENT__INIT;
    Tensorboard__Summary summary = TENSORBOARD__SUMMARY__INIT;

    summary.n_value = 1;
    summary.value = &value;
    e.wall_time = at > 0 ? at : b->started;
    e.step = step;
    e.what_case = TENSORBOARD__EVENT__WHAT_SUMMARY;
    e.summary = &summary;
    return write_event(b->file, &e, t->directory);
}

static int write_text(const struct tensorboard *t, const struct board *b, char *tag,
                      const char *text)
{
    Tensorboard__Summary__Value value = TENSORBOARD__SUMMARY__VALUE__INIT;
    Tensorboard__Metadata metadata = TENSORBOARD__METADATA__INIT;
    Tensorboard__Metadata__Plugin plugin = TENSORBOARD__METADATA__PLUGIN__INIT;
    Tensorboard__Tensor tensor = TENSORBOARD__TENSOR__INIT;
    Tensorboard__Shape shape = TENSORBOARD__SHAPE__INIT;
    Tensorboard__Shape__Dim dim = TENSORBOARD__SHAPE__DIM__INIT, *dims = &dim;
    ProtobufCBinaryData bytes = {strlen(text), (uint8_t *)(uintptr_t)text};

    plugin.plugin_name = (char *)"text";
    metadata.plugin_data = &plugin;
    dim.size = 1;
    shape.n_dim = 1;
    shape.dim = &dims;
    tensor.dtype = DT_STRING;
    tensor.tensor_shape = &shape;
    tensor.n_string_val = 1;
    tensor.string_val = &bytes;
    value.tag = tag;
    value.metadata = &metadata;
    value.value_case = TENSORBOARD__SUMMARY__VALUE__VALUE_TENSOR;
    value.tensor = &tensor;
    return write_value(t, b, 0, 0, &value);
}

/* As Markdown, in which four leading blanks keep a text unchanged. */
static int write_configuration(const struct tensorboard *t, struct board *b, const struct run *r)
{
    size_t n = 0, room = 0;
    char *text = NULL;
    FILE *f = open_memstream(&text, &room);

    if (!f)
        return err(ERR_MEMORY, "no memory for the configuration");
    fputs("    ", f);
    for (const char *c = r->configuration; *c; c++, n++) {
        fputc(*c, f);
        if (*c == '\n')
            fputs("    ", f);
    }
    fclose(f);
    int code = write_text(t, b, (char *)"configuration", text);
    free(text);
    b->configured = true;
    return code;
}

/* "meta/loss", "meta/support_losses/step0", "meta/evaluation/ink/step2/accuracy". */
static void tag_make(char *tag, size_t n, const struct source *s, const struct event *e,
                     const struct value *v)
{
    const char *data = event_text(e, "data"), *of = *data ? data : event_text(e, "target");
    int64_t stage = event_integer(e, "stage_index", -1);
    bool evaluation = strcmp(e->kind, "evaluation") == 0, plain = strcmp(e->kind, "round") == 0;
    char step[32] = "", place[32] = "", text[TAG];

    if (evaluation)
        snprintf(step, sizeof step, "step%lld/", (long long)event_integer(e, "step", 0));
    if (v->step >= 0)
        snprintf(place, sizeof place, "/step%d", v->step);
    snprintf(text, sizeof text, "%s/%s%s%.64s%s%s%s%s",
             stage >= 0 && stage < s->run.n_stages ? s->run.stages[stage].name : "run",
             plain ? "" : e->kind, plain ? "" : "/", of, *of ? "/" : "", step, v->field->key,
             place);
    text_clean(tag, n, text);
}

static int board_event(struct view *v, const struct source *s, const struct event *e)
{
    const struct tensorboard *t = v->state;
    int index = (int)(s - v->runs->sources);
    struct board *b = &t->boards[index];

    char key[KEY];

    run_key(v->runs, &s->run, key, sizeof key);
    if (!b->file || strcmp(b->key, key) != 0)
        TRY(board_open(t, s, index, key));
    if (!b->configured && s->run.configuration)
        TRY(write_configuration(t, b, &s->run));
    if (!event_find(e, "round"))
        return 0;
    for (struct value one = {0}; event_next(e, &one);) {
        Tensorboard__Summary__Value value = TENSORBOARD__SUMMARY__VALUE__INIT;
        char tag[TAG];

        tag_make(tag, sizeof tag, s, e, &one);
        value.tag = tag;
        value.value_case = TENSORBOARD__SUMMARY__VALUE__VALUE_SIMPLE_VALUE;
        value.simple_value = (float)one.number;
        TRY(write_value(t, b, e->time, event_integer(e, "round", 0), &value));
    }
    return 0;
}

static int board_tick(struct view *v, double now)
{
    const struct tensorboard *t = v->state;

    (void)now;
    for (int i = 0; i < v->runs->n; i++)
        if (t->boards[i].file && fflush(t->boards[i].file) != 0)
            return err(ERR_IO, "cannot write an event file in '%s': %s", t->directory,
                       strerror(errno));
    return 0;
}

static int board_close(struct view *v)
{
    struct tensorboard *t = v->state;
    int code = board_tick(v, 0);

    for (int i = 0; i < v->runs->n; i++) {
        int shut = board_shut(t, &t->boards[i]);

        code = code < 0 ? code : shut;
    }
    free(t->boards);
    free(t);
    return code;
}

static const struct view_ops tensorboard = {
    .name = "tensorboard", .event = board_event, .tick = board_tick, .close = board_close};

int view_tensorboard(struct view *v, const char *directory)
{
    struct tensorboard *t = calloc(1, sizeof *t);

    if (strlen(directory) >= sizeof t->directory) {
        free(t);
        return err(ERR_USAGE, "'%.60s...' is too long a name", directory);
    }
    TRY(directory_make(directory));
    if (t)
        t->boards = calloc((size_t)v->runs->n, sizeof *t->boards);
    if (!t || !t->boards) {
        free(t);
        return err(ERR_MEMORY, "no memory for event files");
    }
    strcpy(t->directory, directory);
    v->ops = &tensorboard;
    v->state = t;
    return 0;
}
