/* report.c - what a run tells: events for metrics.jsonl, lines and the bar for a person. */
#include "coordinator/run/train_internal.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>

#include "core/base/machine.h"
#include "core/base/plural.h"

void report_begin(struct train *t)
{
    const struct run_config *run = &t->setup->config->run;
    struct field fields[] = {
        TEXT("run_id", t->rundir.run.id),
        TEXT("name", run->name),
        INTEGER("seed", run->seed),
        TEXT("version", t->version),
        {0},
    };

    sink_emit(&t->rundir.metrics, "run", fields);
}

void report_changes(struct train *t)
{
    for (int i = 0; t->changes && i < t->changes->n; i++) {
        const struct change *c = &t->changes->each[i];
        struct field fields[] = {
            TEXT("key", c->key),
            TEXT("before", c->before),
            TEXT("now", c->now),
            INTEGER("stage_index", t->origin.stage),
            INTEGER("at_round", t->origin.round),
            {0},
        };

        progress_warn(t->progress, "warning: %s %s -> %s", c->key, c->before, c->now);
        sinks_emit(&t->sinks, "changed", fields);
    }
}

void report_start(struct train *t)
{
    struct field fields[] = {
        TEXT("stage", t->stage->config->name),    INTEGER("stage_index", t->stage->index),
        INTEGER("from_round", t->round),          INTEGER("rounds", t->stage->config->rounds),
        TEXT("method", t->stage->config->method), INTEGER("parameters", t->stage->layout.n),
        INTEGER("ranks", t->crew->comm->size),    {0},
    };

    sinks_emit(&t->sinks, "stage", fields);
}

/* What methods on batches of two domains add to a round. */
static void report_adaptation(struct train *t, const struct round_sum *total, double done)
{
    const struct stage *s = t->stage;
    bool adversary = stage_aux(s, "discriminator") != NULL;
    struct field fields[] = {
        TEXT("stage", s->config->name),
        INTEGER("stage_index", s->index),
        INTEGER("round", t->round),
        NUMBER("weight", stage_weight(s, t->round)),
        NUMBER("discrepancy", round_sum_read(total, METRIC_DISCREPANCY) / done),
        NUMBER("discriminator_loss",
               adversary ? round_sum_read(total, METRIC_DISCRIMINATOR_LOSS) / done : NAN),
        NUMBER("right_source",
               adversary ? round_sum_read(total, METRIC_DISCRIMINATOR_SOURCE) / done : NAN),
        NUMBER("right_target",
               adversary ? round_sum_read(total, METRIC_DISCRIMINATOR_TARGET) / done : NAN),
        {0},
    };

    if (s->form->anchor || (s->form->draws & DRAW_TARGET))
        sinks_emit(&t->sinks, "adaptation", fields);
}

/* Of the workers as they last reported; not a number: none has. */
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

/* Means of the support before each inner step; returns how many steps there are. */
static int inner_loop(const struct stage *s, const struct round_sum *total, double *losses,
                      double *accuracies)
{
    int steps = s->form->draws & DRAW_EPISODES ? (int)s->shape->inner_steps : 0;
    double done = round_sum_read(total, METRIC_DONE);

    for (int k = 0; k < steps; k++) {
        losses[k] = round_sum_read(total, metric_curve(k, CURVE_LOSS)) / done;
        accuracies[k] = s->net.loss->accuracy
                            ? round_sum_read(total, metric_curve(k, CURVE_ACCURACY)) / done
                            : NAN;
    }
    return steps;
}

void report_round(struct train *t, const struct round_sum *total, double norm, double seconds)
{
    double done = round_sum_read(total, METRIC_DONE), idle, gflops;
    double losses[STEPS_MAX], accuracies[STEPS_MAX];
    int steps = inner_loop(t->stage, total, losses, accuracies);
    char hash[20];

    speed(t->crew, &idle, &gflops);
    struct field fields[] = {
        TEXT("stage", t->stage->config->name),
        INTEGER("stage_index", t->stage->index),
        INTEGER("round", t->round),
        NUMBER("support_loss", round_sum_read(total, METRIC_SUPPORT_LOSS) / done),
        NUMBER("loss", t->loss),
        NUMBER("accuracy", t->accuracy >= 0 ? t->accuracy : NAN),
        NUMBER("gradient_norm", norm),
        NUMBER("rate", optim_rate(&t->stage->optim, t->round)),
        INTEGER("tasks", done),
        INTEGER("failed", round_sum_read(total, METRIC_FAILED)),
        NUMBER("seconds", seconds),
        TEXT("digest", hash),
        NUMBER("seconds_left",
               progress_left(t->progress, t->round, (uint64_t)t->stage->config->rounds)),
        NUMBER("idle", idle),
        NUMBER("gflops", gflops),
        NUMBER("communication", t->crew->communication),
        NUMBERS("support_losses", losses, steps),
        NUMBERS("support_accuracies", accuracies, steps),
        {0},
    };

    snprintf(hash, sizeof hash, "%016" PRIx64, t->hash);
    sinks_emit(&t->sinks, "round", fields);
    report_adaptation(t, total, done);
}

void report_progress(struct train *t)
{
    const struct stage_config *c = t->stage->config;
    struct glance g = {c->name,     t->round, (uint64_t)c->rounds, (uint64_t)c->tasks, t->loss,
                       t->accuracy, t->failed};

    progress_show(t->progress, &g);
}

static void emit_evaluation(struct train *t, const struct evaluation *e, int data)
{
    for (int k = 0; k <= e->steps; k++) {
        struct field fields[] = {
            TEXT("stage", t->stage->config->name),
            INTEGER("stage_index", t->stage->index),
            INTEGER("round", t->round),
            TEXT("data", t->setup->data[data].name),
            INTEGER("step", k),
            INTEGER(e->few_shot ? "episodes" : "samples", e->episodes),
            INTEGER("failed", e->failed),
            NUMBER("loss", e->loss[k].mean),
            NUMBER("loss_ci95", e->loss[k].ci95),
            NUMBER("accuracy", e->has_accuracy ? e->accuracy[k].mean : NAN),
            NUMBER("accuracy_ci95", e->has_accuracy ? e->accuracy[k].ci95 : NAN),
            INTEGER("transductive", e->transductive),
            {0},
        };

        sinks_emit(&t->sinks, "evaluation", fields);
    }
}

static void say_evaluation(struct train *t, const struct evaluation *e, int data)
{
    char loss[64], accuracy[64], figure[96] = "", how[64];

    estimate_text(&e->loss[e->steps], 1, 4, loss, sizeof loss);
    estimate_text(&e->accuracy[e->steps], 100, 2, accuracy, sizeof accuracy);
    snprintf(how, sizeof how, "sample%s", plural((double)e->episodes));
    if (e->few_shot)
        snprintf(how, sizeof how, "episode%s, %d inner step%s", plural((double)e->episodes),
                 e->steps, plural(e->steps));
    if (e->has_accuracy)
        snprintf(figure, sizeof figure, "accuracy %s %%  ", accuracy);
    progress_say(t->progress, "%s  round %" PRIu64 "  data '%s'  %sloss %s  (%" PRIu64 " %s)",
                 t->stage->config->name, t->round, t->setup->data[data].name, figure, loss,
                 e->episodes, how);
}

void report_evaluation(struct train *t, const struct evaluation *e, int data)
{
    emit_evaluation(t, e, data);
    say_evaluation(t, e, data);
}

void report_notice(void *context, const struct notice *n)
{
    struct train *t = context;
    struct field fields[] = {
        TEXT("what", n->kind), INTEGER("rank", n->rank),      TEXT("host", n->host),
        TEXT("text", n->text), INTEGER("in_round", n->round), {0},
    };

    sinks_emit(&t->sinks, "rank", fields);
    progress_warn(t->progress, "warning: %s", n->text);
}

void report_end(struct train *t)
{
    char hash[20];
    struct field fields[] = {
        TEXT("digest", hash),
        NUMBER("loss", t->loss),
        NUMBER("peak_mib", machine_peak_mib()),
        INTEGER("ranks_lost", crew_lost(t->crew)),
        INTEGER("tasks_again", t->crew->n_again),
        INTEGER("confirmed", t->crew->n_confirmed),
        INTEGER("stale", t->crew->n_stale),
        INTEGER("status", 0),
        TEXT("reason", "done"),
        {0},
    };

    snprintf(hash, sizeof hash, "%016" PRIx64, t->hash);
    sinks_emit(&t->sinks, "end", fields);
}

void report_inputs(struct train *t, int target, double source_low, double source_high,
                   double source_mean, double low, double high, double mean)
{
    struct field fields[] = {
        TEXT("stage", t->stage->config->name),
        INTEGER("stage_index", t->stage->index),
        INTEGER("round", t->round),
        TEXT("source", t->setup->data[t->stage->data].name),
        TEXT("target", t->setup->data[target].name),
        NUMBER("source_low", source_low),
        NUMBER("source_high", source_high),
        NUMBER("source_mean", source_mean),
        NUMBER("target_low", low),
        NUMBER("target_high", high),
        NUMBER("target_mean", mean),
        {0},
    };

    sinks_emit(&t->sinks, "inputs", fields);
}

void report_watch(struct train *t, int model, const struct watch *l)
{
    const struct watch *source = &t->guard.source_only[model];
    struct field fields[] = {
        TEXT("stage", t->stage->config->name),
        INTEGER("stage_index", t->stage->index),
        INTEGER("round", t->round),
        TEXT("target", t->setup->data[t->stage->target[model]].name),
        NUMBER("score", l->score),
        NUMBER("score_source_only", source->score),
        NUMBER("score_best", t->guard.best_score[model]),
        NUMBER("entropy", l->entropy),
        NUMBER("spread", l->spread),
        NUMBER("prior", l->prior),
        NUMBER("agreement", l->agreement),
        NUMBER("discrepancy", l->discrepancy),
        NUMBER("right_source", l->right_source),
        NUMBER("right_target", l->right_target),
        INTEGER("collapsed", (l->alarms & ALARM_COLLAPSE) != 0),
        INTEGER("swapped", (l->alarms & ALARM_SWAP) != 0),
        INTEGER("discriminator", (l->alarms & ALARM_DISCRIMINATOR) != 0),
        {0},
    };

    sinks_emit(&t->sinks, "watch", fields);
}
