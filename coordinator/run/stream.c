/* stream.c - events for observers only: the run, the workers, the lines that people read. */
#include "coordinator/run/report.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/clock.h"
#include "core/base/err.h"
#include "core/base/machine.h"
#include "core/math/blas.h"
#include "proto/stream/sink_zmq.h"

#define WORKERS_EVERY 1.0 /* seconds */

/* ---- what runs ---- */

struct host_seen { /* of the workers */
    const char *name, *cpu;
    int ranks, threads;
    struct field fields[5];
};

/* each (n) has this one's host, or gets it; returns how many there are then. */
static int count_host(struct host_seen *each, int n, const struct hello *hello)
{
    int i = 0;

    while (i < n && strcmp(each[i].name, hello->host) != 0)
        i++;
    if (i == n)
        each[i] = (struct host_seen){.name = hello->host, .cpu = hello->cpu};
    each[i].ranks++;
    each[i].threads += (int)hello->threads;
    return i < n ? n : n + 1;
}

/* Fills each with every host once, and list, which NULL ends, with their fields: (ranks) both. */
static void hosts_fill(const struct crew *c, struct host_seen *each, const struct field **list)
{
    int n = 0;

    for (int i = 1; i < c->comm->size; i++)
        if (c->workers[i].ready)
            n = count_host(each, n, &c->workers[i].hello);
    for (int i = 0; i < n; i++) {
        const struct field at[] = {TEXT("host", each[i].name),
                                   INTEGER("ranks", each[i].ranks),
                                   INTEGER("threads", each[i].threads),
                                   TEXT("cpu", each[i].cpu),
                                   {0}};

        list[i] = memcpy(each[i].fields, at, sizeof at);
    }
}

/* (n_stages) fields, and list, which NULL ends. */
static void plans_fill(const struct setup *s, struct field (*each)[7], const struct field **list)
{
    for (int i = 0; i < s->n_stages; i++) {
        const struct stage_config *c = s->stages[i].config;
        const struct field plan[] = {
            TEXT("name", c->name),
            TEXT("method", c->method),
            TEXT("data", s->data[s->stages[i].data].name),
            INTEGER("rounds", c->rounds),
            INTEGER("tasks", s->stages[i].n_tasks),
            INTEGER("parameters", s->stages[i].layout.n),
            {0},
        };

        list[i] = memcpy(each[i], plan, sizeof plan);
    }
}

static void emit_run(struct report *r, const struct field *const *stages,
                     const struct field *const *hosts)
{
    const struct run_config *run = &r->setup->config->run;
    char host[64], cpu[64];
    struct field fields[] = {
        TEXT("run_id", r->rundir->run.id),
        TEXT("name", run->name),
        INTEGER("seed", run->seed),
        TEXT("directory", r->rundir->path),
        TEXT("configuration", r->configuration),
        TEXT("version", r->version),
        TEXT("cpu", cpu),
        TEXT("blas", blas_kernel()),
        TEXT("host", host),
        INTEGER("ranks", r->crew->comm->size),
        TEXT("transport", r->crew->comm->ops->name),
        TEXT("precision", REAL_NAME),
        LIST("stages", stages),
        LIST("hosts", hosts),
        {0},
    };

    machine_host(host, sizeof host);
    machine_cpu(cpu, sizeof cpu);
    sink_emit(&r->stream, "run", fields);
}

void report_run(struct report *r)
{
    size_t ranks = (size_t)r->crew->comm->size, n = (size_t)r->setup->n_stages;
    struct field(*plans)[7] = calloc(n, sizeof *plans);
    struct host_seen *seen = calloc(ranks, sizeof *seen);
    const struct field **lists = calloc(n + 1 + ranks, sizeof *lists);

    if (plans && seen && lists) {
        plans_fill(r->setup, plans, lists);
        hosts_fill(r->crew, seen, lists + n + 1);
        emit_run(r, lists, lists + n + 1);
    } else {
        progress_warn(r->progress, "warning: metrics: no memory to tell what runs");
    }
    free(plans);
    free(seen);
    free(lists);
}

/* ---- lines ---- */

static void tell_line(void *context, const char *level, const char *about, const char *line)
{
    struct report *r = context;
    struct field fields[] = {TEXT("level", level), TEXT("text", line), TEXT("about", about), {0}};

    sink_emit(&r->stream, "log", fields);
}

/* ---- the workers ---- */

static const char *state_of(const struct crew_worker *m)
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

static void worker_fill(const struct crew_worker *m, int rank, struct field fields[10])
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

/* Reports what happened to the process that serves observers. A new one is told about the run. */
static void tend_stream(struct report *r)
{
    struct sink_zmq_news news;

    sink_zmq_tend(&r->stream, &news);
    if (*news.text)
        progress_warn(r->progress, "warning: metrics: %s", news.text);
    if (news.begun)
        report_run(r);
}

static void emit_workers(struct report *r)
{
    int n = r->crew->comm->size - 1;
    struct field(*each)[10];
    const struct field **list;

    each = calloc((size_t)n + 1, sizeof *each);
    list = calloc((size_t)n + 1, sizeof *list);
    for (int i = 0; i < n && each && list; i++) {
        worker_fill(&r->crew->workers[i + 1], i + 1, each[i]);
        list[i] = each[i];
    }
    struct field fields[] = {LIST("workers", list), {0}};
    if (each && list)
        sink_emit(&r->stream, "workers", fields);
    free(each);
    free(list);
}

void report_workers(struct report *r)
{
    double now = clock_seconds();

    if (!r->stream.ops || now - r->told < WORKERS_EVERY)
        return;
    r->told = now;
    tend_stream(r);
    emit_workers(r);
}

/* ---- beginning and end ---- */

static void reassure(void *context)
{
    struct report *r = context;

    crew_reassure(r->crew);
}

int report_open(struct report *r, bool resumed)
{
    const struct metrics_config *c = &r->setup->config->metrics;
    char metrics[1280];
    struct sink_zmq_options options = {.config = c,
                                       .run_id = r->rundir->run.id,
                                       .metrics = metrics,
                                       .resumed = resumed,
                                       .meanwhile = reassure,
                                       .context = r};
    bool busy;

    r->sinks = (struct sinks){1, {&r->rundir->metrics}};
    if (!*c->endpoint)
        return 0;
    snprintf(metrics, sizeof metrics, "%s/metrics.jsonl", r->rundir->path);
    TRY(sink_open_zmq(&r->stream, &options, &busy));
    r->sinks.each[r->sinks.n++] = &r->stream;
    r->progress->tell = tell_line;
    r->progress->context = r;
    if (busy)
        progress_say(r->progress,
                     "metrics.endpoint '%s' is in use: nobody can watch this run until it is free",
                     c->endpoint);
    if (c->insecure && !*c->server_key)
        progress_warn(r->progress,
                      "warning: metrics.insecure: anybody who can reach '%s' sees this run",
                      c->endpoint);
    report_run(r);
    return 0;
}

void report_failure(struct report *r, const struct stage_run *s, int code)
{
    char hash[20], reason[1024];
    struct field fields[] = {
        TEXT("digest", hash),
        NUMBER("loss", s->loss),
        NUMBER("peak_mib", machine_peak_mib()),
        INTEGER("ranks_lost", crew_lost(r->crew)),
        INTEGER("status", err_exit_status(code)),
        TEXT("reason", reason),
        {0},
    };

    snprintf(hash, sizeof hash, "%016" PRIx64, s->hash);
    snprintf(reason, sizeof reason, "%s", err_text());
    sink_emit(&r->stream, "end", fields);
    err(code, "%s", reason); /* as it was */
}
