/* model.h - a run as it was seen: stages, curves, workers, evaluations, what went wrong, the end.
 *
 * Fed with events (model_event), read by the views. Bounded whatever arrives: what is beyond a bound is counted in
 * `refused`. All texts in it are clean (event.h). One struct run per run; nothing is shared between them. */
#ifndef OBSERVER_MODEL_MODEL_H
#define OBSERVER_MODEL_MODEL_H

#include <stdbool.h>
#include <stdint.h>

#include "observer/model/event.h"

enum {
    STAGES_MAX = 64,
    SERIES_MAX = 2048,
    POINTS_MAX = 2000, /* of a curve; must be even */
    WORKERS_MAX = 4096,
    EVALUATIONS_MAX = 1024,
    NOTES_MAX = 200,
    FACTS_MAX = 32,
    NAME = 64,
    SENTENCE = 320,
    CONFIGURATION_MAX = 1 << 20,
};

struct curve_point {
    uint64_t round;
    double value, spread; /* half a 95 % interval, or NAN */
    uint64_t serial;      /* of the run: later points have larger ones */
};

/* A curve. Of more than POINTS_MAX points every second is left out; the last one is always there. */
struct series {
    char group[16];   /* the kind of event: round, adaptation, evaluation, watch ... */
    char of[NAME];    /* data section or target, or "" */
    int step;         /* inner step, or -1 */
    char field[NAME]; /* loss, accuracy ... */
    int stage;
    struct curve_point *points; /* owned, POINTS_MAX */
    int n;
    uint64_t seen, stride; /* each stride-th point is kept */
    bool provisional;      /* the last one is not one of those */
};

struct stage_seen {
    char name[NAME], method[NAME];
    bool started;
    uint64_t from, rounds, round; /* round: last done */
    uint64_t parameters;
};

struct worker_seen {
    int64_t rank;
    char host[NAME], state[16]; /* working, idle, lost, back, slow, left, differs ... */
    double tasks, tasks_per_second, busy, memory_mib; /* NAN: not known; busy: share of its time */
    double time, computing, waiting;                  /* as told last */
    bool up;
};

struct evaluated { /* the last evaluation of a data section with `step` inner steps */
    int stage;
    char data[NAME];
    int step;
    uint64_t round, n;
    bool samples; /* n samples, not episodes */
    double accuracy, accuracy_ci95, loss, loss_ci95;
};

enum note_level { NOTE_LOG, NOTE_ALARM, NOTE_FAULT };

struct note {
    enum note_level level;
    double time; /* 0: not known */
    int stage;
    uint64_t round, count; /* count: how often in a row */
    uint64_t serial;
    char text[SENTENCE];
};

struct fact { /* of the run: host, program, ... */
    char key[NAME], value[SENTENCE];
};

enum run_status { RUN_WAITING, RUN_LIVE, RUN_SILENT, RUN_ENDED, RUN_WHOLE };

struct run {
    char id[NAME], name[NAME],
        source[256];       /* id: letters, digits, - and _; "" before it is known */
    enum run_status state; /* WHOLE: all of a file without an end was read */
    char end[SENTENCE], digest[NAME], checkpoint[SENTENCE];
    bool well; /* it ended as it should */
    struct stage_seen stages[STAGES_MAX];
    int n_stages, stage;         /* stage: the present one, -1 before the first */
    struct series **series;      /* owned */
    int n_series, next_series;   /* next: where the one that follows is looked for first */
    struct worker_seen *workers; /* owned, by rank */
    int n_workers;
    struct evaluated *evaluations; /* owned */
    int n_evaluations;
    struct note *notes; /* owned, NOTES_MAX; the oldest is overwritten */
    uint64_t n_notes;   /* all there were */
    struct fact facts[FACTS_MAX];
    int n_facts;
    char *configuration;   /* owned; NULL: not known */
    uint64_t failed, lost; /* tasks set aside, events missing */
    uint64_t events, refused, serial, generation;
    double time;          /* of the last event that told it */
    double left, left_at; /* seconds of the stage, as told at that time; NAN: not told */
};

/* ERR_MEMORY. */
int model_init(struct run *r, const char *source);
void model_release(struct run *r);

/* Forgets all but the source and the name; what comes next has larger serials and another generation. */
void model_restart(struct run *r);

/* Sets the id. A text that is no word of at most 40 letters, digits, - and _ is replaced by a digest of it. */
void model_identity(struct run *r, const char *id);

/* Takes an event. What makes no sense is counted in refused and changes nothing else. ERR_MEMORY. */
int model_event(struct run *r, const struct event *e);

/* A sentence for the notes. */
void model_note(struct run *r, enum note_level level, double time, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));

void model_fact(struct run *r, const char *key, const char *value);
void model_configuration(struct run *r, const char *text,
                         size_t n); /* copied; cut at CONFIGURATION_MAX */

/* A worker by its rank, made where it is new; NULL: too many, or no memory. */
struct worker_seen *model_worker(struct run *r, int64_t rank);

/* A curve; NULL: there is none. */
const struct series *model_series(const struct run *r, int stage, const char *group, const char *of,
                                  int step, const char *field);

/* "loss", "support_losses/step2", "adaptation/weight", "evaluation/ink/step2/accuracy": unique in its stage. */
void series_name(const struct series *s, char *text, size_t n);

/* The last value, NAN where there is none (s may be NULL). */
double series_last(const struct series *s);

/* Whether a value other than 0 was told: a method that has no such number tells 0. */
bool series_tells(const struct series *s);

const char *run_state_name(const struct run *r);

/* Seconds to the end of the present stage, NAN where nobody knows. */
double run_left(const struct run *r, double now);

#endif
