/* rundir.c - the files of a run's directory. */
#include "coordinator/run/rundir_internal.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "coordinator/run/failed_files.h"
#include "core/base/clock.h"
#include "core/base/err.h"
#include "core/base/machine.h"
#include "core/base/outfile.h"
#include "core/file/checkpoint.h"
#include "core/file/checkpoint_files.h"
#include "core/math/blas.h"

static bool is_ours(const char *name)
{
    static const char *const patterns[] = {FAILED_FILES_PARAMETERS, FAILED_FILES_TASKS,
                                           FAILED_FILES_EPISODES};

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

/* The manifest is already that of the new run. If this is interrupted, the rest of the old run
 * belongs to no run. */
static int erase(const char *path)
{
    static const char *const patterns[] = {FAILED_FILES_PARAMETERS, FAILED_FILES_TASKS,
                                           FAILED_FILES_EPISODES,   "configuration.conf",
                                           "metrics.jsonl",         "metrics.jsonl.other"};
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

static int write_text(const char *directory, const char *name, const char *text)
{
    char path[PATH_ROOM];

    rundir_file(directory, name, path);
    return outfile_whole(path, text, strlen(text));
}

static json_t *describe_rank(int rank, const struct crew_worker *worker)
{
    const struct hello *h = &worker->hello;

    return json_pack("{s:i, s:s, s:i, s:i, s:s, s:s, s:s, s:I}", "rank", rank, "host", h->host,
                     "pid", (int)h->pid, "threads", (int)h->threads, "cpu", h->cpu, "blas", h->blas,
                     "version", h->version, "arena_bytes", (json_int_t)h->arena);
}

/* Digests of the data sets, so that a resume on other data is noticed. */
static json_t *describe_data(const struct survey *s)
{
    char digest[20];

    snprintf(digest, sizeof digest, "%016" PRIx64, survey_digest(s));
    return json_pack("{s:s, s:s, s:I, s:I, s:[i, i, i], s:b}", "name", s->name, "digest", digest,
                     "classes", (json_int_t)s->n_classes, "samples", (json_int_t)s->n_samples,
                     "shape", s->shape.h, s->shape.w, s->shape.c, "sampled", s->sampled);
}

static json_t *describe(const struct rundir *d, const struct crew *c, const char *version)
{
    char host[64], cpu[64], when[32];
    time_t now = time(NULL);
    json_t *ranks = json_array(), *data = json_array(), *o;

    machine_host(host, sizeof host);
    machine_cpu(cpu, sizeof cpu);
    strftime(when, sizeof when, "%Y-%m-%dT%H:%M:%SZ", gmtime(&now));
    o = json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:i, s:s}", "program", "metaloop", "run_id",
                  d->run.id, "version", version, "started", when, "host", host, "cpu", cpu, "blas",
                  blas_kernel(), "ranks", c->comm->size, "transport", c->comm->ops->name);
    for (int i = 1; i < c->comm->size; i++)
        json_array_append_new(ranks, describe_rank(i, &c->workers[i]));
    for (int i = 0; i < c->sections.n; i++)
        json_array_append_new(data, describe_data(&c->sections.each[i]));
    json_object_set_new(o, "data", data);
    if (d->inits)
        json_object_set(o, "init", d->inits);
    json_object_set_new(o, "build", json_string(machine_build()));
    json_object_set_new(o, "precision", json_string(REAL_NAME));
    json_object_set_new(o, "workers", ranks);
    if (d->run.unnamed)
        json_object_set_new(o, "began_without_run_id", json_true());
    return o;
}

static int write_manifest(const struct rundir *d, const struct crew *c, const char *version)
{
    json_t *manifest = describe(d, c, version);
    char *text = json_dumps(manifest, JSON_INDENT(2));
    int code = text ? write_text(d->path, "manifest.json", text)
                    : err(ERR_MEMORY, "no memory for the manifest");

    free(text);
    json_decref(manifest);
    return code;
}

/* The identity is written first: if this is interrupted, the directory belongs to the new run. */
int rundir_begin(struct rundir *d, const char *configuration, const struct crew *c,
                 const char *version)
{
    TRY(write_manifest(d, c, version));
    if (d->mode == RUNDIR_ERASE)
        TRY(erase(d->path));
    outfile_clean(d->path, is_ours);
    TRY(write_text(d->path, "configuration.conf", configuration));
    return rundir_metrics_open(d);
}

bool rundir_news(struct rundir *d, char *sentence, size_t n)
{
    const struct sink *m = &d->metrics;

    if (d->set_aside) {
        snprintf(sentence, n,
                 "warning: '%s/metrics.jsonl' does not belong to this run: it is set aside as "
                 "metrics.jsonl.other, and a new file is begun",
                 d->path);
        d->set_aside = false;
        return true;
    }
    if (m->gap > 0 && d->gap == 0)
        snprintf(sentence, n, "warning: %s; training goes on without its lines", m->error);
    else if (m->gap == 0 && d->gap > 0)
        snprintf(sentence, n, "'%s/metrics.jsonl' is written again; %" PRIu64 " event%s lost",
                 d->path, m->lost - d->lost, m->lost - d->lost == 1 ? " is" : "s are");
    else
        return false;
    d->gap = m->gap;
    d->lost = m->gap ? d->lost : m->lost;
    return true;
}

void rundir_close(struct rundir *d)
{
    sink_close(&d->metrics);
    json_decref(d->inits);
    d->inits = NULL;
    run_lock_release(&d->lock);
    if (d->fd >= 0)
        close(d->fd);
    d->fd = -1;
}
