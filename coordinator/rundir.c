/* rundir.c - files a person or a script finds in a run's directory. */
#include "coordinator/rundir.h"

#include <dirent.h>
#include <errno.h>
#include <fnmatch.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "coordinator/aside.h"
#include "core/blas.h"
#include "core/checkpoint_files.h"
#include "core/err.h"
#include "core/machine.h"
#include "core/outfile.h"

enum { PATH_ROOM = 1280 };

static void file_in(const char *directory, const char *name, char path[PATH_ROOM])
{
    snprintf(path, PATH_ROOM, "%s/%s", directory, name);
}

static bool is_directory(const char *path)
{
    struct stat st;

    return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

static int make_directories(const char *path)
{
    char part[PATH_ROOM];

    for (const char *slash = path; slash; slash = strchr(slash + 1, '/')) {
        const char *next = strchr(slash + 1, '/');
        int n = next ? (int)(next - path) : (int)strlen(path);

        snprintf(part, sizeof part, "%.*s", n, path);
        if (is_directory(part))
            continue;
        if (mkdir(part, 0777) != 0 && errno != EEXIST)
            return err(outfile_code(errno), "cannot create '%s': %s", part, strerror(errno));
        TRY(outfile_sync_directory(part));
    }
    return 0;
}

static bool is_ours(const char *name)
{
    static const char *const patterns[] = {ASIDE_PARAMETERS, ASIDE_TASKS, ASIDE_EPISODES};

    for (size_t i = 0; i < sizeof patterns / sizeof *patterns; i++)
        if (fnmatch(patterns[i], name, FNM_PERIOD) == 0)
            return true;
    return checkpoint_is_name(name) || strcmp(name, "manifest.json") == 0 ||
           strcmp(name, "configuration.conf") == 0;
}

static int erase_names(DIR *d, const char *path, const char *pattern)
{
    const struct dirent *e;

    rewinddir(d);
    while ((e = readdir(d)))
        if (fnmatch(pattern, e->d_name, FNM_PERIOD) == 0 && unlinkat(dirfd(d), e->d_name, 0) != 0 &&
            errno != ENOENT)
            return err(ERR_IO, "cannot remove '%s/%s': %s", path, e->d_name, strerror(errno));
    return 0;
}

/* Metrics last: while they are there, the directory counts as a run's. */
static int erase(const char *path)
{
    static const char *const patterns[] = {ASIDE_PARAMETERS, ASIDE_TASKS,          ASIDE_EPISODES,
                                           "manifest.json",  "configuration.conf", "metrics.jsonl"};
    DIR *d;
    int code = 0;

    TRY(checkpoint_erase(path));
    d = opendir(path);
    if (!d)
        return err(ERR_IO, "cannot read directory '%s': %s", path, strerror(errno));
    for (size_t i = 0; i < sizeof patterns / sizeof *patterns && code == 0; i++)
        code = erase_names(d, path, patterns[i]);
    closedir(d);
    return code;
}

static int refuse_run(const char *path, const char *metrics)
{
    int n = checkpoint_count(path);

    TRY(n);
    if (n == 0 && access(metrics, F_OK) != 0)
        return 0;
    return err(ERR_CANTCREAT,
               "'%s' holds a run already: --resume goes on with it, --overwrite starts it "
               "again, --run DIR puts this one elsewhere",
               path);
}

int rundir_open(struct rundir *d, const char *path, enum rundir_mode mode)
{
    char metrics[PATH_ROOM];

    *d = (struct rundir){.path = path};
    TRY(make_directories(path));
    file_in(path, "metrics.jsonl", metrics);
    if (mode == RUNDIR_ERASE)
        TRY(erase(path));
    if (mode == RUNDIR_FRESH)
        TRY(refuse_run(path, metrics));
    outfile_clean(path, is_ours);
    return sink_open_jsonl(&d->metrics, metrics);
}

static bool is_one_of(const char *word, const char *a, const char *b)
{
    return word && (strcmp(word, a) == 0 || strcmp(word, b) == 0);
}

/* Whether a metrics line belongs to what will be done again: a later round, or an evaluation of this one or a look at
 * its adaptation. A line that is no JSON tells nothing. */
static bool is_beyond(const char *line, int stage, uint64_t round)
{
    json_t *o = json_loads(line, 0, NULL);
    const char *kind = json_string_value(json_object_get(o, "kind"));
    const char *purpose = json_string_value(json_object_get(o, "purpose"));
    json_int_t s = json_integer_value(json_object_get(o, "stage_index"));
    json_int_t r = json_integer_value(json_object_get(o, "round"));
    bool measured =
        is_one_of(kind, "evaluation", "watch") || is_one_of(purpose, "evaluate", "watch");
    bool later = s > stage || (s == stage && r > (json_int_t)round - measured);
    bool beyond = json_object_get(o, "round") && later;

    json_decref(o);
    return beyond;
}

/* The bytes before the first line beyond, or a torn one; ERR_IO where reading fails before that. */
static off_t bytes_kept(FILE *f, const char *path, int stage, uint64_t round)
{
    char *line = NULL;
    size_t room = 0;
    off_t keep = 0;
    ssize_t n;

    while ((n = getline(&line, &room, f)) > 0 && line[n - 1] == '\n' &&
           !is_beyond(line, stage, round))
        keep += n;
    free(line);
    if (n <= 0 && !feof(f))
        return err(ERR_IO, "cannot read '%s': %s", path, strerror(errno));
    return keep;
}

int rundir_rewind(const char *path, int stage, uint64_t round)
{
    char metrics[PATH_ROOM];
    off_t keep;
    FILE *f;

    file_in(path, "metrics.jsonl", metrics);
    f = fopen(metrics, "r");
    if (!f)
        return errno == ENOENT ? 0 : err(ERR_IO, "cannot read '%s': %s", metrics, strerror(errno));
    keep = bytes_kept(f, metrics, stage, round);
    fclose(f);
    if (keep < 0)
        return (int)keep;
    if (truncate(metrics, keep) != 0)
        return err(ERR_IO, "cannot cut '%s': %s", metrics, strerror(errno));
    return 0;
}

static int write_text(const char *directory, const char *name, const char *text)
{
    char path[PATH_ROOM];

    file_in(directory, name, path);
    return outfile_whole(path, text, strlen(text));
}

static json_t *describe_rank(int rank, const struct mate *mate)
{
    const struct hello *h = &mate->hello;

    return json_pack("{s:i, s:s, s:i, s:i, s:s, s:s, s:s, s:I}", "rank", rank, "host", h->host,
                     "pid", (int)h->pid, "threads", (int)h->threads, "cpu", h->cpu, "blas", h->blas,
                     "version", h->version, "arena_bytes", (json_int_t)h->arena);
}

/* What the data sets hold: a resume on other data can be told by it. */
static json_t *describe_data(const struct survey *s)
{
    char digest[20];

    snprintf(digest, sizeof digest, "%016" PRIx64, survey_digest(s));
    return json_pack("{s:s, s:s, s:I, s:I, s:[i, i, i], s:b}", "name", s->name, "digest", digest,
                     "classes", (json_int_t)s->n_classes, "samples", (json_int_t)s->n_samples,
                     "shape", s->shape.h, s->shape.w, s->shape.c, "sampled", s->sampled);
}

static json_t *describe(const struct crew *c, const char *version)
{
    char host[64], cpu[64], when[32];
    time_t now = time(NULL);
    json_t *ranks = json_array(), *data = json_array(), *o;

    machine_host(host, sizeof host);
    machine_cpu(cpu, sizeof cpu);
    strftime(when, sizeof when, "%Y-%m-%dT%H:%M:%SZ", gmtime(&now));
    o = json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:i, s:s}", "program", "metaloop", "version",
                  version, "started", when, "host", host, "cpu", cpu, "blas", blas_kernel(),
                  "ranks", c->comm->size, "transport", c->comm->ops->name);
    for (int i = 1; i < c->comm->size; i++)
        json_array_append_new(ranks, describe_rank(i, &c->mates[i]));
    for (int i = 0; i < c->sections.n; i++)
        json_array_append_new(data, describe_data(&c->sections.each[i]));
    json_object_set_new(o, "data", data);
    json_object_set_new(o, "build", json_string(machine_build()));
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

bool rundir_news(struct rundir *d, char *sentence, size_t n)
{
    const struct sink *m = &d->metrics;

    if (m->gap > 0 && d->gap == 0)
        snprintf(sentence, n, "warning: %s; training goes on without its lines", m->error);
    else if (m->gap == 0 && d->gap > 0)
        snprintf(sentence, n, "'%s/metrics.jsonl' is written again; %" PRIu64 " events are lost",
                 d->path, m->lost - d->lost);
    else
        return false;
    d->gap = m->gap;
    d->lost = m->gap ? d->lost : m->lost;
    return true;
}

void rundir_close(struct rundir *d)
{
    sink_close(&d->metrics);
}
