/* rundir.c - files a person or a script finds in a run's directory. */
#include "coordinator/rundir.h"

#include <errno.h>
#include <glob.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "coordinator/aside.h"
#include "core/blas.h"
#include "core/err.h"
#include "core/machine.h"

enum { PATH_ROOM = 1280 };

static void file_in(const char *directory, const char *name, char path[PATH_ROOM])
{
    snprintf(path, PATH_ROOM, "%s/%s", directory, name);
}

static int make_directories(const char *path)
{
    char part[PATH_ROOM];

    for (const char *slash = path; slash; slash = strchr(slash + 1, '/')) {
        const char *next = strchr(slash + 1, '/');
        int n = next ? (int)(next - path) : (int)strlen(path);

        snprintf(part, sizeof part, "%.*s", n, path);
        if (mkdir(part, 0777) != 0 && errno != EEXIST)
            return err(ERR_CANTCREAT, "cannot create '%s': %s", part, strerror(errno));
    }
    return 0;
}

static void erase(const char *path)
{
    static const char *const patterns[] = {
        "metrics.jsonl",  "manifest.json", "configuration.conf", "checkpoint-*.safetensors",
        ASIDE_PARAMETERS, ASIDE_TASKS,     ASIDE_EPISODES};

    for (size_t i = 0; i < sizeof patterns / sizeof *patterns; i++) {
        char pattern[PATH_ROOM];
        glob_t g = {0};

        file_in(path, patterns[i], pattern);
        if (glob(pattern, 0, NULL, &g) == 0)
            for (size_t k = 0; k < g.gl_pathc; k++)
                unlink(g.gl_pathv[k]);
        globfree(&g);
    }
}

int rundir_open(struct rundir *d, const char *path, enum rundir_mode mode)
{
    char metrics[PATH_ROOM];

    *d = (struct rundir){.path = path};
    TRY(make_directories(path));
    file_in(path, "metrics.jsonl", metrics);
    if (mode == RUNDIR_ERASE)
        erase(path);
    if (mode == RUNDIR_FRESH && access(metrics, F_OK) == 0)
        return err(ERR_CANTCREAT,
                   "'%s' holds a run already: --resume goes on with it, --overwrite starts it "
                   "again, --run DIR puts this one elsewhere",
                   path);
    return sink_open_jsonl(&d->metrics, metrics);
}

/* Whether a metrics line belongs to a round that will be done again. */
static bool is_beyond(const char *line, int stage, uint64_t round)
{
    json_t *o = json_loads(line, 0, NULL);
    json_int_t s = json_integer_value(json_object_get(o, "stage_index"));
    json_int_t r = json_integer_value(json_object_get(o, "round"));
    bool beyond =
        !o || (json_object_get(o, "round") && (s > stage || (s == stage && r > (json_int_t)round)));

    json_decref(o);
    return beyond;
}

int rundir_rewind(const char *path, int stage, uint64_t round)
{
    char metrics[PATH_ROOM], *line = NULL;
    size_t room = 0;
    ssize_t n;
    off_t keep = 0;
    FILE *f;

    file_in(path, "metrics.jsonl", metrics);
    f = fopen(metrics, "r");
    if (!f)
        return errno == ENOENT ? 0 : err(ERR_IO, "cannot read '%s': %s", metrics, strerror(errno));
    while ((n = getline(&line, &room, f)) > 0 && line[n - 1] == '\n' &&
           !is_beyond(line, stage, round))
        keep += n;
    free(line);
    fclose(f);
    if (truncate(metrics, keep) != 0)
        return err(ERR_IO, "cannot cut '%s': %s", metrics, strerror(errno));
    return 0;
}

static int write_text(const char *directory, const char *name, const char *text)
{
    char path[PATH_ROOM];
    FILE *f;
    bool bad;

    file_in(directory, name, path);
    f = fopen(path, "w");
    if (!f)
        return err(ERR_CANTCREAT, "cannot create '%s': %s", path, strerror(errno));
    bad = fputs(text, f) == EOF;
    bad |= fclose(f) != 0;
    return bad ? err(ERR_IO, "cannot write '%s': %s", path, strerror(errno)) : 0;
}

static json_t *describe_rank(int rank, const struct mate *mate)
{
    const struct hello *h = &mate->hello;

    return json_pack("{s:i, s:s, s:i, s:i, s:s, s:s, s:s, s:I}", "rank", rank, "host", h->host,
                     "pid", (int)h->pid, "threads", (int)h->threads, "cpu", h->cpu, "blas", h->blas,
                     "version", h->version, "arena_bytes", (json_int_t)h->arena);
}

static json_t *describe(const struct crew *c, const char *version)
{
    char host[64], cpu[64], when[32];
    time_t now = time(NULL);
    json_t *ranks = json_array(), *o;

    machine_host(host, sizeof host);
    machine_cpu(cpu, sizeof cpu);
    strftime(when, sizeof when, "%Y-%m-%dT%H:%M:%SZ", gmtime(&now));
    o = json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:i, s:s}", "program", "metaloop", "version",
                  version, "started", when, "host", host, "cpu", cpu, "blas", blas_kernel(),
                  "ranks", c->comm->size, "transport", c->comm->ops->name);
    for (int i = 1; i < c->comm->size; i++)
        json_array_append_new(ranks, describe_rank(i, &c->mates[i]));
    json_object_set_new(o, "precision", json_string(REAL_NAME));
    json_object_set_new(o, "workers", ranks);
    return o;
}

int rundir_describe(const struct rundir *d, const char *configuration, const struct crew *c,
                    const char *version)
{
    json_t *manifest = describe(c, version);
    char *text = json_dumps(manifest, JSON_INDENT(2));
    int code = text ? write_text(d->path, "manifest.json", text)
                    : err(ERR_MEMORY, "no memory for the manifest");

    free(text);
    json_decref(manifest);
    TRY(code);
    return write_text(d->path, "configuration.conf", configuration);
}

void rundir_close(struct rundir *d)
{
    sink_close(&d->metrics);
}
