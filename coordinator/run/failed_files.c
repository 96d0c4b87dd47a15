/* failed_files.c - draws a failed task again and writes it to a file. */
#include "coordinator/run/failed_files.h"

#include <glob.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "core/base/err.h"
#include "core/base/machine.h"
#include "core/base/outfile.h"
#include "core/base/plural.h"
#include "core/file/checkpoint.h"
#include "core/math/blas.h"

enum { MESSAGES = 3 };

/* The number of rounds that the parameters at the start of round r have seen. */
static uint64_t theta_round(const struct round *r)
{
    return round_kind(r)->gives == GIVES_METRICS ? r->round : r->round - 1;
}

static void task_path(const char *directory, const struct round *r, uint32_t slot, char *path,
                      size_t n)
{
    const struct task_kind *kind = round_kind(r);

    if (kind->gives == GIVES_METRICS)
        snprintf(path, n, "%s/%s-%02d-%02d-%06u.bin", directory, kind->file, r->stage->index,
                 r->data, slot);
    else
        snprintf(path, n, "%s/%s-%02d-%09" PRIu64 "-%06u.bin", directory, kind->file,
                 r->stage->index, r->round, slot);
}

static void parameters_path(const char *directory, const struct round *r, char *path, size_t n)
{
    snprintf(path, n, "%s/aside-%02d-%09" PRIu64 ".safetensors", directory, r->stage->index,
             theta_round(r));
}

void failed_files_open(struct failed_files *a)
{
    static const char *const patterns[] = {FAILED_FILES_TASKS, FAILED_FILES_EPISODES};

    a->n_files = 0;
    for (int i = 0; i < 2; i++) {
        char pattern[FAILED_FILES_PATH];
        glob_t g = {0};

        snprintf(pattern, sizeof pattern, "%s/%s", a->directory, patterns[i]);
        if (glob(pattern, 0, NULL, &g) == 0)
            a->n_files += (int)g.gl_pathc;
        globfree(&g);
    }
}

void failed_files_release(struct failed_files *a)
{
    buffer_release(&a->out);
}

static void keep_anchor(const struct setup *s, const struct round *r, struct checkpoint_info *info)
{
    struct kept *k = &info->kept[info->n_kept++];

    snprintf(k->name, sizeof k->name, "%02d", r->stage->anchor);
    k->layout = &s->stages[r->stage->anchor].layout;
    k->theta = r->anchor;
}

static int write_parameters(const struct failed_files *a, const struct crew *c,
                            const struct round *r, uint64_t hash)
{
    struct checkpoint_info info = {
        .stage = r->stage->index,
        .round = theta_round(r),
        .seed = (uint64_t)c->setup->config->run.seed,
        .hash = hash,
        .configuration = a->configuration,
        .data = a->data,
    };

    if (a->run)
        info.run = *a->run;
    if (r->anchor)
        keep_anchor(c->setup, r, &info);
    snprintf(info.stage_name, sizeof info.stage_name, "%s", r->stage->config->name);
    snprintf(info.version, sizeof info.version, "%s", a->version);
    snprintf(info.blas, sizeof info.blas, "%s", blas_kernel());
    machine_cpu(info.cpu, sizeof info.cpu);
    return checkpoint_write(
        a->parameters, round_kind(r)->gives == GIVES_METRICS ? &r->stage->model : &r->stage->layout,
        r->theta, r->domains ? optim_find(r->stage->optim.name) : NULL,
        r->domains ? r->domains->state : NULL, &info);
}

static int write_task(struct failed_files *a, struct crew *c, const struct round *r, uint32_t slot,
                      const char *path)
{
    struct sampler s = round_sampler(c->setup, r);

    sampler_draw(&s, slot, &c->task);
    TRY(wire_pack_task(&c->task, r->stage->config->method, &a->out));
    return outfile_whole(path, a->out.bytes, a->out.n);
}

/* Writes files for slots without one. Parameters are written first: no task's file is ever without
 * them. Returns the number of files. */
static int write_all(struct failed_files *a, struct crew *c, const struct round *r, uint64_t hash)
{
    const struct failed_set *s = &c->failed.slots;
    int n = 0;

    for (int i = 0; i < s->n && a->n_files < FAILED_FILES_MAX; i++) {
        char path[FAILED_FILES_PATH];

        task_path(a->directory, r, s->slot[i], path, sizeof path);
        if (access(path, F_OK) == 0)
            continue;
        if (n == 0)
            TRY(write_parameters(a, c, r, hash));
        TRY(write_task(a, c, r, s->slot[i], path));
        a->n_files++;
        n++;
    }
    return n;
}

/* Notes the first task's file, if it exists. */
static void find_file(struct failed_files *a, const struct crew *c, const struct round *r)
{
    a->file[0] = '\0';
    if (c->failed.slots.n > 0)
        task_path(a->directory, r, c->failed.slots.slot[0], a->file, sizeof a->file);
    if (access(a->file, F_OK) != 0)
        a->file[0] = '\0';
    if (access(a->parameters, F_OK) != 0)
        a->parameters[0] = '\0';
}

static void say(struct failed_files *a, const struct crew *c, const struct round *r,
                uint64_t failed)
{
    const struct task_kind *kind = round_kind(r);

    if (a->n_said++ >= MESSAGES)
        return;
    progress_warn(
        a->progress,
        "warning: %" PRIu64 " of %u %s %s round %" PRIu64 " of stage '%s' set aside, not "
        "finite or too large; the first is number %u, and this command finds where it begins:\n"
        "    metaloop replay '%s' --checkpoint '%s' --data-root '%s'",
        failed, r->n_tasks, kind->tasks, kind->gives == GIVES_METRICS ? "after" : "of", r->round,
        r->stage->config->name, c->failed.slots.slot[0], a->file, a->parameters, c->setup->root);
}

static void say_full(struct failed_files *a)
{
    if (a->full || a->n_files < FAILED_FILES_MAX)
        return;
    a->full = true;
    progress_warn(a->progress,
                  "warning: '%s' holds %d failed task%s; further ones are only counted",
                  a->directory, a->n_files, plural(a->n_files));
}

static void emit(struct failed_files *a, const struct crew *c, const struct round *r,
                 uint64_t failed, const char *error)
{
    const struct failed_set *s = &c->failed.slots;
    char list[FAILED_SET_MAX * 8 + 1] = "";
    struct field fields[] = {
        TEXT("stage", r->stage->config->name),
        INTEGER("stage_index", r->stage->index),
        INTEGER("round", r->round),
        TEXT("purpose", purpose_name(r->purpose)),
        TEXT("data", c->setup->data[r->data].name),
        INTEGER("tasks", r->n_tasks),
        INTEGER("failed", failed),
        TEXT("slots", list),
        TEXT("file", a->file),
        TEXT("parameters", a->parameters),
        TEXT("error", error),
        {0},
    };

    for (int i = 0, at = 0; i < s->n; i++)
        at += snprintf(list + at, sizeof list - (size_t)at, "%s%u", i ? " " : "", s->slot[i]);
    sinks_emit(a->metrics, "failed", fields);
}

void failed_files_record(struct failed_files *a, struct crew *c, const struct round *r,
                         uint64_t failed, uint64_t hash)
{
    char error[512] = "";
    int written;

    if (failed == 0)
        return;
    parameters_path(a->directory, r, a->parameters, sizeof a->parameters);
    written = write_all(a, c, r, hash);
    if (written < 0)
        snprintf(error, sizeof error, "%s", err_text());
    find_file(a, c, r);
    emit(a, c, r, failed, error);
    if (written < 0 && a->n_said++ < MESSAGES)
        progress_warn(a->progress, "warning: a task was set aside, but %s", error);
    if (written > 0)
        say(a, c, r, failed);
    say_full(a);
}

int failed_files_judge(const struct failed_files *a, const struct crew *c, const struct round *r,
                       uint64_t failed)
{
    double most = c->setup->config->cluster.max_failed;
    char limit[64] = "";

    if (failed == 0 || (failed < r->n_tasks && (double)failed <= (most + 1e-9) * r->n_tasks))
        return 0;
    if (failed < r->n_tasks)
        snprintf(limit, sizeof limit, ", more than cluster.max_failed = %g allows", most);
    return err(ERR_NONFINITE,
               "%" PRIu64 " of %u tasks of round %" PRIu64
               " of stage '%s' were not finite or too large%s: the step is refused%s%s%s",
               failed, r->n_tasks, r->round, r->stage->config->name, limit,
               a->file[0] ? "; see '" : "", a->file, a->file[0] ? "'" : "");
}
