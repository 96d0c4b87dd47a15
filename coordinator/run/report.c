/* report.c - reports of a run: events for metrics.jsonl and observers, lines and the bar for
 * people. */
#include "coordinator/run/report.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "core/base/err.h"
#include "core/base/machine.h"
#include "core/base/plural.h"
#include "core/plan/drawn.h"
#include "proto/stream/event.h"

void report_begin(struct report *r)
{
    const struct run_config *run = &r->setup->config->run;
    struct field fields[] = {
        TEXT("run_id", r->rundir->run.id),
        TEXT("name", run->name),
        INTEGER("seed", run->seed),
        TEXT("version", r->version),
        {0},
    };

    sink_emit(&r->rundir->metrics, "run", fields);
}

void report_changes(struct report *r, const struct changes *c)
{
    for (int i = 0; i < c->n; i++) {
        const struct change *each = &c->each[i];
        struct field fields[] = {
            TEXT("key", each->key),           TEXT("before", each->before),  TEXT("now", each->now),
            INTEGER("stage_index", c->stage), INTEGER("at_round", c->round), {0},
        };

        progress_warn(r->progress, "warning: %s %s -> %s", each->key, each->before, each->now);
        sinks_emit(&r->sinks, "changed", fields);
    }
}

void report_start(struct report *r, const struct stage_run *s)
{
    struct field fields[] = {
        TEXT("stage", s->stage->config->name),    INTEGER("stage_index", s->stage->index),
        INTEGER("from_round", s->round),          INTEGER("rounds", s->stage->config->rounds),
        TEXT("method", s->stage->config->method), INTEGER("parameters", s->stage->layout.n),
        INTEGER("ranks", r->crew->comm->size),    {0},
    };

    if (*s->note.text)
        progress_warn(r->progress, "stage '%s': %s", s->stage->config->name, s->note.text);
    sinks_emit(&r->sinks, "stage", fields);
}

/* The mean of the method's own metric of that name; NaN if it has none. */
static double mean_of(const struct stage *s, const struct round_sum *total, const char *name)
{
    int slot = stage_metric(s, name);

    return slot < 0 ? NAN : round_sum_read(total, slot) / round_sum_read(total, METRIC_DONE);
}

static struct field own_mean(const struct stage *s, const struct round_sum *total, const char *name)
{
    return (struct field)NUMBER(name, mean_of(s, total, name));
}

static bool tells_adaptation(const struct stage *s)
{
    return s->traits->anchor || (s->traits->draws & DRAW_TARGET);
}

/* Adds the numbers that methods on two domains report. */
static void report_adaptation(struct report *r, const struct stage_run *s,
                              const struct round_sum *total)
{
    const struct stage *stage = s->stage;
    struct field fields[] = {
        TEXT("stage", stage->config->name),
        INTEGER("stage_index", stage->index),
        INTEGER("round", s->round),
        NUMBER("weight", stage_weight(stage, s->round)),
        own_mean(stage, total, "discrepancy"),
        own_mean(stage, total, "discriminator_loss"),
        own_mean(stage, total, "right_source"),
        own_mean(stage, total, "right_target"),
        {0},
    };

    if (tells_adaptation(stage))
        sinks_emit(&r->sinks, "adaptation", fields);
}

/* Sums over workers, as last reported; NaN if no worker has reported. */
static void speed(const struct crew *c, double *idle, double *gflops)
{
    double busy = 0, threads = 0, sum = 0;

    for (int i = 1; i < c->comm->size; i++) {
        const struct crew_worker *m = &c->workers[i];

        if (!m->ready || m->gone || m->left || !(m->work.seconds > 0))
            continue;
        busy += fmin(1, m->busy) * m->hello.threads;
        threads += m->hello.threads;
        sum += m->gflops;
    }
    *idle = threads > 0 ? 1 - busy / threads : NAN;
    *gflops = threads > 0 ? sum : NAN;
}

/* Means over the support set before each inner step. */
static void inner_loop(const struct stage *s, const struct round_sum *total, int steps,
                       double *losses, double *accuracies)
{
    double done = round_sum_read(total, METRIC_DONE);

    for (int k = 0; k < steps; k++) {
        losses[k] = round_sum_read(total, metric_curve(k, CURVE_LOSS)) / done;
        accuracies[k] = loss_has_accuracy(&s->net.loss)
                            ? round_sum_read(total, metric_curve(k, CURVE_ACCURACY)) / done
                            : NAN;
    }
}

/* What a round tells beside its fixed numbers. */
struct lists {
    int n_steps;                 /* of the inner loop */
    double *losses, *accuracies; /* owned with the following, in losses: (n_steps) */
    int n_metrics;               /* the method's own that no other event tells */
    double *metrics;             /* (n_metrics) their means, ... */
    const char **names;          /* owned: ... and names */
};

static bool is_told_elsewhere(const struct stage *s, const char *name)
{
    return tells_adaptation(s) && stream_event_has("adaptation", name);
}

static void own_metrics(const struct stage *s, const struct round_sum *total, struct lists *l)
{
    for (const char *const *own = s->traits->metrics; own && *own; own++)
        if (!is_told_elsewhere(s, *own)) {
            l->names[l->n_metrics] = *own;
            l->metrics[l->n_metrics++] = mean_of(s, total, *own);
        }
    for (int i = 0; i < s->drawn.n; i++) {
        l->names[l->n_metrics] = s->drawn.names[i];
        l->metrics[l->n_metrics++] = drawn_read(s, total, i);
    }
}

static int lists_init(struct lists *l, const struct stage *s, const struct round_sum *total)
{
    size_t own = (size_t)(s->n_metrics - s->own_metrics),
           steps = s->traits->draws & DRAW_EPISODES ? (size_t)s->inner_steps : 0;

    *l = (struct lists){.n_steps = (int)steps};
    l->losses = malloc((2 * steps + own + 1) * sizeof *l->losses);
    l->names = malloc((own + 1) * sizeof *l->names);
    if (!l->losses || !l->names)
        return err(ERR_MEMORY, "no memory for %zu inner steps and %zu metrics", steps, own);
    l->accuracies = l->losses + steps;
    l->metrics = l->accuracies + steps;
    inner_loop(s, total, l->n_steps, l->losses, l->accuracies);
    own_metrics(s, total, l);
    return 0;
}

static void lists_free(struct lists *l)
{
    free(l->losses);
    free(l->names);
}

static void emit_round(struct report *r, const struct stage_run *s, const struct round_sum *total,
                       double norm, double seconds, const struct lists *l)
{
    double done = round_sum_read(total, METRIC_DONE), idle, gflops;
    char hash[20];

    speed(r->crew, &idle, &gflops);
    struct field fields[] = {
        TEXT("stage", s->stage->config->name),
        INTEGER("stage_index", s->stage->index),
        INTEGER("round", s->round),
        NUMBER("support_loss", round_sum_read(total, METRIC_SUPPORT_LOSS) / done),
        NUMBER("loss", s->loss),
        NUMBER("accuracy", s->accuracy >= 0 ? s->accuracy : NAN),
        NUMBER("gradient_norm", norm),
        NUMBER("rate", optim_rate(&s->stage->optim, s->round)),
        INTEGER("tasks", done),
        INTEGER("failed", round_sum_read(total, METRIC_FAILED)),
        NUMBER("seconds", seconds),
        TEXT("digest", hash),
        NUMBER("seconds_left",
               progress_left(r->progress, s->round, (uint64_t)s->stage->config->rounds)),
        NUMBER("idle", idle),
        NUMBER("gflops", gflops),
        NUMBER("communication", r->crew->communication),
        NUMBERS("support_losses", l->losses, l->n_steps),
        NUMBERS("support_accuracies", l->accuracies, l->n_steps),
        METRICS("metrics", l->names, l->metrics, l->n_metrics),
        {0},
    };

    snprintf(hash, sizeof hash, "%016" PRIx64, s->hash);
    sinks_emit(&r->sinks, "round", fields);
}

int report_round(struct report *r, const struct stage_run *s, const struct round_sum *total,
                 double norm, double seconds)
{
    struct lists lists;
    int code = lists_init(&lists, s->stage, total);

    if (code == 0)
        emit_round(r, s, total, norm, seconds, &lists);
    lists_free(&lists);
    TRY(code);
    report_adaptation(r, s, total);
    return 0;
}

void report_progress(struct report *r, const struct stage_run *s)
{
    const struct stage_config *c = s->stage->config;
    struct glance g = {c->name,     s->round, (uint64_t)c->rounds, (uint64_t)c->tasks, s->loss,
                       s->accuracy, s->failed};

    progress_show(r->progress, &g);
}

static void emit_evaluation(struct report *r, const struct stage_run *s, const struct evaluation *e,
                            int data)
{
    const char *names[] = {"way", "shot"};

    for (int k = 0; k <= e->steps; k++) {
        bool inductive = e->has_inductive && k == e->steps, both = inductive && e->has_accuracy;
        struct field fields[] = {
            TEXT("stage", s->stage->config->name),
            INTEGER("stage_index", s->stage->index),
            INTEGER("round", s->round),
            TEXT("data", r->setup->data[data].name),
            INTEGER("step", k),
            INTEGER(e->kind->units, e->episodes),
            INTEGER("failed", e->failed),
            NUMBER("loss", e->loss[k].mean),
            NUMBER("loss_ci95", e->loss[k].ci95),
            NUMBER("accuracy", e->has_accuracy ? e->accuracy[k].mean : NAN),
            NUMBER("accuracy_ci95", e->has_accuracy ? e->accuracy[k].ci95 : NAN),
            INTEGER("transductive", e->transductive),
            NUMBER("inductive_loss", inductive ? e->inductive_loss.mean : NAN),
            NUMBER("inductive_loss_ci95", inductive ? e->inductive_loss.ci95 : NAN),
            NUMBER("inductive_accuracy", both ? e->inductive_accuracy.mean : NAN),
            NUMBER("inductive_accuracy_ci95", both ? e->inductive_accuracy.ci95 : NAN),
            METRICS("metrics", names, e->sizes, s->stage->drawn.n_sizes),
            NUMBERS("rmse", e->rmse, k == e->steps ? e->n_fits : 0),
            NUMBERS("r2", e->r2, k == e->steps ? e->n_fits : 0),
            {0},
        };

        sinks_emit(&r->sinks, "evaluation", fields);
    }
}

/* ", inductive 97.10 +- 0.20 %", or the loss of a regression; empty if it is not measured so. */
static void inductive_text(const struct evaluation *e, char *text, size_t n)
{
    char figure[64];

    *text = '\0';
    if (!e->has_inductive)
        return;
    if (e->has_accuracy)
        estimate_text(&e->inductive_accuracy, 100, 2, figure, sizeof figure);
    else
        estimate_text(&e->inductive_loss, 1, 4, figure, sizeof figure);
    snprintf(text, n, "  inductive %s%s", figure, e->has_accuracy ? " %" : "");
}

static void say_evaluation(struct report *r, const struct stage_run *s, const struct evaluation *e,
                           int data)
{
    char loss[64], accuracy[64], figure[96] = "", how[128], fits[160], inductive[96];

    int at = snprintf(how, sizeof how, "%s", e->episodes == 1 ? e->kind->unit : e->kind->units);

    estimate_text(&e->loss[e->steps], 1, 4, loss, sizeof loss);
    estimate_text(&e->accuracy[e->steps], 100, 2, accuracy, sizeof accuracy);
    if (isfinite(e->sizes[0]))
        at += snprintf(how + at, sizeof how - (size_t)at, ", on average %.1f-way %.1f-shot",
                       e->sizes[0], e->sizes[1]);
    if (e->kind->few_shot)
        snprintf(how + at, sizeof how - (size_t)at, ", %d inner step%s", e->steps,
                 plural(e->steps));
    if (e->has_accuracy)
        snprintf(figure, sizeof figure, "accuracy %s %%  ", accuracy);
    evaluation_fits_text(e, fits, sizeof fits);
    inductive_text(e, inductive, sizeof inductive);
    progress_say_about(r->progress, "evaluation",
                       "%s  round %" PRIu64 "  data '%s'  %sloss %s%s%s  (%" PRIu64 " %s)",
                       s->stage->config->name, s->round, r->setup->data[data].name, figure, loss,
                       fits, inductive, e->episodes, how);
}

void report_evaluation(struct report *r, const struct stage_run *s, const struct evaluation *e,
                       int data)
{
    emit_evaluation(r, s, e, data);
    say_evaluation(r, s, e, data);
}

void report_saved(struct report *r, const struct saved *saved)
{
    struct field fields[] = {
        TEXT("path", saved->path),
        INTEGER("stage_index", saved->info.stage),
        INTEGER("at_round", saved->info.round),
        NUMBER("seconds", saved->seconds),
        TEXT("error", saved->error),
        {0},
    };

    sinks_emit(&r->sinks, "checkpoint", fields);
}

void report_notice(struct report *r, const struct notice *n)
{
    struct field fields[] = {
        TEXT("what", n->kind), INTEGER("rank", n->rank),      TEXT("host", n->host),
        TEXT("text", n->text), INTEGER("in_round", n->round), {0},
    };

    sinks_emit(&r->sinks, "rank", fields);
    progress_warn(r->progress, "warning: %s", n->text);
}

void report_end(struct report *r, const struct stage_run *s)
{
    char hash[20];
    struct field fields[] = {
        TEXT("digest", hash),
        NUMBER("loss", s->loss),
        NUMBER("peak_mib", machine_peak_mib()),
        INTEGER("ranks_lost", crew_lost(r->crew)),
        INTEGER("tasks_again", r->crew->n_again),
        INTEGER("confirmed", r->crew->n_confirmed),
        INTEGER("stale", r->crew->n_stale),
        INTEGER("audited", r->crew->n_audited),
        INTEGER("ranks_wrong", crew_wrong(r->crew)),
        INTEGER("status", 0),
        TEXT("reason", "done"),
        {0},
    };

    snprintf(hash, sizeof hash, "%016" PRIx64, s->hash);
    sinks_emit(&r->sinks, "end", fields);
}

/* ---- adaptation ---- */

static void warn_of_inputs(struct report *r, const struct stage_run *s, const char *source,
                           const struct inputs *a, const char *target, const struct inputs *b)
{
    progress_warn(r->progress,
                  "warning: stage '%s': inputs of '%s' are %.2f .. %.2f, %.2f on average, those "
                  "of '%s' %.2f .. %.2f, %.2f: is one inverted, or scaled differently?",
                  s->stage->config->name, source, a->low, a->high, a->mean, target, b->low, b->high,
                  b->mean);
}

void report_inputs(struct report *r, const struct stage_run *s, int target, const struct inputs *a,
                   const struct inputs *b)
{
    const char *source = r->setup->data[s->stage->data].name, *name = r->setup->data[target].name;
    struct field fields[] = {
        TEXT("stage", s->stage->config->name),
        INTEGER("stage_index", s->stage->index),
        INTEGER("round", s->round),
        TEXT("source", source),
        TEXT("target", name),
        NUMBER("source_low", a->low),
        NUMBER("source_high", a->high),
        NUMBER("source_mean", a->mean),
        NUMBER("target_low", b->low),
        NUMBER("target_high", b->high),
        NUMBER("target_mean", b->mean),
        {0},
    };

    sinks_emit(&r->sinks, "inputs", fields);
    if (inputs_differ(a, b))
        warn_of_inputs(r, s, source, a, name, b);
}

static const char *target_of(const struct report *r, const struct stage_run *s, int model)
{
    return r->setup->data[s->stage->target[model]].name;
}

void report_watch(struct report *r, const struct stage_run *s, int model, const struct watch *w)
{
    const struct watch *source = &s->guard.source_only[model];
    struct field fields[] = {
        TEXT("stage", s->stage->config->name),
        INTEGER("stage_index", s->stage->index),
        INTEGER("round", s->round),
        TEXT("target", target_of(r, s, model)),
        NUMBER("score", w->score),
        NUMBER("score_source_only", source->score),
        NUMBER("score_best", s->guard.best_score[model]),
        NUMBER("entropy", w->entropy),
        NUMBER("spread", w->spread),
        NUMBER("prior", w->prior),
        NUMBER("agreement", w->agreement),
        NUMBER("discrepancy", w->discrepancy),
        NUMBER("right_source", w->right_source),
        NUMBER("right_target", w->right_target),
        INTEGER("collapsed", (w->alarms & ALARM_COLLAPSE) != 0),
        INTEGER("swapped", (w->alarms & ALARM_SWAP) != 0),
        INTEGER("discriminator", (w->alarms & ALARM_DISCRIMINATOR) != 0),
        {0},
    };

    sinks_emit(&r->sinks, "watch", fields);
}

void report_alarms(struct report *r, const struct stage_run *s, int model, unsigned alarms)
{
    static const char *const texts[ALARMS] = {
        "predictions of the target have collapsed onto few classes",
        "samples of a class that the source encoder was sure of now go to another class",
        "the discriminator is never wrong, or always: the encoder learns nothing from it",
    };

    for (int i = 0; i < ALARMS; i++)
        if (alarms & 1u << i)
            progress_warn(r->progress, "warning: stage '%s', round %" PRIu64 ", target '%s': %s",
                          s->stage->config->name, s->round, target_of(r, s, model), texts[i]);
}

void report_replaced(struct report *r, const struct stage_run *s, int model,
                     const struct watch *last)
{
    progress_say(r->progress,
                 "%s  target '%s': ends with its best encoder, score %.4f (last %.4f, source "
                 "encoder %.4f)",
                 s->stage->config->name, target_of(r, s, model), s->guard.best_score[model],
                 last->score, s->guard.source_only[model].score);
}
