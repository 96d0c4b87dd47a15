/* report_live.c - what only observers hear: what runs, how the workers are, the lines that people read; and of a
 * resumed run, what it told before. */
#include "coordinator/train_internal.h"

#include <inttypes.h>
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "core/blas.h"
#include "core/clock.h"
#include "core/err.h"
#include "core/machine.h"
#include "proto/sink_zmq.h"

enum { FIELDS = 32, NUMBERS_MAX = 4 * STEPS_MAX }; /* of a recalled line */

#define WORKERS_EVERY 1.0 /* seconds */

/* ---- what runs ---- */

struct hosts { /* the workers', each once */
    int n;
    struct {
        const char *name, *cpu;
        int ranks, threads;
    } each[256];
};

static void count_host(struct hosts *h, const struct hello *hello)
{
    int i = 0;

    while (i < h->n && strcmp(h->each[i].name, hello->host) != 0)
        i++;
    if (i == (int)(sizeof h->each / sizeof *h->each))
        return;
    if (i == h->n) {
        h->each[h->n].name = hello->host;
        h->each[h->n++].cpu = hello->cpu;
    }
    h->each[i].ranks++;
    h->each[i].threads += (int)hello->threads;
}

static void emit_run(struct train *t, const struct field *const *stages,
                     const struct field *const *hosts)
{
    const struct run_config *run = &t->setup->config->run;
    char host[64], cpu[64];
    struct field fields[] = {
        TEXT("name", run->name),
        INTEGER("seed", run->seed),
        TEXT("directory", t->directory),
        TEXT("configuration", t->configuration),
        TEXT("version", t->version),
        TEXT("cpu", cpu),
        TEXT("blas", blas_kernel()),
        TEXT("host", host),
        INTEGER("ranks", t->crew->comm->size),
        TEXT("transport", t->crew->comm->ops->name),
        TEXT("precision", REAL_NAME),
        LIST("stages", stages),
        LIST("hosts", hosts),
        {0},
    };

    machine_host(host, sizeof host);
    machine_cpu(cpu, sizeof cpu);
    sink_emit(&t->stream, "run", fields);
}

static void report_run(struct train *t)
{
    const struct setup *s = t->setup;
    struct field stage[CONFIG_STAGE_MAX][7], host[256][5];
    const struct field *stages[CONFIG_STAGE_MAX + 1] = {0}, *hosts[257] = {0};
    struct hosts h = {0};

    for (int i = 0; i < s->n_stages; i++) {
        const struct stage_config *c = s->stages[i].config;
        const struct field plan[] = {
            TEXT("name", c->name),
            TEXT("method", c->method),
            TEXT("data", c->data),
            INTEGER("rounds", c->rounds),
            INTEGER("tasks", s->stages[i].n_tasks),
            INTEGER("parameters", s->stages[i].layout.n),
            {0},
        };

        stages[i] = memcpy(stage[i], plan, sizeof plan);
    }
    for (int i = 1; i < t->crew->comm->size; i++)
        if (t->crew->mates[i].ready)
            count_host(&h, &t->crew->mates[i].hello);
    for (int i = 0; i < h.n; i++) {
        const struct field at[] = {TEXT("host", h.each[i].name),
                                   INTEGER("ranks", h.each[i].ranks),
                                   INTEGER("threads", h.each[i].threads),
                                   TEXT("cpu", h.each[i].cpu),
                                   {0}};

        hosts[i] = memcpy(host[i], at, sizeof at);
    }
    emit_run(t, stages, hosts);
}

/* ---- lines ---- */

static void tell_line(void *context, const char *level, const char *line)
{
    struct train *t = context;
    struct field fields[] = {TEXT("level", level), TEXT("text", line), {0}};

    sink_emit(&t->stream, "log", fields);
}

/* ---- the workers ---- */

static const char *state_of(const struct mate *m)
{
    if (m->left)
        return "left";
    if (!m->ready)
        return "starting";
    if (m->gone)
        return "lost";
    if (m->owing || m->out)
        return "late";
    return m->member && !m->finished ? "working" : "waiting";
}

static void worker_fill(const struct mate *m, int rank, struct field fields[10])
{
    const struct field of[] = {
        INTEGER("rank", rank),
        TEXT("host", m->hello.host),
        TEXT("state", state_of(m)),
        INTEGER("threads", m->hello.threads),
        INTEGER("tasks", m->work.tasks),
        NUMBER("computing", m->work.computing),
        NUMBER("waiting", fmax(0, m->work.seconds * m->hello.threads - m->work.computing)),
        NUMBER("memory_mib", m->work.memory_mib),
        INTEGER("slow", m->n_slow),
        {0},
    };

    memcpy(fields, of, sizeof of);
}

static void report_trouble(struct train *t)
{
    char text[512];

    if (sink_zmq_trouble(&t->stream, text, sizeof text))
        progress_warn(t->progress, "warning: metrics: %s", text);
}

static void emit_workers(struct train *t)
{
    int n = t->crew->comm->size - 1;
    struct field(*each)[10];
    const struct field **list;

    each = calloc((size_t)n + 1, sizeof *each);
    list = calloc((size_t)n + 1, sizeof *list);
    for (int i = 0; i < n && each && list; i++) {
        worker_fill(&t->crew->mates[i + 1], i + 1, each[i]);
        list[i] = each[i];
    }
    struct field fields[] = {LIST("workers", list), {0}};
    if (each && list)
        sink_emit(&t->stream, "workers", fields);
    free(each);
    free(list);
}

void report_workers(struct train *t)
{
    double now = clock_seconds();

    if (!t->stream.ops || now - t->told < WORKERS_EVERY)
        return;
    t->told = now;
    report_trouble(t);
    emit_workers(t);
}

/* ---- a resumed run ---- */

struct recalled {
    int n, n_numbers;
    struct field fields[FIELDS + 1];
    double numbers[NUMBERS_MAX]; /* of lists */
};

static double number_of(const json_t *value)
{
    return json_is_number(value) ? json_number_value(value) : NAN;
}

/* As much of a list as there is room for. */
static struct field numbers_of(struct recalled *r, const char *key, const json_t *list)
{
    const double *first = r->numbers + r->n_numbers;
    const json_t *value;
    size_t i;

    json_array_foreach(list, i, value)
    {
        if (r->n_numbers < NUMBERS_MAX)
            r->numbers[r->n_numbers++] = number_of(value);
    }
    return (struct field)NUMBERS(key, first, r->numbers + r->n_numbers - first);
}

static struct field field_of(struct recalled *r, const char *key, const json_t *value)
{
    if (json_is_array(value))
        return numbers_of(r, key, value);
    if (json_is_string(value))
        return (struct field)TEXT(key, json_string_value(value));
    if (json_is_integer(value))
        return (struct field)INTEGER(key, json_integer_value(value));
    return (struct field)NUMBER(key, number_of(value));
}

static void recall_line(struct sink *stream, const char *line)
{
    json_t *o = json_loads(line, 0, NULL), *value;
    const char *kind = json_string_value(json_object_get(o, "kind")), *key;
    struct recalled r = {0};

    json_object_foreach(o, key, value)
    {
        if (strcmp(key, "kind") != 0 && r.n < FIELDS)
            r.fields[r.n++] = field_of(&r, key, value);
    }
    if (kind)
        sink_zmq_recall(stream, kind, r.fields);
    json_decref(o);
}

void report_recall(struct train *t)
{
    char path[1280], *line = NULL;
    size_t room = 0;
    FILE *f;

    snprintf(path, sizeof path, "%s/metrics.jsonl", t->directory);
    f = t->stream.ops ? fopen(path, "r") : NULL;
    while (f && getline(&line, &room, f) > 0)
        recall_line(&t->stream, line);
    free(line);
    if (f)
        fclose(f);
}

/* ---- beginning and end ---- */

/* The same for the same directory on the same file system, whoever resumes. */
static void name_run(const struct train *t, char *id, size_t n)
{
    char *path = realpath(t->directory, NULL);
    const char *text = path ? path : t->directory;

    snprintf(id, n, "%.100s-%08" PRIx32, t->setup->config->run.name,
             (uint32_t)XXH64(text, strlen(text), 0));
    free(path);
}

int report_open(struct train *t)
{
    const struct metrics_config *c = &t->setup->config->metrics;
    char id[128];
    bool busy;

    if (!*c->endpoint)
        return 0;
    name_run(t, id, sizeof id);
    TRY(sink_open_zmq(&t->stream, c, id, &busy));
    t->sinks.each[t->sinks.n++] = &t->stream;
    t->progress->tell = tell_line;
    t->progress->context = t;
    if (busy)
        progress_say(t->progress,
                     "metrics.endpoint '%s' is in use: nobody can watch this run until it is free",
                     c->endpoint);
    if (c->insecure && !*c->server_key)
        progress_warn(t->progress, "warning: metrics.insecure: whoever reaches '%s' sees this run",
                      c->endpoint);
    report_run(t);
    return 0;
}

void train_tell(struct train *t, int code)
{
    char hash[20], reason[1024];
    struct field fields[] = {
        TEXT("digest", hash),
        NUMBER("loss", t->loss),
        NUMBER("peak_mib", machine_peak_mib()),
        INTEGER("ranks_lost", crew_lost(t->crew)),
        INTEGER("status", err_exit_status(code)),
        TEXT("reason", reason),
        {0},
    };

    snprintf(hash, sizeof hash, "%016" PRIx64, t->hash);
    snprintf(reason, sizeof reason, "%s", err_text());
    sink_emit(&t->stream, "end", fields);
    err(code, "%s", reason); /* as it was */
}
