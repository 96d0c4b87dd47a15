/* model.h - what is known of a run: stages, curves, workers, evaluations, what went wrong, the end.
 *
 * The rooms of the observer know one another in one direction: model <- source <- view. A source
 * feeds events to a model (model_event); views read it. The model knows neither. It is bounded,
 * whatever arrives: what is beyond a bound is counted in `refused`, and a note says so. All its
 * texts are clean (event.h). There is one struct run for each run; they share nothing. */
#ifndef OBSERVER_MODEL_MODEL_H
#define OBSERVER_MODEL_MODEL_H

#include <stdbool.h>
#include <stdint.h>

#include "observer/model/event.h"

enum {
    /* Strangers may send anything: all curves of a run take 1 GiB at most, the rest 20 MiB. */
    STAGES_MAX = 1024,
    SERIES_MAX = 1 << 14,
    POINTS_MAX = 2000, /* of a curve; must be even */
    WORKERS_MAX = 1 << 16,
    EVALUATIONS_MAX = 1 << 14,
    NOTES_MAX = 200,
    FACTS_MAX = 32,
    NAME = 64,
    SENTENCE = 320,
    CONFIGURATION_MAX = 1 << 20,
};

struct curve_point {
    uint64_t round;
    double value, spread; /* half a 95 % interval, or NAN */
    uint64_t serial;      /* later points of the run have larger ones */
};

/* A curve. When it has POINTS_MAX points, every second one is left out; the last is always
 * there. */
struct series {
    char group[16];   /* the kind of event: round, adaptation, evaluation, watch ... */
    char of[NAME];    /* data section or target, or "" */
    int step;         /* inner step, or -1 */
    char field[NAME]; /* loss, accuracy ... */
    int stage;
    struct curve_point *points; /* owned: room for the power of two that n needs */
    int n;
    uint64_t seen, stride; /* each stride-th point is kept */
    bool provisional;      /* the last point is not one of those, and goes when the next comes */
};

struct stage_seen {
    char name[NAME], method[NAME];
    bool started;
    uint64_t from, rounds, round; /* first round done here, number of rounds, last round done */
    uint64_t parameters;
};

struct worker_seen {
    int64_t rank;
    char host[NAME], state[16]; /* working, idle, lost, back, slow, left, differs ... */
    double tasks, tasks_per_second, busy, memory_mib; /* NAN: not known; busy: 0 to 1 */
    double time, computing, waiting;                  /* seconds, as told last */
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
    uint64_t round, count; /* count: how often it was said in a row */
    uint64_t serial;
    char text[SENTENCE];
};

struct fact { /* about the run: host, program, ... */
    char key[NAME], value[SENTENCE];
};

enum run_status { RUN_WAITING, RUN_LIVE, RUN_SILENT, RUN_ENDED, RUN_WHOLE };

struct run {
    char id[NAME], name[NAME],
        source[256];       /* id: letters, digits, - and _; "" before it is known */
    enum run_status state; /* WHOLE: all of a file without an end was read */
    char end[SENTENCE], digest[NAME], checkpoint[SENTENCE];
    bool well;                   /* it ended as it should */
    struct stage_seen *stages;   /* owned */
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
    unsigned left_out;    /* bits of enum left_out that a note has told */
    double time;          /* of the last event that told it */
    double left, left_at; /* seconds of the stage, as told at that time; NAN: not told */
};

/* A run of which only the source is known: an endpoint or a directory. ERR_MEMORY. */
int model_init(struct run *r, const char *source);

/* Frees everything and zeroes *r. */
void model_release(struct run *r);

/* Forgets all but the source and the name. What comes next has larger serials and another
 * generation. */
void model_restart(struct run *r);

/* Sets the id. A text that is not 1 to 40 letters, digits, - and _ is replaced by a digest of it;
 * an empty one changes nothing. */
void model_identity(struct run *r, const char *id);

/* Takes an event, which is borrowed during the call. One that makes no sense is counted in refused
 * and changes nothing else. ERR_MEMORY. */
int model_event(struct run *r, const struct event *e);

/* Adds a sentence to the notes, cleaned and at most SENTENCE - 1 bytes of it. Said again in a row
 * it is only counted. */
void model_note(struct run *r, enum note_level level, double time, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));

/* Adds a fact, or changes the one with this key. An empty value changes nothing; one too many is
 * left out. */
void model_fact(struct run *r, const char *key, const char *value);

/* Keeps a copy of the configuration's text of n bytes, cleaned but for its line ends, at most
 * CONFIGURATION_MAX bytes of it. */
void model_configuration(struct run *r, const char *text, size_t n);

/* The worker of this rank, made if it is new. NULL: there are WORKERS_MAX already, as a note
 * says. */
struct worker_seen *model_worker(struct run *r, int64_t rank);

/* The curve with these names; NULL if there is none. of: a data section or a target, or ""; step:
 * an inner step, or -1. */
const struct series *model_series(const struct run *r, int stage, const char *group, const char *of,
                                  int step, const char *field);

/* The name of a curve, unique in its stage, at most n - 1 bytes: "loss", "support_losses/step2",
 * "adaptation/weight", "evaluation/ink/step2/accuracy". */
void series_name(const struct series *s, char *text, size_t n);

/* The last value; NAN if there is none. s may be NULL. */
double series_last(const struct series *s);

/* True if a value is not 0: a method that has no such number tells 0. s may be NULL. */
bool series_tells(const struct series *s);

/* The state in a word: "waiting", "live", "silent", "ended", "failed", "no end". */
const char *run_state_name(const struct run *r);

/* Seconds to the end of the present stage, at the time `now` since 1970; NAN if it is not known. */
double run_left(const struct run *r, double now);

#endif
