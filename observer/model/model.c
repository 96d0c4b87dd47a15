/* model.c - what is known of a run, and the texts and numbers in it. */
#include "observer/model/model.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/err.h"
#include "observer/model/model_internal.h"

int model_init(struct run *r, const char *source)
{
    *r = (struct run){.stage = -1, .left = NAN};
    text_clean(r->source, sizeof r->source, source);
    text_clean(r->name, sizeof r->name, source);
    r->stages = malloc(STAGES_MAX * sizeof *r->stages);
    r->series = malloc(SERIES_MAX * sizeof *r->series);
    r->workers = malloc(WORKERS_MAX * sizeof *r->workers);
    r->evaluations = malloc(EVALUATIONS_MAX * sizeof *r->evaluations);
    r->notes = malloc(NOTES_MAX * sizeof *r->notes);
    if (r->stages && r->series && r->workers && r->evaluations && r->notes)
        return 0;
    model_release(r);
    return err(ERR_MEMORY, "no memory for what is seen of '%s'", source);
}

/* FNV-1a, 64 bits. */
static uint64_t digest(const char *text)
{
    uint64_t h = 0xcbf29ce484222325;

    for (; *text; text++)
        h = (h ^ (unsigned char)*text) * 0x100000001b3;
    return h;
}

void model_identity(struct run *r, const char *id)
{
    static const char good[] = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ-_";
    size_t n = strlen(id);

    if (n > 0 && n <= 40 && strspn(id, good) == n)
        strcpy(r->id, id);
    else if (n > 0)
        snprintf(r->id, sizeof r->id, "%016" PRIx64, digest(id));
}

void model_release(struct run *r)
{
    for (int i = 0; i < r->n_series; i++)
        series_free(r->series[i]);
    free(r->stages);
    free(r->series);
    free(r->workers);
    free(r->evaluations);
    free(r->notes);
    free(r->configuration);
    *r = (struct run){0};
}

void model_restart(struct run *r)
{
    for (int i = 0; i < r->n_series; i++)
        series_free(r->series[i]);
    r->n_series = r->n_workers = r->n_evaluations = r->n_stages = r->n_facts = 0;
    r->n_notes = r->failed = r->lost = 0;
    r->left_out = 0;
    r->stage = -1;
    r->left = NAN;
    r->digest[0] = r->end[0] = r->checkpoint[0] = '\0';
    r->generation++;
}

void model_fact(struct run *r, const char *key, const char *value)
{
    int i = 0;

    while (i < r->n_facts && strcmp(r->facts[i].key, key) != 0)
        i++;
    if (!*value)
        return;
    if (i == FACTS_MAX) {
        model_left_out(r, OUT_FACTS);
        return;
    }
    text_clean(r->facts[i].key, NAME, key);
    text_clean(r->facts[i].value, SENTENCE, value);
    if (i == r->n_facts)
        r->n_facts++;
}

/* Keeps line breaks. */
void model_configuration(struct run *r, const char *text, size_t n)
{
    char *copy;

    if (n > CONFIGURATION_MAX)
        n = CONFIGURATION_MAX;
    copy = malloc(n + 1);
    if (!copy)
        return;
    memcpy(copy, text, n);
    copy[n] = '\0';
    for (char *line = copy, *end; *line; line = end + 1) {
        end = line + strcspn(line, "\n");
        bool more = *end == '\n';

        *end = '\0';
        text_clean(line, (size_t)(end - line) + 1, line);
        memset(line + strlen(line), ' ', (size_t)(end - line) - strlen(line));
        if (!more)
            break;
        *end = '\n';
    }
    free(r->configuration);
    r->configuration = copy;
}

struct worker_seen *model_worker(struct run *r, int64_t rank)
{
    int i = 0;

    while (i < r->n_workers && r->workers[i].rank < rank)
        i++;
    if (i < r->n_workers && r->workers[i].rank == rank)
        return &r->workers[i];
    if (r->n_workers == WORKERS_MAX) {
        model_left_out(r, OUT_WORKERS);
        return NULL;
    }
    memmove(&r->workers[i + 1], &r->workers[i], (size_t)(r->n_workers - i) * sizeof *r->workers);
    r->n_workers++;
    r->workers[i] = (struct worker_seen){.rank = rank,
                                         .tasks = NAN,
                                         .tasks_per_second = NAN,
                                         .busy = NAN,
                                         .memory_mib = NAN,
                                         .up = true};
    return &r->workers[i];
}

const char *run_state_name(const struct run *r)
{
    static const char *const names[] = {"waiting", "live", "silent", "ended", "no end"};

    if (r->state == RUN_ENDED && !r->well)
        return "failed";
    return names[r->state];
}

double run_left(const struct run *r, double now)
{
    double left = r->state == RUN_ENDED ? NAN : r->left - (now - r->left_at);

    return left < 0 ? 0 : left;
}
