/* model_event.c - what each kind of event changes in the model. Other kinds become curves of their
 * numbers. */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "core/base/err.h"
#include "observer/model/model_internal.h"

static const char *const nothing[] = {NULL};

static struct stage_seen *stage_make(struct run *r, int index, const char *name)
{
    struct stage_seen *s = &r->stages[index];

    for (; r->n_stages <= index; r->n_stages++)
        r->stages[r->n_stages] = (struct stage_seen){0};
    if (*name)
        text_clean(s->name, sizeof s->name, name);
    else if (!*s->name)
        snprintf(s->name, sizeof s->name, "stage %d", index);
    return s;
}

/* The stage that an event names, added if it is new; -1 if the event names none, or an impossible
 * one. */
static int stage_of(struct run *r, const struct event *e)
{
    int64_t index = event_integer(e, "stage_index", -1);

    if (index >= STAGES_MAX)
        model_left_out(r, OUT_STAGES);
    if (index < 0 || index >= STAGES_MAX)
        return -1;
    stage_make(r, (int)index, event_text(e, "stage"));
    return (int)index;
}

/* A round after the end means that the run was resumed. */
static void goes_on(struct run *r)
{
    if (r->state == RUN_ENDED)
        r->state = RUN_LIVE;
    r->end[0] = '\0';
}

static int take_stage(struct run *r, const struct event *e)
{
    int index = stage_of(r, e);
    struct stage_seen *s = index < 0 ? NULL : &r->stages[index];

    if (!s)
        return 1;
    goes_on(r);
    text_clean(s->method, sizeof s->method, event_text(e, "method"));
    s->started = true;
    s->from = s->round = event_count(e, "from_round");
    s->rounds = event_count(e, "rounds");
    s->parameters = event_count(e, "parameters");
    r->stage = index;
    r->left = NAN;
    return 0;
}

static int take_plan(struct run *r, const struct event *e)
{
    int index = (int)event_integer(e, "index", -1);
    struct stage_seen *s;

    if (index >= STAGES_MAX)
        model_left_out(r, OUT_STAGES);
    if (index < 0 || index >= STAGES_MAX)
        return 1;
    s = stage_make(r, index, event_text(e, "name"));
    text_clean(s->method, sizeof s->method, event_text(e, "method"));
    s->rounds = event_count(e, "rounds");
    s->parameters = event_count(e, "parameters");
    return 0;
}

/* Tasks per second of all workers, if the event does not say. */
static int add_speed(struct run *r, const struct event *e, int stage, uint64_t round)
{
    double speed = event_number(e, "tasks", NAN) / event_number(e, "seconds", NAN);
    struct series *s;

    if (!isfinite(speed))
        return 0;
    TRY(series_get(r, &(struct series_key){stage, "round", "", -1, "tasks_per_second"}, &s));
    return s ? series_add(r, s, round, speed, NAN) : 0;
}

static int take_round(struct run *r, const struct event *e)
{
    static const char *const but[] = {"tasks", "failed", "seconds_left", NULL};
    int stage = stage_of(r, e);
    int64_t round = event_integer(e, "round", -1);

    if (stage < 0 || round < 0)
        return 1;
    goes_on(r);
    r->stage = stage;
    r->stages[stage].started = true;
    r->stages[stage].round = (uint64_t)round;
    r->failed += event_count(e, "failed");
    r->left = event_number(e, "seconds_left", NAN);
    r->left_at = e->time;
    text_clean(r->digest, sizeof r->digest, event_text(e, "digest"));
    TRY(series_event(r, e, stage, "", -1, but));
    return add_speed(r, e, stage, (uint64_t)round);
}

static struct evaluated *evaluation_get(struct run *r, int stage, const char *data, int step)
{
    struct evaluated *v = r->evaluations;

    for (int i = 0; i < r->n_evaluations; i++, v++)
        if (v->stage == stage && v->step == step && strcmp(v->data, data) == 0)
            return v;
    if (r->n_evaluations == EVALUATIONS_MAX) {
        model_left_out(r, OUT_EVALUATIONS);
        return NULL;
    }
    r->n_evaluations++;
    *v = (struct evaluated){.stage = stage, .step = step};
    snprintf(v->data, sizeof v->data, "%s", data);
    return v;
}

static int take_evaluation(struct run *r, const struct event *e)
{
    static const char *const but[] = {"episodes", "samples", "failed", "transductive", NULL};
    int stage = stage_of(r, e), step = (int)event_integer(e, "step", 0);
    int64_t round = event_integer(e, "round", -1), n = event_integer(e, "episodes", 0);
    char data[NAME];
    struct evaluated *v;

    text_clean(data, sizeof data, event_text(e, "data"));
    if (stage < 0 || round < 0 || step < 0)
        return 1;
    v = evaluation_get(r, stage, data, step);
    if (!v)
        return 0;
    v->round = (uint64_t)round;
    v->samples = n == 0;
    v->n = (uint64_t)(n ? n : event_integer(e, "samples", 0));
    v->accuracy = event_number(e, "accuracy", NAN);
    v->accuracy_ci95 = event_number(e, "accuracy_ci95", NAN);
    v->loss = event_number(e, "loss", NAN);
    v->loss_ci95 = event_number(e, "loss_ci95", NAN);
    return series_event(r, e, stage, data, step, but);
}

/* An alarm is reported when it begins and when it ends. */
static void watch_alarm(struct run *r, const struct event *e, const char *key, const char *target,
                        int stage)
{
    bool on = event_integer(e, key, 0) != 0;
    bool was = series_last(model_series(r, stage, "watch", target, -1, key)) > 0;

    if (on && !was)
        model_note(r, NOTE_ALARM, e->time, "target '%s': %s", target, key);
    else if (was && !on)
        model_note(r, NOTE_LOG, e->time, "target '%s': no longer %s", target, key);
}

static int take_watch(struct run *r, const struct event *e)
{
    static const char *const alarms[] = {"collapsed", "swapped", "discriminator"};
    int stage = stage_of(r, e);
    char target[NAME];

    if (stage < 0)
        return 1;
    text_clean(target, sizeof target, event_text(e, "target"));
    for (int i = 0; i < 3; i++)
        watch_alarm(r, e, alarms[i], target, stage);
    return series_event(r, e, stage, target, -1, nothing);
}

static int take_rank(struct run *r, const struct event *e)
{
    const char *what = event_text(e, "what");
    int64_t rank = event_integer(e, "rank", -1);
    struct worker_seen *w = rank < 0 ? NULL : model_worker(r, rank);

    if (!w)
        return 1;
    text_clean(w->state, sizeof w->state, what);
    if (*event_text(e, "host"))
        text_clean(w->host, sizeof w->host, event_text(e, "host"));
    w->up = strcmp(what, "lost") != 0 && strcmp(what, "left") != 0;
    model_note(r, strcmp(what, "back") == 0 ? NOTE_LOG : NOTE_FAULT, e->time, "%s",
               event_text(e, "text"));
    return 0;
}

/* The stream has sums since the start, so speed and load come from the difference of two events. */
static int take_worker(struct run *r, const struct event *e)
{
    int64_t rank = event_integer(e, "rank", -1);
    struct worker_seen *w = rank < 0 ? NULL : model_worker(r, rank), last;

    if (!w)
        return 1;
    last = *w;
    text_clean(w->state, sizeof w->state, event_text(e, "state"));
    text_clean(w->host, sizeof w->host, event_text(e, "host"));
    w->up = strcmp(w->state, "lost") != 0 && strcmp(w->state, "left") != 0;
    w->tasks = event_number(e, "tasks", NAN);
    w->computing = event_number(e, "computing", NAN);
    w->waiting = event_number(e, "waiting", NAN);
    w->memory_mib = event_number(e, "memory_mib", NAN);
    w->time = e->time;
    if (e->time > last.time && w->tasks >= last.tasks && last.time > 0) {
        double work = w->computing - last.computing, all = work + w->waiting - last.waiting;

        w->tasks_per_second = (w->tasks - last.tasks) / (e->time - last.time);
        w->busy = all > 0 ? work / all : NAN;
    }
    return 0;
}

static int take_failed(struct run *r, const struct event *e)
{
    int stage = stage_of(r, e);

    model_note(r, NOTE_FAULT, e->time,
               "%s: %" PRId64 " of %" PRId64 " tasks set aside in round %" PRId64 "%s%s%s%s",
               stage < 0 ? "?" : r->stages[stage].name, event_integer(e, "failed", 0),
               event_integer(e, "tasks", 0), event_integer(e, "round", 0),
               *event_text(e, "file") ? ": " : "", event_text(e, "file"),
               *event_text(e, "error") ? ": " : "", event_text(e, "error"));
    return 0;
}

static int take_checkpoint(struct run *r, const struct event *e)
{
    if (*event_text(e, "error"))
        model_note(r, NOTE_FAULT, e->time, "no checkpoint: %s", event_text(e, "error"));
    else
        text_clean(r->checkpoint, sizeof r->checkpoint, event_text(e, "path"));
    return 0;
}

static int take_lost(struct run *r, const struct event *e)
{
    uint64_t n = event_count(e, "events");

    r->lost += n;
    model_note(r, NOTE_FAULT, e->time, "%" PRIu64 " events are missing here", n);
    return 0;
}

static int take_log(struct run *r, const struct event *e)
{
    bool bad = strcmp(event_text(e, "level"), "info") != 0;

    if (!bad && *event_text(e, "about")) /* another event reports it */
        return 0;
    model_note(r, bad ? NOTE_FAULT : NOTE_LOG, e->time, "%s", event_text(e, "text"));
    return 0;
}

static int take_end(struct run *r, const struct event *e)
{
    int64_t status = event_integer(e, "status", 0);
    const char *reason = event_text(e, "reason");

    for (int i = 0; i < r->n_workers; i++)
        if (r->workers[i].up)
            strcpy(r->workers[i].state, "done");
    r->state = RUN_ENDED;
    r->well = status == 0;
    text_clean(r->digest, sizeof r->digest, event_text(e, "digest"));
    if (status == 0)
        snprintf(r->end, sizeof r->end, "done");
    else if (*reason)
        text_clean(r->end, sizeof r->end, reason);
    else
        snprintf(r->end, sizeof r->end, "exit status %" PRId64, status);
    return 0;
}

static int take_run(struct run *r, const struct event *e)
{
    static const char *const facts[] = {"version", "directory", "host",     "cpu",
                                        "blas",    "transport", "precision"};
    const char *text = event_text(e, "configuration");
    char number[32];

    if (*event_text(e, "name"))
        text_clean(r->name, sizeof r->name, event_text(e, "name"));
    model_identity(r, event_text(e, "run_id"));
    for (size_t i = 0; i < sizeof facts / sizeof *facts; i++)
        model_fact(r, facts[i], event_text(e, facts[i]));
    for (const char *const *key = (const char *const[]){"seed", "ranks", NULL}; *key; key++) {
        snprintf(number, sizeof number, "%" PRId64, event_integer(e, *key, 0));
        model_fact(r, *key, event_find(e, *key) ? number : "");
    }
    if (*text)
        model_configuration(r, text, strlen(text));
    return 0;
}

/* For kinds that add nothing to the model: other events say the same. */
static int take_nothing(struct run *r, const struct event *e)
{
    (void)r;
    (void)e;
    return 0;
}

static const struct {
    const char *kind;
    int (*take)(struct run *r, const struct event *e); /* 1: the event makes no sense */
} takers[] = {
    {"run", take_run},           {"plan", take_plan},      {"stage", take_stage},
    {"round", take_round},       {"watch", take_watch},    {"evaluation", take_evaluation},
    {"rank", take_rank},         {"worker", take_worker},  {"failed", take_failed},
    {"lost", take_lost},         {"log", take_log},        {"checkpoint", take_checkpoint},
    {"end", take_end},           {"host", take_nothing},   {"workers", take_nothing},
    {"heartbeat", take_nothing}, {"inputs", take_nothing},
};

int model_event(struct run *r, const struct event *e)
{
    r->events++;
    if (e->time > 0)
        r->time = e->time;
    for (size_t i = 0; i < sizeof takers / sizeof *takers; i++)
        if (strcmp(takers[i].kind, e->kind) == 0) {
            int code = takers[i].take(r, e);

            r->refused += code > 0;
            return code > 0 ? 0 : code;
        }
    return series_event(r, e, stage_of(r, e), "", -1, nothing);
}
