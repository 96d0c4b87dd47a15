/* inspect_run.c - a run's directory: manifest, effective configuration, lock, the end of the
 * metrics, checkpoints. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "coordinator/run/rundir.h"
#include "core/base/err.h"
#include "core/base/plural.h"
#include "core/config/config.h"
#include "core/data/blob.h"
#include "core/file/checkpoint.h"
#include "core/file/checkpoint_files.h"
#include "launch/inspect.h"
#include "proto/stream/event.h"
#include "worker/method/table.h"

enum { PATH_ROOM = 4352, LAST_BYTES = 1 << 18 };

struct run_state {
    const char *directory;
    json_t *manifest, *round, *stage, *end; /* owned; NULL: not there */
    json_t *measured;                       /* owned: the last one of each data section, by name */
    struct config config;
    bool configured;
};

static void path_in(const char *directory, const char *name, char path[PATH_ROOM])
{
    snprintf(path, PATH_ROOM, "%.4096s/%s", directory, name);
}

static const char *text_in(const json_t *o, const char *key)
{
    const char *text = json_string_value(json_object_get(o, key));

    return text ? text : "?";
}

static json_int_t whole_in(const json_t *o, const char *key)
{
    return json_integer_value(json_object_get(o, key));
}

static void keep(json_t **place, json_t *o)
{
    json_decref(*place);
    *place = json_incref(o);
}

static void line_take(struct run_state *s, const char *line, size_t n)
{
    json_t *o = json_loadb(line, n, 0, NULL);
    const char *kind = text_in(o, "kind");

    if (strcmp(kind, "round") == 0)
        keep(&s->round, o);
    else if (strcmp(kind, "evaluation") == 0)
        json_object_set(s->measured, text_in(o, "data"), o);
    else if (strcmp(kind, "stage") == 0)
        keep(&s->stage, o), keep(&s->end, NULL);
    else if (strcmp(kind, "end") == 0)
        keep(&s->end, o);
    json_decref(o);
}

/* The lines in the last LAST_BYTES of the metrics. */
static int metrics_read(struct run_state *s, bool *found)
{
    char path[PATH_ROOM];
    struct stat st;
    char *text = malloc(LAST_BYTES), *line, *next;
    int fd, code = 0;
    ssize_t n = 0;

    if (!text)
        return err(ERR_MEMORY, "no memory for the metrics");
    path_in(s->directory, "metrics.jsonl", path);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    *found = fd >= 0;
    if (fd >= 0 && fstat(fd, &st) == 0)
        n = pread(fd, text, LAST_BYTES, st.st_size > LAST_BYTES ? st.st_size - LAST_BYTES : 0);
    if ((fd < 0 && errno != ENOENT) || n < 0)
        code = err(ERR_NOINPUT, "cannot read '%s': %s", path, strerror(errno));
    for (line = text; code == 0 && n > 0 && (next = memchr(line, '\n', (size_t)(text + n - line)));
         line = next + 1)
        line_take(s, line, (size_t)(next - line));
    if (fd >= 0)
        close(fd);
    free(text);
    return code;
}

/* The value of "KEY=" in the text of run.lock, up to the end of its line. */
static void lock_word(const char *text, const char *key, char *word, size_t n)
{
    const char *at = strstr(text, key);
    size_t i = 0;

    for (at = at ? at + strlen(key) : ""; (unsigned char)*at >= ' ' && i + 1 < n; at++)
        word[i++] = *at;
    word[i] = '\0';
}

/* True if a process holds the run's lock; who: the process that the lock names. */
static bool is_live(const char *directory, char *who, size_t n)
{
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    char path[PATH_ROOM], text[512], host[64], pid[32];
    ssize_t got;
    int fd;

    path_in(directory, "run.lock", path);
    fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        return false;
    if (fcntl(fd, F_OFD_GETLK, &lock) != 0)
        lock.l_type = F_UNLCK;
    got = read(fd, text, sizeof text - 1);
    close(fd);
    text[got > 0 ? got : 0] = '\0';
    lock_word(text, "host=", host, sizeof host);
    lock_word(text, "pid=", pid, sizeof pid);
    snprintf(who, n, "process %s on host '%s'", pid, host);
    return lock.l_type != F_UNLCK;
}

static void print_head(const struct run_state *s)
{
    json_t *id = json_object_get(s->manifest, "run_id");
    char who[160];

    printf("'%s': run '%s'", s->directory, s->configured ? s->config.run.name : "?");
    if (json_is_string(id))
        printf(", id %s", json_string_value(id));
    if (is_live(s->directory, who, sizeof who))
        printf(", live: %s\n", who);
    else if (s->end)
        printf(", finished, digest %s\n", text_in(s->end, "digest"));
    else
        printf(", not finished, and no process runs it: --resume continues it\n");
    if (s->manifest)
        printf("  started %s on host '%s', %lld rank%s, metaloop %s\n",
               text_in(s->manifest, "started"), text_in(s->manifest, "host"),
               (long long)whole_in(s->manifest, "ranks"),
               plural((double)whole_in(s->manifest, "ranks")), text_in(s->manifest, "version"));
}

static void print_number(const json_t *o, const char *key, const char *fmt, double times)
{
    const json_t *x = json_object_get(o, key);

    if (json_is_number(x))
        printf(fmt, times * json_number_value(x));
}

/* Numbers of a round that Event has no field for: the method's own metrics. */
static void print_metrics(json_t *round)
{
    const char *key;
    json_t *value;

    json_object_foreach(round, key, value)
    {
        if (json_is_number(value) && !stream_event_has("round", key))
            printf(", %s %.4g", key, json_number_value(value));
    }
}

static void print_round(const struct run_state *s)
{
    const json_t *at = s->round ? s->round : s->stage;
    const char *name = text_in(at, "stage");
    const struct stage_config *stage = s->configured ? config_find_stage(&s->config, name) : NULL;

    if (!at)
        return;
    printf("  stage '%s'", name);
    if (stage)
        printf(" (%lld of %d)", (long long)(stage - s->config.stages) + 1, s->config.n_stages);
    printf(", round %lld", (long long)whole_in(s->round, "round"));
    if (stage)
        printf(" of %lld", (long long)stage->rounds);
    print_number(s->round, "loss", ", loss %.4f", 1);
    print_number(s->round, "accuracy", ", accuracy %.1f %%", 100);
    print_metrics(s->round);
    putchar('\n');
}

static void print_measured(const struct run_state *s)
{
    const char *data;
    json_t *o;

    json_object_foreach(s->measured, data, o)
    {
        printf("  data '%s' after round %lld of stage '%s':", data, (long long)whole_in(o, "round"),
               text_in(o, "stage"));
        print_number(o, "accuracy", " accuracy %.2f", 100);
        print_number(o, "accuracy_ci95", " +- %.2f %%,", 100);
        print_number(o, "loss", " loss %.4f", 1);
        print_number(o, "loss_ci95", " +- %.4f", 1);
        print_number(o, "inductive_accuracy", ", inductive accuracy %.2f %%", 100);
        putchar('\n');
    }
}

static void complain(void *context, const char *sentence)
{
    (void)context;
    printf("  %s\n", sentence);
}

static int print_checkpoints(const struct run_state *s, int n)
{
    struct checkpoint_info info;
    struct run_identity run;
    char path[PATH_ROOM];
    int found;

    printf("  %d checkpoint%s", n, plural(n));
    if (n == 0) {
        putchar('\n');
        return 0;
    }
    bool known = rundir_identity(s->directory, &run);

    TRY(found = checkpoint_newest(s->directory, known ? &run : NULL, path, sizeof path, complain,
                                  NULL));
    if (found) {
        TRY(checkpoint_peek(path, &info));
        printf(", the newest valid one '%s' (stage '%s', round %" PRIu64 ")", path, info.stage_name,
               info.round);
    }
    putchar('\n');
    return 0;
}

static void configuration_read(struct run_state *s)
{
    char path[PATH_ROOM];

    path_in(s->directory, "configuration.conf", path);
    s->configured = config_recall_file(&s->config, path, stage_owner) >= 0;
}

static int print_run(struct run_state *s)
{
    char path[PATH_ROOM];
    bool told = false;
    int n;

    TRY(metrics_read(s, &told));
    TRY(n = checkpoint_count(s->directory));
    if (!told && n == 0)
        return err(ERR_DATA, "'%s' holds no run: neither metrics.jsonl nor a checkpoint",
                   s->directory);
    path_in(s->directory, "manifest.json", path);
    s->manifest = json_load_file(path, 0, NULL);
    configuration_read(s);
    print_head(s);
    print_round(s);
    print_measured(s);
    return print_checkpoints(s, n);
}

int inspect_run(const char *directory)
{
    struct run_state *s = calloc(1, sizeof *s);
    int code;

    if (!s)
        return err(ERR_MEMORY, "no memory to start");
    s->directory = directory;
    s->measured = json_object();
    code = print_run(s);
    json_decref(s->manifest);
    json_decref(s->round);
    json_decref(s->stage);
    json_decref(s->end);
    json_decref(s->measured);
    if (s->configured)
        config_release(&s->config);
    free(s);
    return code;
}
